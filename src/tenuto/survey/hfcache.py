"""What lies in a folder of models and datasets, read from names alone: Hugging Face caches, folders of `hf download --local-dir`, loose folders.

A snapshot of a cache is links to blobs, so each file is seen once, under its own name. Nothing is read but refs, metadata and file status.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tenuto.core.ids import is_commit_id
from tenuto.project.scan import IGNORED_NAMES, IGNORED_PREFIX
from tenuto.store.disk import disk_errors

_CACHE_NAME = re.compile(r"(model|dataset)s--([^/]+)")
_OTHER_CACHE_NAME = re.compile(r"(?:space|kernel)s--[^/]+")
_KIND_FOLDERS = {"models": "model", "datasets": "dataset"}
_MARKS = frozenset({"readme.md", "config.json", "model_index.json", "dataset_info.json", ".gitattributes"})
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".th", ".gguf", ".onnx", ".h5", ".msgpack", ".npz")
_PAPERS = (
    ".md",
    ".json",
    ".jsonl",
    ".txt",
    ".csv",
    ".sha256",
    ".html",
    ".xml",
    ".yaml",
    ".yml",
    ".toml",
    ".lock",
    ".sh",
    ".py",
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NOTES = ".cache/huggingface/download"


class FoundFile(NamedTuple):
    """A file that is there: its path below the entry, size in bytes, device and inode of the bytes, and the sha256 that it is filed under."""

    path: str
    size: int
    real: tuple[int, int]
    sha256: str | None = None


class Found(NamedTuple):
    """One model or dataset that is there, or a folder that should hold one: `local_path` is below the folder that was looked at.

    `broken` are links that lead nowhere, `unfinished` counts downloads that were not completed, `fault` is why it could not be looked at.
    """

    kind: str
    folder_name: str
    local_path: str
    repo_id: str | None
    revision: str | None
    snapshot: str | None
    files: tuple[FoundFile, ...]
    broken: tuple[str, ...] = ()
    unfinished: int = 0
    fault: str | None = None


def find_artifacts(root: str) -> list[Found]:
    """Every model and dataset at or below `root`, by path. Raises StorageError (LocalFile)."""
    root = os.path.abspath(root)
    search = _Search(root)
    with disk_errors(root):
        search.visit("", _kind_above(root))
    return sorted(search.found, key=lambda found: found.local_path)


def _kind_above(root: str) -> str | None:
    return next((_KIND_FOLDERS[part] for part in reversed(root.split(os.sep)) if part in _KIND_FOLDERS), None)


class _Search:
    """A walk that enters every folder once, whatever links lead to it."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.found: list[Found] = []
        self._entered: set[tuple[int, int]] = set()

    def visit(self, path: str, kind: str | None) -> None:
        """Add what is at or below a folder; `kind` is what the folders above it say."""
        folder = os.path.join(self.root, path) if path else self.root
        name = os.path.basename(folder)
        kind = _KIND_FOLDERS.get(name, kind)
        try:
            self._look(folder, path, kind)
        except OSError as error:
            if not path:
                raise
            fault = error.strerror or str(error)
            self.found.append(Found(kind or "model", name, path, None, None, None, (), fault=fault))

    def _look(self, folder: str, path: str, kind: str | None) -> None:
        if not _enter(folder, self._entered):
            return
        cache = _CACHE_NAME.fullmatch(os.path.basename(folder))
        if cache:
            self.found += _cache_repo(folder, path, cache[1], cache[2].replace("--", "/", 1))
            return
        children = _parts(folder)
        if children is None:
            found = _loose(folder, path, kind)
            self.found += [found] if path or found.files else []
        elif os.path.basename(folder) in _KIND_FOLDERS:
            self.found += _strays(folder, path, kind or "model")
        for child in children or ():
            self.visit(f"{path}/{child}" if path else child, kind)


def _enter(folder: str, entered: set[tuple[int, int]]) -> bool:
    """Whether a folder is entered for the first time."""
    status = os.stat(folder)
    real = (status.st_dev, status.st_ino)
    fresh = real not in entered
    entered.add(real)
    return fresh


def _parts(folder: str, depth: int = 3) -> list[str] | None:
    """The names of the folders to look at below one that only groups others; None for one that is itself a model or dataset."""
    folders, files = _content(folder)
    kinds = [name for name in folders if name in _KIND_FOLDERS]
    if kinds:
        return [name for name in folders if name in _KIND_FOLDERS or _CACHE_NAME.fullmatch(name)]
    groups = os.path.basename(folder) in _KIND_FOLDERS or any(map(_CACHE_NAME.fullmatch, folders))
    if groups or (not _is_marked(folder, files) and any(_holds_repo(folder, name, depth) for name in folders)):
        return folders
    return None


def _holds_repo(folder: str, name: str, depth: int) -> bool:
    """Whether a folder below `folder` is a model or dataset of its own, or groups such, as far as one can see from `depth` folders up."""
    child = os.path.join(folder, name)
    if name.startswith(f"{os.path.basename(folder)}_"):
        return True
    try:
        return _is_marked(child, _content(child)[1]) or (depth > 0 and _parts(child, depth - 1) is not None)
    except OSError:  # it shall be visited, and its fault be named
        return True


def _is_marked(folder: str, files: Iterable[str]) -> bool:
    """Whether the files directly in a folder are those of a model or dataset."""
    notes = os.path.isdir(os.path.join(folder, _NOTES))
    return notes or any(name.lower() in _MARKS or name.lower().endswith(_WEIGHTS) for name in files)


