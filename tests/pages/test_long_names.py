"""Names may be long and many: no list of them makes a page heavy."""

import re
import tracemalloc
from urllib.parse import quote

from tenuto.inspect.source import from_bytes
from tenuto.server.git.objects import BlobFacts
from tenuto.server.http.exchange import Call
from tenuto.server.pages import previews
from tenuto.server.pages.content import File
from tenuto.server.pages.room import fitting, link_weight
from tests.pages.test_budget import MOST_BYTES, with_all_it_needs
from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}


def test_as_much_is_taken_as_there_is_room_for() -> None:
    assert list(fitting(["aaa", "bb", "c"], 5, len)) == ["aaa", "bb"]
    assert list(fitting(["aaa", "bb"], 0, len)) == ["aaa"]
    assert list(fitting([], 0, len)) == []
    assert link_weight("a&b") == len("a&amp;b") + len("a%26b")


def test_long_names_of_files_and_folders_make_no_page_heavy(owner: Owner) -> None:
    names = [f"{'&' * 200}{number:02d}" for number in range(70)]
    deep = "/".join(["&" * 50] * 19)
    for content in (b"1", b"2"):
        lines = [small(f"{name}/adapter_config.json", content) for name in names]
        lines += [small(f"{name}.txt", content) for name in names]
        owner.talk.commit(owner.repo, *lines, small(f"{deep}/a.txt", content)).raise_for_status()
    views = ["", "/tree/main", "/commit/main", "/compare", "/insights", "/storage", f"/commits/main?path={quote(deep)}"]
    views += [f"/tree/main/{quote(deep)}", f"/blob/main/{quote(deep)}/a.txt", f"/insights?path={quote(names[0])}"]
    for view in views:
        answer = owner.talk.get(f"/{owner.repo}{view}", headers=HTML)
        assert answer.status_code == 200, view
        assert with_all_it_needs(owner.talk, answer.text) < MOST_BYTES, view
    page = owner.talk.get(f"/{owner.repo}/commit/main", headers=HTML).text
    assert "141 files differ" in page
    assert re.search(r"and \d+ more files", page)


def test_many_long_branches_and_tags_make_no_page_heavy(owner: Owner) -> None:
    path = f"{'&' * 200}.txt"
    owner.talk.commit(owner.repo, small(path, b"x")).raise_for_status()
    for number in range(40):
        for kind in ("branch", "tag"):
            name = quote(f"{number:02d}{'&' * 200}", safe="")
            body = {"tag": f"{number:02d}{'&' * 200}"} if kind == "tag" else {}
            place = f"/api/models/{owner.repo}/{kind}/{name if kind == 'branch' else 'main'}"
            owner.talk.post(place, body).raise_for_status()
    for view in ("/tree/main", f"/blob/main/{quote(path)}", "/commits/main", "/compare", "/storage"):
        answer = owner.talk.get(f"/{owner.repo}{view}", headers=HTML)
        assert answer.status_code == 200
        assert with_all_it_needs(owner.talk, answer.text) < MOST_BYTES, view
    assert "There are more than are shown here" in owner.talk.get(f"/{owner.repo}/tree/main", headers=HTML).text


def test_what_a_form_would_write_as_much_more_is_not_written_in_a_browser(owner: Owner) -> None:
    owner.talk.commit(owner.repo, small("a.txt", b'"' * 40_000), small("b.txt", b"x" * 40_000)).raise_for_status()
    answer = owner.talk.get(f"/{owner.repo}/edit/main/a.txt", headers=HTML)
    assert answer.headers["X-Error-Code"] == "TooLarge"
    assert owner.talk.get(f"/{owner.repo}/edit/main/b.txt", headers=HTML).status_code == 200


def shown(content: bytes, line: int) -> dict[str, object]:
    call = Call("GET", {"rev": "main"}, f"line={line}", {}, "http://hub", "/x")
    found = previews.text(from_bytes(content), File("a.txt", BlobFacts("0" * 40, len(content), None)), call)
    assert found is not None
    return found.values


def test_of_a_long_text_only_the_lines_of_a_page_are_made() -> None:
    content = b"".join(b"%d\r\n" % number for number in range(30_000))
    lines, line = [], 1
    while line:
        found = shown(content, line)
        lines += [pieces[0][1] for _, pieces in found["lines"]]  # type: ignore[attr-defined]
        assert found["count"] == 30_000
        line = int(str(found["next"]))
    assert lines == [str(number) for number in range(30_000)]
    assert shown(content, 40_000)["lines"] == []
    tracemalloc.start()
    shown(b"\n" * previews.TEXT_BYTES, 1_000_000)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 20_000_000
