"""The commits of a revision, what one of them changed, and how two of them differ."""

from itertools import islice
from typing import Any, NamedTuple

from tenuto.core.errors import NotFoundError
from tenuto.core.gitobj import EMPTY_TREE
from tenuto.server.community.differences import Texts
from tenuto.server.git.merging import Change, files_of, walk_changes
from tenuto.server.git.objects import DEFAULT_BRANCH, CommitFacts, GitReader
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.render import weight
from tenuto.server.pages.room import fitting, link_weight
from tenuto.server.pages.tree import ref_names

_PAGE = 40
_OFFERED, _SHORT = 20, 12
_MOST_LISTED, _LISTED_BYTES, _NAME_BYTES = 60, 15_000, 130
_MOST_SHOWN = 20
_MOST_COMPARED = 10_000
_DIFF_BYTES, _SECTION_BYTES, _LINE_BYTES, _LINE_CHARACTERS = 50_000, 300, 30, 1000
_MESSAGE_CHARACTERS = 4000
_MARKS = {"+": "add", "-": "del", "@": "hunk"}


class Changed(NamedTuple):
    """A file that differs: its path, and whether it was added, changed or removed."""

    path: str
    what: str


class Difference(NamedTuple):
    """How a file differs, line by line; each line with its class. `is_cut` if it goes on, `is_text` if there are lines to show."""

    path: str
    lines: list[tuple[str, str]]
    is_cut: bool
    is_text: bool


def commits(parts: Parts, call: Call) -> Answer:
    """A page of the history of a revision, newest first."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        page = RepoPage(call, git)
        start = git.resolve(call.text("from") or page.revision)
        line = git.history(start.oid, _PAGE + 1)
        return page.render(
            "commits.html",
            "history",
            revision=page.revision,
            commits=line[:_PAGE],
            after=line[_PAGE].oid if len(line) > _PAGE else "",
            names=ref_names(git),
            head=start if not call.text("from") else git.resolve(page.revision),
        )


def commit(parts: Parts, call: Call) -> Answer:
    """What a commit changed."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        page = RepoPage(call, git)
        new = page.commit()
        old = git.find_commit(new.parent) if new.parent else None
        return _difference(parts, page, "commit.html", old, new, message=new.message[:_MESSAGE_CHARACTERS])


def compare(parts: Parts, call: Call) -> Answer:
    """How two revisions differ: `from` and `to` of the query, else the last change."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        page = RepoPage(call, git)
        head = page.head()
        recent = git.history(head.oid, _OFFERED) if head else []
        before = recent[1].oid[:_SHORT] if len(recent) > 1 else DEFAULT_BRANCH
        base = call.text("from") or (DEFAULT_BRANCH if call.text("to") else before)
        other = call.text("to") or DEFAULT_BRANCH
        values: dict[str, Any] = {
            "base": base,
            "other": other,
            "names": ref_names(git),
            "recent": recent,
            "fault": None,
        }
        try:
            old, new = git.resolve(base), git.resolve(other)
        except NotFoundError as error:
            return page.render("compare.html", "history", status=error.http_status, **values | {"fault": error})
        return _difference(parts, page, "compare.html", old, new, **values)


def _difference(
    parts: Parts, page: RepoPage, template: str, old: CommitFacts | None, new: CommitFacts, **values: Any
) -> Answer:
    before = old.tree if old else EMPTY_TREE
    walked = list(islice(walk_changes(page.git, before, new.tree), _MOST_COMPARED + 1))
    found = {path: files for path, change in walked[:_MOST_COMPARED] if (files := files_of(change))}
    wanted = _only(page, before, new.tree) or found
    shown = _shown(parts, page.git, wanted) if page.rights.reads else []
    return page.render(
        template,
        "history",
        old=old,
        new=new,
        changed=[Changed(path, _what(found[path])) for path in _listed(found)],
        count=len(found),
        is_all=len(walked) <= _MOST_COMPARED,
        differences=shown,
        **values,
    )


def _only(page: RepoPage, old: str, new: str) -> dict[str, Change]:
    """The one file that the query asks for, if it differs."""
    path = page.call.text("path") or ""
    sides = Change(page.git.find(old, path), page.git.find(new, path))
    files = files_of(sides) if path and sides.old != sides.new else None
    return {path: files} if files else {}


def _listed(found: dict[str, Change]) -> list[str]:
    """The first of the files that differ."""
    return list(fitting(sorted(found)[:_MOST_LISTED], _LISTED_BYTES, lambda path: link_weight(path) + _NAME_BYTES))


def _what(change: Change) -> str:
    if change.old is None:
        return "added"
    return "removed" if change.new is None else "changed"


def _shown(parts: Parts, git: GitReader, wanted: dict[str, Change]) -> list[Difference]:
    """The first differences, as far as a page goes."""
    shown: list[Difference] = []
    room = _DIFF_BYTES
    paths = sorted(wanted)[:_MOST_SHOWN]
    texts = Texts(git, [wanted[path] for path in paths])
    for path in paths:
        found, lines = _lines(parts, git, texts, wanted[path]), []
        room -= 2 * link_weight(path) + _SECTION_BYTES
        for line in found or []:
            cut = line[:_LINE_CHARACTERS]
            room -= weight(cut) + _LINE_BYTES
            if room < 0:
                break
            lines.append((_class_of(line), cut))
        shown.append(Difference(path, lines, len(lines) < len(found or []), found is not None))
        if room < 0:
            break
    return shown


def _lines(parts: Parts, git: GitReader, texts: Texts, change: Change) -> list[str] | None:
    """The lines of the hunks, looked for once for both contents; None where there is no text, or too much of it."""

    def find() -> list[str] | None:
        found = texts.hunks(change)
        return found.lines if found else None

    return parts.remembered.once(("lines", git.repo_key, *(item.oid if item else "" for item in change)), find)


def _class_of(line: str) -> str:
    return _MARKS.get(line[:1], "")
