"""Folders of models and datasets as others leave them: caches, local folders, loose files, half-finished work."""

import hashlib
import os
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir, snapshot_download

from tenuto.core.errors import StorageError
from tenuto.survey.hfcache import Found, find_artifacts
from tests.project.conftest import Scene

COMMIT, OTHER = "0123456789abcdef0123456789abcdef01234567", "f" * 40


def put(file: Path, content: bytes = b"x") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def cached(top: Path, files: dict[str, bytes], commit: str = COMMIT, ref: str | None = "main") -> Path:
    """A snapshot in a repo of the cache, as `huggingface_hub` lays it out."""
    for path, content in files.items():
        sha256 = hashlib.sha256(content).hexdigest()
        put(top / "blobs" / sha256, content)
        link = top / "snapshots" / commit / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(top / "blobs" / sha256, link.parent))
    if ref:
        put(top / "refs" / ref, commit.encode())
    return top


def paths(found: Found) -> list[str]:
    return [file.path for file in found.files]


def test_a_cache_holds_more_than_models_and_datasets(tmp_path: Path) -> None:
    for name in ("models--a--b", "spaces--a--c", "kernels--a--d", ".locks/models--a--b"):
        cached(tmp_path / name, {"w.bin": b"1"})
    put(tmp_path / "version.txt")
    assert [found.repo_id for found in find_artifacts(str(tmp_path))] == ["a/b"]


def test_a_snapshot_is_its_links_and_blobs_are_not_counted_beside_them(tmp_path: Path) -> None:
    cached(tmp_path / "models--facebook--musicgen-small", {"a.safetensors": b"weights", "sub/config.json": b"{}"})
    (found,) = find_artifacts(str(tmp_path))
    assert found[:6] == (
        "model",
        "models--facebook--musicgen-small",
        f"models--facebook--musicgen-small/snapshots/{COMMIT}",
        "facebook/musicgen-small",
        "main",
        COMMIT,
    )
    assert [(file.path, file.size, file.sha256) for file in found.files] == [
        ("a.safetensors", 7, hashlib.sha256(b"weights").hexdigest()),
        ("sub/config.json", 2, hashlib.sha256(b"{}").hexdigest()),
    ]


def test_a_cache_in_folders_of_the_same_name_is_found_as_its_repo(tmp_path: Path) -> None:
    for name in ("musicgen-large", "musicgen-small"):
        cached(tmp_path / f"models/facebook/facebook_{name}/models--facebook--{name}", {"w.bin": name.encode()})
    cached(tmp_path / "datasets/marsyas_gtzan/datasets--marsyas--gtzan", {"README.md": b"#"})
    put(tmp_path / "models/README.md")
    put(tmp_path / "datasets/inventory.json")
    put(tmp_path / "scripts/run.py")
    assert [
        (found.kind, found.folder_name, found.repo_id, paths(found)) for found in find_artifacts(str(tmp_path))
    ] == [
        ("dataset", "marsyas_gtzan", "marsyas/gtzan", ["README.md"]),
        ("model", "facebook_musicgen-large", "facebook/musicgen-large", ["w.bin"]),
        ("model", "facebook_musicgen-small", "facebook/musicgen-small", ["w.bin"]),
    ]


def test_every_snapshot_is_an_entry_with_the_name_of_its_revision(tmp_path: Path) -> None:
    repo = tmp_path / "models--gpt2"
    cached(repo, {"w.bin": b"old", "c.json": b"{}"}, COMMIT, "v1.0")
    cached(repo, {"w.bin": b"new"}, OTHER, "main")
    (repo / "snapshots" / OTHER / "c.json").symlink_to(f"../../blobs/{hashlib.sha256(b'{}').hexdigest()}")
    old, new = find_artifacts(str(tmp_path))
    assert (old.repo_id, old.revision, new.revision) == ("gpt2", "v1.0", "main")
    assert [file.real for file in old.files if file.path == "c.json"] == [file.real for file in new.files][:1]


def test_a_repo_without_a_snapshot_is_an_entry_without_files(tmp_path: Path) -> None:
    put(tmp_path / "datasets--polyfloyd--fma/refs/main", COMMIT.encode())
    (tmp_path / "models--a--b").mkdir()
    data, model = find_artifacts(str(tmp_path))
    assert (data.repo_id, data.revision, data.snapshot, data.files) == ("polyfloyd/fma", "main", None, ())
    assert (model.repo_id, model.local_path, model.files) == ("a/b", "models--a--b", ())


def test_what_is_broken_or_unfinished_is_told(tmp_path: Path) -> None:
    repo = cached(tmp_path / "models--a--b", {"w.bin": b"1", "x.bin": b"2"})
    (repo / "blobs" / hashlib.sha256(b"2").hexdigest()).unlink()
    put(repo / "blobs" / "abc.incomplete")
    (found,) = find_artifacts(str(tmp_path))
    assert (paths(found), found.broken, found.unfinished) == (["w.bin"], ("x.bin",), 1)


