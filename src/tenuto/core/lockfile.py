"""The lock `tenuto.lock`: what was resolved, one short table an artifact. Normative description: docs/formats/lock.md.

The same inputs write the same bytes: artifacts are sorted by name, keys stand in one order, no clock and no host is in it.
"""

import json
import tomllib
from typing import Literal

import msgspec

from tenuto.core.errors import UsageError
from tenuto.core.ids import check_sha1, check_sha256
from tenuto.core.manifest import check_source
from tenuto.core.paths import check_path
from tenuto.core.selection import Selection

LOCK_NAME = "tenuto.lock"
VERSION = 1
_FIELDS = (
    *("name", "path", "kind", "source", "commit", "digest", "files", "bytes", "license", "file"),
    *("include", "exclude", "variant", "all_formats"),
)
HEADER = "# Written by tenuto: commit it to git, do not edit it.\n"


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """One resolved artifact.

    `digest` is the sha256 of its listing, `commit` the commit of `source` that holds exactly these files; `commit` is
    absent until the artifact is on a hub, and for files from the web. `files` and `bytes` are the totals of the listing; `file` says that
    the artifact is one file; `include` to `all_formats` are the choice of files that the listing was made by.
    """

    name: str
    path: str
    kind: str
    source: str
    digest: str
    files: int
    bytes: int
    commit: str | None = None
    license: str | None = None
    file: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    variant: str | None = None
    all_formats: bool = False

    @property
    def selection(self) -> Selection:
        """Which files of the source the listing has."""
        return Selection(self.include, self.exclude, self.variant, self.all_formats)


class Lock(msgspec.Struct, frozen=True):
    """A whole lock: artifacts by name."""

    artifacts: dict[str, Locked] = {}

    def replace(self, *changed: Locked) -> "Lock":
        """This lock with some artifacts added or replaced."""
        return Lock({**self.artifacts, **{locked.name: locked for locked in changed}})

    def without(self, name: str) -> "Lock":
        """This lock with one artifact gone."""
        return Lock({key: value for key, value in self.artifacts.items() if key != name})

    @property
    def text(self) -> str:
        """The canonical file text."""
        tables = [_table(self.artifacts[name]) for name in sorted(self.artifacts)]
        return "\n".join([f"{HEADER}version = {VERSION}\n", *tables])


def _table(locked: Locked) -> str:
    lines = ["[[artifact]]"]
    for field in _FIELDS:
        value = getattr(locked, field)
        if value not in (None, False, ()) or type(value) is int:
            lines.append(f"{field} = {_literal(value)}")
    return "\n".join(lines) + "\n"


def _literal(value: object) -> str:
    """A TOML literal: JSON writes the same, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


class _File(msgspec.Struct):
    version: Literal[1]
    artifact: list[Locked] = []


def parse_lock(text: str) -> Lock:
    """Read a lock; unknown keys of a later revision are ignored, a later version is refused.

    Raises UsageError (BadLock), for merge-conflict markers too, and says how to write the lock anew.
    """
    if any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines()):
        raise _fault("it holds merge-conflict markers", "keep one side, then run `tenuto sync`")
    file = _convert(_load(text))
    for locked in file.artifact:
        _check(locked)
    artifacts = {locked.name: locked for locked in file.artifact}
    if len(artifacts) != len(file.artifact):
        raise _fault("it names an artifact twice", "restore it from git")
    return Lock(artifacts)


def _load(text: str) -> dict[str, object]:
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _fault(str(error), "restore it from git") from error
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise _fault(f"it has version {version}, this program reads version {VERSION}", "use a newer tenuto")
    return content


def _convert(content: dict[str, object]) -> _File:
    try:
        return msgspec.convert(content, _File)
    except msgspec.ValidationError as error:
        raise _fault(str(error), "restore it from git") from error


def _check(locked: Locked) -> None:
    if min(locked.files, locked.bytes) < 0:
        raise _fault(f"artifact {locked.name!r}: a count is less than 0", "restore it from git")
    try:
        check_path(locked.name)
        check_path(locked.path)
        check_source(locked.source)
        check_sha256(locked.digest)
        if locked.commit is not None:
            check_sha1(locked.commit)
    except UsageError as error:
        raise _fault(f"artifact {locked.name!r}: {error}", "restore it from git") from error


def _fault(what: str, hint: str) -> UsageError:
    return UsageError(f"{LOCK_NAME} is not valid: {what}", code="BadLock", hint=hint)
