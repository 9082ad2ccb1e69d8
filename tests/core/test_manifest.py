"""The manifest is read strictly, and changed without touching what a person wrote around it."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import UsageError
from tenuto.core.ids import Address
from tenuto.core.manifest import (
    KINDS,
    Artifact,
    Manifest,
    Project,
    check_artifact_name,
    default_kind,
    parse_manifest,
    with_artifact,
    without_artifact,
)
from tenuto.core.selection import Selection

FULL = """\
# what we need
[project]
name = "voices"
hub = "https://hub.example.test"

[artifacts.beats]
path = "checkpoints"            # where it lies
repo = "hf://me/beats@v1"
kind = "checkpoint"

[artifacts."loras/jazz"]
path = "loras/jazz"
repo = "hf://me/jazz"
kind = "adapter"
"""


def artifact(name: str, path: str, repo: str = "hf://me/x", more: str = "") -> str:
    return f'[artifacts."{name}"]\npath = "{path}"\nrepo = "{repo}"\n{more}\n'


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_manifest(text)
    assert caught.value.code == "BadManifest"
    assert caught.value.hint
    assert "tenuto.toml" in str(caught.value)
    return str(caught.value)


def test_everything_that_may_stand_in_it() -> None:
    manifest = parse_manifest(FULL)
    assert manifest.project == Project("voices", "https://hub.example.test")
    assert manifest.artifacts == {
        "beats": Artifact("checkpoints", "hf://me/beats@v1", "checkpoint"),
        "loras/jazz": Artifact("loras/jazz", "hf://me/jazz", "adapter"),
    }
    assert manifest.artifacts["beats"].address == Address.parse("hf://me/beats@v1")


def web(source: str, sha256: str | None = "0" * 64, more: str = "") -> str:
    hash_line = f'sha256 = "{sha256}"\n' if sha256 else ""
    return f'[artifacts.a]\npath = "a"\nsource = "{source}"\nfile = true\n{hash_line}{more}\n'


def test_a_secret_in_an_address_is_not_repeated() -> None:
    assert "secret" not in refusal(web("https://name:secret@host/a"))


def test_what_others_publish() -> None:
    text = """
