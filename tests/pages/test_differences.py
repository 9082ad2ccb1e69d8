"""Differences are looked for once, with few questions to the database, and no text makes that long."""

from tenuto.testing.live_hub import LiveHub
from tests.pages.test_budget import MOST_STATEMENTS, statements
from tests.server.conftest import Owner
from tests.server.talk import gone, small

HTML = {"Accept": "text/html"}


def test_many_files_that_differ_are_read_in_few_questions(hub: LiveHub, owner: Owner) -> None:
    for version in (b"one\ntwo\n", b"one\nTWO\n"):
        files = [small(f"{number}.txt", version + b"%d\n" % number) for number in range(19)]
        owner.talk.commit(owner.repo, *files).raise_for_status()
    with statements(hub) as asked:
        page = owner.talk.get(f"/{owner.repo}/commit/main", headers=HTML).text
    assert page.count('<span class="add">+TWO</span>') == 19
    assert len(asked) < MOST_STATEMENTS, "\n".join(asked)


def test_what_has_no_lines_to_show_says_why(owner: Owner) -> None:
    long = b"".join(b"%d\n" % number for number in range(5000))
    files = [small("a.bin", b"\0\1"), small("b.txt", long), small("c.txt", b"x"), small("d.txt", b"")]
    owner.talk.commit(owner.repo, *files).raise_for_status()
    page = owner.talk.get(f"/{owner.repo}/commit/main", headers=HTML).text
    assert page.count("it is not shown line by line") == 2
    owner.talk.commit(owner.repo, small("c.txt", b"x\n"), gone("d.txt")).raise_for_status()
    page = owner.talk.get(f"/{owner.repo}/commit/main", headers=HTML).text
    assert page.count("No line of it changed") == 1
    assert "No newline at end of file" in page


def test_lines_are_looked_for_once(hub: LiveHub, owner: Owner) -> None:
    lines = [b"%050d\n" % number for number in range(1800)]
    for version in (lines, [b"x" + line if index % 2 else line for index, line in enumerate(lines)]):
        owner.talk.commit(owner.repo, small("a.txt", b"".join(version))).raise_for_status()
    pages, read = [], []
    for _ in range(2):
        with statements(hub) as asked:
            pages.append(owner.talk.get(f"/{owner.repo}/commit/main", headers=HTML).text)
        read.append(sum("SELECT git_objects.body" in one for one in asked))
    assert pages[0] == pages[1]
    assert f"+x{1:050d}</span>" in pages[0]
    assert read[0] >= 2  # both texts, too long to be read with others
    assert read[1] == 0
