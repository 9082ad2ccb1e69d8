"""The files of a folder, with their sizes and when they were last changed; and what a folder is for, if that shows."""

from typing import NamedTuple
from urllib.parse import quote

from tenuto.core.errors import NotFoundError
from tenuto.core.gitobj import TreeItem
from tenuto.server.content.listing import is_file
from tenuto.server.git.objects import DEFAULT_BRANCH, HEADS, TAGS, CommitFacts, GitReader
from tenuto.server.git.trees import Walk
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.adapters import CONFIG, Adapter, read_adapter
from tenuto.server.pages.changed import Recent
from tenuto.server.pages.content import File, Shelf, files_among
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.gate_form import gate_box
from tenuto.server.pages.render import place_url, weight
from tenuto.server.pages.room import fitting, link_weight
from tenuto.server.pages.snippets import Snippet, snippets
from tenuto.server.pages.telling import told
from tenuto.server.pages.training import LOGS

_PAGE, _PAGE_BYTES, _ENTRY_BYTES = 100, 50_000, 500
_TIMES_NAMED = 12  # the path of the folder itself, in links and in lines to copy
_MOST_REFS, _REFS_BYTES, _REF_BYTES = 60, 6_000, 60


class Entry(NamedTuple):
    """A line of a folder; `size` is None for a folder."""

    name: str
    path: str
    size: int | None
    changed: CommitFacts | None


class Names(NamedTuple):
    """Branches and tags that the page may be switched to; `is_all` says whether they are all."""

    branches: list[str]
    tags: list[str]
    is_all: bool


def tree(parts: Parts, call: Call) -> Answer:
    """A folder at a revision."""
    path = call.params.get("path", "").strip("/")
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        page = RepoPage(call, git)
        commit = page.commit()
        recent = Recent(git, commit, path)
        root = git.find(commit.tree, path)
        if root is None or not root.is_tree:
            raise NotFoundError(f"there is no folder {path[:300]} at {page.revision[:100]}", code="EntryNotFound")
        listed, after = _page_of(git, root, path, call.text("after") or "")
        files = files_among(git, listed)
        adapter = _adapter(parts, page, files.get(f"{path}/{CONFIG}".lstrip("/")))
        return page.render(
            "tree.html",
            "files",
            commit=commit,
            revision=page.revision,
            path=path,
            entries=_entries(recent, listed, files),
            after=after,
            names=ref_names(git, path),
            adapter=adapter,
            training=_training(page, path, files),
            snippets=_snippets(page, path, adapter),
            gate=gate_box(parts, call, git),
            told=told(parts, call),
        )


def _page_of(git: GitReader, root: TreeItem, path: str, after: str) -> tuple[list[tuple[str, TreeItem]], str]:
    """The entries behind the name `after`, folders and files, as many as a page takes, and the name behind which the next one begins."""
    behind = f"{path}/{after}".lstrip("/") if after else ""
    listed: list[tuple[str, TreeItem]] = []
    room = _PAGE_BYTES - _TIMES_NAMED * len(quote(path))
    for name, item in Walk(git.trees, recursive=False).entries(root.oid, path, behind):
        room -= _ENTRY_BYTES + len(quote(name)) + weight(item.name)
        if listed and (room < 0 or len(listed) == _PAGE):
            return listed, listed[-1][1].name
        if item.is_tree or is_file(item):
            listed.append((name, item))
    return listed, ""


def _entries(recent: Recent, listed: list[tuple[str, TreeItem]], files: dict[str, File]) -> list[Entry]:
    changes = recent.last_changes([item.name for _, item in listed])
    entries = [
        Entry(item.name, path, files[path].size if path in files else None, changes.get(item.name))
        for path, item in listed
        if item.is_tree or path in files
    ]
    return sorted(entries, key=lambda entry: entry.size is not None)


def _adapter(parts: Parts, page: RepoPage, file: File | None) -> Adapter | None:
    return read_adapter(Shelf(parts, page.git), file) if file and page.rights.reads else None


def _training(page: RepoPage, folder: str, files: dict[str, File]) -> str:
    """Where the plots of a folder are, if a log of a training lies in it at the head of the repo."""
    has_log = any(f"{folder}/{name}" in files for name in LOGS)
    is_head = page.revision == DEFAULT_BRANCH
    return f"{place_url(page.call.repo.id, 'insights')}?path={quote(folder, safe='')}" if has_log and is_head else ""


def _snippets(page: RepoPage, folder: str, adapter: Adapter | None) -> list[Snippet]:
    revision = None if page.revision == DEFAULT_BRANCH else page.revision
    return snippets(page.call.repo.id, page.call.base_url, revision, folder, adapter.base_model if adapter else "")


def ref_names(git: GitReader, path: str = "") -> Names:
    """Branches and tags of a repo, those that there is room for as links to `path`: the first branches, the last tags."""
    refs = [ref.name for ref in git.refs()]
    branches = [name.removeprefix(HEADS) for name in refs if name.startswith(HEADS)]
    tags = [name.removeprefix(TAGS) for name in refs if name.startswith(TAGS)]

    def cost(name: str) -> int:
        return link_weight(name) + len(quote(path)) + _REF_BYTES

    shown = [list(fitting(names[:_MOST_REFS], _REFS_BYTES, cost)) for names in (branches, tags[::-1])]
    is_all = sum(map(len, shown)) == len(branches) + len(tags)
    return Names(shown[0], shown[1][::-1], is_all)
