"""The caps on file and function length: offenders are named with place and length, everything else passes."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_caps.py"


def check(*places: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *places], capture_output=True, text=True, check=False)


def function(name: str, lines: int, prefix: str = "") -> str:
    body = [f"{prefix}def {name}():", '    """Say nothing."""', *["    pass"] * (lines - 2)]
    return "\n".join(body) + "\n"


def test_a_function_may_have_50_lines_with_its_docstring(tmp_path: Path) -> None:
    (tmp_path / "fits.py").write_text(function("fits", 50))
    answer = check(tmp_path)
    assert (answer.returncode, answer.stdout) == (0, "")


def test_a_longer_function_is_named_with_place_and_length(tmp_path: Path) -> None:
    file = tmp_path / "long.py"
    file.write_text("import os\n\n" + function("wanders", 51) + function("awaits", 60, "async "))
    answer = check(tmp_path)
    assert answer.returncode == 1
    assert answer.stdout.splitlines() == [f"{file}:3 wanders 51 lines", f"{file}:54 awaits 60 lines"]


def test_methods_and_inner_functions_count_too(tmp_path: Path) -> None:
    file = tmp_path / "inner.py"
    inner = "".join(f"    {line}\n" for line in function("method", 51).splitlines())
    file.write_text("class Holder:\n" + inner)
    answer = check(file)
    assert (answer.returncode, answer.stdout) == (1, f"{file}:2 method 51 lines\n")


def test_a_file_may_have_500_lines(tmp_path: Path) -> None:
    file = tmp_path / "even.py"
    file.write_text("x = 1\n" * 500)
    assert check(file).returncode == 0
    file.write_text("x = 1\n" * 501)
    answer = check(file)
    assert (answer.returncode, answer.stdout) == (1, f"{file}:1 even.py 501 lines\n")


def test_hidden_folders_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "long.py").write_text(function("wanders", 90))
    assert check(tmp_path).returncode == 0
