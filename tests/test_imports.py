"""`import tenuto` is quick: what is heavy is loaded by those who use it."""

import pkgutil
import subprocess
import sys

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
ORACLES = ("huggingface_hub", "dulwich", "hypothesis", "pytest")


def loaded(statement: str, watched: tuple[str, ...]) -> list[str]:
    """Which of `watched` a fresh interpreter has after `statement`."""
    script = f"import sys; {statement}; print(*sorted(set(sys.modules) & {set(watched)!r}))"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()


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
