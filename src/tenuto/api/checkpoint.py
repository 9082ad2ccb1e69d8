"""Weights out of what `torch.save` wrote. Loaded only for such files, since it takes all inspectors along."""

import importlib
import pickle
import re
from typing import Any

from tenuto.core.errors import UsageError
from tenuto.inspect.findings import FormatError, Limits
from tenuto.inspect.look import inspect_file

OLDEST_TORCH = (2, 6)
"""Older ones can be led to run code by a file that is loaded with `weights_only` (CVE-2025-32434)."""


def load_checkpoint(file: str) -> Any:
    """What torch reads from a zip of tensors and plain values, with `weights_only`, on the CPU.

    Our own look goes before: torch is not even imported for a file that names anything else. Raises UsageError for what is no such zip or
    could run code, FormatError for a damaged one, ImportError without torch.
    """
    found = inspect_file(file, limits=Limits(content_bytes=0))  # the bytes are those that the lock names
    if found.format != "torch" or "layout" in found.facts:
        raise UsageError(
            f"{file} is no checkpoint that is a zip of tensors",
            hint="save it anew with torch 1.6 or later, or as safetensors; `tenuto inspect` says what it is",
        )
    for finding in found.findings:
        if finding.severity == "danger":
            raise UsageError(
                f"{file} can run code when it is loaded: {finding.detail}",
                hint="publish its weights alone, as safetensors; `tenuto inspect` says all that was found",
            )
        if finding.severity == "damage":
            raise FormatError(finding.code, finding.detail)
    torch: Any = importlib.import_module("torch")
    if tuple(map(int, re.findall(r"\d+", torch.__version__)[:2])) < OLDEST_TORCH:
        raise UsageError(
            f"torch {torch.__version__} does not read checkpoints safely", hint="install torch 2.6 or later"
        )
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise FormatError("BadStructure", str(error).partition("\n")[0]) from error
