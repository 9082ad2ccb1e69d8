"""The benchmark: workloads are the same bytes for ever, measured figures are real, ratios say what the table says. No timing is asserted."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.fingerprint import fingerprint
from bench.limits import halves, limits
from bench.measure import StepError, measured, quiet
from bench.report import STEPS, markdown, plain, rows, summary
from bench.workloads import make

FINGERPRINTS = {
    "W1": (2, 2_200_000, "5edbaef2e743dee983614852f3d87bec24b2ef496113355acaee32e09e5ca2cb"),
    "W2": (1, 42_946_560, "6beda4747d26c75dce5dce021f8c85915e7b768183d0e9defe6bf14d50d1eebd"),
    "W3": (200, 8_132_396, "80787f3e04fa83f81895bb4be8322450513f6b4716e5772273d7a62b18db9433"),
    "W4": (10, 13_230_440, "5df5c3fcc1ad1b9fc83f716fe356e1bec5ae79410d61dac19cb3f4f05c12545c"),
    "W5a": (1, 42_946_560, "b9c6fcecc8704bf1fcee32bf9abae0b1ff87290cacc0bbed0710ae6512f1914b"),
    "W5b": (1, 43_995_136, "a5add00c5ad4b06780ff3f6ca7aa30c4dccd5ff6c8098249e1ea7f0d93fa7af0"),
    "W5c": (1, 42_946_560, "27d649f56ba8912eab786b024331535e110d98e06e2d4489fca4880e39187c30"),
}


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_a_workload_is_the_same_bytes_for_ever(name: str, tmp_path: Path) -> None:
    make(name, str(tmp_path), 0.01)
    assert fingerprint(tmp_path) == FINGERPRINTS[name]


def test_a_fingerprint_sees_every_byte_and_name_but_no_hidden_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    before = fingerprint(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x").write_bytes(b"x")
    assert fingerprint(tmp_path) == before
    (tmp_path / "a").write_bytes(b"two")
    assert fingerprint(tmp_path) != before
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "a").rename(tmp_path / "b")
    assert fingerprint(tmp_path) != before


def test_a_process_is_measured_by_the_books_of_the_kernel(tmp_path: Path) -> None:
    code = "block = bytearray(300_000_000); print(sum(range(2_000_000)))"
    log = tmp_path / "log"
    sample = measured([sys.executable, "-c", code], cwd=tmp_path, environment=os.environ, log=log)
    assert sample.peak_bytes > 300_000_000
    assert sample.wall_s > 0
    assert sample.cpu_s > 0
    assert "1999999000000" in log.read_text()


def test_a_failing_step_is_an_error_with_its_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('broken on purpose')"]
    for run in (measured, quiet):
        with pytest.raises(StepError, match=r"status 1:(.|\n)*broken on purpose"):
            run(command, cwd=tmp_path, environment=os.environ, log=tmp_path / "log")


def test_limits_are_taken_of_the_files_and_leave_nothing(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / "files" / str(number)).mkdir(parents=True)
        (tmp_path / "files" / str(number) / "file").write_bytes(bytes(number * 1000))
    found = limits(str(tmp_path / "files"), str(tmp_path / "scratch"))
    assert sorted(found) == ["copy", "copy_and_sha256", "sha256_one", "sha256_two", "walk"]
    assert all(seconds > 0 for seconds in found.values())
    assert not (tmp_path / "scratch").exists()


def test_halves_hold_every_file_once() -> None:
    files = [(f"f{number}", number * 10) for number in range(7)]
    first, second = halves(files)
    assert sorted([*first, *second]) == files
    assert abs(sum(size for _, size in first) - sum(size for _, size in second)) <= 60


def results() -> dict[str, Any]:
    def samples(*walls_s: float) -> list[dict[str, float]]:
        return [{"wall_s": wall_s, "cpu_s": wall_s, "peak_bytes": 50_000_000} for wall_s in walls_s]

    return {
        "machine": {
            "cpus": 2,
            "processor": "Abacus",
            "memory_bytes": 8_000_000_000,
            "load": 0.25,
            "system": "Linux, Python 3.11.7",
        },
        "programs": {"tenuto": "0.1.0", "dvc": "3.67.1"},
        "scale": 1.0,
        "repeat": 3,
        "workloads": {
            "W1": {
                "files": 2,
                "bytes": 220_000_000,
                "limits": {"walk": 0.5, "sha256_one": 0.9, "sha256_two": 0.5, "copy": 0.1, "copy_and_sha256": 1.0},
                "steps": {
                    "track": {"tenuto": samples(1.0, 9.0, 2.0), "dvc": samples(8.0)},
                    "push": {"tenuto": samples(4.0), "huggingface_hub": samples(2.0)},
                },
            }
        },
    }


def test_rows_hold_medians_and_ratios() -> None:
    head, track, push = rows(results()["workloads"]["W1"])
    assert head == ["step", "tenuto", "dvc", "x", "huggingface_hub", "x", "limit", "limit/ours", "peak"]
    assert track == ["track", "2.0 s", "8.0 s", "4.0", "-", "-", "500 ms", "0.25", "50.0 MB / 50.0 MB / -"]
    assert push == ["push", "4.0 s", "-", "-", "2.0 s", "0.5", "1.0 s", "0.25", "50.0 MB / - / 50.0 MB"]


def test_both_forms_of_the_table_name_machine_and_programs() -> None:
    for text in (plain(results()), markdown(results())):
        assert "W1: 2 files, 220 MB" in text
        assert "2 cores of Abacus" in text
        assert "dvc 3.67.1" in text


def test_the_summary_is_one_table_in_which_absent_steps_are_empty() -> None:
    full = results()
    steps = full["workloads"]["W1"]["steps"]
    full["workloads"]["W1"]["steps"] = {step: steps.get(step, steps["push"]) for step in STEPS}
    lines = [line for line in summary(full).splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + len(STEPS)
    assert lines[2] == "| W1: 2 files, 220 MB | begin to track the folder | 2.0 s | 8.0 s | 4.0x |  |  | 500 ms |"


def test_every_committed_result_can_be_shown() -> None:
    root = Path(__file__).parents[2]
    committed = [file for file in (root / "bench" / "results").glob("*.json") if file.name[0].isdigit()]
    assert committed
    for file in committed:
        command = [sys.executable, "-m", "bench.report", str(file), "--markdown"]
        shown = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
        assert shown.count("| step |") == len(json.loads(file.read_text())["workloads"])
