"""Artifacts stay out of git: one line each in the `.gitignore` beside them."""

import os

from tenuto.project.folder import check_no_link
from tenuto.project.workspace import Workspace
from tenuto.store.disk import disk_errors, replace_file


def keep_out_of_git(workspace: Workspace, path: str) -> str:
    """Name an artifact in the `.gitignore` beside it, and return the path of that file; what stands there already stays. Raises StorageError."""
    ignored_in, line = _place(path)
    text = _read(workspace, ignored_in)
    if line not in text.splitlines():
        separator = "" if not text or text.endswith("\n") else "\n"
        _write(workspace, ignored_in, f"{text}{separator}{line}\n")
    return ignored_in


def let_into_git(workspace: Workspace, path: str) -> None:
    """Take the line of an artifact out again; the rest stays. Raises StorageError."""
    ignored_in, line = _place(path)
    lines = _read(workspace, ignored_in).splitlines(keepends=True)
    kept = [one for one in lines if one.rstrip("\r\n") != line]
    if kept != lines:
        _write(workspace, ignored_in, "".join(kept))


def _place(path: str) -> tuple[str, str]:
    parent, name = os.path.split(path)
    return os.path.join(parent, ".gitignore"), f"/{name}".replace("[", "\\[").replace(" ", "\\ ")


def _read(workspace: Workspace, ignored_in: str) -> str:
    file = os.path.join(workspace.root, ignored_in)
    with disk_errors(file):
        if not os.path.exists(file):
            return ""
        with open(file, encoding="utf-8", errors="surrogateescape", newline="") as opened:
            return opened.read()


def _write(workspace: Workspace, ignored_in: str, text: str) -> None:
    file = os.path.join(workspace.root, ignored_in)
    check_no_link(workspace.root, ignored_in)
    with disk_errors(file):
        os.makedirs(os.path.dirname(file), exist_ok=True)
    replace_file(file, text.encode(errors="surrogateescape"))
