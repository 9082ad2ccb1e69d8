"""What DVC tracks is taken over, from `.dvc` files and the cache of DVC, which stay as they are."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.project.dvc import DvcReport, find_cache, import_dvc
from tenuto.project.status import status
from tests.project.conftest import Open, Scene

FILES = {"BEATs_iter3.pt": b"weights" * 4000, "openbeats.pt": b"other weights" * 3000, "sub/notes.txt": b"a\r\nb\r\n"}
TO = "hf://datasets/me/checkpoints"
DVC = next(iter(sorted((Path(__file__).parents[2] / ".bench").glob("dvc-*/bin/dvc"))), None)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Repository:
    """A project that DVC worked in: `data.dvc` is a folder, `model.pt.dvc` a file; the working files are not here."""

    def __init__(self, root: Path, *, modern: bool = True) -> None:
        self.root, self.modern = root, modern
        self.cache = root / ".dvc" / "cache"
        (root / ".dvc").mkdir()
        (root / ".dvc" / "config").write_text("[core]\n    remote = x\n")
        listed = [{"md5": self.put(content), "relpath": path} for path, content in FILES.items()]
        text = json.dumps(sorted(listed, key=lambda entry: entry["relpath"])).encode()
        self.folder_md5 = f"{md5(text)}.dir"
        self.put(text, self.folder_md5)
        kind = "  hash: md5\n" if modern else ""
        (root / "data.dvc").write_text(f"outs:\n- md5: {self.folder_md5}\n  size: 9\n  nfiles: 3\n{kind}  path: data\n")
        self.file_md5 = self.put(b"a model" * 4000)
        (root / "model.pt.dvc").write_text(f"outs:\n- md5: {self.file_md5}\n  size: 9\n{kind}  path: model.pt\n")

    def place(self, name: str) -> Path:
        return self.cache.joinpath(*(("files", "md5") if self.modern else ()), name[:2], name[2:])

    def put(self, content: bytes, name: str | None = None) -> str:
        name = name or md5(content)
        file = self.place(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o444)
        return name

    def own(self) -> dict[str, tuple[bytes, int, int]]:
        """Everything of DVC's: content, mode, time."""
        files = [*self.cache.rglob("*"), *self.root.glob("*.dvc"), self.root / ".dvc" / "config"]
        return {
            str(file): (file.read_bytes(), file.stat().st_mode, file.stat().st_mtime_ns)
            for file in files
            if file.is_file()
        }


@pytest.fixture(params=[True, False], ids=["DVC 3", "DVC 2"])
def repository(root: Path, request: pytest.FixtureRequest) -> Repository:
    return Repository(root, modern=request.param)


@pytest.fixture
def modern(root: Path) -> Repository:
    return Repository(root)


def taken(opened: Open, start: Path, to: str = TO, cache: Path | None = None, *, dry_run: bool = False) -> DvcReport:
    workspace = opened()
    return import_dvc(workspace, str(start), to, str(cache) if cache else None, dry_run=dry_run)


def test_a_folder_and_a_file_become_artifacts(repository: Repository, opened: Open) -> None:
    before = repository.own()
    report = taken(opened, repository.root)
    assert report.failures == []
    assert [(one.path, one.repo, one.files, one.taken_files, one.changed) for one in report.artifacts] == [
        ("data", f"{TO}/data", 3, 3, []),
        ("model.pt", TO, 1, 1, []),
    ]
    data = repository.root / "data"
    assert {str(file.relative_to(data)): file.read_bytes() for file in data.rglob("*.*")} == FILES
    assert (repository.root / "model.pt").read_bytes() == b"a model" * 4000
    assert repository.own() == before
    workspace = opened()
    assert {one.name: one.state for one in status(workspace).artifacts} == {
        "data": "not pushed",
        "model.pt": "not pushed",
    }
    assert workspace.manifest.artifacts["model.pt"].file


def test_the_disk_is_not_doubled(modern: Repository, opened: Open) -> None:
    taken(opened, modern.root / "model.pt.dvc")
    cached, here = modern.place(modern.file_md5), modern.root / "model.pt"
    if here.stat().st_ino != cached.stat().st_ino:
        pytest.skip("this disk shares bytes without hard links")
    assert cached.stat().st_nlink == 3


