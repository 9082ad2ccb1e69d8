"""The lock `tenuto.lock`: what was resolved, one short table an artifact. Normative description: docs/formats/lock.md.

The same inputs write the same bytes: artifacts are sorted by name, keys stand in one order, no clock and no host is in it.
"""

import re
import tomllib
from collections.abc import Iterable
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
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{7,64}")
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


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an artifact that somebody gave a label: `digest`, which `commit` of `source` holds."""

    name: str
    label: str
    source: str
    commit: str
    digest: str


class Lock(msgspec.Struct, frozen=True):
    """A whole lock: artifacts by name, and tags by name and label."""

    artifacts: dict[str, Locked] = {}
    tags: dict[tuple[str, str], Tag] = {}

    def replace(self, *changed: Locked) -> "Lock":
        """This lock with some artifacts added or replaced."""
        return Lock({**self.artifacts, **{locked.name: locked for locked in changed}}, self.tags)

    def without(self, name: str) -> "Lock":
        """This lock with one artifact gone, and its tags with it."""
        artifacts = {key: value for key, value in self.artifacts.items() if key != name}
        return Lock(artifacts, {key: tag for key, tag in self.tags.items() if tag.name != name})

    def with_tag(self, tag: Tag) -> "Lock":
        """This lock with a tag added, or moved to another version."""
        return Lock(self.artifacts, {**self.tags, (tag.name, tag.label): tag})

    def without_tag(self, name: str, label: str) -> "Lock":
        """This lock with a tag gone."""
        return Lock(self.artifacts, {key: tag for key, tag in self.tags.items() if key != (name, label)})

    @property
    def text(self) -> str:
        """The canonical file text."""
        tables = [_table("artifact", self.artifacts[name], _FIELDS) for name in sorted(self.artifacts)]
        tables += [_table("tag", self.tags[key], Tag.__struct_fields__) for key in sorted(self.tags)]
        return "\n".join([f"{HEADER}version = {VERSION}\n", *tables])


def _table(title: str, content: Locked | Tag, fields: Iterable[str]) -> str:
    lines = [f"[[{title}]]"]
    for field in fields:
        value = getattr(content, field)
        if value not in (None, False, ()) or type(value) is int:
            lines.append(f"{field} = {literal(value)}")
    return "\n".join(lines) + "\n"


def literal(value: object) -> str:
    """A string, number, truth value or tuple of them as TOML: JSON writes the same, but for DEL."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(literal, value))}]"
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


class _File(msgspec.Struct):
    version: Literal[1]
    artifact: list[Locked] = []
    tag: list[Tag] = []


def parse_lock(text: str) -> Lock:
    """Read a lock; unknown keys of a later revision are ignored, a later version is refused.

    Raises UsageError (BadLock, NewerLock), for merge-conflict markers too, and says how to write the lock anew.
    """
    if any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines()):
        raise _fault("it holds merge-conflict markers", "keep one side, then run `tenuto sync`")
    file = _convert(_load(text))
    for locked in file.artifact:
        _check(locked)
    artifacts = {locked.name: locked for locked in file.artifact}
    if len(artifacts) != len(file.artifact):
        raise _fault("it names an artifact twice", "restore it from git")
    for tag in file.tag:
        _check_tag(tag)
    tags = {(tag.name, tag.label): tag for tag in file.tag}
    if len(tags) != len(file.tag):
        raise _fault("it has a tag twice", "keep one of the two")
    return Lock(artifacts, tags)


def _load(text: str) -> dict[str, object]:
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _fault(str(error), "restore it from git") from error
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        what = f"it has version {version}, this program reads version {VERSION}"
        raise _fault(what, "use a newer tenuto", code="NewerLock")
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


def check_label(text: str) -> str:
    """Return `text` if it may be the label of a version; raises UsageError (BadCommand). What looks like a digest or commit may not."""
    if not _LABEL.fullmatch(text) or _HASH.fullmatch(text):
        raise UsageError(
            f"{text[:70]!r} cannot be a label",
            code="BadCommand",
            hint="use 1 to 64 letters, digits, '.', '_' and '-', and no hash",
        )
    return text


def _check_tag(tag: Tag) -> None:
    try:
        check_path(tag.name)
        check_label(tag.label)
        check_source(tag.source)
        check_sha1(tag.commit)
        check_sha256(tag.digest)
    except UsageError as error:
        raise _fault(f"tag {tag.label!r} of {tag.name!r}: {error}", "restore it from git") from error


def _fault(what: str, hint: str, code: str = "BadLock") -> UsageError:
    return UsageError(f"{LOCK_NAME} is not valid: {what}", code=code, hint=hint)
