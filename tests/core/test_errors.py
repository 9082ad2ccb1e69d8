"""The error tree is a contract: its shape, its codes, and what each of them becomes elsewhere."""

import copy
import pickle

import pytest

from tenuto.core import errors
from tenuto.core.errors import CODES, TenutoError, error_from_code

TREE = {
    "UsageError": 2,
    "AuthenticationError": 3,
    "AccessDeniedError": 4,
    "IntegrityError": 5,
    "UnavailableError": 6,
    "StorageError": 7,
    "LockedError": 8,
    "NotFoundError": 9,
    "ConflictError": 1,
    "InternalError": 70,
}
RELEASED = {
    "InternalError": ("InternalError", 500),
    "BadRequest": ("UsageError", 400),
    "BadCommand": ("UsageError", 400),
    "BadManifest": ("UsageError", 400),
    "BadLock": ("UsageError", 400),
    "NewerLock": ("UsageError", 400),
    "BadAddress": ("UsageError", 400),
    "BadPath": ("UsageError", 400),
    "TooLarge": ("UsageError", 413),
    "BadRange": ("UsageError", 416),
    "NoToken": ("AuthenticationError", 401),
    "BadToken": ("AuthenticationError", 401),
    "Forbidden": ("AccessDeniedError", 403),
    "GatedRepo": ("AccessDeniedError", 403),
    "HashMismatch": ("IntegrityError", 422),
    "SizeMismatch": ("IntegrityError", 422),
    "DigestMismatch": ("IntegrityError", 422),
    "CorruptObject": ("IntegrityError", 500),
    "NetworkFailure": ("UnavailableError", 502),
    "BadAnswer": ("UnavailableError", 502),
    "Stalled": ("UnavailableError", 504),
    "HubUnavailable": ("UnavailableError", 503),
    "RateLimited": ("UnavailableError", 429),
    "NotSupported": ("UnavailableError", 501),
    "Offline": ("UnavailableError", 503),
    "LocalFile": ("StorageError", 500),
    "DiskFull": ("StorageError", 507),
    "Locked": ("LockedError", 423),
    "RepoNotFound": ("NotFoundError", 404),
    "RevisionNotFound": ("NotFoundError", 404),
    "EntryNotFound": ("NotFoundError", 404),
    "ObjectNotFound": ("NotFoundError", 404),
    "ArtifactNotFound": ("NotFoundError", 404),
    "ProjectNotFound": ("NotFoundError", 404),
    "UserNotFound": ("NotFoundError", 404),
    "RouteNotFound": ("NotFoundError", 404),
    "Conflict": ("ConflictError", 409),
    "Exists": ("ConflictError", 409),
    "StaleParent": ("ConflictError", 412),
    "RemoteMoved": ("ConflictError", 409),
    "BothMoved": ("ConflictError", 409),
    "LocalChanges": ("ConflictError", 409),
}


def test_the_tree_is_one_level_deep_with_these_exit_statuses() -> None:
    assert {kind.__name__: kind.exit_status for kind in TenutoError.__subclasses__()} == TREE
    assert not [deeper for kind in TenutoError.__subclasses__() for deeper in kind.__subclasses__()]


def test_the_drawing_in_the_docstring_is_the_tree() -> None:
    for name, status in TREE.items():
        lines = [line for line in (errors.__doc__ or "").splitlines() if f"── {name} " in line]
        assert len(lines) == 1
        assert lines[0].split(name)[1].split()[0] == str(status)


def test_builtin_parents_let_plain_handlers_work() -> None:
    assert issubclass(errors.UsageError, ValueError)
    assert issubclass(errors.NotFoundError, LookupError)
    assert not issubclass(errors.IntegrityError, ValueError | LookupError | OSError)


def test_codes_are_stable_and_append_only() -> None:
    now = {name: (code.error.__name__, code.http_status) for name, code in CODES.items()}
    assert RELEASED.items() <= now.items()
    assert list(now)[: len(RELEASED)] == list(RELEASED), "append new codes, and add them here at the next release"


@pytest.mark.parametrize("code", CODES)
class TestEveryCode:
    def test_builds_its_class(self, code: str) -> None:
        error = error_from_code(code, "what happened", hint="what to do")
        assert type(error) is CODES[code].error
        assert (error.code, error.message, error.hint) == (code, "what happened", "what to do")
        assert error.http_status == CODES[code].http_status
        assert error.exit_status == TREE[type(error).__name__]
        assert str(error) == "what happened"
        assert 400 <= error.http_status < 600

    def test_survives_pickling_and_copying(self, code: str) -> None:
        error = error_from_code(code, "what happened", hint="what to do")
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(twin) is type(error)
            assert (twin.code, twin.message, twin.hint, str(twin)) == (
                code,
                "what happened",
                "what to do",
                "what happened",
            )


@pytest.mark.parametrize("kind", TenutoError.__subclasses__())
def test_every_class_has_a_default_code_of_its_own(kind: type[TenutoError]) -> None:
    error = kind("what happened")
    assert CODES[error.code].error is kind
    assert error.hint is None


def test_a_code_of_another_class_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="HashMismatch is not a code of UsageError"):
        errors.UsageError("x", code="HashMismatch")
    with pytest.raises(AssertionError):
        errors.UsageError("x", code="NoSuchCode")
    with pytest.raises(AssertionError):
        TenutoError("the base is raised by nobody")
