"""docs/checks.md is true: its recipe for CI passes where all is well, and fails where something is not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tenuto.survey.smoke import SmokeReport, SmokeResult, SmokeSummary
from tests.cli.conftest import PROGRAM, Desk
from tests.cli.test_health import flip

PAGE = (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")


def recipe() -> str:
    (text,) = re.findall(r"^```sh ci\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def run(desk: Desk, script: str) -> int:
    """Run a script of a shell in which `tenuto` is this program."""
    folder = desk.folder / "bin"
    if not folder.exists():
        folder.mkdir()
        program = folder / "tenuto"
        program.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
        program.chmod(0o755)
    bash = shutil.which("bash")
    assert bash
    environment = {**desk.environment, "PATH": f"{folder}:{desk.environment['PATH']}"}
    return subprocess.run([bash, "-c", script], cwd=desk.project, env=environment, capture_output=True).returncode


def test_the_recipe_for_ci_can_fail(desk: Desk) -> None:
    assert sys.executable in PROGRAM
    desk.begin()
    assert run(desk, recipe()) == 0
    flip(desk.project / "data/b.bin")
    assert run(desk, recipe()) == 3
    for report in ("verify.xml", "smoke.json", "smoke.xml", "inventory.json"):
        assert (desk.project / report).exists(), report
    assert run(desk, recipe().replace("tenuto smoke --output smoke.json --junit smoke.xml || status=$?", "")) == 5


def test_the_page_names_every_key_of_the_smoke_report() -> None:
    named = set(re.findall(r"`((?:summary|results\[\])\.\w+)`", PAGE))
    summary = {f"summary.{name}" for name in SmokeSummary.__struct_fields__}
    assert named == summary | {f"results[].{name}" for name in SmokeResult.__struct_fields__}
    assert SmokeReport.__struct_fields__ == ("summary", "results")
