"""Tokens from the `.env` of a project, and nothing else of it. See docs/decisions/0002-which-token-goes-where.md."""

import os
import re
import stat
from collections.abc import Mapping
from typing import NamedTuple

from tenuto.core.settings import TOKEN_VARIABLES
from tenuto.project.git import ask_git
from tenuto.store.disk import disk_errors

DOTENV_NAME = ".env"
READ_BYTES = 64 << 10
_LINE = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*
    (?:'(?P<plain>[^']*)'|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s'"#][^\s#]*(?:\#[^\s#]*)*)?)[ \t]*(?:\#.*)?""",
    re.VERBOSE,
)


class Dotenv(NamedTuple):
    """The tokens of a `.env` by variable; none where git tracks the file: then it came with a clone, or is on its way into others."""

    tokens: Mapping[str, str]
    is_tracked: bool = False

    def __repr__(self) -> str:
        return f"Dotenv(tokens={sorted(self.tokens)}, is_tracked={self.is_tracked})"


def read_dotenv(root: str) -> Dotenv:
    """What `.env` in the folder `root` holds; no other folder is looked at. Raises StorageError for one that cannot be read."""
    file = os.path.join(root, DOTENV_NAME)
    if not os.path.lexists(file):
        return Dotenv({})
    with disk_errors(file):
        tokens = tokens_in(_read(file))
    if tokens and _is_tracked(root):
        return Dotenv({}, is_tracked=True)
    return Dotenv(tokens)


def tokens_in(text: str) -> dict[str, str]:
    """The tokens that a text in the form of a `.env` sets, the last one of a name; empty ones and all other variables are left out.

    A line is NAME=VALUE, maybe after `export`. 'VALUE' is taken as it is, in "VALUE" a backslash stands before what is meant literally;
    ` #` begins a comment. Nothing is expanded. Other lines are passed over.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match and match["name"] in TOKEN_VARIABLES:
            quoted = re.sub(r"\\(.)", r"\1", match["quoted"] or "")
            found[match["name"]] = (match["plain"] or quoted or match["bare"] or "").strip()
    return {name: value for name, value in found.items() if value}


def _read(file: str) -> str:
    """The beginning of a file; nothing of what is none, such as a pipe, or a link to nothing."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return opened.read(READ_BYTES).decode("utf-8-sig", "replace")


def _is_tracked(root: str) -> bool:
    """Whether git has the file, or may have it and does not say. However it is written: some disks do not care."""
    done = ask_git(root, "ls-files", "--error-unmatch", "--", f":(icase){DOTENV_NAME}")
    return done is not None and done.returncode != 1 and b"not a git repository" not in done.stderr
