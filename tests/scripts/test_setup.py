"""The set-up: quick when nothing is to be done, clear when something is missing. What it installs is tested by being here."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "setup.py"


def copy_of_setup(folder: Path) -> Path:
    """A project in which pip fails at once, so that only the way there is tested."""
    (folder / "scripts").mkdir()
    script = folder / "scripts" / "setup.py"
    script.write_bytes(SCRIPT.read_bytes())
    (folder / "pyproject.toml").write_text("this is not TOML")
    return script


def set_up(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def test_a_finished_set_up_has_nothing_to_do_and_says_nothing(tmp_path: Path) -> None:
    script = copy_of_setup(tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    code = "import sys, setup; open(sys.argv[2] + '/.venv/tenuto-setup', 'w').write(setup.fingerprint(sys.argv[2]))"
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, sys.argv[1]); {code}",
            str(script.parent),
            str(tmp_path),
        ],
        check=True,
    )
    answer = set_up(script)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_changed_metadata_is_installed_again_and_a_failure_is_told(tmp_path: Path) -> None:
    script = copy_of_setup(tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / ".venv" / "tenuto-setup").write_text("of another day")
    answer = set_up(script)
    assert answer.returncode == 1
    assert "error: the packages could not be installed" in answer.stderr
    assert "hint: " in answer.stderr
    assert (tmp_path / ".venv" / "tenuto-setup").read_text() == "of another day"


def test_a_machine_without_git_is_told_so(tmp_path: Path) -> None:
    answer = set_up(copy_of_setup(tmp_path), PATH=str(tmp_path))
    assert answer.returncode == 1
    assert answer.stderr.splitlines() == [
        "error: git was not found",
        "hint: install git, then run the command again",
    ]
    assert not (tmp_path / ".venv").exists()


def test_an_old_python_is_told_so(tmp_path: Path) -> None:
    script = copy_of_setup(tmp_path)
    code = "import sys, setup; sys.version_info = (3, 9, 2, 'final', 0); sys.exit(setup.main())"
    answer = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(script.parent)!r}); {code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "error: Python 3.9 is too old: Tenuto needs 3.11 or newer" in answer.stderr
    assert "make PYTHON=" in answer.stderr


def test_a_broken_environment_is_not_installed_into(tmp_path: Path) -> None:
    script = copy_of_setup(tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    answer = set_up(script)
    assert answer.returncode == 1
    assert "remove the folder .venv" in answer.stderr
