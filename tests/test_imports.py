"""`import tenuto` is quick: what is heavy is loaded by those who use it."""

import os
import pkgutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tenuto.core
import tenuto.inspect
import tenuto.store

HEAVY = (
    "httpx2",
    "httpcore2",
    "numpy",
    "sqlalchemy",
    "alembic",
    "rich",
    "torch",
    "starlette",
    "uvicorn",
    "tomlkit",
    "click",
)
SELDOM = (
    "concurrent.futures",
    "ctypes",
    "httpx2",
    "json",
    "rich",
    "secrets",
    "shutil",
    "socket",
    "subprocess",
    "tomlkit",
    "urllib.parse",
)
"""What a command that finds nothing to do would load for nothing: together as much time as it takes to look at 2,000 files."""
ORACLES = ("huggingface_hub", "dulwich", "hypothesis", "pytest")


def loaded(statement: str, watched: tuple[str, ...], cwd: Path | None = None) -> list[str]:
    """Which of `watched` a fresh interpreter has after `statement`, run in the folder `cwd`."""
    script = f"import sys; {statement}; print(*sorted(set(sys.modules) & {set(watched)!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=cwd)
    return done.stdout.split()


def rooms(package: object) -> list[str]:
    return [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]  # type: ignore[attr-defined]


def test_the_watch_works() -> None:
    assert "httpx2" in loaded("import httpx2", HEAVY)


def test_import_tenuto() -> None:
    assert loaded("import tenuto", HEAVY + ORACLES) == []


@pytest.mark.parametrize("package", [tenuto.core, tenuto.inspect, tenuto.store], ids=lambda package: package.__name__)
def test_the_lower_floors(package: object) -> None:
    names = rooms(package)
    assert len(names) >= 3
    assert loaded(f"import {', '.join(names)}", HEAVY + ORACLES) == []


def test_the_test_kit_needs_pytest_for_its_suite_only() -> None:
    kit = ("samples", "tensors", "stores", "lies", "lying_hub")
    assert loaded(f"import {', '.join(f'tenuto.testing.{name}' for name in kit)}", HEAVY + ORACLES) == []
    assert loaded("import tenuto.testing.store_suite", HEAVY + ORACLES) == ["pytest"]


def run(*arguments: str) -> str:
    """A statement that runs a command with its output put away."""
    call = f"execute(Invocation({{'TENUTO_CACHE': 'store', 'TENUTO_CONFIG': 'none'}}), {list(arguments)!r})"
    return f"from tenuto.cli.main import Invocation, execute; sys.stdout = sys.stderr; assert {call} == 0; sys.stdout = sys.__stdout__"


@pytest.mark.parametrize("command", [("status",), ("pull",), ("sync", "--frozen"), ("track", "data")], ids=" ".join)
def test_a_command_that_finds_nothing_to_do(tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "data" / "a.bin"
    file.parent.mkdir()
    file.write_bytes(b"a")
    os.utime(file, (time.time() - 100,) * 2)
    for before in (("init",), ("track", "data", "--to", "hf://ann/data")):
        assert loaded(run(*before), ("click",), tmp_path) == ["click"]
    assert loaded(run(*command), SELDOM, tmp_path) == []


def test_the_version_and_the_help(tmp_path: Path) -> None:
    for option in ("--version", "--help"):
        assert loaded(run(option), ("hashlib", "msgspec", "sqlite3", "tomllib"), tmp_path) == []
