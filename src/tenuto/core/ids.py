"""Names: repos, revisions, addresses, hashes. Parsed once at the border, trusted inside."""

import re
from enum import StrEnum
from typing import NamedTuple, Self

from tenuto.core.errors import UsageError
from tenuto.core.paths import check_path

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_REVISION_FAULT = re.compile(r"\.\.|@\{|//|\.lock(?:/|$)|(?:^|/)\.|/$|^/|\.$|[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]|^@$")
_SPECIAL_REVISION = re.compile(r"refs/(?:pr/\d+|convert/[\w.-]+|heads/[\w.-]+)(?=/|$)")


class RepoKind(StrEnum):
    """The three kinds of repo that a hub knows; `plural` is their API segment, `prefix` their place in web addresses."""

    MODEL = "model"
    DATASET = "dataset"
    SPACE = "space"

    @property
    def plural(self) -> str:
        """`models`, `datasets` or `spaces`: the segment after `/api/`."""
        return f"{self.value}s"

    @property
    def prefix(self) -> str:
        """What stands before `namespace/name` in web addresses: nothing for models, else `datasets/` or `spaces/`."""
        return "" if self is RepoKind.MODEL else f"{self.value}s/"

    @classmethod
    def of_plural(cls, plural: str) -> "RepoKind":
        """The kind whose API segment is `plural`; raises UsageError (BadRequest)."""
        for kind in cls:
            if kind.plural == plural:
                return kind
        raise UsageError(f"{plural!r} is not one of models, datasets, spaces")


def check_sha256(text: str) -> str:
    """Return `text` if it is 64 lowercase hex digits; raises UsageError (BadRequest) before any path is built of it."""
    if not _SHA256.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is not a sha256: 64 lowercase hex digits")
    return text


def check_sha1(text: str) -> str:
    """Return `text` if it is 40 lowercase hex digits, as git ids are; raises UsageError (BadRequest)."""
    if not _SHA1.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is not a git id: 40 lowercase hex digits")
    return text


def is_commit_id(revision: str) -> bool:
    """Whether `revision` is a full commit id, which never moves."""
    return _SHA1.fullmatch(revision) is not None


def check_name(text: str, what: str = "name") -> str:
    """Return `text` if it may name a user, organisation or repo (hub-protocol section 2); raises UsageError (BadAddress)."""
    if not _NAME.fullmatch(text) or text.endswith(".git"):
        raise UsageError(
            f"{text[:100]!r} is not a valid {what}",
            code="BadAddress",
            hint="use 1 to 96 of A-Z a-z 0-9 . _ - with no '--' or '..', not starting or ending with '-' or '.'",
        )
    return text


def check_revision(text: str) -> str:
    """Return `text` if git accepts it as a ref name; raises UsageError (BadAddress)."""
    if not text or len(text) > 250 or _REVISION_FAULT.search(text) or text.startswith("-"):
        raise UsageError(
            f"{text[:100]!r} is not a valid revision", code="BadAddress", hint="name a branch, tag or commit"
        )
    return text


class RepoId(NamedTuple):
    """A repo on some hub: its kind and `namespace/name`."""

    kind: RepoKind
    namespace: str
    name: str

    @property
    def full_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def web_path(self) -> str:
        """The path of its page, without a leading slash: `datasets/namespace/name`."""
        return f"{self.kind.prefix}{self.namespace}/{self.name}"

    @property
    def api_path(self) -> str:
        """The path of its API, without a leading slash: `api/datasets/namespace/name`."""
        return f"api/{self.kind.plural}/{self.namespace}/{self.name}"

    def __str__(self) -> str:
        return f"hf://{self.web_path}"

    @classmethod
    def parse(cls, text: str) -> "RepoId":
        """Read `[hf://][datasets/|spaces/|models/]namespace/name`; raises UsageError (BadAddress)."""
        address = Address.parse(text if text.startswith("hf://") else f"hf://{text}")
        if address.revision or address.path:
            raise UsageError(f"{text!r} names more than a repo", code="BadAddress", hint=f"use {address.repo}")
        return address.repo


class Address(NamedTuple):
    """A place in a repo, as `HfFileSystem` writes it: `hf://[datasets/]namespace/name[@revision][/path]`."""

    repo: RepoId
    revision: str | None = None
    path: str = ""

    def __str__(self) -> str:
        revision = f"@{_quoted(self.revision)}" if self.revision else ""
        return f"{self.repo}{revision}{'/' if self.path else ''}{self.path}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an `hf://` address. A slash in a revision is written `%2F`, but for `refs/pr/N` and its like.

        Raises UsageError (BadAddress or BadPath).
        """
        if not text.startswith("hf://"):
            raise UsageError(
                f"{text!r} is not an address of a hub",
                code="BadAddress",
                hint="write hf://namespace/name for a model repo or hf://datasets/namespace/name for a dataset repo",
            )
        kind, rest = _split_kind(text.removeprefix("hf://").rstrip("/"))
        namespace, _, rest = rest.partition("/")
        name, mark, tail = _split_at_first(rest, "@/")
        if not name:
            raise UsageError(f"{text!r} lacks a repo name", code="BadAddress", hint="write hf://namespace/name")
        repo = RepoId(kind, check_name(namespace, "namespace"), check_name(name, "repo name"))
        revision, path = _split_revision(tail) if mark == "@" else (None, tail)
        return cls(repo, revision, check_path(path) if path else "")


def _split_kind(text: str) -> tuple[RepoKind, str]:
    head, _, rest = text.partition("/")
    for kind in RepoKind:
        if head == kind.plural:
            return kind, rest
    return RepoKind.MODEL, text


def _split_at_first(text: str, marks: str) -> tuple[str, str, str]:
    for index, character in enumerate(text):
        if character in marks:
            return text[:index], character, text[index + 1 :]
    return text, "", ""


def _quoted(revision: str) -> str:
    from urllib.parse import quote  # few addresses name a revision

    return quote(revision, safe="")


def _split_revision(text: str) -> tuple[str, str]:
    from urllib.parse import unquote

    special = _SPECIAL_REVISION.match(text)
    revision, path = (special.group(), text[special.end() + 1 :]) if special else text.partition("/")[::2]
    return check_revision(unquote(revision)), path
