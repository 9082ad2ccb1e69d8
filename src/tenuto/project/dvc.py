"""`import-dvc`: what DVC tracks becomes artifacts of the project. `.dvc` files and the cache of DVC are read and never changed."""

import configparser
import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from tenuto.core.dvcfile import Out, parse_dvc
from tenuto.core.errors import IntegrityError, NotFoundError, StorageError, TenutoError, UsageError
from tenuto.core.human import count_text
from tenuto.core.ids import Address
from tenuto.core.paths import check_path
from tenuto.project.failure import Failure
from tenuto.project.folder import Folder
from tenuto.project.track import Request, track
from tenuto.project.workspace import Workspace
from tenuto.store.adopt import adopt_file
from tenuto.store.disk import BLOCK_BYTES, disk_errors
from tenuto.store.local import LocalStore


class Imported(msgspec.Struct, frozen=True):
    """An artifact that DVC tracked: totals, what came out of the DVC cache, and files that are here with other content. Sizes in bytes."""

    name: str
    path: str
    repo: str
    files: int
    taken_files: int
    taken_bytes: int
    changed: list[str]


class DvcReport(msgspec.Struct, frozen=True):
    """What was, or would be, taken over; failures are outs that could not be, each with what is missing."""

    artifacts: list[Imported]
    failures: list[Failure]
    cache: str
    dry_run: bool = False


class _Work(NamedTuple):
    """An out of a `.dvc` file, as a path below the project."""

    source: str
    path: str
    out: Out


class _Wanted(NamedTuple):
    """A file that DVC knows: its path below the project and its md5."""

    path: str
    md5: str


def import_dvc(
    workspace: Workspace, start: str, to: str, cache: str | None = None, *, dry_run: bool = False
) -> DvcReport:
    """Track every out of the `.dvc` files at or below `start`, with `to` as its repo, or a folder in that where there are several.

    Files that are not here come from the DVC cache, by reflink or hard link where that is possible; each has the md5 that DVC recorded, and
    its sha256 is known then. Files that are here stay as they are. An out of which something is missing is a failure, and is not tracked.
    Raises NotFoundError (EntryNotFound) if there is no `.dvc` file, UsageError (BadAddress).
    """
    Address.parse(to)
    files = list(_dvc_files(start))
    if not files:
        raise NotFoundError(f"no .dvc file at or below {start}", hint="name a .dvc file, or a folder with some")
    failures: list[Failure] = []
    works = [work for file in files for work in _works(workspace, file, failures)]
    folder = cache or find_cache(workspace.root)
    imported = []
    for work in works:
        with _failing(failures, work.path, work.source):
            address = _address(to, work, alone=len(works) == 1)
            imported.append(_import(workspace, work, address, folder, dry_run=dry_run))
    return DvcReport(imported, failures, folder, dry_run)


def _dvc_files(start: str) -> Iterator[str]:
    if os.path.isfile(start):
        yield start
        return
    for folder, folders, names in os.walk(start):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(folder, name) for name in sorted(names) if name.endswith(".dvc") and name != ".dvc")


@contextlib.contextmanager
def _failing(failures: list[Failure], name: str, source: str) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except TenutoError as error:
        failures.append(Failure(name, source, error.code, error.message, error.hint, error.exit_status))


def _works(workspace: Workspace, file: str, failures: list[Failure]) -> list[_Work]:
    source = os.path.relpath(file, workspace.root).replace(os.sep, "/")
    found = []
    with _failing(failures, source, source):
        with disk_errors(file), open(file, encoding="utf-8", errors="replace") as opened:
            text = opened.read()
        for out in parse_dvc(text):
            if "://" in out.path or os.path.isabs(out.path):
                raise UsageError(
                    f"{out.path} is not in the project", hint="only what lies in the project is taken over"
                )
            path = os.path.normpath(os.path.join(os.path.dirname(source), out.path)).replace(os.sep, "/")
            found.append(_Work(source, check_path(path), out))
    return found


def _address(to: str, work: _Work, *, alone: bool) -> str:
    """Where it is kept: a file lies in the folder that its address names, under its own name."""
    folder = "" if alone else work.path if work.out.is_folder else os.path.dirname(work.path)
    return f"{to.rstrip('/')}/{folder}" if folder else to


def find_cache(root: str) -> str:
    """The DVC cache of the repository around a folder: what its settings say, else `.dvc/cache`."""
    top = os.path.abspath(root)
    while not os.path.isdir(os.path.join(top, ".dvc")) and os.path.dirname(top) != top:
        top = os.path.dirname(top)
    settings = os.path.join(top, ".dvc")
    found = os.path.join(settings, "cache")
    for name in ("config", "config.local"):
        parser = configparser.RawConfigParser(strict=False)
        with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):
            parser.read(os.path.join(settings, name), encoding="utf-8")
        if parser.has_option("cache", "dir"):
            found = os.path.join(settings, os.path.expanduser(parser.get("cache", "dir").strip()))
    return os.path.normpath(found)