[artifacts.small]
path = "models/small"
source = "hf://facebook/musicgen-small@main"
groups = ["generation"]
include = ["*.json", "*.safetensors"]
mirrors = ["hf://me/copy"]
"""
    small = parse_manifest(text + web("https://host/a?x=1")).artifacts["small"]
    assert not small.is_own
    assert small.address == Address.parse("hf://facebook/musicgen-small@main")
    assert small.selection == Selection(include=("*.json", "*.safetensors"))
    assert parse_manifest(web("https://host/a?x=1")).artifacts["a"].is_web_file


def test_an_artifact_is_written_and_taken_away_again() -> None:
    small = Artifact("m", kind="model", source="hf://a/b", include=("*.json",), groups=("x",), variant="fp16")
    text = with_artifact(FULL, "small", small)
    assert parse_manifest(text).artifacts["small"] == small
    assert without_artifact(text, "small").strip() == FULL.strip()
    assert parse_manifest(without_artifact(with_artifact("", "small", small), "small")) == Manifest()


def test_nothing_must_stand_in_it() -> None:
    assert parse_manifest("") == Manifest()
    assert parse_manifest("# empty\n[project]\n[artifacts]\n") == Manifest()
    assert parse_manifest(artifact("a", "a")).artifacts["a"].kind == "model"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[project", "end of a table"),
        ("[project]\nname = 5", "project.name"),
        ("[projct]\n", "projct"),
        ('[project]\nhubb = "x"', "hubb"),
        (artifact("a", "a", more="branch = 'x'"), "branch"),
        ('[artifacts.a]\npath = "a"', "repo"),
        ('[artifacts.a]\nrepo = "hf://me/x"', "path"),
        ("artifacts = 5", "artifacts"),
        ("artifacts = ['a']", "artifacts"),
        (artifact("a", "a") * 2, "artifacts"),
        ('[project]\nname = "a"\nname = "b"', "overwrite"),
        (artifact("a", "a", more='kind = "modell"'), "modell"),
        (artifact("a", "a", "https://hub.test/me/x"), "https://hub.test/me/x"),
        (artifact("a", "a", more='source = "hf://me/y"'), "`repo` and `source`"),
        (artifact("a", "a", more='include = ["*.json"]'), "in part"),
        (artifact("a", "a", more='sha256 = "00"'), "64 lowercase"),
        (artifact("a", "a", more=f'sha256 = "{"0" * 64}"'), "files from the web"),
        (artifact("a", "a", more='groups = ["a b"]'), "group"),
        (artifact("a", "a", more='mirrors = ["https://host"]'), "https://host"),
        (artifact("a", "a", more='mirrors = ["file:///etc/passwd"]'), "file:///etc/passwd"),
        (web("https://host/a", sha256=None), "sha256"),
        (web("https://name:secret@host/a"), "host/a"),
        (web("https://host/a", more='variant = "fp16"'), "in part"),
        ('[policy]\nunknown_license = "ask"', "unknown_license"),
        (artifact("a", "a", "hf://me"), "'a'"),
        ("x = " + "[" * 5000, "recursion"),
        ("x = " + "9" * 5000, "digits"),
        ("a = '\x00'", "invalid character"),
    ],
)
def test_refused(text: str, said: str) -> None:
    assert said.lower() in refusal(text).lower()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "C:/x", "a/../../b", "CON", "", ".", ".git", "a/"])
def test_paths_and_names_lead_nowhere_else(path: str) -> None:
    assert "'a'" in refusal(artifact("a", path))
    refusal(artifact(path, "a"))
    with pytest.raises(UsageError) as caught:
        check_artifact_name(path)
    assert caught.value.code == "BadManifest"


@pytest.mark.parametrize(("one", "two"), [("a", "a"), ("a", "a/b"), ("a/b/c", "a"), ("x/a", "x/a/b/c")])
def test_no_artifact_lies_in_another(one: str, two: str) -> None:
    said = refusal(artifact("first", one) + artifact("between", "a!") + artifact("second", two))
    assert "'first'" in said
    assert "'second'" in said


def test_neighbours_are_no_overlap() -> None:
    paths = ["a", "ab", "a.b", "a-b/c", "b/a", "b/a.x"]
    assert len(parse_manifest("".join(artifact(f"n{n}", path) for n, path in enumerate(paths))).artifacts) == 6


def test_default_kind_is_that_of_the_repo() -> None:
    assert default_kind(Address.parse("hf://me/x")) == "model"
    assert default_kind(Address.parse("hf://datasets/me/x")) == "dataset"


class TestWithArtifact:
    NEW = Artifact("data/new", "hf://datasets/me/new", "dataset")

    def test_to_an_empty_file(self) -> None:
        text = with_artifact("", "new", self.NEW)
        assert text == '[artifacts.new]\npath = "data/new"\nrepo = "hf://datasets/me/new"\nkind = "dataset"\n'

    def test_comments_and_order_stay(self) -> None:
        text = with_artifact(FULL, "new", self.NEW)
        assert text.startswith(FULL.rstrip("\n"))
        assert parse_manifest(text).artifacts == {**parse_manifest(FULL).artifacts, "new": self.NEW}

    def test_what_is_no_longer_so_goes(self) -> None:
        one_file = Artifact("a.pt", "hf://me/x", file=True)
        text = with_artifact(FULL, "one", one_file)
        assert parse_manifest(text).artifacts["one"] == one_file
        assert "file = true" in text
        assert "file" not in with_artifact(text, "one", self.NEW)

    def test_replaced_in_its_place(self) -> None:
        text = with_artifact(FULL, "beats", self.NEW)
        assert parse_manifest(text).artifacts["beats"] == self.NEW
        assert text.index("beats") < text.index("loras/jazz")
        assert "# where it lies" in text
        assert "# what we need" in text

    @pytest.mark.parametrize(
        "text",
        [
            "# only a comment",
            "[project]\nname = 'x'",
            "[artifacts]\n",
            "artifacts = {}\n",
            'artifacts = { a = { path = "a", repo = "hf://me/a" } }\n',
            '[artifacts]\na = { path = "a", repo = "hf://me/a" }\n',
            'artifacts.a.path = "a"\nartifacts.a.repo = "hf://me/a"\n',
            '[artifacts.a]\r\npath = "a"\r\nrepo = "hf://me/a"\r\n',
            '[artifacts.a]\npath = "a"\nrepo = "hf://me/a"\n[project]\nname = "last"\n',
        ],
    )
    def test_to_any_way_of_writing_it(self, text: str) -> None:
        before, after = parse_manifest(text), parse_manifest(with_artifact(text, "new/one", self.NEW))
        assert after.artifacts == {**before.artifacts, "new/one": self.NEW}
        assert after.project == before.project

    @given(
        st.lists(
            st.tuples(st.from_regex(r"[a-z][a-z0-9 ._/'-]{0,9}[a-z]", fullmatch=True), st.sampled_from(KINDS)),
            max_size=5,
        ),
        st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=20),
    )
    def test_one_by_one(self, wanted: list[tuple[str, str]], comment: str) -> None:
        text, expected = f"# {comment}\n", {}
        for number, (name, kind) in enumerate(wanted):
            added = Artifact(f"files/{number}", "hf://me/x", kind)
            text, expected[name] = with_artifact(text, name, added), added
            tomllib.loads(text)
        assert text.startswith(f"# {comment}\n")
        try:
            assert parse_manifest(text).artifacts == expected
        except UsageError as error:
            assert "cannot name an artifact" in str(error)  # noqa: PT017 - not every name above is a safe path
