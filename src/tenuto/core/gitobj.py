"""git objects as values: true ids, trees, commits, LFS pointers. No repository on disk is involved.

Oracles: `git hash-object`, `git fsck`, dulwich. Source: the object formats described in gitformat-pack and the git-lfs pointer specification 1.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from tenuto.core.errors import IntegrityError
from tenuto.core.ids import check_sha1

FILE_MODE = 0o100644
EXECUTABLE_MODE = 0o100755
LINK_MODE = 0o120000
TREE_MODE = 0o40000
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
MAX_POINTER_BYTES = 1024

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,15})\n?"
)


def object_hasher(kind: str, size: int) -> "hashlib._Hash":
    """A sha1 that has taken in the header of a git object; feed it the `size` bytes of the body to get its id."""
    return hashlib.sha1(f"{kind} {size}\0".encode(), usedforsecurity=False)


def object_id(kind: str, body: bytes) -> str:
    """The git id (40 hex digits) of an object of `kind` blob, tree, commit or tag."""
    hasher = object_hasher(kind, len(body))
    hasher.update(body)
    return hasher.hexdigest()


def blob_id(body: bytes) -> str:
    """The git id of a file's bytes."""
    return object_id("blob", body)


class TreeItem(NamedTuple):
    """One name in a git tree: its mode and the id of the blob or tree under it."""

    name: str
    mode: int
    oid: str

    @property
    def is_tree(self) -> bool:
        """Whether this item is a folder."""
        return self.mode == TREE_MODE


def encode_tree(items: Iterable[TreeItem]) -> bytes:
    """The body of a tree object; items are put in git's order, where a folder sorts as if its name ended in a slash."""
    ordered = sorted(items, key=lambda item: item.name.encode() + (b"/" if item.is_tree else b""))
    return b"".join(b"%o %b\0%b" % (item.mode, item.name.encode(), bytes.fromhex(item.oid)) for item in ordered)


def parse_tree(body: bytes) -> list[TreeItem]:
    """The items of a tree object, in git's order; raises IntegrityError (CorruptObject)."""
    items, position = [], 0
    try:
        while position < len(body):
            space = body.index(b" ", position)
            end = body.index(b"\0", space)
            oid = body[end + 1 : end + 21]
            if len(oid) != 20:
                raise ValueError("the last id is cut short")
            items.append(TreeItem(body[space + 1 : end].decode(), int(body[position:space], 8), oid.hex()))
            position = end + 21
    except ValueError as error:
        raise IntegrityError(f"a git tree cannot be read: {error}", code="CorruptObject") from error
    return items


class Commit(NamedTuple):
    """A git commit. `author` is `Name <email>`, `time_s` whole seconds since 1970 UTC, `message` the full text."""

    tree: str
    parents: tuple[str, ...]
    author: str
    time_s: int
    message: str

    @property
    def title(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0]

    def encode(self) -> bytes:
        """The body of the commit object; the author is also the committer, and the time zone is UTC."""
        lines = [f"tree {self.tree}", *(f"parent {parent}" for parent in self.parents)]
        signature = f"{_one_line(self.author)} {self.time_s} +0000"
        lines += [f"author {signature}", f"committer {signature}", ""]
        return "\n".join([*lines, self.message.replace("\0", "").rstrip("\n") + "\n"]).encode()


def _one_line(text: str) -> str:
    return re.sub(r"[\n\0]", " ", text)


def parse_commit(body: bytes) -> Commit:
    """Read a commit object, also one that git wrote; raises IntegrityError (CorruptObject)."""
    head, _, message = body.decode(errors="replace").partition("\n\n")
    tree, parents, author, time_s = "", [], "", 0
    try:
        for line in head.split("\n"):
            key, _, value = line.partition(" ")
            if key == "tree":
                tree = check_sha1(value)
            elif key == "parent":
                parents.append(check_sha1(value))
            elif key == "author":
                author, seconds, _zone = value.rsplit(" ", 2)
                time_s = int(seconds)
    except ValueError as error:
        raise IntegrityError(f"a git commit cannot be read: {error}", code="CorruptObject") from error
    if not tree:
        raise IntegrityError("a git commit names no tree", code="CorruptObject")
    return Commit(tree, tuple(parents), author, time_s, message)


class Pointer(NamedTuple):
    """What a git-lfs pointer file stands for: an object of `size` bytes with this sha256."""

    sha256: str
    size: int

    def encode(self) -> bytes:
        """The canonical pointer text, as git-lfs writes it."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()


def parse_pointer(body: bytes) -> Pointer | None:
    """The pointer in a blob, or None if the blob is not one."""
    if len(body) > MAX_POINTER_BYTES or not body.startswith(b"version "):
        return None
    match = _POINTER.fullmatch(body)
    return Pointer(match[1].decode(), int(match[2])) if match else None
