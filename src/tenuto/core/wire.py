"""The Hub protocol as values: what client and server of Tenuto both write and read. Nothing here opens a connection."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from tenuto.core.errors import CODES, TenutoError, error_from_code

ERROR_CODE = "X-Error-Code"
ERROR_MESSAGE = "X-Error-Message"
REPO_COMMIT = "X-Repo-Commit"
LINKED_ETAG = "X-Linked-Etag"
LINKED_SIZE = "X-Linked-Size"
REQUEST_ID = "X-Request-Id"
SENDS_CHUNKS = "X-Sends-Chunks"
"""Tells a hub of ours that large objects of a batch may come by their chunks: nobody knows yet how much of them is new."""
CHUNKS_FROM_BYTES = 8 << 20
"""What is smaller always comes whole."""
INVALID_CREDENTIALS = "Invalid credentials in Authorization header"
GATED_BY_TOKEN = ("gated", "fine-grained token")
"""Words of huggingface.co about a token that may not read gated repos, whoever its owner is. It has no code for that."""
PREUPLOAD_LIMIT = 256
BATCH_LIMIT = 256
PATHS_LIMIT = 1000
SAMPLE_BYTES = 512
LFS_MEDIA_TYPE = "application/vnd.git-lfs+json"
COMMIT_MEDIA_TYPE = "application/x-ndjson"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_REMAINING = re.compile(r"\br=([0-9]{1,9})\b")
_RESET = re.compile(r"\bt=([0-9]{1,9})\b")
_SECONDS = re.compile(r"[0-9]{1,9}")
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next\b')
_STATUS_CODES = {
    400: "BadRequest",
    401: "NoToken",
    403: "Forbidden",
    404: "EntryNotFound",
    409: "Conflict",
    412: "StaleParent",
    413: "TooLarge",
    416: "BadRange",
    422: "HashMismatch",
    423: "Locked",
    429: "RateLimited",
    500: "HubUnavailable",
    501: "NotSupported",
    502: "HubUnavailable",
    503: "HubUnavailable",
    504: "HubUnavailable",
    507: "HubUnavailable",
}


class LfsInfo(msgspec.Struct, frozen=True):
    """The large object behind a path: sha256, true size, and the size of the pointer file in bytes."""

    oid: str
    size: int
    pointer_size: int = msgspec.field(name="pointerSize", default=0)


class TreeEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a tree listing (hub-protocol section 6.1): a file or a directory with its git id."""

    type: Literal["file", "directory"]
    path: str
    oid: str
    size: int
    lfs: LfsInfo | None = None


class PreuploadFile(msgspec.Struct, frozen=True):
    """A file that is about to be uploaded: path, size in bytes, and its first 512 bytes in base64."""

    path: str
    size: int
    sample: str = ""


class PreuploadRequest(msgspec.Struct, frozen=True):
    """The body of `preupload`."""

    files: list[PreuploadFile]
    git_ignore: str | None = msgspec.field(name="gitIgnore", default=None)


class PreuploadAnswer(msgspec.Struct, frozen=True):
    """How one file is to be sent; `oid` is what the path holds now (sha256 for LFS, git id for regular), if anything.

    A hub of ours says in `chunks` whether it knows that by its chunks, or is about to: then only what is new has to be sent by Xet.
    """

    path: str
    mode: Literal["lfs", "regular"] = msgspec.field(name="uploadMode")
    should_ignore: bool = msgspec.field(name="shouldIgnore", default=False)
    oid: str | None = None
    chunks: Literal["known", "soon"] | msgspec.UnsetType = msgspec.UNSET


class PreuploadResult(msgspec.Struct, frozen=True):
    """The answer of `preupload`."""

    files: list[PreuploadAnswer]
    commit: str | None = msgspec.field(name="commitOid", default=None)


class LfsObject(msgspec.Struct, frozen=True):
    """A large object by sha256 and size in bytes."""

    oid: str
    size: int


class LfsAction(msgspec.Struct, frozen=True):
    """Where to send or fetch an object, and with which headers."""

    href: str
    header: dict[str, str] = {}


class LfsFault(msgspec.Struct, frozen=True):
    """Why one object of a batch cannot be moved."""

    code: int
    message: str


class LfsAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One object in the answer of an LFS batch; no actions on an upload means that the hub has it."""

    oid: str
    size: int
    authenticated: bool = False
    actions: dict[str, LfsAction] | None = None
    error: LfsFault | None = None


class LfsBatchRequest(msgspec.Struct, frozen=True):
    """The body of an LFS batch (hub-protocol section 7.4)."""

    operation: Literal["upload", "download"]
    objects: list[LfsObject]
    transfers: list[str] = msgspec.field(default_factory=lambda: ["basic"])
    hash_algo: str = "sha256"


class LfsBatchResult(msgspec.Struct, frozen=True):
    """The answer of an LFS batch."""

    objects: list[LfsAnswer]
    transfer: str = "basic"
    hash_algo: str = "sha256"


class CommitResult(msgspec.Struct, frozen=True):
    """The answer of `commit`."""

    commit: str = msgspec.field(name="commitOid")
    url: str = msgspec.field(name="commitUrl")
    success: bool = True


class XetToken(msgspec.Struct, frozen=True):
    """A pass to the chunk store of a repo: its address, the secret, and until when it holds, in seconds since 1970."""

    cas_url: str = msgspec.field(name="casUrl")
    access_token: str = msgspec.field(name="accessToken")
    expires_s: int = msgspec.field(name="exp")

    def __repr__(self) -> str:
        return f"XetToken(cas_url={self.cas_url!r}, access_token='***')"


class RepoInfo(msgspec.Struct, frozen=True):
    """What the client reads of a repo's info; `sha` is the commit that the asked revision resolves to."""

    id: str
    sha: str | None = None
    private: bool = False
    gated: bool | str = False
    card: dict[str, object] | None = msgspec.field(name="cardData", default=None)
    tags: list[str] = []


class Organization(msgspec.Struct, frozen=True):
    """An organisation that a user belongs to."""

    name: str


class Entity(msgspec.Struct, frozen=True):
    """What a scope of a token is on: a namespace, or a repo."""

    type: str = ""
    name: str = ""


class TokenScope(msgspec.Struct, frozen=True):
    """One thing that a fine-grained token is good for."""

    entity: Entity = Entity()
    permissions: list[str] = []


class FineGrained(msgspec.Struct, frozen=True):
    """What a fine-grained token may do, as far as the client reads it. `reads_gated`: it passes the gates of others that let its account in."""

    reads_gated: bool = msgspec.field(name="canReadGatedRepos", default=False)
    scopes: list[TokenScope] = msgspec.field(name="scoped", default=[])


class AccessToken(msgspec.Struct, frozen=True):
    """Facts of a token; never its secret."""

    display_name: str = msgspec.field(name="displayName", default="")
    role: str = ""
    fine_grained: FineGrained | None = msgspec.field(name="fineGrained", default=None)
    expires_at: str | None = msgspec.field(name="expiresAt", default=None)


class Auth(msgspec.Struct, frozen=True):
    """How the caller proved who it is."""

    access_token: AccessToken = msgspec.field(name="accessToken", default=AccessToken())


class Identity(msgspec.Struct, frozen=True):
    """The answer of `whoami-v2`, as far as the client reads it."""

    name: str
    type: str = "user"
    orgs: list[Organization] = []
    auth: Auth = Auth()


def timestamp_text(time_ms: int) -> str:
    """Milliseconds since 1970 as `2026-01-31T12:00:00.000Z`, the only form that stock clients read."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"


def error_headers(error: TenutoError) -> dict[str, str]:
    """The headers that carry an error; HEAD answers have nothing else."""
    message = INVALID_CREDENTIALS if error.code == "BadToken" else " ".join(error.message.split())
    visible = _CONTROL.sub("?", message.encode("ascii", "backslashreplace").decode())
    return {ERROR_CODE: error.code, ERROR_MESSAGE: visible[:1000].rstrip()}


def error_body(error: TenutoError) -> bytes:
    """The JSON body that carries an error."""
    body = {"error": error.message, "code": error.code}
    return msgspec.json.encode({**body, "hint": error.hint} if error.hint else body)


def error_from_answer(status: int, headers: Mapping[str, str], body: bytes) -> TenutoError:
    """The error that an answer of a hub stands for: by its code, else by its status.

    `headers` must look names up without regard to case.
    """
    text, code, hint = _read_body(body)
    code = headers.get(ERROR_CODE) or code
    message = headers.get(ERROR_MESSAGE) or text or f"the hub answered {status}"
    if status == 401 and INVALID_CREDENTIALS.lower() in message.lower():
        code = "BadToken"
    if status == 403 and all(word in message.lower() for word in GATED_BY_TOKEN):
        code = "TokenTooNarrow"
    if code not in CODES:
        code = _STATUS_CODES.get(status, "BadAnswer")
    return error_from_code(code, text or message, hint=hint)


def _read_body(body: bytes) -> tuple[str | None, str | None, str | None]:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, None, None
    if not isinstance(answer, dict):
        return None, None, None
    text = answer.get("error") or answer.get("message")
    if isinstance(text, list):
        text = "; ".join(map(str, text))
    return tuple(value if isinstance(value, str) else None for value in (text, answer.get("code"), answer.get("hint")))  # type: ignore[return-value]


def wait_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the hub asks to wait: from `RateLimit` (only when nothing remains) or `Retry-After`; None if it does not say."""
    limit = headers.get("RateLimit", "")
    remaining, reset = _REMAINING.search(limit), _RESET.search(limit)
    if remaining and reset and int(remaining[1]) == 0:
        return int(reset[1]) + 1.0
    after = _SECONDS.fullmatch(headers.get("Retry-After", "").strip())
    return int(after[0]) + 1.0 if after else None


def next_link(headers: Mapping[str, str]) -> str | None:
    """The address of the next page, from `Link: <…>; rel="next"`."""
    match = _NEXT.search(headers.get("Link", ""))
    return match[1] if match else None
