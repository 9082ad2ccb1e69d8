"""A project in a folder, with a store of its own and no hub."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenuto.core.settings import Settings, resolve
from tenuto.hub.remote import Remote
from tenuto.project.workspace import Workspace, create


def no_hub(settings: Settings) -> Remote:
    """For projects that must not talk to anybody."""
    raise AssertionError(f"{settings.endpoint} was asked")


Open = Callable[..., Workspace]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of a new project."""
    create(str(tmp_path / "project"))
    return tmp_path / "project"


@pytest.fixture
def opened(root: Path, tmp_path: Path) -> Iterator[Open]:
    """Opens the project, as one run of the program does; flags are settings."""
    workspaces: list[Workspace] = []

    def open_project(**flags: object) -> Workspace:
        settings = resolve({"cache": str(tmp_path / "cache"), "endpoint": "http://127.0.0.1:9", **flags})
        workspaces.append(Workspace(str(root), settings, no_hub))
        return workspaces[-1]

    yield open_project
    for workspace in workspaces:
        workspace.close()


@pytest.fixture
def workspace(opened: Open) -> Workspace:
    """The project, open."""
    return opened()
