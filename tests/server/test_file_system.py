"""`HfFileSystem`, unchanged, and the probes of libraries that look for files which are not there."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfFileSystem, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError
from huggingface_hub.file_download import _CACHED_NO_EXIST

from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import small

pytestmark = [
    pytest.mark.wire,
    pytest.mark.filterwarnings(
        "ignore:Use 'content:DeprecationWarning"
    ),  # what the stock client does to its own library
]


@pytest.fixture
def files(owner: Owner, stock) -> HfFileSystem:
    stock(False)
    content = [small("a.txt", b"one"), small("d/b.txt", b"two"), small("d/e/c d#.txt", b"three")]
    owner.talk.commit(owner.repo, *content).raise_for_status()
    return HfFileSystem(
        endpoint=str(owner.talk.client.base_url).rstrip("/"), token=owner.token, skip_instance_cache=True
    )


def test_looking(files: HfFileSystem, owner: Owner) -> None:
    repo = owner.repo
    assert sorted(files.ls(repo, detail=False)) == [f"{repo}/{one}" for one in (".gitattributes", "a.txt", "d")]
    assert files.find(f"{repo}/d") == [f"{repo}/d/b.txt", f"{repo}/d/e/c d#.txt"]
    assert files.glob(f"{repo}/**/*.txt") == [f"{repo}/{one}" for one in ("a.txt", "d/b.txt", "d/e/c d#.txt")]
    assert files.isdir(f"{repo}/d")
    assert files.isfile(f"{repo}/d/b.txt")
    assert not files.exists(f"{repo}/nothing")
    assert not files.exists(f"{owner.name}/nothing/x")
    assert files.info(f"{repo}/a.txt")["size"] == 3
    assert datetime.now(UTC) - files.modified(f"{repo}/d/b.txt") < timedelta(minutes=5)
    assert [one[0] for one in files.walk(repo)] == [repo, f"{repo}/d", f"{repo}/d/e"]
    with pytest.raises(FileNotFoundError):
        files.ls(f"{repo}/nothing")


def test_reading_and_writing(files: HfFileSystem, owner: Owner, tmp_path: Path) -> None:
    repo, data = owner.repo, bytes(range(256)) * 40_000
    with files.open(f"{repo}/new/big.bin", "wb") as file:
        file.write(data)
    with files.open(f"{repo}/new/big.bin", "rb") as file:
        file.seek(5_000_001)
        assert file.read(300) == data[5_000_001:5_000_301]
        file.seek(-7, 2)
        assert file.read() == data[-7:]
    files.get_file(f"{repo}/new/big.bin", str(tmp_path / "big"))
    assert (tmp_path / "big").read_bytes() == data
    files.pipe_file(f"{repo}/new/x.txt", b"short")
    assert files.cat_file(f"{repo}/new/x.txt", start=1, end=3) == b"ho"
    files.cp_file(f"{repo}/a.txt", f"{repo}/copied.txt")
    files.cp_file(f"{repo}/new/big.bin", f"{repo}/copied.bin")
    assert files.cat_file(f"{repo}/copied.txt") == b"one"
    assert files.cat_file(f"{repo}/copied.bin") == data
    files.mv(f"{repo}/copied.txt", f"{repo}/moved.txt")
    files.rm(f"{repo}/new", recursive=True)
    files.invalidate_cache()
    assert sorted(owner.talk.listing(repo)) == [
        ".gitattributes",
        "a.txt",
        "copied.bin",
        "d/b.txt",
        "d/e/c d#.txt",
        "moved.txt",
    ]


def test_other_revisions(files: HfFileSystem, owner: Owner, stock) -> None:
    api = stock(owner.token)
    api.create_branch(owner.repo, branch="feat/x")
    files.pipe_file(f"{owner.repo}@feat%2Fx/only.txt", b"there")
    assert files.cat_file(f"{owner.repo}@feat%2Fx/only.txt") == b"there"
    assert not files.exists(f"{owner.repo}/only.txt")
    api.create_pull_request(owner.repo, "A change")
    files.pipe_file(f"{owner.repo}@refs/pr/1/p.txt", b"proposed")
    assert files.cat_file(f"{owner.repo}@refs/pr/1/p.txt") == b"proposed"


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_probes_for_files_that_are_not_there(owner: Owner, hub: LiveHub, stock, tmp_path: Path, kind: str) -> None:
    api, repo_type = stock(owner.token), kind.removesuffix("s")
    repo = api.create_repo(f"{owner.name}/probed", repo_type=repo_type).repo_id
    prefix = "" if kind == "models" else "datasets/"
    commit = api.repo_info(repo, repo_type=repo_type).sha
    for rev in ("main", commit):
        for name in ("README.md", "probed.py", ".huggingface.yaml", "dataset_infos.json", "a/b/c", ".gitattributes/x"):
            answer = httpx2.head(f"{hub.url}/{prefix}{repo}/resolve/{rev}/{name}")
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "EntryNotFound")
            assert answer.headers["X-Repo-Commit"] == commit
    for path in ("additional_chat_templates", "data"):
        answer = owner.talk.get(f"/api/{kind}/{repo}/tree/main/{path}")
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert not api.file_exists(repo, "config.json", repo_type=repo_type)
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(repo, "x.json", repo_type=repo_type, cache_dir=tmp_path, endpoint=hub.url, token=owner.token)
    cached = try_to_load_from_cache(repo, "x.json", repo_type=repo_type, cache_dir=tmp_path, revision=commit)
    assert cached is _CACHED_NO_EXIST, "absence is remembered, so that it is not asked for again"
