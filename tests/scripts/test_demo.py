"""The demo runs as a user runs it: to its end, on files of one's own, and stopped half-way; nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.testing.samples import lora_folder

pytestmark = pytest.mark.wire
ROOT = Path(__file__).parents[2]


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """The only place for temporary files; it must be empty afterwards, and no process may still work in it."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []
    assert processes_about(folder) == []


def processes_about(folder: Path) -> list[str]:
    """Command lines of running processes that name the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found


def start(scratch: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "demo.py"), *arguments],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_the_demo_runs_to_its_end(scratch: Path) -> None:
    process = start(scratch)
    told, _ = process.communicate(timeout=110)
    assert process.returncode == 0, told
    assert "damaged: checkpoints/encoder_iter3.pt" in told
    assert "What to try next" in told
    assert str(scratch) not in told


def test_the_demo_takes_files_of_the_user_and_leaves_them_alone(scratch: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my adapters"
    lora_folder(str(folder / "jazz"), seed=3)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}
    process = start(scratch, "--data", str(folder))
    told, _ = process.communicate(timeout=110)
    assert process.returncode == 0, told
    assert "hf://datasets/demo/my-files" in told
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()} == before


def test_an_empty_folder_is_refused_in_words(scratch: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "empty.bin").touch()
    process = start(scratch, "--data", str(tmp_path / "nothing"))
    told, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "holds no files" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_stopped_demo_cleans_up(scratch: Path, number: signal.Signals) -> None:
    process = start(scratch)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("3. "):
            break
    assert processes_about(scratch) != [] or not Path("/proc").is_dir()
    time.sleep(0.2)
    os.killpg(process.pid, number)
    told, _ = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert "Traceback" not in told
