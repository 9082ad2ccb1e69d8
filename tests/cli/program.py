"""The program as a person starts it, and a quicker way to the same end."""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

PROGRAM = [sys.executable, "-m", "tenuto"]
_WARM = str(Path(__file__).with_name("warm.py"))
_OF_THE_INTERPRETER = ("PYTHON", "LANG", "LC_")


class Warm:
    """One process that has loaded the program and runs it in forks of itself; what its interpreter reads at a start is that of `environment`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._alone = threading.Lock()
        theirs, self._orders = os.pipe()
        self._answers, back = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, _WARM, str(theirs), str(back)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs, back),
            env={**environment, "PATH": os.environ["PATH"]},
        )
        os.close(theirs)
        os.close(back)

    def run(
        self, arguments: list[str], folder: Path, environment: Mapping[str, str], stdin: str
    ) -> tuple[int, str, str]:
        """Exit status, and what was printed to stdout and stderr; arguments as after `tenuto`."""
        with tempfile.TemporaryDirectory() as place:
            streams = [Path(place, name) for name in ("in", "out", "err")]
            for stream in streams:
                stream.write_text(stdin if stream.name == "in" else "", encoding="utf-8")
            order = {
                "arguments": arguments,
                "folder": str(folder),
                "environment": {**environment},
                "streams": list(map(str, streams)),
            }
            with self._alone:
                os.write(self._orders, (json.dumps(order) + "\n").encode())
                status = int(os.read(self._answers, 20))
            return status, streams[1].read_text(encoding="utf-8"), streams[2].read_text(encoding="utf-8")

    def close(self) -> None:
        """End the process."""
        os.close(self._orders)
        self._process.wait()
        os.close(self._answers)


@functools.cache
def _warm(interpreter: tuple[tuple[str, str], ...]) -> Warm:
    made = Warm(dict(interpreter))
    atexit.register(made.close)
    return made


def run(arguments: list[str], folder: Path, environment: Mapping[str, str], stdin: str = "") -> tuple[int, str, str]:
    """One run of the program, to its end: exit status, stdout, stderr."""
    interpreter = tuple((name, value) for name, value in environment.items() if name.startswith(_OF_THE_INTERPRETER))
    return _warm(interpreter).run(arguments, folder, environment, stdin)
