"""Chunk storage as rows: which xorbs and files a repo holds, what clients ask for, and the generation of its address."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError as RowRefused

from tenuto.core.errors import ConflictError, NotFoundError
from tenuto.server.db import Database, chunks
from tenuto.server.holdings import uncut
from tenuto.server.schema import lfs_objects, repo_xorbs, xet_files, xet_hints, xet_scopes, xorbs
from tenuto.store.xet.hashes import HASH_BYTES, find_marked, to_text
from tenuto.store.xet.table import FileTable, Slice, XorbTable

_FIRST_GENERATION = 1


class Scope(NamedTuple):
    """What clients may refer to: a repo in one generation."""

    repo_key: int
    generation: int


class NewFile(NamedTuple):
    """A file whose terms and sha256 were verified; `hints` says in which term a chunk is that clients may ask for."""

    hash: str
    sha256: str
    table: FileTable
    hints: Mapping[str, int]


class HeldFile(NamedTuple):
    """A file that a repo holds, and the xorbs that it needs."""

    hash: str
    sha256: str
    xorbs: tuple[str, ...]


class Hint(NamedTuple):
    """The file that holds a chunk, and the term from where on it is worth telling."""

    table: FileTable
    term: int


_GENERATION = select(xet_scopes.c.generation).where(xet_scopes.c.repo_id == bindparam("repo"))
_SOURCE = (xorbs.c.source_sha256, xorbs.c.source_size, xorbs.c.source_start)
_TABLE = select(xorbs.c.chunks, *_SOURCE).where(xorbs.c.hash == bindparam("hash"))
_TERMS = select(xet_files.c.terms).where(
    xet_files.c.repo_id == bindparam("repo"), xet_files.c.hash == bindparam("hash")
)
_TERMS_BY_SHA256 = (
    select(xet_files.c.terms)
    .where(xet_files.c.repo_id == bindparam("repo"), xet_files.c.sha256 == bindparam("sha256"))
    .limit(1)
)
_HINT = (
    select(xet_files.c.terms, xet_hints.c.term)
    .join(xet_files, (xet_files.c.repo_id == xet_hints.c.repo_id) & (xet_files.c.hash == xet_hints.c.file_hash))
    .where(xet_hints.c.repo_id == bindparam("repo"), xet_hints.c.chunk == bindparam("chunk"))
)


@contextmanager
def write_for_repo(database: Database) -> Iterator[Connection]:
    """A transaction that adds rows to a repo; raises NotFoundError (RepoNotFound) if that was deleted meanwhile."""
    try:
        with database.write() as connection:
            yield connection
    except RowRefused as error:
        raise NotFoundError("Repository not found", code="RepoNotFound") from error


def generation(connection: Connection, repo_key: int) -> int:
    """The generation that clients of a repo are in."""
    return connection.execute(_GENERATION, {"repo": repo_key}).scalar() or _FIRST_GENERATION


def check_generation(connection: Connection, scope: Scope) -> None:
    """Return if the scope is the current one of its repo; else raise ConflictError: what the client remembers is gone."""
    if generation(connection, scope.repo_key) != scope.generation:
        raise ConflictError("this repo dropped stored data meanwhile", hint="start the upload again")


def held_xorbs(connection: Connection, repo_key: int, names: Iterable[str]) -> set[str]:
    """Which of these xorbs a repo holds."""
    found: set[str] = set()
    for some in chunks(list(names)):
        here = (repo_xorbs.c.repo_id == repo_key) & repo_xorbs.c.hash.in_(some)
        found.update(connection.execute(select(repo_xorbs.c.hash).where(here)).scalars())
    return found


def xorb_table(connection: Connection, name: str) -> XorbTable | None:
    """The chunks of a xorb, if any repo holds it: a fact, no right."""
    row = connection.execute(_TABLE, {"hash": name}).first()
    return None if row is None else XorbTable.unpack(row[0], _slice(*row[1:]))


def xorb_tables(connection: Connection, names: Iterable[str]) -> Iterator[tuple[str, XorbTable]]:
    """The same of several xorbs, with their names."""
    for some in chunks(list(names)):
        rows = connection.execute(select(xorbs.c.hash, xorbs.c.chunks, *_SOURCE).where(xorbs.c.hash.in_(some)))
        for name, packed, *source in rows:
            yield name, XorbTable.unpack(packed, _slice(*source))


def _slice(sha256: str | None, size: int, start: int) -> Slice | None:
    return None if sha256 is None else Slice(sha256, size, start)


def keep_xorb_table(connection: Connection, name: str, table: XorbTable) -> None:
    """Write the chunks of a xorb, in place of what was there."""
    source = dict(zip((column.name for column in _SOURCE), table.source or (None, None, None), strict=True))
    row = {"stored_bytes": table.stored[-1], "raw_bytes": table.raw[-1], "chunks": table.pack(), **source}
    if not connection.execute(update(xorbs).where(xorbs.c.hash == name).values(row)).rowcount:
        connection.execute(insert(xorbs).values({"hash": name, **row}))


def hold_xorb(database: Database, connection: Connection, repo_key: int, name: str, now_ms: int) -> bool:
    """Let a repo hold a xorb; whether it did not before."""
    row = {"repo_id": repo_key, "hash": name, "created_ms": now_ms}
    return connection.execute(database.insert_new(repo_xorbs), row).rowcount > 0


def find_file(connection: Connection, repo_key: int, name: str) -> FileTable | None:
    """The terms of a file that a repo holds, by the hash of its chunks."""
    packed = connection.execute(_TERMS, {"repo": repo_key, "hash": name}).scalar()
    return None if packed is None else FileTable.unpack(packed)


def find_file_by_sha256(connection: Connection, repo_key: int, sha256: str) -> FileTable | None:
    """The terms of a file that a repo holds as chunks; if there are several ways to make it, any of them."""
    packed = connection.execute(_TERMS_BY_SHA256, {"repo": repo_key, "sha256": sha256}).scalar()
    return None if packed is None else FileTable.unpack(packed)


def held_tables(
    connection: Connection, repo_key: int, sha256s: Iterable[str]
) -> dict[str, tuple[int, FileTable | None]]:
    """Those of these large objects that a repo holds, with their sizes, and their terms where it holds them as chunks."""
    found: dict[str, tuple[int, FileTable | None]] = {}
    same = (xet_files.c.repo_id == lfs_objects.c.repo_id) & (xet_files.c.sha256 == lfs_objects.c.sha256)
    query = select(lfs_objects.c.sha256, lfs_objects.c.size, xet_files.c.terms).outerjoin(xet_files, same)
    for some in chunks(list(sha256s)):
        here = (lfs_objects.c.repo_id == repo_key) & lfs_objects.c.sha256.in_(some)
        for sha256, size, packed in connection.execute(query.where(here)):
            found[sha256] = (size, None if packed is None else FileTable.unpack(packed))
    return found


def held_files(connection: Connection, repo_key: int, names: Iterable[str]) -> Iterator[HeldFile]:
    """Those of these files that a repo holds, by the hash of their chunks. Their sha256 was computed before."""
    columns = (xet_files.c.hash, xet_files.c.sha256, xet_files.c.terms)
    for some in chunks(list(names)):
        here = (xet_files.c.repo_id == repo_key) & xet_files.c.hash.in_(some)
        for name, sha256, packed in connection.execute(select(*columns).where(here)):
            yield HeldFile(name, sha256, FileTable.unpack(packed).xorbs)


def chunk_knowledge(
    connection: Connection, repo_key: int, sha256s: Sequence[str]
) -> dict[str, Literal["known", "soon"]]:
    """Which of these large objects of a repo are known by their chunks, or are about to be."""
    known, soon = file_hashes(connection, repo_key, sha256s), uncut.listed(connection, repo_key, sha256s)
    return {**dict.fromkeys(soon, "soon"), **dict.fromkeys(known, "known")}


class Stored(NamedTuple):
    """How many bytes a xorb has as it is stored, and the object that has them if it is a slice of one."""

    bytes: int
    source: Slice | None


def find_stored(connection: Connection, names: Iterable[str]) -> dict[str, Stored]:
    """How each of these xorbs is stored; without those that have no row."""
    found: dict[str, Stored] = {}
    for some in chunks(list(names)):
        query = select(xorbs.c.hash, xorbs.c.stored_bytes, *_SOURCE).where(xorbs.c.hash.in_(some))
        found.update((row[0], Stored(row[1], _slice(*row[2:]))) for row in connection.execute(query))
    return found


def needed_sources(connection: Connection, sha256s: Iterable[str]) -> set[str]:
    """Those of these whole objects that some repo needs for a xorb that is a slice of one."""
    found: set[str] = set()
    for some in chunks(list(sha256s)):
        held = select(repo_xorbs.c.hash).where(repo_xorbs.c.hash == xorbs.c.hash).exists()
        query = select(xorbs.c.source_sha256).where(xorbs.c.source_sha256.in_(some), held).distinct()
        found.update(connection.execute(query).scalars())
    return found


def held_slices(connection: Connection, sha256s: Iterable[str]) -> list[str]:
    """The xorbs that a repo holds and that are slices of these objects, without those objects all of whose slices are held."""
    found: list[str] = []
    held = select(repo_xorbs.c.hash).where(repo_xorbs.c.hash == xorbs.c.hash).exists()
    for sha256 in sha256s:
        query = select(xorbs.c.hash, xorbs.c.raw_bytes, xorbs.c.source_size).where(
            xorbs.c.source_sha256 == sha256, held
        )
        rows = connection.execute(query).all()
        if rows and sum(row.raw_bytes for row in rows) < rows[0].source_size:
            found += [row.hash for row in rows]
    return found


def sources_of(connection: Connection, names: Iterable[str]) -> set[str]:
    """The whole objects that any of these xorbs is a slice of."""
    return {one.source.sha256 for one in find_stored(connection, names).values() if one.source}


def asked_chunks(hashes: bytes, *, is_first: bool) -> Iterator[str]:
    """Those of the chunks of a term that clients ask for, when it `is_first` in its file: the marked ones, and with what a file begins."""
    marked = find_marked(hashes)
    for at in [0, *marked] if is_first else marked:
        yield to_text(hashes[HASH_BYTES * at : HASH_BYTES * (at + 1)])


def file_hashes(connection: Connection, repo_key: int, sha256s: Iterable[str]) -> dict[str, str]:
    """The hash of its chunks for each of these files that a repo holds as chunks, by sha256."""
    found: dict[str, str] = {}
    for some in chunks(list(dict.fromkeys(sha256s))):
        here = (xet_files.c.repo_id == repo_key) & xet_files.c.sha256.in_(some)
        found.update(tuple(row) for row in connection.execute(select(xet_files.c.sha256, xet_files.c.hash).where(here)))
    return found


def add_files(database: Database, connection: Connection, scope: Scope, files: Sequence[NewFile], now_ms: int) -> int:
    """Let a repo hold verified files; how many it did not hold before. They count as large objects from now on.

    A file that it holds is from now on made of the chunks that were verified now: those before may be lost.

    Raises ConflictError if a xorb that they need was dropped meanwhile.
    """
    check_generation(connection, scope)
    needed = {name for one in files for name in one.table.xorbs}
    if held_xorbs(connection, scope.repo_key, needed) != needed:
        raise ConflictError("a xorb of these files was dropped meanwhile", hint="start the upload again")
    key = {"repo_id": scope.repo_key, "created_ms": now_ms}
    known = {one.hash for one in held_files(connection, scope.repo_key, (one.hash for one in files))}
    added = [one for one in files if one.hash not in known]
    for one in files:
        if one.hash in known:
            here = (xet_files.c.repo_id == scope.repo_key) & (xet_files.c.hash == one.hash)
            connection.execute(update(xet_files).where(here).values(terms=one.table.pack()))
    if added:
        sized = [{**key, "sha256": one.sha256, "size": one.table.size} for one in added]
        rows = [{**row, "hash": one.hash, "terms": one.table.pack()} for row, one in zip(sized, added, strict=True)]
        connection.execute(insert(xet_files), rows)
        connection.execute(database.insert_new(lfs_objects), sized)
    hints = {
        chunk: {"repo_id": scope.repo_key, "chunk": chunk, "file_hash": one.hash, "term": term}
        for one in files
        for chunk, term in one.hints.items()
    }
    _replace_hints(connection, scope.repo_key, hints)
    return len(added)


def _replace_hints(connection: Connection, repo_key: int, hints: Mapping[str, Mapping[str, object]]) -> None:
    """The newest file that has a chunk is the one to tell of: it refers to what was there before, too."""
    for some in chunks(list(hints)):
        here = (xet_hints.c.repo_id == repo_key) & xet_hints.c.chunk.in_(some)
        connection.execute(delete(xet_hints).where(here))
        connection.execute(insert(xet_hints), [hints[chunk] for chunk in some])


def find_hint(connection: Connection, repo_key: int, chunk: str) -> Hint | None:
    """Where a repo has a chunk, if clients may ask for it."""
    row = connection.execute(_HINT, {"repo": repo_key, "chunk": chunk}).first()
    return None if row is None else Hint(FileTable.unpack(row.terms), row.term)


def drop_files(database: Database, connection: Connection, repo_key: int, sha256s: Iterable[str]) -> list[str]:
    """Forget files for good, with every xorb of the repo that no file of it needs any more; the names of these xorbs.

    The generation moves on, so that clients forget what they remember of this repo. Bytes are freed by whoever finds that no repo
    holds a xorb.
    """
    for some in chunks(list(sha256s)):
        for table in (xet_files, lfs_objects):
            connection.execute(delete(table).where(table.c.repo_id == repo_key, table.c.sha256.in_(some)))
    kept = connection.execute(select(xet_files.c.terms).where(xet_files.c.repo_id == repo_key)).scalars()
    needed = {name for packed in kept for name in FileTable.unpack(packed).xorbs}
    here = select(repo_xorbs.c.hash).where(repo_xorbs.c.repo_id == repo_key)
    dropped = sorted(set(connection.execute(here).scalars()) - needed)
    for some in chunks(dropped):
        connection.execute(delete(repo_xorbs).where(repo_xorbs.c.repo_id == repo_key, repo_xorbs.c.hash.in_(some)))
    next_generation(database, connection, repo_key)
    return dropped


def next_generation(database: Database, connection: Connection, repo_key: int) -> None:
    """Let the clients of a repo forget what they remember of it: their address moves on."""
    following = generation(connection, repo_key) + 1
    connection.execute(database.insert_new(xet_scopes), {"repo_id": repo_key, "generation": following})
    connection.execute(update(xet_scopes).where(xet_scopes.c.repo_id == repo_key).values(generation=following))


def drop_unheld_xorbs(connection: Connection, names: Iterable[str]) -> list[str]:
    """Forget those of these xorbs that no repo holds; their names, whose bytes may go inside the same transaction."""
    gone: list[str] = []
    for some in chunks(list(names)):
        held = set(connection.execute(select(repo_xorbs.c.hash).where(repo_xorbs.c.hash.in_(some))).scalars())
        gone += [name for name in some if name not in held]
    for some in chunks(gone):
        connection.execute(delete(xorbs).where(xorbs.c.hash.in_(some)))
    return gone
