"""The generated pages are fresh, complete, and written only when asked."""

import subprocess
import sys
from pathlib import Path

from tenuto.core.errors import CODES
from tenuto.core.settings import SETTINGS

ROOT = Path(__file__).parents[2]


def make_docs(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "make_docs.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_committed_pages_are_fresh() -> None:
    answer = make_docs("--check")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_every_setting_and_code_has_a_row() -> None:
    settings = (ROOT / "docs" / "settings.md").read_text()
    errors = (ROOT / "docs" / "errors.md").read_text()
    assert [key for key in (setting.key for setting in SETTINGS) if f"| `{key}` |" not in settings] == []
    assert [code for code in CODES if f"| `{code}` |" not in errors] == []


def test_a_stale_page_fails_the_check_and_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "settings.md"
    page.write_text("old\n")
    answer = make_docs("--check", "--root", str(tmp_path))
    assert answer.returncode == 1
    assert "docs/settings.md is not fresh" in answer.stderr
    assert page.read_text() == "old\n"
    assert make_docs("--root", str(tmp_path)).returncode == 0
    assert page.read_text() == (ROOT / "docs" / "settings.md").read_text()
    assert make_docs("--check", "--root", str(tmp_path)).returncode == 0


def test_the_settings_page_names_every_variable() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    variables = {variable for setting in SETTINGS for variable in setting.environment}
    assert {variable for variable in variables if f"`{variable}`" not in text} == set()
