"""Make virtual environments with stock clients of several ages under `.clients`, one each; nothing to do for those that are there.

The tests make what they need at its first use. `python scripts/clients.py [NAME ...]` makes some, or all, beforehand.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, ".clients")
STAMP = "tenuto-client"
TIMEOUT_S = 1200

Installs = tuple[tuple[str, ...], ...]
"""What pip is asked to install, call by call: what must not be replaced by a later call goes first."""

CLIENTS: Mapping[str, Installs] = {
    "hub-1.33": (("huggingface_hub==1.33.0", "hf-xet==1.8.0"),),
    "hub-0.36": (("huggingface_hub==0.36.2", "hf-xet==1.8.0"),),
    "schemathesis": (("schemathesis==4.32.5",),),
    "datasets": (("datasets==5.2.0", "huggingface_hub==2.4.0", "soundfile==0.14.0"),),
    "transformers": (
        ("torch==2.13.0",),
        ("transformers==5.23.0", "peft==0.21.2", "huggingface_hub==2.4.0"),
    ),
}


class ClientError(Exception):
    """An environment could not be made; the second argument is what pip said."""


def ensure(name: str, folder: str = FOLDER, clients: Mapping[str, Installs] = CLIENTS) -> str:
    """The Python of the environment `name` under `folder`, which is complete afterwards.

    Several processes may ask at once: one makes it, the others wait. Raises ClientError and KeyError.
    """
    place = os.path.join(folder, name)
    python = os.path.join(place, "bin", "python")
    wanted = fingerprint(place, clients[name])
    if _stamp(place) == wanted:
        return python
    os.makedirs(folder, exist_ok=True)
    with _alone(os.path.join(folder, f"{name}.lock")):
        if _stamp(place) != wanted:
            _make(place, clients[name])
            with open(os.path.join(place, STAMP), "w", encoding="ascii") as file:
                file.write(wanted)
    return python


def fingerprint(place: str, installs: Installs) -> str:
    """What an environment depends on: its requirements, this Python, and the place, since it cannot be moved."""
    text = repr((place, sys.version_info[:3], os.path.realpath(sys.executable), installs))
    return hashlib.sha256(text.encode()).hexdigest()


def _make(place: str, installs: Installs) -> None:
    _run([sys.executable, "-m", "venv", "--clear", "--without-pip", place], f"{place} could not be made")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", os.path.join(place, "bin", "python")]
    for requirements in installs:
        words = " ".join(requirements)
        _run([*pip, "install", "--quiet", "--no-input", *requirements], f"pip could not install {words} into {place}")


def _run(command: list[str], fault: str) -> None:
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClientError(fault, str(error)) from error
    if ended.returncode:
        raise ClientError(f"{fault}; it needs a package index", ended.stdout[-4000:])


def _stamp(place: str) -> str:
    """What the environment at `place` was made from; nothing if it is not complete."""
    try:
        with open(os.path.join(place, STAMP), encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return ""


@contextmanager
def _alone(path: str) -> Iterator[None]:
    """One process at a time is in here; the lock ends with its holder."""
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """Make the named environments, or all; 1 if one could not be made, 2 if there is no such name."""
    unknown = [name for name in arguments if name not in CLIENTS]
    if unknown:
        print(f"error: no client {unknown[0]!r}; there are: {', '.join(CLIENTS)}", file=sys.stderr)
        return 2
    for name in arguments or CLIENTS:
        try:
            print(f"{name}: {ensure(name)}", flush=True)
        except ClientError as error:
            print(f"error: {error.args[0]}\n{error.args[1]}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
