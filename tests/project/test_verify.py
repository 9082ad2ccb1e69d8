"""How much a verification reads, what it remembers, and what it can say of files that it does not read."""

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from tenuto.core.listing import Entry, Listing
from tenuto.core.manifest import Artifact, with_artifact
from tenuto.project.record import locked
from tenuto.project.scan import scan
from tenuto.project.verify import Depth, VerifyReport, verify
from tenuto.project.workspace import Workspace
from tenuto.survey.junit import Case, Suite, junit

NOW = 2_000_000_000.0
FILES = {f"data/{number:02}.bin": bytes([number]) * 1000 for number in range(20)}


def noon() -> float:
    return NOW


@pytest.fixture
def project(workspace: Workspace, root: Path) -> Workspace:
    """Twenty files, locked and remembered, none verified."""
    for path, content in FILES.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(content)
        os.utime(root / path, (1_000_000_000, 1_000_000_000))
    artifact = Artifact("data", repo="hf://datasets/a/b", kind="dataset")
    workspace.write_manifest(with_artifact(workspace.manifest_text, "data", artifact))
    listing = scan(workspace, artifact).listing
    workspace.store.put(listing.text)
    workspace.write_lock(locked("data", artifact, listing, None))
    return workspace


def spoil(root: Path, path: str) -> None:
    """Other bytes, of the same size and time."""
    with open(root / path, "r+b") as file:
        file.write(b"X")
    os.utime(root / path, (1_000_000_000, 1_000_000_000))


def faults(report: VerifyReport) -> dict[str, str]:
    return {finding.path: finding.fault for finding in report.findings}


def test_everything_is_read_and_the_time_is_remembered(project: Workspace) -> None:
    report = verify(project, clock=noon)
    assert (report.files, report.bytes, report.mode, report.share, report.findings) == (20, 20_000, "full", 1.0, [])
    assert {seen.verified_at_s for seen in project.state.files("data").values()} == {int(NOW)}
    scan(project, project.manifest.artifacts["data"])
    assert {seen.verified_at_s for seen in project.state.files("data").values()} == {int(NOW)}, "a look forgets nothing"


def test_what_is_as_locked_and_broken_inside_is_found_by_a_deep_look_alone(project: Workspace, root: Path) -> None:
    (root / "data" / "a.safetensors").write_bytes(b"\xff" * 8 + b"{}")
    (root / "data" / "b.pt").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    (root / "data" / "c.json").write_bytes(b"{}")
    artifact = project.manifest.artifacts["data"]
    listing = scan(project, artifact).listing
    project.store.put(listing.text)
    project.write_lock(locked("data", artifact, listing, None))
    assert verify(project).findings == []
    report = verify(project, depth=Depth(deep=True))
    assert faults(report) == {"data/a.safetensors": "unsound", "data/b.pt": "unsound"}
    assert report.broken
    assert [str(finding.detail).partition(":")[0] for finding in report.findings] == ["BadLength", "CodeOnLoad"]
    spoil(root, "data/b.pt")
    assert faults(verify(project, depth=Depth(deep=True)))["data/b.pt"] == "damaged", "bytes come before what they mean"
    assert verify(project, depth=Depth(quick=True, deep=True)).files == 0


def test_an_adapter_without_its_configuration_is_found_by_a_deep_look(project: Workspace, root: Path) -> None:
    artifact = msgspec.structs.replace(project.manifest.artifacts["data"], kind="adapter")
    project.write_manifest(with_artifact(project.manifest_text, "data", artifact))
    for path, expected in (("notes.txt", ["it holds no configuration of an adapter"]), ("config.yaml", [])):
        (root / "data" / path).write_bytes(b"r: 8\n")
        listing = scan(project, artifact).listing
        project.store.put(listing.text)
        project.write_lock(locked("data", artifact, listing, None))
        assert verify(project).findings == []
        assert [finding.detail for finding in verify(project, depth=Depth(deep=True)).findings] == expected


def test_samples_take_turns_until_all_was_read(project: Workspace) -> None:
    for run in range(20):
        report = verify(project, depth=Depth(share=0.05), clock=lambda run=run: NOW + run)  # type: ignore[misc]
        assert (report.files, report.mode, report.share, report.locked_bytes) == (1, "sample", 0.05, 20_000)
    assert sorted(seen.verified_at_s - NOW for seen in project.state.files("data").values()) == list(range(20))


def test_the_first_sample_is_by_lot(project: Workspace) -> None:
    firsts = set()
    for _ in range(20):
        verify(project, depth=Depth(share=0.05), clock=noon)
        seen = project.state.files("data").values()
        firsts |= {one.path for one in seen if one.verified_at_s}
        project.state.remember(one._replace(verified_at_s=0) for one in seen)
    assert len(firsts) > 1


def test_a_sample_of_nothing_but_empty_files_reads_one(project: Workspace, root: Path) -> None:
    assert verify(project, depth=Depth(share=0.000001)).files == 1


