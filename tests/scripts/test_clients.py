"""Environments for stock clients: made once, also when several ask at once, made anew for other requirements, clear about failure."""

import subprocess
import sys
from pathlib import Path

import pytest
from scripts.clients import CLIENTS, STAMP, ClientError, ensure, main

ROOT = Path(__file__).parents[2]
EMPTY = {"empty": ()}
ABSENT = (("tenuto-has-no-such-package==1",),)


def made_at(folder: Path) -> int:
    return (folder / "empty" / STAMP).stat().st_mtime_ns


def test_an_environment_is_made_once(tmp_path: Path) -> None:
    python = ensure("empty", str(tmp_path), EMPTY)
    assert subprocess.run([python, "-c", "print(6 * 7)"], capture_output=True, text=True, check=True).stdout == "42\n"
    before = made_at(tmp_path)
    assert ensure("empty", str(tmp_path), EMPTY) == python
    assert made_at(tmp_path) == before


def test_several_ask_at_once_and_one_makes_it(tmp_path: Path) -> None:
    code = (
        f"from scripts.clients import ensure; import os; python = ensure('empty', {str(tmp_path)!r}, {EMPTY!r}); "
        f"print(os.stat({str(tmp_path / 'empty' / STAMP)!r}).st_mtime_ns)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert len(set(outputs)) == 1, "nobody made it again"


def test_what_was_left_half_made_or_for_other_requirements_is_made_anew(tmp_path: Path) -> None:
    ensure("empty", str(tmp_path), EMPTY)
    left = tmp_path / "empty" / "left.txt"
    left.touch()
    (tmp_path / "empty" / STAMP).write_text("of another day")
    ensure("empty", str(tmp_path), EMPTY)
    assert not left.exists()


def test_without_a_package_index_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for _ in range(2):
        with pytest.raises(ClientError, match=r"could not install tenuto-has-no-such-package==1 .* package index"):
            ensure("absent", str(tmp_path), {"absent": ABSENT})
    assert not (tmp_path / "absent" / STAMP).exists()


def test_torch_goes_first_and_alone() -> None:
    for installs in CLIENTS.values():
        with_torch = [call for call in installs if any(one.startswith("torch") for one in call)]
        assert with_torch in ([], [("torch==2.13.0",)])
        assert not with_torch or installs[0] == with_torch[0]


def test_a_name_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["never"]) == 2
    assert "there are: hub-1.33" in capsys.readouterr().err
