"""Checksums: `sha256sum` is the judge of what is written, and what it writes is read."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.core.manifest import Artifact, with_artifact
from tenuto.project.record import locked
from tenuto.project.scan import scan
from tenuto.project.workspace import Workspace
from tenuto.survey.checksums import Sum, checksums, parse_sums
from tenuto.survey.holdings import Holding, distinct, folder_holdings, largest, present_holdings
from tests.survey.test_hfcache import cached, put

ODD = [
    b"plain",
    b"with space",
    b"back\\slash",
    b"line\nbreak",
    b"return\r",
    b"\\",
    b"*star",
    b" leading",
    b"\xff\xfe",
    b"-dash",
]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def judged(folder: Path, lines: list[str]) -> subprocess.CompletedProcess[bytes]:
    """What `sha256sum -c` says of the lines."""
    text = b"".join(os.fsencode(line) + b"\n" for line in lines)
    return subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet"], cwd=folder, input=text, capture_output=True, check=False
    )


def test_any_name_is_read_by_sha256sum_and_what_it_writes_by_us(tmp_path: Path) -> None:
    top = os.fsencode(tmp_path) + b"/models/m"
    os.makedirs(top)
    for number, name in enumerate(ODD):
        with open(os.path.join(top, name), "wb") as file:
            file.write(bytes([number]))
    done = checksums(str(tmp_path), folder_holdings(str(tmp_path)))
    assert (done.report.files, done.report.failed) == (len(ODD), {})
    assert judged(tmp_path, done.lines).returncode == 0
    theirs = subprocess.run(
        [b"sha256sum", b"--", *(b"models/m/" + name for name in ODD)], cwd=tmp_path, capture_output=True, check=True
    )
    assert sorted(parse_sums(theirs.stdout)) == sorted(parse_sums(b"\n".join(map(os.fsencode, done.lines))))


names = some.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name and b"/" not in name)


@given(name=names)
def test_a_line_says_what_it_was_made_of(name: bytes) -> None:
    one = Sum(os.fsdecode(name), "0" * 64)
    assert parse_sums(os.fsencode(one.line) + b"\n") == [one]


def test_other_ways_to_write_a_line() -> None:
    text = b"# recorded\r\n\n" + b"AB" * 32 + b" *a/b.bin\r\n"
    assert parse_sums(text) == [Sum("a/b.bin", "ab" * 32)]


@pytest.mark.parametrize(
    "line", [b"what", b"0" * 63 + b"  x", b"0" * 64 + b"  ", b"0" * 64 + b" x", b"SHA256 (x) = 00"]
)
def test_what_is_no_checksum_is_refused_with_its_line(line: bytes) -> None:
    with pytest.raises(UsageError, match="line 2"):
        parse_sums(b"0" * 64 + b"  x\n" + line)


def test_a_cache_is_summed_once_and_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    repo = cached(tmp_path / "models--a--b", {"w.bin": b"weights", "again.bin": b"weights", "gone.bin": b"gone"})
    (repo / "blobs" / sha256(b"gone")).unlink()
    done = checksums(str(tmp_path), folder_holdings(str(tmp_path)))
    assert [os.path.basename(one.path) for one in done.report.sums] == ["again.bin", "w.bin"]
    assert [os.path.basename(path) for path in done.report.failed] == ["gone.bin"]
    assert judged(tmp_path, done.lines).returncode == 0
    (one,) = checksums(str(tmp_path), folder_holdings(str(tmp_path)), limit=1).report.sums
    assert one.sha256 == sha256(b"weights")
    with pytest.raises(NotFoundError):
        folder_holdings(str(tmp_path / "nowhere"))


@pytest.fixture
def project(workspace: Workspace, root: Path) -> Workspace:
    """A model and a dataset, tracked by nobody yet."""
    for name, kind, sizes in (("m", "model", range(1, 6)), ("d", "dataset", range(1, 4))):
        for size in sizes:
            put(root / name / f"{size}.bin", bytes([size]) * size)
            os.utime(root / name / f"{size}.bin", (1_000_000_000, 1_000_000_000))
        artifact = Artifact(name, repo=f"hf://a/{name}", kind=kind)
        workspace.write_manifest(with_artifact(workspace.manifest_text, name, artifact))
    return workspace


def test_what_did_not_change_is_not_read_again_unless_in_full(project: Workspace, root: Path) -> None:
    first = checksums(project.root, present_holdings(project))
    assert (first.report.files, first.report.read_files) == (8, 0), "the look at the folder has read them"
    assert judged(root, first.lines).returncode == 0
    with open(root / "m/3.bin", "r+b") as file:
        file.write(b"X")
    os.utime(root / "m/3.bin", (1_000_000_000, 1_000_000_000))
    assert checksums(project.root, present_holdings(project)).lines == first.lines
    full = checksums(project.root, present_holdings(project), full=True)
    assert (full.report.read_files, full.report.read_bytes) == (8, 21)
    assert full.lines != first.lines
    assert judged(root, full.lines).returncode == 0


def test_the_largest_of_each_kind(project: Workspace) -> None:
    done = checksums(project.root, present_holdings(project), limit=2)
    assert [one.path for one in done.report.sums] == ["m/5.bin", "m/4.bin", "d/3.bin", "d/2.bin"]
    only = checksums(project.root, present_holdings(project, kinds=["datasets"]), limit=1)
    assert [one.path for one in only.report.sums] == ["d/3.bin"]
    named = checksums(project.root, present_holdings(project, ["m"]))
    assert len(named.lines) == 5


def test_the_largest_are_chosen_after_second_paths_are_gone() -> None:
    twice = [Holding("models", f"{name}{size}", size, (1, size)) for size in range(24) for name in ("blob", "link")]
    chosen = largest(distinct(twice), {"models": 12})
    assert [one.size for one in chosen] == list(range(23, 11, -1))


def test_files_that_are_not_there_are_not_one_file() -> None:
    gone = [Holding("models", name, 1, None) for name in "ab"]
    assert distinct(gone) == gone


def test_what_should_be_there_is_named_and_not_passed_over(project: Workspace, root: Path) -> None:
    artifact = project.manifest.artifacts["m"]
    listing = scan(project, artifact).listing
    project.store.put(listing.text)
    project.write_lock(locked("m", artifact, listing, None))
    (root / "m/2.bin").unlink()
    shutil.rmtree(root / "d")
    done = checksums(project.root, present_holdings(project))
    assert done.report.failed == {"m/2.bin": "it is not there", "d": "it is not there"}
    assert len(done.lines) == 4