def test_what_was_verified_since_is_not_read_unless_it_changed(project: Workspace, root: Path) -> None:
    verify(project, clock=noon)
    since = Depth(since_s=NOW - 60)
    assert verify(project, depth=since).files == 0
    spoil(root, "data/03.bin")
    os.utime(root / "data/07.bin")
    report = verify(project, depth=since)
    assert (report.files, report.findings) == (1, [])
    assert faults(verify(project, depth=Depth(since_s=NOW + 60))) == {"data/03.bin": "damaged"}


def test_damage_that_was_found_is_not_taken_for_verified_later(project: Workspace, root: Path) -> None:
    verify(project, clock=noon)
    spoil(root, "data/03.bin")
    assert faults(verify(project, clock=noon)) == {"data/03.bin": "damaged"}
    report = verify(project, depth=Depth(since_s=NOW - 60))
    assert (report.files, faults(report)) == (1, {"data/03.bin": "damaged"})


@pytest.mark.parametrize("depth", [Depth(), Depth(share=0.05), Depth(since_s=0)], ids=lambda depth: depth.mode)
def test_what_looks_wrong_is_read_and_named_with_both_hashes_at_any_depth(
    project: Workspace, root: Path, depth: Depth
) -> None:
    verify(project, clock=noon)
    (root / "data/00.bin").unlink()
    (root / "data/01.bin").write_bytes(b"longer" * 1000)
    (root / "data/02.bin").unlink()
    (root / "data/02.bin").mkdir()
    (root / "data/04.bin").unlink()
    (root / "data/04.bin").symlink_to("nowhere")
    report = verify(project, depth=depth)
    assert faults(report) == {
        "data/00.bin": "missing",
        "data/01.bin": "damaged",
        "data/02.bin": "unreadable",
        "data/04.bin": "missing",
    }
    damaged = report.findings[1]
    assert damaged.found
    assert len(damaged.found) == 64 != damaged.expected
    assert report.broken


def test_a_quick_look_reads_no_byte(project: Workspace, root: Path) -> None:
    for path in FILES:
        spoil(root, path)
    report = verify(project, depth=Depth(quick=True))
    assert (report.files, report.bytes, report.findings) == (0, 0, [])
    assert (report.locked_files, report.locked_bytes, report.share) == (20, 20_000, 0.0)


def test_a_quick_look_says_what_it_cannot_know(project: Workspace, root: Path) -> None:
    os.utime(root / "data/05.bin")
    report = verify(project, depth=Depth(quick=True))
    assert faults(report) == {"data/05.bin": "unproven"}
    assert not report.broken
    verify(project)
    os.utime(root / "data/05.bin", (1_100_000_000, 1_100_000_000))
    verify(project)
    assert verify(project, depth=Depth(quick=True)).findings == []


def test_a_quick_look_knows_an_edit_that_was_read_before(project: Workspace, root: Path) -> None:
    (root / "data/05.bin").write_bytes(b"E" * 1000)
    os.utime(root / "data/05.bin", (1_100_000_000, 1_100_000_000))
    scan(project, project.manifest.artifacts["data"])
    report = verify(project, depth=Depth(quick=True))
    assert faults(report) == {"data/05.bin": "damaged"}
    assert report.findings[0].found is not None


def test_without_its_memory_everything_is_unproven(project: Workspace) -> None:
    project.state.remember([], gone=FILES)
    assert set(faults(verify(project, depth=Depth(quick=True))).values()) == {"unproven"}


def test_an_empty_artifact_is_right(workspace: Workspace) -> None:
    artifact = Artifact("data", repo="hf://datasets/a/b")
    workspace.write_manifest(with_artifact(workspace.manifest_text, "data", artifact))
    workspace.store.put(b"")
    workspace.write_lock(locked("data", artifact, Listing(), None))
    report = verify(workspace)
    assert (report.files, report.share, report.findings) == (0, 1.0, [])


def test_several_artifacts_are_counted_each(project: Workspace, root: Path) -> None:
    (root / "one.bin").write_bytes(b"1")
    artifact = Artifact("one.bin", repo="hf://a/b", file=True)
    project.write_manifest(with_artifact(project.manifest_text, "one", artifact))
    listing = Listing([Entry("one.bin", "0" * 64, 1)])
    project.store.put(listing.text)
    project.write_lock(locked("one", artifact, listing, None))
    report = verify(project)
    assert [(one.name, one.files, one.bytes, one.findings) for one in report.artifacts] == [
        ("data", 20, 20_000, 0),
        ("one", 1, 1, 1),
    ]


@pytest.mark.parametrize("name", ["a&b<c>\"'", "bell\a", "half\ud800", "tab\tand\nline", "é\U0001f3b5"])
def test_any_name_makes_well_formed_xml(name: str) -> None:
    text = junit("t", [Suite(name, [Case(name, "damaged", name), Case("fine")])])
    root = ElementTree.fromstring(text)
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    cases: list[Any] = root.findall("testsuite/testcase")
    assert [case.find("failure") is not None for case in cases] == [True, False]
