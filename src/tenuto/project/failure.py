"""What went wrong with one artifact while work on the others went on."""

import contextlib
from collections.abc import Iterator, Sequence

import msgspec

from tenuto.core.errors import (
    AccessDeniedError,
    IntegrityError,
    NotFoundError,
    TenutoError,
    UsageError,
    error_from_code,
)
from tenuto.core.manifest import Artifact

_OF_ONE = (NotFoundError, AccessDeniedError, IntegrityError, UsageError)
_GRAVEST_FIRST = (5, 4, 9, 2)


class Failure(msgspec.Struct, frozen=True):
    """An artifact that could not be had, with the code and the exit status of the reason."""

    name: str
    source: str
    code: str
    message: str
    hint: str | None
    exit_status: int

    @property
    def error(self) -> TenutoError:
        """The error that it was."""
        named = self.message.startswith(self.name)
        return error_from_code(self.code, self.message if named else f"{self.name}: {self.message}", hint=self.hint)


@contextlib.contextmanager
def collected(failures: list[Failure], name: str, artifact: Artifact) -> Iterator[None]:
    """Take down an error that concerns this artifact only; what concerns all of them (network, disk, login) goes on upwards."""
    try:
        yield
    except _OF_ONE as error:
        failures.append(Failure(name, artifact.origin, error.code, error.message, error.hint, error.exit_status))


def exit_status_of(failures: Sequence[Failure]) -> int:
    """0 without failures, else the status of the gravest: damage, then no access, then not found, then a fault in the manifest."""
    statuses = {failure.exit_status for failure in failures}
    return next((status for status in _GRAVEST_FIRST if status in statuses), min(statuses, default=0))
