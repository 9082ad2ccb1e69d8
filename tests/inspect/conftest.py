"""Files to look at: written by a test, or by other programs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tenuto.inspect.findings import Inspection, Limits
from tenuto.inspect.look import inspect_file

MADE_ELSEWHERE = Path(__file__).parent / "made_elsewhere"
WHOLE_FILES = sorted(path for path in MADE_ELSEWHERE.iterdir() if path.suffix != ".md")

Look = Callable[..., Inspection]


def made(name: str) -> bytes:
    """The content of a file that another program made."""
    return (MADE_ELSEWHERE / name).read_bytes()


def codes(inspection: Inspection) -> list[str]:
    """The codes of all findings, in order, each once."""
    return list(dict.fromkeys(finding.code for finding in inspection.findings))


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Write bytes under a name and look at them."""

    def write_and_look(name: str, content: bytes, **limits: int) -> Inspection:
        file = tmp_path / name
        file.write_bytes(content)
        return inspect_file(str(file), limits=Limits(**limits))

    return write_and_look