def test_a_cache_that_is_not_protected_is_copied_and_left(modern: Repository, opened: Open) -> None:
    cached = modern.place(modern.file_md5)
    cached.chmod(0o644)
    taken(opened, modern.root / "model.pt.dvc")
    assert (modern.root / "model.pt").read_bytes() == cached.read_bytes()
    assert (cached.stat().st_mode & 0o777, cached.stat().st_nlink) == (0o644, 1)


def test_one_file_alone_is_kept_on_the_address_itself(modern: Repository, opened: Open) -> None:
    assert [one.repo for one in taken(opened, modern.root / "data.dvc").artifacts] == [TO]


def test_what_is_here_stays(modern: Repository, opened: Open) -> None:
    (modern.root / "model.pt").write_bytes(b"my own fine-tune")
    (modern.root / "data").mkdir()
    (modern.root / "data" / "openbeats.pt").write_bytes(FILES["openbeats.pt"])
    report = taken(opened, modern.root)
    assert [(one.path, one.taken_files, one.changed) for one in report.artifacts] == [
        ("data", 2, []),
        ("model.pt", 0, ["model.pt"]),
    ]
    assert (modern.root / "model.pt").read_bytes() == b"my own fine-tune"


def test_a_dry_run_changes_nothing(modern: Repository, opened: Open) -> None:
    before = {file: file.stat().st_mtime_ns for file in modern.root.rglob("*") if file.is_file()}
    report = taken(opened, modern.root, dry_run=True)
    assert [(one.path, one.files, one.taken_files) for one in report.artifacts] == [("data", 3, 3), ("model.pt", 1, 1)]
    now = {file: file.stat().st_mtime_ns for file in modern.root.rglob("*") if file.is_file()}
    assert {file: moment for file, moment in now.items() if ".tenuto" not in file.parts} == before


def test_what_is_missing_is_named_and_the_rest_taken(modern: Repository, opened: Open) -> None:
    for content in (FILES["openbeats.pt"], FILES["sub/notes.txt"]):
        modern.place(md5(content)).unlink()
    report = taken(opened, modern.root)
    assert [one.path for one in report.artifacts] == ["model.pt"]
    (failure,) = report.failures
    assert (failure.code, failure.exit_status) == ("EntryNotFound", 9)
    assert "2 files neither here nor in the DVC cache: data/openbeats.pt, data/sub/notes.txt" in failure.message
    assert not (modern.root / "data").exists()
    assert list(opened().manifest.artifacts) == ["model.pt"]


def test_a_damaged_cache_gives_nothing(modern: Repository, opened: Open) -> None:
    cached = modern.place(modern.file_md5)
    cached.chmod(0o644)
    cached.write_bytes(b"damaged")
    cached.chmod(0o444)
    report = taken(opened, modern.root)
    assert [(failure.code, failure.exit_status) for failure in report.failures] == [("CorruptObject", 5)]
    assert not (modern.root / "model.pt").exists()


@pytest.mark.parametrize("content", [b"[]", b"{}", b"damaged", None])
def test_a_list_of_files_that_is_damaged_or_gone(modern: Repository, opened: Open, content: bytes | None) -> None:
    listed = modern.place(modern.folder_md5)
    listed.unlink()
    if content is not None:
        listed.write_bytes(content)
    report = taken(opened, modern.root / "data.dvc")
    assert [failure.exit_status for failure in report.failures] == [9 if content is None else 5]


def test_a_folder_that_is_whole_needs_no_cache(modern: Repository, opened: Open) -> None:
    for path, content in FILES.items():
        file = modern.root / "data" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    shutil.rmtree(modern.cache)
    report = taken(opened, modern.root / "data.dvc")
    assert [(one.path, one.files, one.taken_files) for one in report.artifacts] == [("data", 3, 0)]
    assert report.failures == []


def test_a_path_out_of_the_folder_is_refused(modern: Repository, opened: Open) -> None:
    entries = json.dumps([{"md5": modern.file_md5, "relpath": "../../evil"}]).encode()
    modern.put(entries, f"{md5(entries)}.dir")
    (modern.root / "data.dvc").write_text(f"outs:\n- md5: {md5(entries)}.dir\n  path: data\n")
    (modern.root / "model.pt.dvc").write_text(f"outs:\n- md5: {modern.file_md5}\n  path: ../outside\n")
    report = taken(opened, modern.root)
    assert [failure.code for failure in report.failures] == ["BadPath", "BadPath"]
    assert not (modern.root.parent / "evil").exists()
    assert not (modern.root.parent / "outside").exists()


