"""What a commit may not hold: a lock that is not as the manifest wants it, large files, files of artifacts, and tokens. Asks no hub."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from tenuto.core.errors import ConflictError, UsageError
from tenuto.core.human import size_text
from tenuto.core.licenses import check_license
from tenuto.core.lockfile import LOCK_NAME, Lock, parse_lock
from tenuto.core.manifest import MANIFEST_NAME, Manifest, parse_manifest
from tenuto.project.dotenv import DOTENV_NAME, tokens_in
from tenuto.project.git import ask_git
from tenuto.project.workspace import find_root, fits
from tenuto.store.disk import disk_errors, replace_file

LARGE_BYTES = 10_000_000
OURS = "# Written by `tenuto hook install`, which may write it anew.\n"
_MARKERS = re.compile(r"^(?:<{7} |\|{7} |={7}$|>{7} )", re.MULTILINE)
_EMPTY_LOCK = "version = 1\n"

What = Literal["lock", "manifest", "markers", "large", "artifact", "token"]


class Problem(msgspec.Struct, frozen=True):
    """One thing that shall not be committed. `path` is relative to the top of the repository."""

    what: What
    path: str
    message: str
    hint: str


class HookReport(msgspec.Struct, frozen=True):
    """A look at what would be committed: the number of files, and what is wrong."""

    files: int
    problems: list[Problem]


class Installed(msgspec.Struct, frozen=True):
    """The hook that git calls from now on; `changed` if it was not there before, or was another version of ours."""

    path: str
    changed: bool


class _Repository(NamedTuple):
    """The top of the repository, and the folder of the project below it: empty, or with a slash at its end."""

    top: str
    prefix: str

    def ask(self, *arguments: str, stdin: bytes = b"") -> bytes | None:
        """What git prints; None if it refuses."""
        done = ask_git(self.top, *arguments, stdin=stdin)
        return done.stdout if done and done.returncode == 0 else None

    def staged(self, name: str) -> str | None:
        """A file of the project as it would be committed; None if it would not be."""
        content = self.ask("cat-file", "blob", f":{self.prefix}{name}")
        return None if content is None else content.decode("utf-8", "replace")


def check(start: str, files: Sequence[str] = (), max_bytes: int = LARGE_BYTES) -> HookReport:
    """Look at what git would commit now, or at `files`, as far as git has them else as they are on the disk; nothing is changed.

    `start` is a folder of the project, which is in a git repository. Raises NotFoundError (ProjectNotFound), UsageError (BadCommand).
    """
    root = find_root(start)
    repository = _repository(root)
    staged = _chosen(repository, files) if files else _changed(repository)
    sizes = _sizes(repository, staged)
    problems = [*_project_problems(repository, root, staged), *_token_problems(repository, staged)]
    problems += [_large(path, size) for path, size in sorted(sizes.items()) if size > max_bytes]
    return HookReport(len(staged), problems)


def _repository(root: str) -> _Repository:
    done = ask_git(root, "rev-parse", "--show-toplevel", "--show-prefix")
    if done is None or done.returncode != 0:
        raise UsageError(f"{root} is in no git repository", code="BadCommand", hint="run `git init` first")
    top, prefix = os.fsdecode(done.stdout).split("\n")[:2]
    return _Repository(top, prefix)


def _changed(repository: _Repository) -> dict[str, str | None]:
    """The id of every blob that would be committed anew, by path."""
    raw = repository.ask("diff", "--cached", "--raw", "--no-abbrev", "--no-renames", "--diff-filter=ACMT", "-z") or b""
    fields = os.fsdecode(raw).split("\0")
    pairs = zip(fields[::2], fields[1::2], strict=False)
    return {path: entry.split()[3] for entry, path in pairs if entry.split()[1] != "160000"}


def _chosen(repository: _Repository, files: Sequence[str]) -> dict[str, str | None]:
    """The id of the blob that git has of each of these files, by path; None for one that it does not have."""
    wanted = {_below(repository.top, file) for file in files}
    found: dict[str, str | None] = dict.fromkeys(sorted(wanted))
    for line in os.fsdecode(repository.ask("ls-files", "--stage", "-z") or b"").split("\0")[:-1]:
        entry, _, path = line.partition("\t")
        if path in wanted and not entry.startswith("160000"):
            found[path] = entry.split()[1]
    return found


def _below(top: str, file: str) -> str:
    """The path of a file relative to the top, as git writes it; a link is not followed."""
    folder, name = os.path.split(os.path.abspath(file))
    return os.path.relpath(os.path.join(os.path.realpath(folder), name), top).replace(os.sep, "/")


def _sizes(repository: _Repository, staged: Mapping[str, str | None]) -> dict[str, int]:
    """Bytes of each file as git has it, so a pointer of git-lfs is small; as it is on the disk where git does not have it."""
    blobs = {path: blob for path, blob in staged.items() if blob}
    asked = "".join(f"{blob}\n" for blob in blobs.values()).encode()
    said = repository.ask("cat-file", "--batch-check=%(objectsize)", stdin=asked) or b""
    sizes = {path: int(size) for path, size in zip(blobs, said.split(), strict=True)}
    for path in staged.keys() - blobs.keys():
        file = os.path.join(repository.top, path)
        if os.path.isfile(file):
            sizes[path] = os.path.getsize(file)
    return sizes


def _large(path: str, size_bytes: int) -> Problem:
    hint = f"git rm --cached {shlex.quote(path)}, then `tenuto track` it or its folder, or leave it to git-lfs"
    return Problem("large", path, f"{size_text(size_bytes)} are too much for git", hint)


def _token_problems(repository: _Repository, staged: Mapping[str, str | None]) -> Iterator[Problem]:
    for path, blob in staged.items():
        if blob and os.path.basename(path).lower() == DOTENV_NAME:
            text = (repository.ask("cat-file", "blob", blob) or b"").decode("utf-8", "replace")
            for variable in tokens_in(text):
                hint = f"git rm --cached {shlex.quote(path)}, and name it in .gitignore"
                yield Problem("token", path, f"it holds a token ({variable}) that everybody would have", hint)


def _project_problems(repository: _Repository, root: str, staged: Mapping[str, str | None]) -> Iterator[Problem]:
    """What is wrong with manifest and lock as they would be committed; where the manifest is not in git, as they are."""
    texts = {name: repository.staged(name) for name in (MANIFEST_NAME, LOCK_NAME)}
    if texts[MANIFEST_NAME] is None:
        texts = {name: _on_disk(root, name) for name in texts}
    marked = [name for name, text in texts.items() if text and _MARKERS.search(text)]
    for name in marked:
        hint = "settle the merge of tenuto.toml by hand, take either side of tenuto.lock, then run `tenuto lock`"
        yield Problem("markers", repository.prefix + name, "it holds the marks of a merge", hint)
    if marked:
        return
    try:
        manifest = parse_manifest(texts[MANIFEST_NAME] or "")
    except UsageError as error:
        yield Problem("manifest", repository.prefix + MANIFEST_NAME, error.message, error.hint or "correct it")
        return
    yield from _lock_problems(repository.prefix + LOCK_NAME, manifest, texts[LOCK_NAME] or _EMPTY_LOCK)
    yield from _artifact_problems(repository.prefix, manifest, staged)


def _on_disk(root: str, name: str) -> str | None:
    file = os.path.join(root, name)
    if not os.path.exists(file):
        return None
    with disk_errors(file), open(file, encoding="utf-8", errors="replace") as opened:
        return opened.read()


def _lock_problems(path: str, manifest: Manifest, text: str) -> Iterator[Problem]:
    try:
        lock = parse_lock(text)
    except UsageError as error:
        yield Problem("lock", path, error.message, error.hint or "restore it from git")
        return
    for name in _outdated(manifest, lock):
        hint = f"run `tenuto lock`, then git add {path}"
        yield Problem("lock", path, f"{name} is not locked as {MANIFEST_NAME} wants it", hint)
    for name, entry in lock.artifacts.items():
        try:
            check_license(manifest.policy, entry.license)
        except UsageError as error:
            yield Problem("lock", path, f"{name}: {error.message}", error.hint or "take another source")


def _outdated(manifest: Manifest, lock: Lock) -> Iterator[str]:
    for name, artifact in manifest.artifacts.items():
        entry = lock.artifacts.get(name)
        place = (artifact.path, artifact.kind, artifact.file)
        is_as_wanted = entry and fits(entry, artifact) and (entry.path, entry.kind, entry.file) == place
        if not artifact.is_own and not is_as_wanted:
            yield name
    yield from lock.artifacts.keys() - manifest.artifacts.keys()


def _artifact_problems(prefix: str, manifest: Manifest, staged: Mapping[str, str | None]) -> Iterator[Problem]:
    places = {f"{prefix}{artifact.path}": name for name, artifact in manifest.artifacts.items()}
    for path, blob in staged.items():
        place = next((place for place in places if path == place or path.startswith(f"{place}/")), None)
        if place and blob:
            hint = f"git rm -r --cached {shlex.quote(place)}; `tenuto push` keeps what is your own"
            yield Problem(
                "artifact", path, f"it belongs to the artifact {places[place]}, whose files are not in git", hint
            )


def install(start: str, python: str, max_bytes: int = LARGE_BYTES) -> Installed:
    """Let git call `check` before each commit, with the interpreter `python`.

    Raises ConflictError (Exists) if there is a hook that is not ours, or git looks for hooks elsewhere; UsageError (BadCommand).
    """
    repository = _repository(find_root(start))
    hint = "let that one run `tenuto hook check`"
    elsewhere = repository.ask("config", "--get", "core.hooksPath")
    if elsewhere:
        place = os.fsdecode(elsewhere).strip()
        raise ConflictError(f"git looks for hooks in {place}", code="Exists", hint=f"where there is a hook, {hint}")
    folder = os.path.join(
        repository.top, os.fsdecode(repository.ask("rev-parse", "--git-path", "hooks") or b"").strip()
    )
    file = os.path.join(folder, "pre-commit")
    words = [
        python,
        "-P",
        "-m",
        "tenuto",
        "--root",
        repository.prefix or ".",
        "hook",
        "check",
        "--max-size",
        str(max_bytes),
    ]
    content = f"#!/bin/sh\n{OURS}exec {shlex.join(words)}\n"
    with disk_errors(file):
        os.makedirs(folder, exist_ok=True)
        before = _on_disk(folder, "pre-commit")
    if before is not None and OURS not in before:
        raise ConflictError(f"{file} is there and not ours", code="Exists", hint=hint)
    if before != content:
        replace_file(file, content.encode(), 0o755)
    return Installed(file, before != content)
