"""What a repo holds: info, tree, paths, refs, history (hub-protocol sections 5.3, 6.1, 6.2, 7.6)."""

import html
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import msgspec

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.core.gitobj import LINK_MODE, Pointer, TreeItem
from tenuto.core.wire import PATHS_LIMIT, LfsInfo, TreeEntry, timestamp_text
from tenuto.server.git.history import last_commits
from tenuto.server.git.objects import DEFAULT_BRANCH, HEADS, TAGS, BlobFacts, CommitFacts, GitReader
from tenuto.server.git.trees import Walk
from tenuto.server.holdings.chunks import file_hashes
from tenuto.server.http.exchange import Answer, Call, is_true, json_answer, next_page
from tenuto.server.hub import Parts
from tenuto.server.repos.cards import card_of, describe, like_count_of, more_facts

_MAX_PAGE = 10_000
_EXPANDED_PAGE = 1000
_FILE_KINDS = 0o170000


class CommitNote(msgspec.Struct, frozen=True):
    """The commit that last changed an entry."""

    id: str
    title: str
    date: str


class DatedEntry(TreeEntry, frozen=True, omit_defaults=True):
    """An entry with its last commit."""

    last_commit: CommitNote | None = msgspec.field(name="lastCommit", default=None)


class ChunkedEntry(DatedEntry, frozen=True, omit_defaults=True):
    """An entry of a file that is stored as chunks: stock clients copy large files between repos only if they know this hash."""

    xet_hash: str | None = msgspec.field(name="xetHash", default=None)


def is_file(item: TreeItem) -> bool:
    """Whether an item is a file, an executable file or a symbolic link; not a folder or a submodule."""
    return item.mode & _FILE_KINDS in {0o100000, LINK_MODE}


