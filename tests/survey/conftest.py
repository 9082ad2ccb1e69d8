"""A project in a folder, as the tests of its verbs have it."""

from tests.project.conftest import hub, opened, root, scene, workspace

__all__ = ["hub", "opened", "root", "scene", "workspace"]
