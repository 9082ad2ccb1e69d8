"""Make `.venv` and install Tenuto with everything that development needs; nothing to do if that is done.

This file alone must start on any Python 3.6: it tells the owner of an old one what to do.
"""

import hashlib
import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
PROGRAMS = {"git-lfs": ("git-lfs",), "chromium": ("chromium", "chromium-browser", "google-chrome")}
"""Packages of Debian, and the commands of which one must be there."""
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class SetupError(Exception):
    """The set-up cannot go on; the second argument says what to do about it."""


def main() -> int:
    """Leave a complete environment behind, and return 0; else say what is missing and return 1."""
    try:
        ensure(ROOT)
        add_programs()
    except SetupError as error:
        message, hint = error.args
        print(f"error: {message}\nhint: {hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def ensure(root: str) -> bool:
    """Make the environment of the project in `root` complete; whether there was anything to do.

    Raises SetupError.
    """
    folder = os.path.join(root, ".venv")
    python = os.path.join(folder, "bin", "python")
    stamp, wanted = os.path.join(folder, "tenuto-setup"), fingerprint(root)
    if read_text(stamp) == wanted and os.path.exists(python):
        return False
    check_git()
    if not os.path.exists(python):
        check_python(sys.version_info[:2])
        say(f"making .venv with Python {sys.version.split()[0]}")
        run([sys.executable, "-m", "venv", "--clear", folder], "`.venv` could not be made", "read the lines above")
    check_environment(python)
    say("installing Tenuto and its development tools into .venv (a minute or two, this once)")
    run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", f"{root}[dev]"],
        "the packages could not be installed",
        "read the lines above; pip needs a package index: check the network, or set PIP_INDEX_URL or PIP_FIND_LINKS",
    )
    with open(stamp, "w", encoding="ascii") as file:
        file.write(wanted)
    return True


def fingerprint(root: str) -> str:
    """What the installed environment depends on: the project's metadata, and the place, since a venv cannot be moved."""
    with open(os.path.join(root, "pyproject.toml"), "rb") as file:
        return hashlib.sha256(file.read() + b"\0" + os.fsencode(root)).hexdigest()


def check_git() -> None:
    """Raise SetupError unless git is here."""
    if not shutil.which("git"):
        raise SetupError("git was not found", "install git, then run the command again")


def add_programs() -> None:
    """Install what some tests drive, where that needs nobody's leave: as root, with apt. The tests say so if it is not here."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return
    for name, names in PROGRAMS.items():
        if any(shutil.which(one) for one in names):
            continue
        say(f"installing {name} with apt-get, for the tests that drive it")
        if not install(name):
            say(f"{name} could not be installed; its tests will fail and say so")


def install(package: str) -> bool:
    """Whether apt-get could install a package."""
    command = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", package]
    for step in (command, ["apt-get", "update", "-qq"], command):
        try:
            ended = subprocess.run(
                step,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                timeout=600,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        if ended.returncode == 0 and step is command:
            return True
    return False


def check_python(version: "tuple[int, ...]") -> None:
    """Raise SetupError unless Python is new enough and can make environments."""
    if version < OLDEST:
        raise SetupError(
            f"Python {version[0]}.{version[1]} is too old: Tenuto needs {OLDEST[0]}.{OLDEST[1]} or newer",
            "install one, then say which: make PYTHON=python3.12 test",
        )
    try:
        import ensurepip
        import venv
    except ImportError as error:
        raise SetupError(
            f"this Python lacks the module {error.name}",
            "on Debian and Ubuntu: sudo apt install python3-venv",
        ) from error
    del ensurepip, venv


def check_environment(python: str) -> None:
    """Raise SetupError unless the environment that is there can be installed into."""
    question = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    if subprocess.run([python, "-c", question], stderr=subprocess.DEVNULL, check=False).returncode:
        raise SetupError(
            "the folder .venv holds an old Python, a broken one, or one without pip",
            "remove the folder .venv, then run the command again",
        )


def run(command: "list[str]", fault: str, hint: str) -> None:
    """Run a command to its end; raises SetupError with `fault` and `hint` if it fails."""
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(fault, hint) from error


def read_text(path: str) -> str:
    """The text of a small file, or nothing if it cannot be read."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def say(text: str) -> None:
    """Tell what is going on."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