def test_a_dvc_file_that_recorded_nothing(modern: Repository, opened: Open) -> None:
    (modern.root / "checkpoints.dvc").write_text("outs:\n- md5: null\n  path: checkpoints\n")
    report = taken(opened, modern.root / "checkpoints.dvc")
    (failure,) = report.failures
    assert (failure.name, failure.exit_status) == ("checkpoints.dvc", 2)
    assert "checkpoints has no md5: DVC never recorded what it is" in failure.message
    assert "tenuto track checkpoints" in (failure.hint or "")


def test_the_md5_of_a_text_as_older_dvc_took_it(modern: Repository, opened: Open) -> None:
    text = b"a\r\nb\r\n"
    name = modern.put(text, md5(b"a\nb\n"))
    (modern.root / "t.txt.dvc").write_text(f"outs:\n- md5: {name}\n  path: t.txt\n")
    assert taken(opened, modern.root / "t.txt.dvc").failures == []
    assert (modern.root / "t.txt").read_bytes() == text


def test_where_the_cache_is(modern: Repository, opened: Open) -> None:
    assert find_cache(str(modern.root)) == str(modern.cache)
    elsewhere = modern.root.parent / "other cache"
    modern.cache.rename(elsewhere)
    (modern.root / ".dvc" / "config").write_text(
        "[cache]\n    dir = ../../other cache\n['remote \"x\"']\n    url = s3://b\n"
    )
    assert find_cache(str(modern.root)) == str(elsewhere)
    assert taken(opened, modern.root / "model.pt.dvc").failures == []
    (modern.root / ".dvc" / "config.local").write_text(f"[cache]\ndir = {modern.root}\n")
    assert find_cache(str(modern.root)) == str(modern.root)
    (modern.root / ".dvc" / "config.local").write_text("[machine\nno ini at all")
    assert find_cache(str(modern.root)) == str(elsewhere)
    assert taken(opened, modern.root / "data.dvc", cache=elsewhere).failures == []


def test_nothing_to_take_over(root: Path, opened: Open) -> None:
    with pytest.raises(NotFoundError, match=r"no \.dvc file at or below"):
        taken(opened, root)
    (root / "a.dvc").write_text("outs:\n- md5: null\n  path: a\n")
    with pytest.raises(UsageError):
        taken(opened, root, "me/checkpoints")


def test_twice_is_once(modern: Repository, opened: Open) -> None:
    taken(opened, modern.root)
    lock = (modern.root / "tenuto.lock").read_bytes()
    report = taken(opened, modern.root)
    assert [one.taken_files for one in report.artifacts] == [0, 0]
    assert (modern.root / "tenuto.lock").read_bytes() == lock


def test_what_was_taken_over_is_pushed_and_pulled(scene: Scene) -> None:
    Repository(scene.ann.root)
    with scene.ann.opened() as workspace:
        assert import_dvc(workspace, str(scene.ann.root), scene.repo).failures == []
    scene.ann.push()
    assert scene.on_hub() == {
        "model.pt": b"a model" * 4000,
        **{f"data/{path}": content for path, content in FILES.items()},
    }


@pytest.mark.skipif(DVC is None, reason="DVC is installed by `make bench` only")
def test_what_dvc_itself_made(root: Path, opened: Open, tmp_path: Path) -> None:
    def dvc(*words: str) -> None:
        environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
        subprocess.run([str(DVC), *words], cwd=root, env=environment, check=True, capture_output=True)

    dvc("init", "--no-scm", "-q")
    for path, content in {**FILES, "ünïcode name.txt": b"x", "a 'quoted' # name.bin": b"y"}.items():
        file = root / "data" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (root / "it's: a # model.pt").write_bytes(b"model" * 5000)
    dvc("add", "-q", "data")
    (root / "it's: a # model.pt").rename(root / "it's a # model.pt")
    dvc("add", "-q", "it's a # model.pt")
    whole = taken(opened, root, dry_run=True)
    assert (whole.failures, [one.changed for one in whole.artifacts]) == ([], [[], []])
    shutil.rmtree(root / "data")
    (root / "it's a # model.pt").unlink()
    report = taken(opened, root)
    assert (report.failures, [one.taken_files for one in report.artifacts]) == ([], [5, 1])
    assert (root / "data" / "ünïcode name.txt").read_bytes() == b"x"
    dvc("status", "-q")
