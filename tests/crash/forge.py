"""Runs `tenuto` in forks of one warm process, each of which can be made to kill itself before its call number N to the outside, or to see
its call number N to a disk fail.

A line of JSON on standard input says what to run, a line on standard output how it ended. Calls are seen through an audit hook (files,
folders, connections) and a profile hook (bytes written, sent and received, database statements): nothing is patched, no setting is read.
"""

import importlib
import itertools
import json
import os
import signal
import sys
import threading
from types import FrameType, ModuleType
from typing import NoReturn

AUDITED = {
    "open",
    "os.rename",
    "os.link",
    "os.symlink",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "fcntl.flock",
    "fcntl.ioctl",
    "socket.connect",
    "sqlite3.connect",
}
PROFILED = {
    "write",
    "fsync",
    "fchmod",
    "ftruncate",
    "copy_file_range",
    "send",
    "sendall",
    "recv",
    "execute",
    "executemany",
    "executescript",
}
DISK_AUDITED = AUDITED - {"socket.connect", "sqlite3.connect", "fcntl.flock"} | {"os.listdir", "os.scandir", "os.chmod"}
DISK_CALLS = {
    *("read", "readv", "pread", "preadv", "write", "pwrite"),
    *("fsync", "fchmod", "ftruncate", "copy_file_range", "statvfs"),
}
LOADED = (
    "tenuto.cli.main",
    "tenuto.cli.cache",
    "tenuto.cli.sources",
    "tenuto.cli.transfer",
    "tenuto.cli.upkeep",
    "tenuto.cli.health",
    "tenuto.cli.project",
    "tenuto.hub.tokens",
    "tenuto.project.add",
    "tenuto.project.cache",
    "tenuto.project.lock",
    "tenuto.project.outdated",
    "tenuto.project.preflight",
    "tenuto.project.pull",
    "tenuto.project.push",
    "tenuto.project.repair",
    "tenuto.project.status",
    "tenuto.project.sync",
    "tenuto.project.track",
    "tenuto.project.verify",
    "tenuto.project.preferences",
    "tomlkit",
)


class Tally:
    """Counts the calls of this process, and ends it before the one that is chosen; 0 chooses none."""

    def __init__(self, die_at: int) -> None:
        self._die_at, self._numbers, self.seen = die_at, itertools.count(1), 0

    def start(self) -> None:
        """Begin, in this thread and all that come."""
        sys.addaudithook(self._audit)
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in AUDITED:
            return
        if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(sys.prefix):
            return
        self._call()

    def _profile(self, _frame: FrameType, event: str, function: object) -> None:
        if event == "c_call" and getattr(function, "__name__", "") in PROFILED:
            self._call()

    def _call(self) -> None:
        self.seen = next(self._numbers)
        if self.seen == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


class Trouble(Tally):
    """Counts the calls to disks below a folder, and lets the chosen one fail with an error of the system."""

    def __init__(self, fail_at: int, number: int, folder: str) -> None:
        super().__init__(fail_at)
        self._number, self._folder = number, folder

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in DISK_AUDITED:
            return
        path = arguments[0]
        if isinstance(path, str) and (not path.startswith("/") or path.startswith(self._folder)):
            self._call(path)  # one without a root is relative to an open folder

    def _profile(self, frame: FrameType, event: str, function: object) -> None:
        if event != "c_call" or getattr(function, "__name__", "") not in DISK_CALLS:
            return
        owner = getattr(function, "__self__", None)
        if isinstance(owner, ModuleType):  # which file it is, only its caller knows; no other module of ours has pipes
            if owner.__name__ == "posix" and "/tenuto/" in frame.f_code.co_filename:
                self._call()
            return
        name = getattr(owner, "name", None)
        if isinstance(name, int):
            name = os.readlink(f"/proc/self/fd/{name}")
        if isinstance(name, str) and name.startswith(self._folder):
            self._call(name)

    def _call(self, path: str = "") -> None:
        self.seen = next(self._numbers)
        if self.seen == self._die_at:
            raise OSError(self._number, os.strerror(self._number), path or None)


def run(order: dict[str, object], answer: int) -> NoReturn:
    """Carry out the commands one after the other, up to the first that fails, and end this process with its status."""
    from tenuto.cli.frame import Invocation
    from tenuto.cli.main import execute

    point, fault = int(str(order["die_at"])), int(str(order["fault"]))
    around = os.path.dirname(str(order["folder"]))
    tally = Trouble(point, fault, around) if fault else Tally(point)
    os.environ.clear()
    os.environ.update(order["environment"])  # type: ignore[arg-type, call-overload]
    os.chdir(str(order["folder"]))
    output = os.open(str(order["output"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    tally.start()
    status = 0
    for command in order["commands"]:  # type: ignore[attr-defined]
        status = status or execute(Invocation(os.environ), command)
    sys.setprofile(None)
    sys.stdout.flush()
    os.write(answer, str(tally.seen).encode())
    os._exit(status)


def main() -> None:
    """Serve orders until standard input ends."""
    for name in LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            run(json.loads(line), writer)
        os.close(writer)
        calls = os.read(reader, 20)
        os.close(reader)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(json.dumps({"status": status, "calls": int(calls or b"0")}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