def info(parts: Parts, call: Call) -> Answer:
    """Facts of a repo at a revision, with the names of its files."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        commit = git.resolve(call.params.get("rev", DEFAULT_BRANCH))
        card = card_of(git, commit)
        answer = describe(call.repo, commit.oid, card, like_count_of(git))
        expand = call.query.get("expand", [])
        if not expand or "siblings" in expand or call.flag("blobs"):
            answer["siblings"] = _siblings(git, commit, with_facts=call.flag("blobs"))
        answer |= more_facts(git, call.repo, expand)
    if expand:
        kept = {"_id", "id", *expand, *(["siblings"] if call.flag("blobs") else [])}
        answer = {key: value for key, value in answer.items() if key in kept}
    return json_answer(answer)


def _siblings(git: GitReader, commit: CommitFacts, *, with_facts: bool) -> list[dict[str, object]]:
    walk = Walk(git.trees, recursive=True)
    files = [(path, item) for path, item in walk.entries(commit.tree) if is_file(item)]
    facts = git.blobs(item.oid for _, item in files) if with_facts else {}
    return [_sibling(path, facts.get(item.oid)) for path, item in files]


def _sibling(path: str, facts: BlobFacts | None) -> dict[str, object]:
    if facts is None:
        return {"rfilename": path}
    answer: dict[str, object] = {"rfilename": path, "size": facts.true_size, "blobId": facts.oid}
    if facts.pointer:
        answer["lfs"] = {"sha256": facts.pointer.sha256, "size": facts.pointer.size, "pointerSize": facts.size}
    return answer


def tree(parts: Parts, call: Call) -> Answer:
    """A page of the entries below a folder; a path that names a file gives that file."""
    expand = call.flag("expand")
    limit = call.number("limit", parts.limits.page_entries, _MAX_PAGE)
    limit = min(limit, _EXPANDED_PAGE) if expand else limit
    path = call.params.get("path", "").strip("/")
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        commit = git.resolve(call.params["rev"])
        root = git.find(commit.tree, path)
        if root is None:
            raise NotFoundError(f"{path} does not exist at {call.params['rev']}", code="EntryNotFound")
        if root.is_tree:
            walk = Walk(git.trees, recursive=call.flag("recursive"))
            after = call.text("cursor") or ""
            page = list(islice(_listed(walk.entries(root.oid, path, after)), limit + 1))
        else:
            page = [(path, root)]
        entries = _entries(git, commit, page[:limit], expand)
        by_xet = [one.lfs.oid for one in entries if one.lfs and one.size >= parts.limits.xet_download_from]
        hashes = file_hashes(connection, call.repo.key, by_xet)
    headers = (
        {"Link": f'<{_next_page(call, commit, path, page[limit - 1][0])}>; rel="next"'} if len(page) > limit else {}
    )
    return json_answer([_chunked(one, hashes) for one in entries], headers=headers)


def _listed(entries: Any) -> Any:
    return ((path, item) for path, item in entries if item.is_tree or is_file(item))


def _next_page(call: Call, commit: CommitFacts, path: str, last: str) -> str:
    """The page after `last`, of this very commit, also when the branch moves on."""
    place = f"{call.base_url}/{call.repo.id.api_path}/tree/{commit.oid}"
    place += f"/{quote(path, safe='')}" if path else ""
    kept = {key: value for key in ("recursive", "expand", "limit") if (value := call.text(key)) is not None}
    return f"{place}?{urlencode({**kept, 'cursor': last})}"


def _entries(
    git: GitReader, commit: CommitFacts, page: Sequence[tuple[str, TreeItem]], expand: bool
) -> list[TreeEntry]:
    facts = git.blobs(item.oid for _, item in page if not item.is_tree)
    entries = [_entry(path, item, facts.get(item.oid)) for path, item in page]
    if not expand:
        return entries
    dates = last_commits(git, commit, [path for path, _ in page])
    notes = {commit: _note(commit) for commit in set(dates.values())}
    return [DatedEntry(one.type, one.path, one.oid, one.size, one.lfs, notes[dates[one.path]]) for one in entries]


def _entry(path: str, item: TreeItem, facts: BlobFacts | None) -> TreeEntry:
    if item.is_tree or facts is None:
        return TreeEntry("directory" if item.is_tree else "file", path, item.oid, 0)
    pointer: Pointer | None = facts.pointer
    lfs = LfsInfo(pointer.sha256, pointer.size, facts.size) if pointer else None
    return TreeEntry("file", path, item.oid, facts.true_size, lfs)


def _note(commit: CommitFacts) -> CommitNote:
    return CommitNote(commit.oid, commit.message.partition("\n")[0], timestamp_text(commit.time_ms))


class PathsRequest(msgspec.Struct, frozen=True):
    """The JSON form of a question for paths."""

    paths: list[str]
    expand: bool = False


def paths_info(parts: Parts, call: Call) -> Answer:
    """The entries under given paths; those that do not exist are left out."""
    request = _paths_request(call)
    if len(request.paths) > PATHS_LIMIT:
        raise UsageError(f"ask for {PATHS_LIMIT} paths at most", code="TooLarge")
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        commit = git.resolve(call.params["rev"])
        found = {path: git.find(commit.tree, path) for path in (one.strip("/") for one in request.paths) if path}
        page = [(path, item) for path, item in found.items() if item is not None]
        entries = _entries(git, commit, page, request.expand)
        hashes = file_hashes(connection, call.repo.key, [one.lfs.oid for one in entries if one.lfs])
    return json_answer([_chunked(one, hashes) for one in entries])


def _chunked(one: TreeEntry, hashes: Mapping[str, str]) -> TreeEntry:
    if one.lfs is None or one.lfs.oid not in hashes:
        return one
    note = one.last_commit if isinstance(one, DatedEntry) else None
    return ChunkedEntry(one.type, one.path, one.oid, one.size, one.lfs, note, hashes[one.lfs.oid])


def _paths_request(call: Call) -> PathsRequest:
    if "json" in call.headers.get("content-type", ""):
        return call.json(PathsRequest)
    try:
        form = parse_qs(call.body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10_000)
    except ValueError as error:
        raise UsageError("the form cannot be read") from error
    return PathsRequest(form.get("paths", []) + form.get("paths[]", []), is_true(form.get("expand", [""])[-1]))


def refs(parts: Parts, call: Call) -> Answer:
    """Branches, tags, and other refs of a repo."""
    with parts.database.read() as connection:
        found = GitReader(connection, call.repo.key, parts.cache).refs()
    groups = {"branches": HEADS, "converts": "refs/convert/", "tags": TAGS}
    if call.flag("include_prs"):
        groups["pullRequests"] = "refs/pr/"
    answer = {
        group: [
            {"name": ref.name.removeprefix(prefix), "ref": ref.name, "targetCommit": ref.commit}
            for ref in found
            if ref.name.startswith(prefix)
        ]
        for group, prefix in groups.items()
    }
    return json_answer(answer)


def commits(parts: Parts, call: Call) -> Answer:
    """A page of the history of a revision, newest first."""
    limit = call.number("limit", 50, 1000)
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        line = git.history(git.resolve(call.text("cursor") or call.params["rev"]).oid, limit + 1)
    is_formatted = "formatted" in call.query.get("expand", [])
    answer = [_shown(one, is_formatted) for one in line[:limit]]
    return json_answer(answer, headers=next_page(call, line[limit].oid) if len(line) > limit else None)


def _shown(commit: CommitFacts, is_formatted: bool) -> dict[str, object]:
    title, _, message = commit.message.partition("\n")
    text = {"title": title, "message": message.strip()}
    # As HTML, every character stands for itself: no message can bring markup of its own.
    formatted = {"formatted": {key: html.escape(value) for key, value in text.items()}} if is_formatted else {}
    date = timestamp_text(commit.time_ms)
    return {"id": commit.oid, **text, "date": date, "authors": [{"user": commit.author}], **formatted}
