"""`verify --deep`: whether a file whose bytes are as locked is also whole inside, and safe to load."""

from tenuto.core.errors import TenutoError
from tenuto.inspect.findings import Limits
from tenuto.inspect.look import inspect_file


def fault_inside(file: str) -> str | None:
    """What is damaged or dangerous inside a file, in one line; None if it is sound as far as `tenuto.inspect` looks."""
    try:
        found = inspect_file(file, limits=Limits(listed=1))
    except TenutoError as error:  # it went away meanwhile, or cannot be read
        return error.message
    faults = [finding for finding in found.findings if finding.severity != "odd"]
    if not faults:
        return None
    first = faults[0]
    where = f" in {first.where}" if first.where else ""
    more = f" (and {len(faults) - 1:,} more)" if len(faults) > 1 else ""
    return f"{first.code}{where}: {first.detail}{more}"
