"""Tenuto: exactly these bytes, for as long as the project needs them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenuto.api.files import path, pull
    from tenuto.api.load import load
    from tenuto.core.errors import TenutoError

__version__ = "0.1.0"
__all__ = ["TenutoError", "load", "path", "pull"]

_PLACES = {
    "path": "tenuto.api.files",
    "pull": "tenuto.api.files",
    "load": "tenuto.api.load",
    "TenutoError": "tenuto.core.errors",
}


def __getattr__(name: str) -> object:
    """Load a public name at its first use, so that `import tenuto` costs next to nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module 'tenuto' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
