"""One measured process: wall time, CPU time and peak memory, from the kernel's own books."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class StepError(Exception):
    """A measured command failed, so there is nothing to compare."""


class Sample(NamedTuple):
    """What one process took, children that it waited for included."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def measured(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], log: Path) -> Sample:
    """Run a command to its end with its output in `log`.

    The disk is quiet at the start, so that nobody waits for what another one wrote. The peak cannot be lower than that of this
    process, which is why nothing large is loaded in it. Raises StepError.
    """
    os.sync()
    with open(log, "ab") as output:
        output.write(f"$ {' '.join(command)}\n".encode())
        output.flush()
        began_s = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        status, usage = wait(process)
        wall_s = time.perf_counter() - began_s
    if status:
        raise StepError(f"`{' '.join(command)}` ended with status {status}:\n{tail(log)}")
    return Sample(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def wait(process: "subprocess.Popen[bytes]") -> tuple[int, "os.struct_rusage"]:  # type: ignore[name-defined]
    """Wait for the end of a process; its exit status and what it used."""
    try:
        _, state, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(state)
    return process.returncode, usage


def quiet(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], log: Path) -> str:
    """Run a command that is not measured; what it prints on stdout. Raises StepError."""
    with open(log, "ab") as output:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            check=False,
        )
    if done.returncode:
        raise StepError(f"`{' '.join(command)}` ended with status {done.returncode}:\n{tail(log)}")
    return done.stdout.decode()


def tail(log: Path) -> str:
    """The end of a log."""
    return log.read_text(errors="replace")[-1500:]


def warm(folder: Path) -> None:
    """Read every file once, so that everybody finds the page cache as warm."""
    buffer = bytearray(1 << 20)
    for place, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(place, name), "rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