def test_loose_folders(tmp_path: Path) -> None:
    put(tmp_path / "models/facebook/facebook_encodec_32khz/model.safetensors")
    put(tmp_path / "models/facebook/facebook_encodec_32khz/sub/config.json")
    put(tmp_path / "models/mine/final_model.pt")
    put(tmp_path / "datasets/songs/blues/one.wav")
    put(tmp_path / "datasets/songs/rock/two.wav")
    (tmp_path / "datasets/ionosphere_maestro").mkdir()
    found = find_artifacts(str(tmp_path))
    assert [(one.local_path, one.kind, one.repo_id, paths(one)) for one in found] == [
        ("datasets/ionosphere_maestro", "dataset", None, []),
        ("datasets/songs", "dataset", None, ["blues/one.wav", "rock/two.wav"]),
        (
            "models/facebook/facebook_encodec_32khz",
            "model",
            "facebook/encodec_32khz",
            ["model.safetensors", "sub/config.json"],
        ),
        ("models/mine", "model", None, ["final_model.pt"]),
    ]


def test_files_beside_the_folders_are_not_overlooked_but_papers_are(tmp_path: Path) -> None:
    put(tmp_path / "models/adapter.safetensors")
    put(tmp_path / "models/m/w.bin")
    for paper in ("README.md", "inventory.json", "checksums.sha256", ".gitkeep"):
        put(tmp_path / "models" / paper)
    stray, model = find_artifacts(str(tmp_path))
    assert (stray.local_path, stray.kind, paths(stray)) == ("models", "model", ["adapter.safetensors"])
    assert paths(model) == ["w.bin"]


@pytest.mark.parametrize(("file", "kind"), [("w.safetensors", "model"), ("one.wav", "dataset")])
def test_one_folder_alone_is_what_its_files_are(tmp_path: Path, file: str, kind: str) -> None:
    put(tmp_path / "thing" / file)
    (found,) = find_artifacts(str(tmp_path / "thing"))
    assert (found.local_path, found.folder_name, found.kind) == (".", "thing", kind)


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert find_artifacts(str(tmp_path)) == []
    with pytest.raises(StorageError):
        find_artifacts(str(tmp_path / "nowhere"))


def test_links_to_folders_are_followed_once_even_in_a_circle(tmp_path: Path) -> None:
    put(tmp_path / "disk/big/w.safetensors")
    (tmp_path / "home/models").mkdir(parents=True)
    (tmp_path / "home/models/big").symlink_to(tmp_path / "disk/big")
    (tmp_path / "home/models/again").symlink_to(tmp_path / "disk/big")
    (tmp_path / "disk/big/up").symlink_to(tmp_path / "home/models")
    (tmp_path / "home/models/loop").symlink_to(".")
    found = find_artifacts(str(tmp_path / "home"))
    assert [paths(one) for one in found] == [["w.safetensors"]]


def test_a_link_to_itself_is_broken(tmp_path: Path) -> None:
    put(tmp_path / "models/m/w.bin")
    (tmp_path / "models/m/self").symlink_to("self")
    (tmp_path / "models/self").symlink_to("self")
    beside, found = find_artifacts(str(tmp_path))
    assert (paths(found), found.broken) == (["w.bin"], ("self",))
    assert (beside.local_path, paths(beside), beside.broken) == ("models", [], ("self",))


def test_a_folder_that_cannot_be_looked_at_is_named_and_the_others_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "models/closed/w.bin")
    put(tmp_path / "models/open/w.bin")
    scandir = os.scandir

    def guarded(path: str) -> "os._ScandirIterator[str]":
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)  # the tests may run as one who may read everything
    closed, opened = find_artifacts(str(tmp_path))
    assert (closed.local_path, closed.fault, closed.files) == ("models/closed", "Permission denied", ())
    assert paths(opened) == ["w.bin"]


def test_a_name_that_is_no_text_is_no_obstacle(tmp_path: Path) -> None:
    put(Path(os.fsdecode(os.fsencode(tmp_path) + b"/models/m/\xff\n.bin")))
    (found,) = find_artifacts(str(tmp_path))
    assert [os.fsencode(file.path) for file in found.files] == [b"\xff\n.bin"]


def test_what_the_stock_client_downloads(scene: Scene, tmp_path: Path) -> None:
    commit = scene.upload("data/large.bin", b"\0" * 20_000)
    scene.upload("README.md", b"---\nlicense: mit\n---\n# Songs\n")
    name = scene.repo.removeprefix("hf://datasets/")
    cache, local = tmp_path / "hub", tmp_path / "local"
    options = {"repo_type": "dataset", "endpoint": scene.hub.url, "token": scene.token}
    head = os.path.basename(snapshot_download(name, cache_dir=cache, **options))  # type: ignore[arg-type]
    snapshot_download(name, cache_dir=cache, revision=commit, **options)  # type: ignore[arg-type]
    found = {one.snapshot: one for one in find_artifacts(str(cache))}
    assert found.keys() == {head, commit}
    report = next(iter(scan_cache_dir(cache).repos))
    for revision in report.revisions:
        mine = found[revision.commit_hash]
        assert {(file.path, file.size) for file in mine.files} == {
            (str(file.file_path.relative_to(revision.snapshot_path)), file.size_on_disk) for file in revision.files
        }
    real = {file.real: file.size for one in found.values() for file in one.files}
    assert sum(real.values()) == report.size_on_disk
    snapshot_download(name, local_dir=local, **options)  # type: ignore[arg-type]
    (loose,) = find_artifacts(str(local))
    assert (loose.snapshot, loose.local_path) == (head, ".")
    hashes = {file.path: file.sha256 for file in loose.files}
    assert hashes["data/large.bin"] == hashlib.sha256(b"\0" * 20_000).hexdigest()
