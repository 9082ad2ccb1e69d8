"""The benchmark: workloads are the same bytes for ever, measured figures are real, ratios say what the table says. No timing is asserted."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.contestants import Samples
from bench.edits import change_one, change_tenth
from bench.fingerprint import fingerprint
from bench.limits import halves, limits
from bench.measure import StepError, measured, quiet
from bench.prepare import Workload
from bench.report import IN_SHORT, STEPS, markdown, plain, rows_of, summary, time_table
from bench.run import NAMES, Run
from bench.targets import TARGETS, Target, targets, verdicts
from bench.workloads import make, make_insertion

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
    assert sorted(found) == [
        "copy",
        "copy_and_sha256",
        "index",
        "link",
        "python",
        "sha256_one",
        "sha256_two",
        "walk",
    ]
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
        "missing": {"rclone": "it was not found"},
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
    head, track, push = time_table(list(rows_of(results(), "W1")))
    assert head == ["step", "tenuto", "CPU", "peak", "DVC", "huggingface_hub", "limit", "ours by limit", "target"]
    aims = "<= 250 ms: MISSED; >= 4x dvc: met"
    assert track[1:] == ["2.0 s", "2.0 s", "50.0 MB", "8.0 s (4.0x)", "", "500 ms", "4.0x", aims]
    assert push[1:] == ["4.0 s", "4.0 s", "50.0 MB", "", "2.0 s (0.5x)", "1.0 s", "4.0x", ""]


def test_both_forms_of_the_table_name_machine_programs_and_what_is_missing() -> None:
    for text in (plain(results()), markdown(results())):
        assert "W1: 2 files, 220 MB" in text
        assert "2 cores of Abacus" in text
        assert "dvc 3.67.1" in text
        assert "Not measured: rclone, since it was not found." in text


def test_the_summary_is_one_table_in_which_absent_figures_are_empty() -> None:
    lines = [line for line in summary(results()).splitlines() if line.startswith("| ")]
    assert len(lines) == 4
    aims = "<= 250 ms: MISSED; >= 4x dvc: met"
    first, push = "W1: 2 files, 220 MB", STEPS["push"].meaning
    assert lines[2] == f"| {first} | {STEPS['track'].meaning} | 2.0 s | 8.0 s (4.0x) |  | 500 ms | {aims} |"
    assert lines[3] == f"|  | {push} | 4.0 s |  | 2.0 s (0.5x) | 1.0 s |  |"


def test_every_target_is_of_a_step_that_is_measured() -> None:
    assert {workload for workload, _ in TARGETS} <= set(NAMES.all)
    assert {step for _, step in TARGETS} | {step for steps in IN_SHORT.values() for step in steps} <= STEPS.keys()


@pytest.mark.parametrize(
    ("target", "figures", "held"),
    [
        (targets(seconds=1)[0], {"seconds": 1.0}, True),
        (targets(seconds=1)[0], {"seconds": 1.01}, False),
        (targets(limit=2)[0], {"seconds": 1.0, "limit": 0.5}, True),
        (targets(limit=2)[0], {"seconds": 1.0, "limit": 0.4}, False),
        (targets(dvc=4)[0], {"seconds": 1.0, "dvc": 4.0}, True),
        (targets(dvc=4)[0], {"seconds": 1.0, "dvc": 3.9}, False),
        (targets(dvc=4)[0], {"seconds": 1.0}, None),
        (targets(sent_bytes=9)[0], {"seconds": 1.0, "sent_bytes": 10.0}, False),
        (targets(sent_bytes=9)[0], {"seconds": 1.0, "sent_bytes": 9.0}, True),
    ],
)
def test_a_target_is_met_or_missed_or_not_measured(
    target: Target, figures: dict[str, float], held: bool | None
) -> None:
    assert target.holds(dict(figures)) is held


def test_smaller_files_say_nothing_about_targets() -> None:
    assert verdicts("W4", "pull", {"seconds": 0.1, "dvc": 1.0}, 0.1) == "<= 2.0 s: for scale 1; >= 2x dvc: for scale 1"
    assert verdicts("start", "version", {"seconds": 0.1}, 0.1) == "<= 70 ms: MISSED"


def test_edits_replace_files_and_leave_links_alone(tmp_path: Path) -> None:
    files, other = tmp_path / "files", tmp_path / "other"
    files.mkdir()
    other.mkdir()
    for number in range(20):
        (files / f"{number:02d}").write_bytes(bytes(100))
        os.link(files / f"{number:02d}", other / f"{number:02d}")
    before = fingerprint(files)
    change_one(files)
    assert fingerprint(files).bytes == before.bytes
    assert [file.name for file in sorted(files.iterdir()) if file.read_bytes() != bytes(100)] == ["00"]
    change_tenth(files)
    assert [file.name for file in sorted(files.iterdir()) if file.read_bytes() != bytes(100)] == ["00", "10"]
    assert fingerprint(other) == before


def test_an_insertion_makes_w5b_of_w2(tmp_path: Path) -> None:
    make("W2", str(tmp_path), 0.01)
    make_insertion(tmp_path / "model.safetensors")
    assert fingerprint(tmp_path) == FINGERPRINTS["W5b"]


class Stopwatch:
    """A tool that takes as long as it is told, or fails."""

    def __init__(self, name: str, wall_s: float | None) -> None:
        self.name, self._wall_s = name, wall_s
        self.rounds = 0

    def version(self) -> str:
        return "1"

    def start(self, place: Path) -> Samples:
        self.rounds += 1
        if self._wall_s is None:
            raise StepError("it broke\nat length")
        assert not list(place.iterdir())
        return {(self.name, "version"): {"wall_s": self._wall_s, "cpu_s": 0.0, "peak_bytes": 1.0}}

    def flow(self, workload: Workload, place: Path) -> Samples:
        raise StepError(f"{workload} is not for {place}")


def test_a_run_goes_on_where_it_was_cut_off_and_a_broken_tool_stops_no_other(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    first = Run(out, [Stopwatch("tenuto", 2.0), Stopwatch("broken", None)], 1.0, 2)
    first.measure("start")
    assert first.failed
    assert first.results["missing"] == {"start broken": "it broke"}
    samples = first.results["workloads"]["start"]["steps"]["version"]["tenuto"]
    assert [sample["wall_s"] for sample in samples] == [2.0] * 10
    assert json.loads(out.read_text()) == first.results
    idle = Stopwatch("tenuto", 3.0)
    second = Run(out, [idle, Stopwatch("broken", None)], 1.0, 2)
    second.resume()
    second.measure("start")
    assert idle.rounds == 0
    assert second.results["workloads"]["start"]["steps"] == first.results["workloads"]["start"]["steps"]
    other = Run(out, [Stopwatch("tenuto", 3.0)], 0.5, 2)
    other.resume()
    assert other.results["workloads"] == {}


def test_only_known_names_are_chosen() -> None:
    assert NAMES.choice("") == NAMES.all
    assert NAMES.choice("W3,start") == ["W3", "start"]
    with pytest.raises(argparse.ArgumentTypeError, match="no 'W9'"):
        NAMES.choice("W9")


def test_every_committed_result_can_be_shown() -> None:
    root = Path(__file__).parents[2]
    committed = [file for file in (root / "bench" / "results").glob("*.json") if file.name[0].isdigit()]
    assert committed
    for file in committed:
        command = [sys.executable, "-m", "bench.report", str(file), "--markdown"]
        shown = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
        assert shown.count("| CPU |") == len(json.loads(file.read_text())["workloads"])
