"""What pages say of files is what is in them: colours, tables, trees, tensors, samples, trainings."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.gitobj import Pointer
from tenuto.core.ids import RepoId, RepoKind
from tenuto.inspect.source import from_bytes
from tenuto.server.git.objects import BlobFacts
from tenuto.server.http.exchange import Call
from tenuto.server.pages import previews
from tenuto.server.pages.content import File
from tenuto.server.pages.highlight import lines
from tenuto.server.pages.overview import without_front_matter
from tenuto.server.pages.plots import HEIGHT, WIDTH, histogram
from tenuto.server.pages.snippets import snippets
from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}
numbers = st.floats(-1e12, 1e12)


def call(query: str = "") -> Call:
    return Call("GET", {"rev": "main"}, query, {}, "http://hub", "/x")


def file(name: str, content: bytes) -> File:
    return File(name, BlobFacts("0" * 40, len(content), None))


def shown(look, name: str, content: bytes, query: str = "") -> dict[str, object]:
    found = look(from_bytes(content), file(name, content), call(query))
    assert found is not None
    return found.values


def test_a_file_knows_its_size_and_ending() -> None:
    large = File("a/B.TAR.GZ", BlobFacts("0" * 40, 130, Pointer("0" * 64, 5000)))
    assert (large.name, large.ending, large.size) == ("B.TAR.GZ", "gz", 5000)
    assert File("Makefile", large.blob).ending == ""


def test_a_text_is_shown_line_by_line_and_page_by_page() -> None:
    content = "".join(f"line {number}\n" for number in range(1, 1201)).encode()
    first = shown(previews.text, "a.txt", content)
    assert first["lines"][0] == (1, [("", "line 1")])  # type: ignore[index]
    assert (first["count"], first["previous"]) == (1200, 0)
    second = shown(previews.text, "a.txt", content, f"line={first['next']}")
    assert second["lines"][0][0] == first["next"] == len(first["lines"]) + 1  # type: ignore[index, arg-type]
    assert second["previous"] == 1
    last = shown(previews.text, "a.txt", content, "line=1200")
    assert (len(last["lines"]), last["next"]) == (1, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b", b"x" * (previews.TEXT_BYTES + 1)])
def test_what_is_no_text_is_not_shown_as_one(content: bytes) -> None:
    assert previews.text(from_bytes(content), file("a.txt", content), call()) is None


def test_colours_tell_words_apart_and_change_nothing() -> None:
    found = lines("def f():\n    return 'x', 12  # why\n", "py")
    assert ("k", "def") in found[0]
    assert ("n", "f") in found[0]
    assert {word for word, _ in found[1]} >= {"k", "s", "m", "c"}
    assert lines("plain", "unknown") == [[("", "plain")]]
    assert lines("x = 1\n" + "y" * 5000, "py")[0] == [("", "x = 1")]
    assert [part for line in lines("x = 1\ny = 2", "py", budget_s=0) for part in line] == [("", "x = 1"), ("", "y = 2")]


@given(st.text(max_size=300), st.sampled_from(["py", "json", "yaml", "md", "html", "sh", "toml", "c"]))
def test_colours_lose_no_character(text: str, language: str) -> None:
    text = text.replace("\r", "")
    assert ["".join(part for _, part in line) for line in lines(text, language)] == text.split("\n")


def test_a_tree_of_values_ends_where_a_page_does() -> None:
    found = shown(previews.json_tree, "a.json", b'{"a": [1, null], "b": {"c": "x"}}')
    root = found["root"]
    assert isinstance(root, previews.Node)
    assert root.below is not None
    assert [(one.key, one.text) for one in root.below] == [("a", "2 items"), ("b", "1 keys")]
    assert found["is_all"] is True
    assert shown(previews.json_tree, "a.json", b"[" + b"1," * 5000 + b"1]")["is_all"] is False
    assert "lines" in shown(previews.json_tree, "a.json", b"{no json")


def test_what_a_file_is_shows_without_running_it(owner: Owner) -> None:
    evil = b"cos\nsystem\n(S'true'\ntR."
    owner.talk.commit(
        owner.repo, small("evil.pkl", evil), small("x.safetensors", b"\xff" * 64), small("y.parquet", b"PAR1")
    ).raise_for_status()
    assert "CodeOnLoad" in owner.talk.get(f"/{owner.repo}/blob/main/evil.pkl", headers=HTML).text
    assert "not what its name says" in owner.talk.get(f"/{owner.repo}/blob/main/x.safetensors", headers=HTML).text
    assert "parquet" in owner.talk.get(f"/{owner.repo}/blob/main/y.parquet", headers=HTML).text


def test_values_that_are_all_the_same_are_one_narrow_bar_with_its_count() -> None:
    found = histogram([1.5] * 9)
    (bar,) = found.bars
    assert (bar.label, bar.value, [tick.label for tick in found.up]) == ("1.5", 9, ["0", "9"])
    assert bar.width < WIDTH / 10
    (tick,) = found.ticks
    assert bar.x < tick.at < bar.x + bar.width


@given(st.lists(numbers, min_size=1, max_size=60))
def test_a_histogram_counts_everything_once_and_stays_in_its_frame(values: list[float]) -> None:
    found = histogram(values)
    assert sum(bar.value for bar in found.bars) == len(values)
    assert all(
        bar.x >= 0 and bar.x + bar.width <= WIDTH and 0 <= bar.y <= bar.y + bar.height <= HEIGHT for bar in found.bars
    )
    assert (found.smallest, found.largest) == (min(values), max(values))


def test_a_dataset_shows_splits_classes_and_durations(owner: Owner, speak) -> None:
    name = f"{owner.name}/data"
    owner.talk.create(name, kind="dataset").raise_for_status()
    rows = "".join(
        json.dumps({"file_name": f"{i}.flac", "duration": 1.5 * i, "label": "wren" if i % 3 else "owl"}) + "\n"
        for i in range(1, 10)
    )
    files = [
        small("train/metadata.jsonl", rows.encode()),
        small("data/train-00000-of-00001.parquet", b"x"),
        small("data/test-00000-of-00001.parquet", b"x"),
    ]
    owner.talk.commit(name, *files, kind="datasets").raise_for_status()
    page = owner.talk.get(f"/datasets/{name}/insights", headers=HTML).text
    for words in ("train", "test", "wren", "owl", "9 recordings", "67.5 seconds"):
        assert words in page, words


def test_front_matter_is_no_part_of_the_text() -> None:
    assert without_front_matter("---\na: 1\n---\n# Text\n---\nmore").strip() == "# Text\n---\nmore"
    assert without_front_matter("# Text") == "# Text"
    assert without_front_matter("---\nnever closed") == "---\nnever closed"


def test_lines_to_copy_name_the_place_and_nothing_else_runs() -> None:
    repo = RepoId(RepoKind.DATASET, "a", "b")
    found = {one.name: one.text for one in snippets(repo, "http://hub", "v1", "x; rm -rf", "o'clock\n'")}
    assert "'hf://datasets/a/b@v1/x; rm -rf'" in found["tenuto"]
    assert "allow_patterns='x; rm -rf/*'" in found["huggingface_hub"]
    compile(found["huggingface_hub"], "snippet", "exec")
    compile(found["peft"], "snippet", "exec")
    assert "http://hub/datasets/a/b" in found["git"]


def test_a_search_goes_on_from_page_to_page(owner: Owner, speak) -> None:
    for number in range(33):
        owner.talk.create(f"{owner.name}/paged-{number}").raise_for_status()
    first = speak(None).get(f"/models?author={owner.name}&search=paged&sort=&gated=", headers=HTML).text
    following = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    second = speak(None).get(following, headers=HTML).text
    assert (first.count('class="card"'), second.count('class="card"')) == (30, 3)
    assert "Nothing fits" in speak(None).get("/models?search=no-such-words", headers=HTML).text
