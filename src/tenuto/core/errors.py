"""One tree of errors for client and server, shaped by what a handler would do.

    TenutoError
    ├── UsageError           2  the command line, manifest, lock or request is wrong: change it
    ├── AuthenticationError  3  no token, or not a valid one: log in
    ├── AccessDeniedError    4  known, but not allowed: ask for access
    ├── IntegrityError       5  bytes are not what they should be: repair, or take another source
    ├── UnavailableError     6  network or hub: try again later
    ├── StorageError         7  disk or local file: make room, fix rights
    ├── LockedError          8  another process holds the lock: wait
    ├── NotFoundError        9  it is not there: check the name
    ├── ConflictError        1  somebody else moved first, or it exists already: merge
    └── InternalError       70  our bug: report it

The class says what to do; the `code` says exactly what failed. Codes are stable and append-only: each one maps to one
class, one exit status and one HTTP status, travels in `X-Error-Code`, and comes back as the same error.
"""

from typing import ClassVar, NamedTuple


class TenutoError(Exception):
    """Base of every failure that Tenuto reports.

    `message` says what happened and to what, `hint` what to do about it; neither ever holds a token.
    """

    exit_status: ClassVar[int] = 70
    default_code: ClassVar[str] = "InternalError"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        kind = CODES.get(self.code)
        if kind is None or kind.error is not type(self):
            raise AssertionError(f"{self.code} is not a code of {type(self).__name__}")

    @property
    def http_status(self) -> int:
        """The HTTP status under which a hub reports this failure."""
        return CODES[self.code].http_status

    def __str__(self) -> str:
        return self.message


class UsageError(TenutoError, ValueError):
    """The command line, manifest, lock or request is wrong. Nothing was changed."""

    exit_status = 2
    default_code = "BadRequest"


class AuthenticationError(TenutoError):
    """There is no token, or the hub does not know it."""

    exit_status = 3
    default_code = "NoToken"


class AccessDeniedError(TenutoError):
    """The caller is known and may not do this."""

    exit_status = 4
    default_code = "Forbidden"


class IntegrityError(TenutoError):
    """Bytes differ from what their name promises. The bad bytes were not published."""

    exit_status = 5
    default_code = "HashMismatch"


class UnavailableError(TenutoError):
    """The network or the hub did not do its part, after all retries."""

    exit_status = 6
    default_code = "NetworkFailure"


class StorageError(TenutoError):
    """A local disk or file refused: full, not permitted, or broken; or a hub has no more room for this repo."""

    exit_status = 7
    default_code = "LocalFile"


class LockedError(TenutoError):
    """Another process is at work on the same project."""

    exit_status = 8
    default_code = "Locked"


class NotFoundError(TenutoError, LookupError):
    """The named thing does not exist, or the caller may not know that it does."""

    exit_status = 9
    default_code = "EntryNotFound"


class ConflictError(TenutoError):
    """Somebody moved first, or the thing exists already. Nothing was overwritten."""

    exit_status = 1
    default_code = "Conflict"


class InternalError(TenutoError):
    """A bug of ours."""


class Code(NamedTuple):
    """What one stable failure code stands for."""

    error: type[TenutoError]
    http_status: int


CODES: dict[str, Code] = {
    "InternalError": Code(InternalError, 500),
    "BadRequest": Code(UsageError, 400),
    "BadCommand": Code(UsageError, 400),
    "BadManifest": Code(UsageError, 400),
    "BadLock": Code(UsageError, 400),
    "NewerLock": Code(UsageError, 400),
    "BadAddress": Code(UsageError, 400),
    "BadPath": Code(UsageError, 400),
    "TooLarge": Code(UsageError, 413),
    "BadRange": Code(UsageError, 416),
    "NoToken": Code(AuthenticationError, 401),
    "BadToken": Code(AuthenticationError, 401),
    "Forbidden": Code(AccessDeniedError, 403),
    "GatedRepo": Code(AccessDeniedError, 403),
    "HashMismatch": Code(IntegrityError, 422),
    "SizeMismatch": Code(IntegrityError, 422),
    "DigestMismatch": Code(IntegrityError, 422),
    "CorruptObject": Code(IntegrityError, 500),
    "NetworkFailure": Code(UnavailableError, 502),
    "BadAnswer": Code(UnavailableError, 502),
    "Stalled": Code(UnavailableError, 504),
    "HubUnavailable": Code(UnavailableError, 503),
    "RateLimited": Code(UnavailableError, 429),
    "NotSupported": Code(UnavailableError, 501),
    "Offline": Code(UnavailableError, 503),
    "LocalFile": Code(StorageError, 500),
    "DiskFull": Code(StorageError, 507),
    "Locked": Code(LockedError, 423),
    "RepoNotFound": Code(NotFoundError, 404),
    "RevisionNotFound": Code(NotFoundError, 404),
    "EntryNotFound": Code(NotFoundError, 404),
    "ObjectNotFound": Code(NotFoundError, 404),
    "ArtifactNotFound": Code(NotFoundError, 404),
    "ProjectNotFound": Code(NotFoundError, 404),
    "UserNotFound": Code(NotFoundError, 404),
    "RouteNotFound": Code(NotFoundError, 404),
    "Conflict": Code(ConflictError, 409),
    "Exists": Code(ConflictError, 409),
    "StaleParent": Code(ConflictError, 412),
    "RemoteMoved": Code(ConflictError, 409),
    "BothMoved": Code(ConflictError, 409),
    "LocalChanges": Code(ConflictError, 409),
    "LockOutdated": Code(ConflictError, 409),
    "LicenseRefused": Code(UsageError, 400),
    "TokenTooNarrow": Code(AccessDeniedError, 403),
    "QuotaExceeded": Code(StorageError, 413),
}


def error_from_code(code: str, message: str, *, hint: str | None = None) -> TenutoError:
    """Build the error that `code` stands for; `code` must be a key of `CODES`."""
    return CODES[code].error(message, code=code, hint=hint)
