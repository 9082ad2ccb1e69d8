"""The smoke check: its report, its exit statuses, and that it changes nothing."""

import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from tenuto.core.errors import StorageError, UsageError
from tenuto.core.manifest import Artifact, with_artifact
from tenuto.project.record import locked
from tenuto.project.scan import scan
from tenuto.project.workspace import Workspace
from tenuto.survey.checksums import Sum
from tenuto.survey.holdings import folder_holdings, locked_holdings
from tenuto.survey.smoke import SmokeReport, report_path, smoke, smoke_junit
from tests.survey.test_checksums import sha256
from tests.survey.test_hfcache import cached, put


def noon() -> float:
    return 1_800_000_000.0


def of_folder(root: Path, record: str | None = None, **options: Any) -> SmokeReport:
    return smoke(str(root), folder_holdings(str(root)), record=record, clock=noon, **options)


def recorded(root: Path, *sums: Sum) -> str:
    file = put(root / "models/checksums.sha256", "".join(f"{one.line}\n" for one in sums).encode())
    return str(file)


def test_a_report_without_a_record(tmp_path: Path) -> None:
    put(tmp_path / "models/m/w.bin", b"weights")
    put(tmp_path / "datasets/d/a.wav", b"sound")
    report = of_folder(tmp_path)
    assert json.loads(msgspec.json.encode(report)) == {
        "summary": {
            "generated_at": "2027-01-15T08:00:00Z",
            "total_files": 2,
            "matched": 0,
            "missing": 0,
            "has_recorded_checksums": False,
        },
        "results": [
            {
                "path": "models/m/w.bin",
                "exists": True,
                "size_bytes": 7,
                "sha256": sha256(b"weights"),
                "expected": None,
                "match": None,
            },
            {
                "path": "datasets/d/a.wav",
                "exists": True,
                "size_bytes": 5,
                "sha256": sha256(b"sound"),
                "expected": None,
                "match": None,
            },
        ],
    }
    assert report.exit_status == 0


def test_a_record_that_holds(tmp_path: Path) -> None:
    put(tmp_path / "models/m/w.bin", b"weights")
    put(tmp_path / "models/m/other.bin", b"not recorded")
    report = of_folder(tmp_path, recorded(tmp_path, Sum("models/m/w.bin", sha256(b"weights"))))
    assert (report.summary.total_files, report.summary.matched, report.summary.has_recorded_checksums) == (1, 1, True)
    assert (report.results[0].match, report.exit_status) == (True, 0)


def test_the_exit_statuses(tmp_path: Path) -> None:
    assert of_folder(tmp_path).exit_status == 2
    put(tmp_path / "models/m/w.bin", b"weights")
    empty = recorded(tmp_path)
    assert of_folder(tmp_path, empty).exit_status == 2
    assert of_folder(tmp_path, recorded(tmp_path, Sum("models/m/w.bin", "0" * 64))).exit_status == 3
    assert of_folder(tmp_path, recorded(tmp_path, Sum("models/m/gone.bin", "0" * 64))).exit_status == 3
    (tmp_path / "models/m/broken.bin").symlink_to("nowhere")
    report = of_folder(tmp_path)
    assert (report.exit_status, report.summary.missing) == (4, 1)


def test_a_recorded_path_of_another_machine_is_a_fault_and_is_not_opened(tmp_path: Path) -> None:
    inside, outside = tmp_path / "workspace", put(tmp_path / "secret", b"secret")
    paths = [str(outside), "../secret", "models/../../secret"]
    report = of_folder(
        put(inside / "models/m/w.bin").parents[2],
        recorded(inside, *(Sum(path, sha256(b"secret")) for path in paths)),
    )
    assert report.exit_status == 3
    for result in report.results:
        assert (result.exists, result.sha256, result.match) == (False, None, False)
        assert result.sha256_error == "it is no path below this folder"


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "models/m/w.bin").mkdir(parents=True)
    report = of_folder(tmp_path, recorded(tmp_path, Sum("models/m/w.bin", "0" * 64)))
    (result,) = report.results
    assert (result.exists, result.sha256, result.sha256_error) == (True, None, "models/m/w.bin: Is a directory")
    assert (report.exit_status, report.summary.missing) == (3, 0)