def _import(workspace: Workspace, work: _Work, address: str, cache: str, *, dry_run: bool) -> Imported:
    full = os.path.join(workspace.root, work.path)
    wanted = _wanted(full, work, cache)
    changed, lacking = [], []
    if wanted is not None:
        for one in wanted:
            file = os.path.join(workspace.root, one.path)
            if not os.path.exists(file):
                lacking.append(one)
            elif not _has_md5(file, one.md5, work.out):
                changed.append(one.path)
    _refuse_missing(lacking, cache)
    sizes = [os.path.getsize(_cached(cache, one.md5) or "") for one in lacking]
    files = len(wanted) if wanted is not None else sum(len(names) for _, _, names in os.walk(full))
    if not dry_run:
        with workspace.watch("taking from the DVC cache", sum(sizes)) as progress:
            taken = {one.path: _take_in(workspace.store, cache, one, work.out, progress) for one in lacking}
        with Folder(workspace.root) as folder:
            for path, sha256 in taken.items():
                folder.place(workspace.layout, workspace.store.file(sha256), path)
        files = track(workspace, Request(full, address)).files
    return Imported(work.path, work.path, address, files, len(lacking), sum(sizes), changed)


def _wanted(full: str, work: _Work, cache: str) -> list[_Wanted] | None:
    """The files of an out; None where only the folder here tells, and it is what DVC recorded. Raises NotFoundError, IntegrityError."""
    if not work.out.is_folder:
        return [_Wanted(work.path, work.out.md5)]
    listed = _cached(cache, work.out.md5)
    if listed is None:
        if os.path.isdir(full) and _folder_md5(full) == work.out.md5:
            return None
        raise NotFoundError(
            f"the list of its files, {work.out.md5}, is not in the DVC cache {cache}",
            code="ObjectNotFound",
            hint="run `dvc pull` where that works, or name another cache with --cache",
        )
    with disk_errors(listed), open(listed, "rb") as opened:
        content = opened.read()
    if f"{_md5(content)}.dir" != work.out.md5:
        raise _damaged(listed, work.out.md5)
    try:
        entries = msgspec.json.decode(content, type=list[dict[str, object]])
        return [_Wanted(check_path(f"{work.path}/{entry['relpath']}"), str(entry["md5"])) for entry in entries]
    except (msgspec.DecodeError, KeyError) as error:
        raise _damaged(listed, work.out.md5) from error


def _folder_md5(full: str) -> str:
    """The md5 that DVC gives to a folder: that of the list of its files, sorted by path."""
    entries = []
    for folder, _, names in os.walk(full):
        for name in names:
            file = os.path.join(folder, name)
            with disk_errors(file), open(file, "rb") as opened:
                md5 = hashlib.file_digest(opened, _new_md5).hexdigest()
            entries.append({"md5": md5, "relpath": os.path.relpath(file, full).replace(os.sep, "/")})
    text = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]), sort_keys=True)
    return f"{_md5(text.encode())}.dir"


def _cached(cache: str, md5: str) -> str | None:
    """Where the DVC cache has an object: as DVC 3 lays it out, or as older ones did."""
    if len(md5) < 32 or not md5.removesuffix(".dir").isalnum():
        return None
    places = (os.path.join(cache, *layout, md5[:2], md5[2:]) for layout in (("files", "md5"), ()))
    return next((place for place in places if os.path.isfile(place)), None)


def _refuse_missing(lacking: list[_Wanted], cache: str) -> None:
    missing = [one.path for one in lacking if _cached(cache, one.md5) is None]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5:,} more" if len(missing) > 5 else "")
        raise NotFoundError(
            f"{count_text(len(missing), 'file')} neither here nor in the DVC cache: {shown}",
            hint="run `dvc pull` where that works, or name another cache with --cache",
        )


def _take_in(store: LocalStore, cache: str, wanted: _Wanted, out: Out, progress: Callable[[int], None]) -> str:
    """Bring a cached file into the store, linked if the cache protects it from writing as DVC does; returns its sha256."""
    file = _cached(cache, wanted.md5)
    assert file is not None
    if not _has_md5(file, wanted.md5, out):
        raise _damaged(file, wanted.md5)
    with disk_errors(file):
        protected = os.stat(file).st_mode & 0o777 == 0o444
    if protected:
        with contextlib.suppress(StorageError):  # on another disk, say
            return adopt_file(store, file, progress).sha256
    with disk_errors(file), open(file, "rb") as opened, store.receive() as incoming:
        while block := opened.read(BLOCK_BYTES):
            incoming.write(block)
            progress(len(block))
        sealed = incoming.seal()
        store.publish([sealed])
        return sealed.sha256


def _has_md5(file: str, md5: str, out: Out) -> bool:
    with disk_errors(file), open(file, "rb") as opened:
        if hashlib.file_digest(opened, _new_md5).hexdigest() == md5:
            return True
        if not out.is_text_md5:
            return False
        opened.seek(0)
        return _md5(opened.read().replace(b"\r\n", b"\n")) == md5


def _new_md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _damaged(file: str, md5: str) -> IntegrityError:
    return IntegrityError(
        f"{file} does not have the md5 {md5} that its name says",
        code="CorruptObject",
        hint="nothing of it was taken; run `dvc pull` where that works, or name another cache with --cache",
    )