def _content(folder: str) -> tuple[list[str], list[str]]:
    """The names of folders and of files directly in a folder, sorted; hidden folders are somebody's housekeeping."""
    folders, files = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_folder(entry):
                hidden = entry.name.startswith(".") or _OTHER_CACHE_NAME.fullmatch(entry.name)
                folders += [] if hidden else [entry.name]
            elif not _is_housekeeping(entry.name):
                files.append(entry.name)
    return sorted(folders), sorted(files)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a folder, or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_housekeeping(name: str) -> bool:
    return name in IGNORED_NAMES or name.startswith(IGNORED_PREFIX)


def _cache_repo(folder: str, path: str, kind: str, repo_id: str) -> Iterator[Found]:
    """The snapshots of one repo in a cache; where there is none, an entry without files says so."""
    folder_name = _folder_name(folder, repo_id)
    snapshots = os.path.join(folder, "snapshots")
    commits = _content(snapshots)[0] if os.path.isdir(snapshots) else []
    names = _refs(os.path.join(folder, "refs"))
    unfinished = _unfinished(os.path.join(folder, "blobs"))
    for commit in commits:
        files, broken = _files(os.path.join(snapshots, commit))
        snapshot = commit if is_commit_id(commit) else None
        local_path = "/".join(part for part in (path, "snapshots", commit) if part)
        yield Found(
            kind, folder_name, local_path, repo_id, names.get(commit), snapshot, tuple(files), tuple(broken), unfinished
        )
    if not commits:
        revision = next(iter(names.values()), None)
        yield Found(kind, folder_name, path or ".", repo_id, revision, None, (), (), unfinished)


def _folder_name(folder: str, repo_id: str) -> str:
    """The folder around a cache where that is named for the repo alone, as in `facebook_musicgen-large/models--facebook--musicgen-large`."""
    above = os.path.basename(os.path.dirname(folder))
    return above if above in {repo_id.replace("/", "_"), repo_id.partition("/")[2]} else os.path.basename(folder)


def _refs(folder: str) -> dict[str, str]:
    """The name of each commit that has one; `main` goes before others."""
    names: dict[str, str] = {}
    for file, path in sorted(_walk(folder, set())) if os.path.isdir(folder) else ():
        with open(file, encoding="ascii", errors="replace") as opened:
            commit = opened.read(64).strip()
        if path == "main" or commit not in names:
            names[commit] = path
    return names


def _unfinished(folder: str) -> int:
    return sum(name.endswith(".incomplete") for name in _content(folder)[1]) if os.path.isdir(folder) else 0


def _loose(folder: str, path: str, kind: str | None) -> Found:
    files, broken = _files(folder)
    notes = _Notes(os.path.join(folder, _NOTES))
    files = [file._replace(sha256=notes.sha256.get(file.path)) for file in files]
    weights = any(file.path.lower().endswith(_WEIGHTS) for file in files)
    name, above = os.path.basename(folder), os.path.basename(os.path.dirname(folder))
    repo_id = f"{above}/{name.removeprefix(f'{above}_')}" if name.startswith(f"{above}_") else None
    kind = kind or ("model" if weights else "dataset")
    commit = notes.commit
    return Found(kind, name, path or ".", repo_id, None, commit, tuple(files), tuple(broken), notes.unfinished)


def _strays(folder: str, path: str, kind: str) -> Iterator[Found]:
    """One entry for the files that lie beside the folders of models or datasets, but for papers such as an inventory."""
    names = [name for name in _content(folder)[1] if not name.startswith(".") and not name.lower().endswith(_PAPERS)]
    files, broken = _look_at((os.path.join(folder, name), name) for name in names)
    if names:
        yield Found(kind, os.path.basename(folder), path or ".", None, None, None, tuple(files), tuple(broken))


class _Notes:
    """What `hf download --local-dir` wrote down: the commit, the sha256 of large files, and what it did not finish."""

    def __init__(self, folder: str) -> None:
        self.sha256: dict[str, str] = {}
        self.unfinished = 0
        commits = set()
        for file, path in _walk(folder, set()) if os.path.isdir(folder) else ():
            self.unfinished += path.endswith(".incomplete")
            if path.endswith(".metadata"):
                with open(file, encoding="ascii", errors="replace") as opened:
                    commit, etag = [*opened.read(512).split("\n"), "", ""][:2]
                commits.add(commit)
                if _SHA256.fullmatch(etag):
                    self.sha256[path.removesuffix(".metadata")] = etag
        self.commit = commits.pop() if len(commits) == 1 else None
        if self.commit and not is_commit_id(self.commit):
            self.commit = None


def _files(folder: str) -> tuple[list[FoundFile], list[str]]:
    """The files below a folder, and the links that lead nowhere, each by path."""
    return _look_at(sorted(_walk(folder, set()), key=lambda item: item[1]))


def _look_at(items: Iterable[tuple[str, str]]) -> tuple[list[FoundFile], list[str]]:
    files, broken = [], []
    for file, path in items:
        try:
            status = os.stat(file)
        except OSError:
            broken.append(path)
            continue
        if stat.S_ISREG(status.st_mode):
            blob = os.path.basename(os.path.realpath(file)) if os.path.islink(file) else ""
            sha256 = blob if _SHA256.fullmatch(blob) else None
            files.append(FoundFile(path, status.st_size, (status.st_dev, status.st_ino), sha256))
    return files, broken


def _walk(top: str, entered: set[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """Everything below a folder that is no folder, with its path below it; folders that links lead to are entered, each once."""
    folders = [(top, "")]
    while folders:
        folder, prefix = folders.pop()
        if not _enter(folder, entered):
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_housekeeping(entry.name):
                    continue
                if _is_folder(entry):
                    folders.append((entry.path, f"{prefix}{entry.name}/"))
                else:
                    yield entry.path, f"{prefix}{entry.name}"
