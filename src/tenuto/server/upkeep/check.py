"""`tenuto hub check`: is everything that repos hold here, and is it what it was? Changes nothing; safe while the hub serves."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import msgspec
from sqlalchemy import Connection, select

from tenuto.core.errors import StorageError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.audit.reading import verify
from tenuto.server.hub import Parts
from tenuto.server.quota.totals import wrong_totals
from tenuto.server.repos.rows import find_repo_by_key
from tenuto.server.schema import repos
from tenuto.server.upkeep.check_git import Finder, GitCheck, pointing_blobs
from tenuto.server.upkeep.check_store import Progress, StoreCheck
from tenuto.server.upkeep.report import CheckReport, Counts, Damage, Depth, Finding, Place
from tenuto.server.upkeep.trash import Shelf, Trash

QUICK = Depth(0.0)
FULL = Depth(1.0)
DATABASE = "hub.sqlite3"
_PLACES = 20
_SHELVES: dict[str, Shelf] = {"large object": "objects", "xorb": "xorbs"}
_BY_ID = {"tag", "commit", "tree", "blob", "object"}


def check_hub(
    parts: Parts, data_dir: str, depth: Depth = FULL, progress: Progress = lambda _bytes: None
) -> CheckReport:
    """Everything that is not as it should be, with the places where it is used. `progress` is told of bytes read, from any thread."""
    counts, lock = Counts(), threading.Lock()

    def read(count: int) -> None:
        with lock:
            counts.bytes_read += count
        progress(count)

    findings: list[Finding] = []
    damage: list[Damage] = []
    for step in _steps(parts, depth, counts, read, damage, findings):
        try:
            step()
        except StorageError as error:  # what else there is to find does not go unseen
            findings.append(_of_database(error.message))
    with contextlib.suppress(StorageError):
        findings += _placed(parts, Trash(data_dir), damage)
    return CheckReport(not findings, depth.share, counts, findings)


def _of_database(detail: str) -> Finding:
    return Finding("damaged", "database", DATABASE, detail)


def _steps(
    parts: Parts, depth: Depth, counts: Counts, progress: Progress, damage: list[Damage], findings: list[Finding]
) -> Iterator[Callable[[], None]]:
    """The parts of a check, each as of one moment; they add to `damage` and `findings`."""

    def database() -> None:
        findings.extend(map(_of_database, parts.database.faults(thorough=depth.share >= 1)))

    yield database
    keys: list[int] = []

    def listed() -> None:
        with parts.database.read() as connection:
            keys.extend(connection.execute(select(repos.c.id).order_by(repos.c.id)).scalars())

    yield listed
    for key in keys:
        yield partial(_look_at_repo, parts, key, depth, counts, damage)
    yield StoreCheck(parts, depth, counts, progress, damage).run

    def totals() -> None:
        if not damage:  # of rows that are wrong, sums are wrong too
            findings.extend(_of_totals(parts))

    yield totals

    def log() -> None:
        with parts.database.read() as connection:
            verdict = verify(connection)
        if not verdict.clean:
            findings.append(Finding("damaged", "audit log", f"row {verdict.damaged_row}", verdict.detail))

    yield log


def _of_totals(parts: Parts) -> Iterator[Finding]:
    """Repos whose counted bytes, which quotas rest on, are not those of their rows."""
    with parts.database.read() as connection:
        for key, noted, found in wrong_totals(connection):
            repo = find_repo_by_key(connection, key)
            name = str(repo.id) if repo else str(key)
            detail = f"{noted.counted_bytes} bytes are noted, {found.counted_bytes} are there"
            if noted.counted_bytes == found.counted_bytes:
                detail = f"noted is {noted}, there is {found}"
            yield Finding("wrong row", "usage", name, detail, [name])


def _look_at_repo(parts: Parts, key: int, depth: Depth, counts: Counts, damage: list[Damage]) -> None:
    with parts.database.read() as connection:
        GitCheck(connection, key, depth, counts, damage).run()
    counts.repos += 1


def _placed(parts: Parts, trash: Trash, damage: Sequence[Damage]) -> list[Finding]:
    if not damage:
        return []
    with parts.database.read() as connection:
        columns = (repos.c.id, repos.c.kind, repos.c.namespace, repos.c.name)
        rows = connection.execute(select(*columns))
        names = {key: str(RepoId(RepoKind(kind), namespace, name)) for key, kind, namespace, name in rows}
        places = _places(connection, names, damage)
    return [_finding(one, names, places, trash) for one in damage if any(key in names for key, _ in one.users)]


def _places(connection: Connection, names: dict[int, str], damage: Iterable[Damage]) -> dict[tuple[int, str], Place]:
    """One place for each damaged thing in each repo that uses it, by the repo and the id or sha256."""
    found: dict[tuple[int, str], Place] = {}
    users: dict[int, set[str]] = {}
    ids: dict[int, set[str]] = {}
    for one in damage:
        for key, sha256 in one.users:
            users.setdefault(key, set()).update([sha256] if sha256 else [])
            ids.setdefault(key, set()).update([one.name] if one.kind in _BY_ID else [])
    for key in users.keys() & names.keys():
        blobs = pointing_blobs(connection, key, users[key])
        for oid, place in Finder(connection, key, names[key]).find({*blobs, *ids[key]}).items():
            found[key, oid] = place
            if oid in blobs:
                found.setdefault((key, blobs[oid]), place)
    return found


def _finding(one: Damage, names: dict[int, str], places: dict[tuple[int, str], Place], trash: Trash) -> Finding:
    used = [places.get((key, sha256 or one.name)) for key, sha256 in one.users]
    holders = sorted({names[key] for key, _ in one.users if key in names})
    finding = Finding(one.fault, one.kind, one.name, one.detail, holders, [place for place in used if place][:_PLACES])
    thrown = trash.find(_SHELVES[one.kind], one.name) if one.fault == "missing" and one.kind in _SHELVES else None
    return msgspec.structs.replace(finding, detail=f"{one.detail}; {thrown} has it") if thrown else finding
