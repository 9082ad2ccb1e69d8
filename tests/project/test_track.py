"""A folder or file of one's own becomes an artifact: manifest, lock and `.gitignore` say so, the bytes stay where they are."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tenuto.core.errors import ConflictError, NotFoundError, TenutoError, UsageError
from tenuto.core.lockfile import parse_lock
from tenuto.core.manifest import parse_manifest
from tenuto.project.status import status
from tenuto.project.track import Request, Tracked, track
from tenuto.project.workspace import Workspace
from tests.project.conftest import Open

TO = "hf://datasets/ann/voices"
Track = Callable[..., Tracked]


@pytest.fixture
def do_track(opened: Open, root: Path) -> Track:
    """Tracks a path of the project, in a run of its own."""

    def run(path: str, to: str | None = TO, name: str | None = None, kind: str | None = None) -> Tracked:
        return track(opened(), Request(str(root / path), to, name, kind))

    return run


@pytest.fixture
def data(root: Path) -> Path:
    (root / "data" / "sub").mkdir(parents=True)
    (root / "data" / "x").write_bytes(b"first")
    (root / "data" / "sub" / "y").write_bytes(b"second!")
    return root / "data"


def read(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def is_ignored(root: Path, path: str) -> bool:
    if not (root / ".git").exists():
        subprocess.run(["git", "init", "-q", root], check=True)
    return subprocess.run(["git", "check-ignore", "-q", "--", path], cwd=root, check=False).returncode == 0


def test_manifest_lock_and_gitignore_take_note(data: Path, root: Path, do_track: Track) -> None:
    tracked = do_track("data")
    assert (tracked.name, tracked.path, tracked.repo, tracked.changed) == ("data", "data", TO, True)
    assert (tracked.files, tracked.bytes, tracked.hashed_files, tracked.hashed_bytes) == (2, 12, 2, 12)
    artifact = parse_manifest(read(root, "tenuto.toml")).artifacts["data"]
    assert (artifact.path, artifact.repo, artifact.kind, artifact.file) == ("data", TO, "dataset", False)
    locked = parse_lock(read(root, "tenuto.lock")).artifacts["data"]
    assert (locked.digest, locked.files, locked.bytes, locked.commit) == (tracked.digest, 2, 12, None)
    assert read(root, ".gitignore") == "/data\n"
    assert is_ignored(root, "data/x")


def test_the_bytes_are_not_copied_into_the_store(data: Path, do_track: Track, opened: Open) -> None:
    tracked = do_track("data")
    assert [stored.sha256 for stored in opened().store] == [tracked.digest]
    assert (data / "x").stat().st_nlink == 1


def test_comments_of_the_manifest_stay(data: Path, root: Path, do_track: Track) -> None:
    (root / "tenuto.toml").write_text('# ours\n[project]\nname = "p"  # why\n')
    do_track("data")
    assert read(root, "tenuto.toml").startswith('# ours\n[project]\nname = "p"  # why\n')


def test_tracking_again_records_what_is_there_now(data: Path, root: Path, do_track: Track) -> None:
    first = do_track("data")
    manifest, lock = read(root, "tenuto.toml"), read(root, "tenuto.lock")
    again = do_track("data", to=None)
    assert (again.changed, again.digest) == (False, first.digest)
    assert (read(root, "tenuto.toml"), read(root, "tenuto.lock"), read(root, ".gitignore")) == (
        manifest,
        lock,
        "/data\n",
    )
    (data / "x").write_bytes(b"changed")
    changed = do_track("data", to=None)
    assert (changed.changed, changed.digest != first.digest) == (True, True)
    assert read(root, "tenuto.toml") == manifest


def test_another_kind_and_another_repo_are_written_down(data: Path, root: Path, do_track: Track) -> None:
    do_track("data")
    do_track("data", to=None, kind="checkpoint")
    assert parse_manifest(read(root, "tenuto.toml")).artifacts["data"].kind == "checkpoint"
    assert parse_lock(read(root, "tenuto.lock")).artifacts["data"].kind == "checkpoint"
    do_track("data", to="hf://bob/other")
    assert parse_manifest(read(root, "tenuto.toml")).artifacts["data"].repo == "hf://bob/other"
    locked = parse_lock(read(root, "tenuto.lock")).artifacts["data"]
    assert (locked.source, locked.kind) == ("hf://bob/other", "checkpoint")


def test_tracking_again_what_was_pushed_keeps_the_commit_and_the_licence(
    data: Path, root: Path, do_track: Track, opened: Open
) -> None:
    do_track("data")
    workspace = opened()
    import msgspec

    pushed = msgspec.structs.replace(workspace.lock.artifacts["data"], commit="c" * 40, license="cc-by-4.0")
    workspace.write_lock(pushed)
    do_track("data", to=None, kind="model")
    assert parse_lock(read(root, "tenuto.lock")).artifacts["data"] == msgspec.structs.replace(pushed, kind="model")
    (data / "x").write_bytes(b"changed")
    do_track("data", to=None)
    locked = parse_lock(read(root, "tenuto.lock")).artifacts["data"]
    assert (locked.commit, locked.license) == (None, "cc-by-4.0")


def test_a_single_file(root: Path, do_track: Track) -> None:
    (root / "weights").mkdir()
    (root / "weights" / "model.pt").write_bytes(b"weights")
    (root / "weights" / "notes.txt").write_bytes(b"notes")
    tracked = do_track("weights/model.pt", "hf://ann/model")
    assert (tracked.files, tracked.ignored_in) == (1, "weights/.gitignore")
    artifact = parse_manifest(read(root, "tenuto.toml")).artifacts["weights/model.pt"]
    assert (artifact.file, artifact.kind) == (True, "model")
    assert read(root, "weights/.gitignore") == "/model.pt\n"
    assert is_ignored(root, "weights/model.pt")
    assert not is_ignored(root, "weights/notes.txt")


@pytest.mark.parametrize(
    "name",
    [
        "two words",
        "[brackets]",
        "#hash",
        "!bang",
        "naïve",
        "音楽",
        "-dash",
        "a\u00a0b",
        "{brace}",
        "tilde~",
        "per%cent",
    ],
)
def test_odd_names_are_kept_out_of_git(root: Path, do_track: Track, name: str) -> None:
    (root / name).mkdir()
    (root / name / "x").write_bytes(b"x")
    (root / f"not {name}").mkdir()
    (root / f"not {name}" / "x").write_bytes(b"x")
    do_track(name)
    assert is_ignored(root, f"{name}/x")
    assert not is_ignored(root, f"not {name}/x")
    assert parse_manifest(read(root, "tenuto.toml")).artifacts[name].path == name


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"*.pyc", b"*.pyc\n/data\n"),
        (b"*.pyc\n", b"*.pyc\n/data\n"),
        (b"*.pyc\r\n\r\n", b"*.pyc\r\n\r\n/data\n"),
        (b"/data\r\n*.pyc", b"/data\r\n*.pyc"),
        (b"caf\xe9\n", b"caf\xe9\n/data\n"),
        (b"", b"/data\n"),
    ],
)
def test_the_rest_of_the_gitignore_stays_as_it_is(
    data: Path, root: Path, do_track: Track, before: bytes, after: bytes
) -> None:
    (root / ".gitignore").write_bytes(before)
    for _ in range(2):
        do_track("data")
    assert (root / ".gitignore").read_bytes() == after
    assert is_ignored(root, "data/x")


def test_an_empty_folder_can_be_tracked(root: Path, do_track: Track) -> None:
    (root / "data").mkdir()
    assert (do_track("data").files, do_track("data").bytes) == (0, 0)


def test_a_name_and_a_kind_can_be_chosen(data: Path, root: Path, do_track: Track) -> None:
    assert do_track("data", name="voices/raw", kind="checkpoint").name == "voices/raw"
    assert parse_manifest(read(root, "tenuto.toml")).artifacts["voices/raw"].kind == "checkpoint"
    assert do_track("data", to=None).name == "voices/raw"


def refused(run: Callable[[], object], kind: type[TenutoError], code: str, match: str) -> None:
    with pytest.raises(kind, match=match) as caught:
        run()
    assert caught.value.code == code
    assert caught.value.hint


def test_what_is_not_there_is_not_tracked(do_track: Track) -> None:
    refused(lambda: do_track("nothing"), NotFoundError, "EntryNotFound", "nothing does not exist")


def test_a_first_track_needs_an_address(data: Path, root: Path, do_track: Track) -> None:
    refused(lambda: do_track("data", to=None), UsageError, "BadCommand", "--to is missing")
    assert not (root / "tenuto.lock").exists()
    assert not (root / ".gitignore").exists()


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("ann/voices", "BadAddress"),
        ("https://huggingface.co/ann/voices", "BadAddress"),
        ("hf://ann", "BadAddress"),
        ("hf://ann/voices/../x", "BadPath"),
        ("hf://ann/voices@" + "c" * 40, "BadAddress"),
    ],
)
def test_an_address_that_cannot_be_pushed_to_is_refused(
    data: Path, root: Path, do_track: Track, to: str, code: str
) -> None:
    before = read(root, "tenuto.toml")
    with pytest.raises(UsageError) as caught:
        do_track("data", to=to)
    assert caught.value.code == code
    assert read(root, "tenuto.toml") == before


def test_a_kind_that_is_none_is_refused(data: Path, do_track: Track) -> None:
    refused(lambda: do_track("data", kind="toy"), UsageError, "BadCommand", "toy")


def test_what_lies_outside_is_refused(root: Path, tmp_path: Path, do_track: Track) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "project-two").mkdir()
    for path in ("../outside", "../project-two", str(tmp_path / "outside"), ".", ".."):
        refused(lambda path=path: do_track(path), UsageError, "BadPath", "is not below")
    (root / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "inner").mkdir()
    refused(lambda: do_track("link/inner"), UsageError, "BadPath", "is not below")
    refused(lambda: do_track("link"), UsageError, "BadPath", "link is a symbolic link to a folder")


def test_what_is_our_own_is_refused(root: Path, do_track: Track) -> None:
    (root / ".tenuto" / "trash").mkdir(parents=True)
    for path in ("tenuto.toml", ".tenuto", ".tenuto/trash"):
        refused(lambda path=path: do_track(path), UsageError, "BadPath", "belongs to tenuto itself")


def test_a_project_that_is_reached_by_a_link_is_the_same(data: Path, root: Path, tmp_path: Path, opened: Open) -> None:
    (tmp_path / "alias").symlink_to(root)
    assert track(opened(), Request(str(tmp_path / "alias" / "data"), TO)).path == "data"


def test_a_broken_link_is_refused(data: Path, do_track: Track) -> None:
    (data / "broken").symlink_to("nothing")
    refused(lambda: do_track("data"), NotFoundError, "EntryNotFound", "data/broken is a symbolic link to nothing")


@pytest.mark.parametrize(("first", "second"), [("data", "data/sub"), ("data/sub", "data")])
def test_artifacts_do_not_overlap(data: Path, root: Path, do_track: Track, first: str, second: str) -> None:
    do_track(first)
    before = read(root, "tenuto.toml")
    with pytest.raises(UsageError, match="share") as caught:
        do_track(second)
    assert caught.value.code == "BadManifest"
    assert read(root, "tenuto.toml") == before


def test_a_name_means_one_path_and_a_path_has_one_name(data: Path, root: Path, do_track: Track) -> None:
    (root / "other").mkdir()
    do_track("data")
    refused(lambda: do_track("data", name="second"), ConflictError, "Exists", "data is tracked already, as 'data'")
    refused(lambda: do_track("other", name="data"), ConflictError, "Exists", "the name 'data' is that of data")
    assert parse_manifest(read(root, "tenuto.toml")).artifacts["data"].path == "data"


def test_what_was_tracked_is_read_once_in_all(data: Path, do_track: Track, opened: Open) -> None:
    for file in (data / "x", data / "sub" / "y"):
        os.utime(file, (1, 1))
    assert do_track("data").hashed_files == 2
    assert do_track("data").hashed_files == 0
    assert [artifact.state for artifact in status(opened()).artifacts] == ["not pushed"]


def test_status_says_what_differs_from_the_lock(data: Path, root: Path, do_track: Track, opened: Open) -> None:
    do_track("data")
    (data / "x").write_bytes(b"changed!")
    (data / "sub" / "y").unlink()
    (data / "new").write_bytes(b"new")
    report = status(opened())
    assert not report.clean
    [artifact] = report.artifacts
    assert (artifact.state, artifact.pushed, artifact.files) == ("changed", False, 2)
    assert artifact.changes
    assert [(change.path, change.change, change.size) for change in artifact.changes] == [
        ("new", "added", 3),
        ("sub/y", "missing", None),
        ("x", "modified", 8),
    ]
    for file in ("x", "new"):
        (data / file).unlink()
    assert [artifact.state for artifact in status(opened()).artifacts] == ["missing"]
    (root / "tenuto.lock").unlink()
    assert [artifact.state for artifact in status(opened()).artifacts] == ["not locked"]


def test_the_same_folder_gives_the_same_lock(data: Path, root: Path, do_track: Track) -> None:
    do_track("data")
    (root / "other").mkdir()
    do_track("other", "hf://bob/b")
    first = (root / "tenuto.lock").read_bytes()
    (root / "tenuto.lock").unlink()
    do_track("other", "hf://bob/b")
    do_track("data")
    assert (root / "tenuto.lock").read_bytes() == first


def test_a_workspace_that_was_not_told_to_makes_no_request(data: Path, do_track: Track, workspace: Workspace) -> None:
    do_track("data")
    status(workspace)
    assert "remote" not in vars(workspace)
