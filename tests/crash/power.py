"""What a folder may hold after the power failed: what was synced, and of the rest anything.

A disk keeps what `fsync` or `syncfs` returned for. Of later changes to a folder any may have arrived and any not; a file that was not
synced is there as it was, as it is, empty, cut off, or full of zeros. No file system is worse than that.
"""

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tenuto.store import disk

CHANGING = ("open", "rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "symlink", "ftruncate")

Survivors = dict[str, bytes]
"""Files by path below the folder."""


class _Tree(NamedTuple):
    """Inodes by name for each folder, and contents by inode."""

    folders: dict[str, dict[str, int]]
    contents: dict[int, bytes]


class Power:
    """A folder whose power may fail at any moment. `cut` is called before every call that changes or syncs something in it."""

    def __init__(self, root: Path, left_out: Callable[[str], bool] = lambda _name: False) -> None:
        self.root, self._left_out = str(root), left_out
        self._synced = self._look()
        self._alone = threading.RLock()
        self.cut: Callable[[], object] = lambda: None

    def _look(self) -> _Tree:
        found = _Tree({}, {})
        for top, folders, files in os.walk(self.root):
            names: dict[str, int] = {}
            for name in [*folders, *files]:
                if self._left_out(name):
                    continue
                path = os.path.join(top, name)
                with contextlib.suppress(FileNotFoundError):
                    names[name] = os.lstat(path).st_ino
                    if name in files:
                        found.contents[names[name]] = Path(path).read_bytes()
            found.folders[top] = names
        return found

    def survivors(self, source: random.Random, count: int) -> Iterator[Survivors]:
        """So many of the states that a failure at this moment may leave; the first has nothing that was not synced, the second all."""
        with self._alone:
            now = self._look()
        for number in range(count):
            late = {0: lambda: False, 1: lambda: True}.get(number, lambda: source.random() < 0.5)
            state: Survivors = {}
            self._grow(self.root, now, late, source, state)
            yield state

    def _grow(self, top: str, now: _Tree, late: Callable[[], bool], source: random.Random, state: Survivors) -> None:
        before, after = self._synced.folders.get(top, {}), now.folders.get(top, {})
        for name in sorted(before.keys() | after.keys()):
            inode = (after if late() else before).get(name)
            path = os.path.join(top, name)
            if inode is None:
                continue
            if path in now.folders or path in self._synced.folders:
                self._grow(path, now, late, source, state)
            else:
                state[os.path.relpath(path, self.root)] = self._content(inode, now, late, source)

    def _content(self, inode: int, now: _Tree, late: Callable[[], bool], source: random.Random) -> bytes:
        synced, current = self._synced.contents.get(inode), now.contents.get(inode)
        if current is None or current == synced:
            return synced or b""
        torn = [synced or b"", bytes(len(current)), current[: len(current) // 2]]
        return current if late() and source.random() < 0.5 else source.choice(torn)

    # What is seen of the calls.

    def synced(self, descriptor: int) -> None:
        """`fsync` returned."""
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not path.startswith(self.root):
            return
        with self._alone:
            if os.path.isdir(path):
                self._synced.folders[path] = self._look().folders.get(path, {})
            else:
                content = Path(f"/proc/self/fd/{descriptor}").read_bytes()
                self._synced.contents[os.fstat(descriptor).st_ino] = content

    def all_synced(self) -> None:
        """`syncfs` returned."""
        with self._alone:
            self._synced = self._look()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on calls are seen; what they do stays the same."""
        for name in CHANGING:
            monkeypatch.setattr(os, name, self._before(getattr(os, name)))
        fsync, syncfs = os.fsync, disk._syncfs()

        def seen_fsync(descriptor: int) -> None:
            self.cut()
            fsync(descriptor)
            self.synced(descriptor)

        def seen_syncfs(descriptor: int) -> int:
            self.cut()
            assert syncfs
            result = syncfs(descriptor)
            self.all_synced()
            return result

        monkeypatch.setattr(os, "fsync", seen_fsync)
        monkeypatch.setattr(disk, "_syncfs", lambda: seen_syncfs if syncfs else None)

    def _before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def seen(*arguments: Any, **more: Any) -> Any:
            if self._is_change(call.__name__, arguments):
                self.cut()
            return call(*arguments, **more)

        return seen

    def _is_change(self, name: str, arguments: tuple[Any, ...]) -> bool:
        path = arguments[0]
        if isinstance(path, str) and path.startswith("/") and not path.startswith(self.root):
            return False
        return name != "open" or bool(arguments[1] & os.O_CREAT)