def test_a_record_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 1"):
        of_folder(tmp_path, str(put(tmp_path / "models/checksums.sha256", b"damaged")))
    with pytest.raises(StorageError):
        of_folder(tmp_path, str(tmp_path / "nowhere"))


def test_twelve_models_and_eight_datasets_each_of_them_once(tmp_path: Path) -> None:
    files = {f"{number:02}.bin": bytes(100 + number) for number in range(20)}
    cached(tmp_path / "models/a_b/models--a--b", files)
    cached(tmp_path / "models/a_b/models--a--b", files, "f" * 40, None)
    cached(tmp_path / "datasets/c_d/datasets--c--d", {**files, "copy.bin": bytes(119)})
    results = of_folder(tmp_path).results
    names = [os.path.basename(result.path) for result in results]
    assert names[:12] == [f"{number:02}.bin" for number in range(19, 7, -1)]
    assert names[12:] == [f"{number:02}.bin" for number in range(19, 11, -1)]
    assert not any("blobs" in result.path for result in results)
    assert len(of_folder(tmp_path, counts={"models": 3, "datasets": 0}).results) == 3


@pytest.fixture
def project(workspace: Workspace, root: Path) -> Workspace:
    """A locked model with two files, and a dataset that is not locked."""
    put(root / "m/a.bin", b"aaa")
    put(root / "m/b.bin", b"b")
    put(root / "d/c.wav", b"c")
    for file in root.glob("?/*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    for name, kind in (("m", "model"), ("d", "dataset")):
        artifact = Artifact(name, repo=f"hf://a/{name}", kind=kind)
        workspace.write_manifest(with_artifact(workspace.manifest_text, name, artifact))
    listing = scan(workspace, workspace.manifest.artifacts["m"]).listing
    workspace.store.put(listing.text)
    workspace.write_lock(locked("m", workspace.manifest.artifacts["m"], listing, None))
    return workspace


def of_project(workspace: Workspace, **options: Any) -> SmokeReport:
    return smoke(workspace.root, locked_holdings(workspace), clock=noon, **options)


def test_what_the_lock_pins_is_recorded(project: Workspace, root: Path) -> None:
    report = of_project(project)
    assert [(result.path, result.match) for result in report.results] == [
        ("m/a.bin", True),
        ("m/b.bin", True),
        ("d/c.wav", None),
    ]
    assert (report.summary.has_recorded_checksums, report.exit_status) == (True, 0)
    (root / "m/a.bin").unlink()
    report = of_project(project)
    assert [result.path for result in report.results if not result.exists] == ["m/a.bin"]
    assert report.exit_status == 3


def test_a_quick_one_believes_what_was_read_before(project: Workspace, root: Path) -> None:
    spoilt = root / "m/a.bin"
    with open(spoilt, "r+b") as file:
        file.write(b"X")
    os.utime(spoilt, (1_000_000_000, 1_000_000_000))
    assert of_project(project, quick=True).exit_status == 0
    assert of_project(project).exit_status == 3
    os.utime(spoilt)
    assert of_project(project, quick=True).exit_status == 3


def test_nothing_is_changed(project: Workspace, root: Path) -> None:
    def look() -> dict[str, tuple[int, int]]:
        return {str(file): (file.stat().st_mtime_ns, file.stat().st_ino) for file in root.rglob("*") if file.is_file()}

    project.state.files("m")
    before = look()
    of_project(project)
    after = look()
    assert {path: look for path, look in after.items() if ".tenuto" not in path} == {
        path: look for path, look in before.items() if ".tenuto" not in path
    }


def test_where_the_report_goes() -> None:
    assert report_path("/p", noon) == "/p/tests/env_tests/smoke_report_20270115T080000Z.json"


def test_a_report_for_ci(tmp_path: Path) -> None:
    put(tmp_path / "models/m/w.bin", b"weights")
    sums = [Sum("models/m/w.bin", sha256(b"weights")), Sum("models/m/w.bin", "0" * 64), Sum("models/m/x.bin", "0" * 64)]
    root = ElementTree.fromstring(smoke_junit(of_folder(tmp_path, recorded(tmp_path, *sums))))
    assert (root.get("tests"), root.get("failures")) == ("3", "2")
    assert [failure.get("type") for failure in root.iter("failure")] == ["mismatch", "missing"]
