"""What lies in the working folder: what is read, what is believed, what is left out, what is refused."""

import os
import stat
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tenuto.core.errors import StorageError, UsageError
from tenuto.core.manifest import Artifact
from tenuto.project.scan import Scan, is_left_out, scan
from tenuto.project.workspace import Workspace
from tests.project.conftest import Open

FOLDER = Artifact("data", "hf://datasets/ann/voices")
PREFIXED = Artifact("data", "hf://datasets/ann/voices/sub")
FILE = Artifact("weights/model.pt", "hf://ann/model", file=True)


def write(path: Path, content: bytes = b"content", age_s: float = 100) -> Path:
    """A file that was last changed a while ago, so that its hash may be remembered."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    moment = time.time() - age_s
    os.utime(path, (moment, moment))
    return path


def hashes(found: Scan) -> dict[str, str]:
    return {path: entry.sha256 for path, entry in found.listing.items()}


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def test_every_file_is_listed_with_its_hash_and_size(workspace: Workspace, root: Path) -> None:
    for name in ("b.bin", "a/one", "a/two/three", "a.b", "a0", "é\u0301.txt"):
        write(root / "data" / name, name.encode())
    write(root / "data" / "empty", b"")
    found = scan(workspace, FOLDER)
    assert list(found.listing) == sorted(found.listing, key=str.encode)
    assert hashes(found) == {name: digest(name.encode()) for name in found.listing if name != "empty"} | {
        "empty": digest(b"")
    }
    assert found.listing["a/two/three"].size == 11
    assert (found.hashed_files, found.broken) == (7, ())


def test_an_absent_artifact_is_empty(workspace: Workspace) -> None:
    assert scan(workspace, FOLDER) == scan(workspace, FILE) == Scan(scan(workspace, FOLDER).listing, (), 0, 0)
    assert len(scan(workspace, FOLDER).listing) == 0


def test_an_empty_folder_is_empty(workspace: Workspace, root: Path) -> None:
    (root / "data" / "nothing" / "here").mkdir(parents=True)
    assert len(scan(workspace, FOLDER).listing) == 0


def test_unchanged_files_are_not_read_again_in_a_later_run(opened: Open, root: Path) -> None:
    for number in range(5):
        write(root / "data" / str(number))
    assert scan(opened(), FOLDER).hashed_files == 5
    again = scan(opened(), FOLDER)
    assert (again.hashed_files, again.hashed_bytes, len(again.listing)) == (0, 0, 5)


def test_only_what_changed_is_read(workspace: Workspace, root: Path) -> None:
    for name in ("same", "longer", "touched", "gone"):
        write(root / "data" / name)
    scan(workspace, FOLDER)
    write(root / "data" / "longer", b"more content")
    write(root / "data" / "touched", b"CONTENT", age_s=50)
    write(root / "data" / "new", b"new")
    (root / "data" / "gone").unlink()
    found = scan(workspace, FOLDER)
    assert found.hashed_files == 3
    assert hashes(found) == {
        "same": digest(b"content"),
        "longer": digest(b"more content"),
        "touched": digest(b"CONTENT"),
        "new": digest(b"new"),
    }
    assert workspace.state.files("data").keys() == {f"data/{name}" for name in found.listing}


def test_a_replaced_file_is_read_though_size_and_time_are_the_old_ones(workspace: Workspace, root: Path) -> None:
    file = write(root / "data" / "x", b"old bytes")
    scan(workspace, FOLDER)
    before = file.stat()
    other = write(root / "data" / "x.new", b"new bytes")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    found = scan(workspace, FOLDER)
    assert hashes(found) == {"x": digest(b"new bytes")}
    assert found.hashed_files == 1


def test_a_file_as_young_as_the_scan_is_read_again(
    workspace: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.project.scan.RACY_NS", 60_000_000_000)  # a slow machine must not age the file
    file = write(root / "data" / "x", b"first", age_s=0)
    assert scan(workspace, FOLDER).hashed_files == 1
    assert scan(workspace, FOLDER).hashed_files == 1
    before = file.stat()
    file.write_bytes(b"other")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashes(scan(workspace, FOLDER)) == {"x": digest(b"other")}


def test_a_file_from_the_future_is_never_believed(workspace: Workspace, root: Path) -> None:
    write(root / "data" / "x", age_s=-3600)
    assert [scan(workspace, FOLDER).hashed_files for _ in range(2)] == [1, 1]


def test_a_link_to_a_file_counts_as_the_file(workspace: Workspace, root: Path, tmp_path: Path) -> None:
    target = write(tmp_path / "elsewhere", b"far away")
    (root / "data").mkdir()
    (root / "data" / "link").symlink_to(target)
    assert hashes(scan(workspace, FOLDER)) == {"link": digest(b"far away")}
    assert scan(workspace, FOLDER).hashed_files == 0
    write(target, b"changed!", age_s=10)
    assert hashes(scan(workspace, FOLDER)) == {"link": digest(b"changed!")}


def test_links_that_lead_nowhere_are_named(workspace: Workspace, root: Path) -> None:
    file = write(root / "data" / "file")
    (root / "data" / "dangling").symlink_to("nothing")
    (root / "data" / "circle").symlink_to("circle")
    (root / "data" / "through").symlink_to(file / "x")
    found = scan(workspace, FOLDER)
    assert sorted(found.broken) == ["data/circle", "data/dangling", "data/through"]
    assert list(found.listing) == ["file"]


def test_a_link_to_a_folder_is_refused(workspace: Workspace, root: Path) -> None:
    write(root / "other" / "x")
    (root / "data").mkdir()
    (root / "data" / "link").symlink_to(root / "other")
    with pytest.raises(UsageError, match="data/link is a symbolic link to a folder") as caught:
        scan(workspace, FOLDER)
    assert caught.value.code == "BadPath"


def test_a_pipe_is_passed_over_and_a_link_to_one_refused(workspace: Workspace, root: Path) -> None:
    write(root / "data" / "x")
    os.mkfifo(root / "data" / "pipe")
    assert list(scan(workspace, FOLDER).listing) == ["x"]
    (root / "data" / "link").symlink_to("pipe")
    with pytest.raises(UsageError, match="data/link is a symbolic link to something that is no file"):
        scan(workspace, FOLDER)


def test_housekeeping_of_systems_and_tools_is_left_out(workspace: Workspace, root: Path) -> None:
    names = [".git", ".cache/huggingface/x", ".tenuto/state.db", ".DS_Store", "sub/Thumbs.db", "sub/desktop.ini"]
    for name in [*names, ".tenuto-0123", "sub/.tenuto-4567", "kept", ".gitignore", "cache/x", "sub/.hidden"]:
        write(root / "data" / name)
    assert list(scan(workspace, FOLDER).listing) == [".gitignore", "cache/x", "kept", "sub/.hidden"]


@pytest.mark.parametrize(("artifact", "expected"), [(FOLDER, ["sub/.gitattributes"]), (PREFIXED, None)])
def test_the_attributes_of_a_whole_repo_belong_to_the_hub(
    workspace: Workspace, root: Path, artifact: Artifact, expected: list[str] | None
) -> None:
    write(root / "data" / ".gitattributes")
    write(root / "data" / "sub" / ".gitattributes")
    assert list(scan(workspace, artifact).listing) == (expected or [".gitattributes", "sub/.gitattributes"])


def test_the_same_is_left_out_on_the_hub() -> None:
    assert is_left_out(FOLDER, ".gitattributes")
    assert not is_left_out(PREFIXED, ".gitattributes")
    for path in (".DS_Store", "a/.DS_Store", ".cache/x", "a/.tenuto-1/b", ".git/config"):
        assert is_left_out(PREFIXED, path)
    for path in ("a/.gitattributes", "DS_Store", "cache/x", ".gitignore", "a.tenuto-1"):
        assert not is_left_out(FOLDER, path)


@pytest.mark.parametrize(
    "name", ["CON", "nul.txt", "a:b", "a\\b", "what?", "end.", "end ", "line\nbreak", "zero\u200bwidth"]
)
def test_names_that_not_every_system_can_hold_are_refused(workspace: Workspace, root: Path, name: str) -> None:
    write(root / "data" / name)
    with pytest.raises(UsageError) as caught:
        scan(workspace, FOLDER)
    assert caught.value.code == "BadPath"
    assert repr(f"data/{name}") in caught.value.message


@pytest.mark.skipif(sys.platform == "darwin", reason="this disk takes no such names")
def test_a_name_that_is_no_text_is_refused_in_words_that_can_be_printed(workspace: Workspace, root: Path) -> None:
    folder = os.fsencode(root / "data")
    os.mkdir(folder)
    with open(os.path.join(folder, b"caf\xe9.txt"), "wb"):
        pass
    with pytest.raises(UsageError) as caught:
        scan(workspace, FOLDER)
    assert caught.value.message.encode()


@pytest.mark.parametrize("twins", [("Model.bin", "model.bin"), ("caf\u00e9", "cafe\u0301"), ("A/x", "a/x")])
def test_names_that_are_one_on_some_systems_are_refused(
    workspace: Workspace, root: Path, twins: tuple[str, str]
) -> None:
    write(root / "data" / twins[0])
    scan(workspace, FOLDER)
    write(root / "data" / twins[1])
    if len(os.listdir(root / "data")) == 1 and "/" not in twins[0]:
        pytest.skip("this disk takes them for one")
    with pytest.raises(UsageError, match="one name on some systems"):
        scan(workspace, FOLDER)


def test_a_single_file_is_listed_by_its_name(workspace: Workspace, root: Path) -> None:
    write(root / "weights" / "model.pt", b"weights")
    write(root / "weights" / "other.pt")
    found = scan(workspace, FILE)
    assert hashes(found) == {"model.pt": digest(b"weights")}
    assert scan(workspace, FILE).hashed_files == 0


def test_a_single_file_that_became_a_folder_is_named(workspace: Workspace, root: Path) -> None:
    (root / "weights" / "model.pt").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"weights/model\.pt is a folder, not a file"):
        scan(workspace, FILE)


def test_a_single_file_at_the_top_of_the_project(workspace: Workspace, root: Path) -> None:
    write(root / "model.pt")
    assert list(scan(workspace, Artifact("model.pt", "hf://ann/model", file=True)).listing) == ["model.pt"]


def test_a_part_is_looked_at_without_the_rest(workspace: Workspace, root: Path) -> None:
    for name in ("a", "sub/b", "sub/c", "sub/.gitattributes", "subtle", ".gitattributes"):
        write(root / "data" / name)
    assert list(scan(workspace, FOLDER, at="data/sub").listing) == ["sub/.gitattributes", "sub/b", "sub/c"]
    assert list(scan(workspace, FOLDER, at="data/a").listing) == ["a"]
    assert list(scan(workspace, FOLDER, at="data/none").listing) == []
    (root / "data" / "sub" / "broken").symlink_to("nothing")
    assert scan(workspace, FOLDER, at="data/sub/broken").broken == ("data/sub/broken",)
    assert workspace.state.files("data").keys() == {"data/a", "data/sub/b", "data/sub/c", "data/sub/.gitattributes"}


def test_a_file_that_cannot_be_read_is_a_fault_and_not_an_absence(workspace: Workspace, root: Path) -> None:
    file = write(root / "data" / "x")
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(StorageError, match="data/x"):
        scan(workspace, FOLDER)


def test_a_file_that_cannot_be_looked_at_is_named_with_its_folder(workspace: Workspace, root: Path) -> None:
    folder = write(root / "data" / "sub" / "x").parent
    folder.chmod(stat.S_IRUSR)
    try:
        if os.access(folder / "x", os.F_OK):
            pytest.skip("this user may look at everything")
        with pytest.raises(StorageError, match="data/sub/x"):
            scan(workspace, FOLDER)
    finally:
        folder.chmod(stat.S_IRWXU)


def test_files_of_all_modes_and_many_links_are_files(workspace: Workspace, root: Path) -> None:
    file = write(root / "data" / "x", b"same")
    file.chmod(stat.S_IRUSR | stat.S_IXUSR)
    os.link(file, root / "data" / "y")
    assert hashes(scan(workspace, FOLDER)) == dict.fromkeys(["x", "y"], digest(b"same"))
