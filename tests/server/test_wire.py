"""The stock client, unchanged, against a live hub: every flow and every error class of hub-protocol section 3 that applies."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    RepoCard,
    constants,
)
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner

pytestmark = [
    pytest.mark.wire,
    pytest.mark.filterwarnings(
        "ignore:Use 'content:DeprecationWarning"
    ),  # what the stock client does to its own library
]
LARGE = bytes(range(256)) * 2000  # 512,000 bytes


@pytest.fixture(autouse=True)
def _plain_transfers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads by LFS batch, no progress bars, no waiting between retries."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)


@pytest.fixture
def make_api(hub: LiveHub) -> Callable[[str | bool], HfApi]:
    return lambda token: HfApi(endpoint=hub.url, token=token)


@pytest.fixture
def api(owner: Owner, make_api) -> HfApi:
    return make_api(owner.token)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "upload"
    (place / "sub dir" / "deep").mkdir(parents=True)
    (place / "README.md").write_text("---\nlicense: mit\ntags: [audio]\n---\n# Model\n")
    (place / "config.json").write_text('{"a": 1}')
    (place / "empty.txt").write_bytes(b"")
    (place / "model.safetensors").write_bytes(LARGE)
    (place / "sub dir" / "50% #1.txt").write_bytes(b"odd name")
    (place / "sub dir" / "deep" / "é 日本.bin").write_bytes(b"large by name")
    return place


def files_below(place: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }


def test_who_am_i(api: HfApi, owner: Owner) -> None:
    assert api.whoami()["name"] == owner.name
    assert api.whoami()["auth"]["accessToken"]["role"] == "write"


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_create_and_delete(api: HfApi, owner: Owner, kind: str) -> None:
    repo = f"{owner.name}/made"
    more = {"space_sdk": "gradio"} if kind == "space" else {}
    url = api.create_repo(repo, repo_type=kind, **more)
    assert (url.repo_id, url.repo_type) == (repo, kind)
    assert api.create_repo(repo, repo_type=kind, exist_ok=True, **more).repo_id == repo
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_repo(repo, repo_type=kind, **more)
    assert caught.value.response.status_code == 409
    assert api.repo_exists(repo, repo_type=kind)
    assert api.create_repo("bare-name", repo_type=kind, **more).repo_id == f"{owner.name}/bare-name"
    api.delete_repo(repo, repo_type=kind)
    assert not api.repo_exists(repo, repo_type=kind)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(repo, repo_type=kind)
    api.delete_repo(repo, repo_type=kind, missing_ok=True)


@pytest.mark.parametrize("content", [b"", b"hello", LARGE])
@pytest.mark.parametrize("name", ["model.safetensors", "a b/c#%.txt", "é/日本語.json"])
def test_a_file_goes_up_and_comes_down(api: HfApi, owner: Owner, tmp_path: Path, name: str, content: bytes) -> None:
    info = api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id=owner.repo, commit_message="one file")
    assert info.oid == api.repo_info(owner.repo).sha
    path = api.hf_hub_download(owner.repo, name, cache_dir=tmp_path / "cache")
    assert Path(path).read_bytes() == content
    local = api.hf_hub_download(owner.repo, name, local_dir=tmp_path / "local")
    assert Path(local).read_bytes() == content
    (found,) = api.get_paths_info(owner.repo, [name])
    assert found.size == len(content)
    if found.lfs:
        assert found.lfs.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_folder_goes_up_once_and_comes_down(
    api: HfApi, owner: Owner, folder: Path, tmp_path: Path, kind: str
) -> None:
    api.create_repo(owner.repo, repo_type=kind, exist_ok=True)
    first = api.upload_folder(repo_id=owner.repo, folder_path=folder, repo_type=kind)
    again = api.upload_folder(repo_id=owner.repo, folder_path=folder, repo_type=kind)
    assert again.oid == first.oid, "nothing changed, no commit"
    assert len(api.list_repo_commits(owner.repo, repo_type=kind)) == 2
    (folder / "config.json").write_text('{"a": 2}')
    changed = api.upload_folder(repo_id=owner.repo, folder_path=folder, repo_type=kind)
    assert changed.oid != first.oid
    place = api.snapshot_download(owner.repo, repo_type=kind, cache_dir=tmp_path / "cache")
    expected = {**files_below(folder)}
    found = files_below(Path(place))
    assert {name: found[name] for name in expected} == expected
    assert set(found) - set(expected) == {".gitattributes"}
    local = api.snapshot_download(owner.repo, repo_type=kind, local_dir=tmp_path / "local", revision=first.oid)
    assert (Path(local) / "config.json").read_text() == '{"a": 1}'
    card = api.repo_info(owner.repo, repo_type=kind).card_data
    assert card.to_dict()["license"] == "mit"


def test_a_folder_replaces_what_matches(api: HfApi, owner: Owner, folder: Path) -> None:
    api.upload_file(path_or_fileobj=b"x", path_in_repo="logs/old.log", repo_id=owner.repo)
    api.upload_folder(
        repo_id=owner.repo, folder_path=folder, path_in_repo="logs", delete_patterns="*.log", ignore_patterns="*.bin"
    )
    files = api.list_repo_files(owner.repo)
    assert "logs/old.log" not in files
    assert "logs/sub dir/50% #1.txt" in files
    assert not any(name.endswith(".bin") for name in files)


def test_one_commit_of_every_operation(api: HfApi, owner: Owner) -> None:
    def commit(*operations: object, **more) -> str:
        return api.create_commit(owner.repo, list(operations), commit_message="m", **more).oid

    first = commit(
        CommitOperationAdd("keep.txt", b"keep"),
        CommitOperationAdd("old/a.txt", b"a"),
        CommitOperationAdd("old/b.txt", b"b"),
        CommitOperationAdd("m.safetensors", LARGE),
    )
    second = commit(
        CommitOperationCopy("keep.txt", "copied.txt"),
        CommitOperationCopy("m.safetensors", "copied.safetensors"),
        CommitOperationDelete("old/", is_folder=True),
        CommitOperationDelete("m.safetensors"),
        parent_commit=first,
    )
    assert set(api.list_repo_files(owner.repo)) == {".gitattributes", "copied.safetensors", "copied.txt", "keep.txt"}
    with pytest.raises(HfHubHTTPError) as caught:
        commit(CommitOperationAdd("x", b"x"), parent_commit=first)
    assert caught.value.response.status_code == 412
    with pytest.raises(EntryNotFoundError):
        commit(CommitOperationDelete("never"))
    assert api.repo_info(owner.repo).sha == second
    api.delete_file("copied.txt", owner.repo)
    assert not api.file_exists(owner.repo, "copied.txt")


def test_an_upload_in_parts(api: HfApi, owner: Owner, tmp_path: Path) -> None:
    data = os.urandom(300_001)
    api.upload_file(path_or_fileobj=data, path_in_repo="big.bin", repo_id=owner.repo)
    assert Path(api.hf_hub_download(owner.repo, "big.bin", cache_dir=tmp_path)).read_bytes() == data


def test_uploads_from_an_open_file(api: HfApi, owner: Owner, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(LARGE)
    with open(tmp_path / "x.bin", "rb") as file:
        api.upload_file(path_or_fileobj=file, path_in_repo="x.bin", repo_id=owner.repo)
    assert Path(api.hf_hub_download(owner.repo, "x.bin", cache_dir=tmp_path)).read_bytes() == LARGE


def test_branches_and_tags(api: HfApi, owner: Owner, tmp_path: Path) -> None:
    first = api.repo_info(owner.repo).sha
    api.create_branch(owner.repo, branch="feat/one")
    api.create_branch(owner.repo, branch="feat/one", exist_ok=True)
    api.upload_file(path_or_fileobj=b"branch", path_in_repo="f", repo_id=owner.repo, revision="feat/one")
    api.create_tag(owner.repo, tag="v1/rc", revision="feat/one", tag_message="a note")
    refs = api.list_repo_refs(owner.repo)
    assert {one.name for one in refs.branches} == {"main", "feat/one"}
    assert [one.name for one in refs.tags] == ["v1/rc"]
    for revision in ("feat/one", "v1/rc", refs.tags[0].target_commit[:10]):
        path = api.hf_hub_download(owner.repo, "f", revision=revision, cache_dir=tmp_path)
        assert Path(path).read_bytes() == b"branch"
    assert api.repo_info(owner.repo).sha == first
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_branch(owner.repo, branch="feat/one")
    assert caught.value.response.status_code == 409
    with pytest.raises(RevisionNotFoundError):
        api.create_branch(owner.repo, branch="x", revision="nowhere")
    assert not api.revision_exists(owner.repo, "nowhere")
    api.delete_tag(owner.repo, tag="v1/rc")
    api.delete_branch(owner.repo, branch="feat/one")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(owner.repo, tag="v1/rc")
    with pytest.raises(HfHubHTTPError):
        api.delete_branch(owner.repo, branch="main")


def test_listings(api: HfApi, owner: Owner, folder: Path) -> None:
    api.upload_folder(repo_id=owner.repo, folder_path=folder)
    tree = {one.path: one for one in api.list_repo_tree(owner.repo, recursive=True, expand=True)}
    assert set(tree) == {*files_below(folder), ".gitattributes", "sub dir", "sub dir/deep"}
    assert all(one.last_commit is not None for one in tree.values())
    assert {one.path for one in api.list_repo_tree(owner.repo, "sub dir")} == {"sub dir/50% #1.txt", "sub dir/deep"}
    info = api.model_info(owner.repo, files_metadata=True)
    sizes = {one.rfilename: one.size for one in info.siblings}
    assert {name: len(data) for name, data in files_below(folder).items()}.items() <= sizes.items()
    assert info.tags == ["audio", "license:mit"]


def test_a_listing_of_many_pages(api: HfApi, owner: Owner, hub: LiveHub) -> None:
    operations = [CommitOperationAdd(f"d{n % 9}/f{n}.txt", b"%d" % (n % 5)) for n in range(1300)]
    api.create_commit(owner.repo, operations, commit_message="many")
    assert len(api.list_repo_files(owner.repo)) == 1301
    assert '"path":"/api/models/' + owner.repo + "/tree/" in hub.log()


def test_the_file_system(api: HfApi, owner: Owner, make_api, folder: Path, hub: LiveHub) -> None:
    api.upload_folder(repo_id=owner.repo, folder_path=folder)
    files = HfFileSystem(endpoint=hub.url, token=owner.token, skip_instance_cache=True)
    root = owner.repo
    assert set(files.ls(root, detail=False)) >= {f"{root}/config.json", f"{root}/sub dir"}
    assert files.glob(f"{root}/**/*.bin") == [f"{root}/sub dir/deep/é 日本.bin"]
    with files.open(f"{root}/model.safetensors", "rb", block_size=1000) as file:
        file.seek(100_000)
        assert file.read(5000) == LARGE[100_000:105_000]
    with files.open(f"{root}/new/file.txt", "w") as file:
        file.write("written")
    assert files.cat(f"{root}/new/file.txt") == b"written"
    files.cp(f"{root}/new/file.txt", f"{root}/copied.txt")
    files.rm(f"{root}/new/file.txt")
    assert files.exists(f"{root}/copied.txt")
    assert not files.exists(f"{root}/new/file.txt")
    assert not files.exists(f"{root}/nothing/here")
    assert files.modified(f"{root}/copied.txt").year >= 2024
    with pytest.raises(FileNotFoundError):
        files.ls(f"{owner.name}/no-such-repo")


def test_missing_things_raise_what_they_should(api: HfApi, owner: Owner, make_api, tmp_path: Path) -> None:
    def download(repo: str, name: str, **more) -> str:
        return api.hf_hub_download(repo, name, cache_dir=tmp_path, **more)

    with pytest.raises(RepositoryNotFoundError):
        download(f"{owner.name}/nope", "x")
    with pytest.raises(RevisionNotFoundError):
        download(owner.repo, "x", revision="nope")
    with pytest.raises(RemoteEntryNotFoundError):
        download(owner.repo, "nope.txt")
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info(f"{owner.name}/nope")
    with pytest.raises(RevisionNotFoundError):
        api.repo_info(owner.repo, revision="nope")
    with pytest.raises(RepositoryNotFoundError):
        api.snapshot_download(f"{owner.name}/nope", cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        api.snapshot_download(owner.repo, revision="nope", cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError):
        list(api.list_repo_tree(f"{owner.name}/nope"))
    with pytest.raises(RevisionNotFoundError):
        list(api.list_repo_tree(owner.repo, revision="nope"))
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(owner.repo, "no/folder"))
    with pytest.raises(RepositoryNotFoundError):
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=f"{owner.name}/nope")
    with pytest.raises(RevisionNotFoundError):
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=owner.repo, revision="nope")
    absent = tmp_path / f"models--{owner.repo.replace('/', '--')}" / ".no_exist"
    assert list(absent.rglob("nope.txt")), "the absence of a file is remembered by its commit"


def test_hidden_repos_do_not_exist_for_others(api: HfApi, owner: Owner, make_api, hub: LiveHub, tmp_path: Path) -> None:
    repo = f"{owner.name}/hidden"
    api.create_repo(repo, private=True)
    api.upload_file(path_or_fileobj=b"secret", path_in_repo="x", repo_id=repo)
    assert Path(api.hf_hub_download(repo, "x", cache_dir=tmp_path / "mine")).read_bytes() == b"secret"
    assert api.repo_info(repo).private
    for other in (make_api(False), make_api(hub.user())):
        for attempt in (
            lambda other=other: other.repo_info(repo),
            lambda other=other: other.hf_hub_download(repo, "x", cache_dir=tmp_path / "theirs"),
            lambda other=other: other.snapshot_download(repo, cache_dir=tmp_path / "theirs"),
            lambda other=other: other.upload_file(path_or_fileobj=b"x", path_in_repo="y", repo_id=repo),
            lambda other=other: other.delete_repo(repo),
            lambda other=other: other.auth_check(repo),
        ):
            with pytest.raises(RepositoryNotFoundError):
                attempt()
    api.update_repo_settings(repo, private=False)
    assert make_api(False).repo_info(repo).private is False
    api.auth_check(repo)


def status_of(action: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(HfHubHTTPError) as caught:
        action()
    assert not isinstance(caught.value, RepositoryNotFoundError | EntryNotFoundError | RevisionNotFoundError)
    return caught.value.response.status_code, str(caught.value)


def test_refusals(api: HfApi, owner: Owner, make_api, hub: LiveHub, tmp_path: Path) -> None:
    bad = make_api("hf_" + "x" * 40)
    status, text = status_of(lambda: bad.repo_info(owner.repo))
    assert (status, "Invalid credentials" in text) == (401, True)
    assert status_of(lambda: bad.upload_file(path_or_fileobj=b"", path_in_repo="x", repo_id=owner.repo))[0] == 401
    with pytest.raises(HfHubHTTPError, match="401"):
        bad.hf_hub_download(owner.repo, ".gitattributes", cache_dir=tmp_path)
    stranger = make_api(hub.user())
    status, text = status_of(lambda: stranger.upload_file(path_or_fileobj=b"", path_in_repo="x", repo_id=owner.repo))
    assert (status, "no right" in text) == (403, True)
    assert status_of(lambda: stranger.delete_repo(owner.repo))[0] == 403
    assert status_of(lambda: stranger.create_repo(f"{owner.name}/theirs"))[0] == 403
    reader = make_api(hub.hub.create_token(owner.name, "read"))
    status, text = status_of(lambda: reader.upload_file(path_or_fileobj=b"", path_in_repo="x", repo_id=owner.repo))
    assert (status, "may only read" in text) == (403, True)
    assert (
        status_of(lambda: make_api(False).upload_file(path_or_fileobj=b"", path_in_repo="x", repo_id=owner.repo))[0]
        == 401
    )


def test_requests_that_are_wrong_are_bad_requests(
    api: HfApi, owner: Owner, hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadRequestError, match="CON"):
        api.upload_file(path_or_fileobj=b"x", path_in_repo="CON.txt", repo_id=owner.repo)
    with pytest.raises(ValueError, match="front matter"):
        api.upload_file(path_or_fileobj=b"---\na: [\n---\n", path_in_repo="README.md", repo_id=owner.repo)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    card = RepoCard("---\nlicense: mit\n---\n# hi\n")
    card.validate(repo_type="model")


def test_offline_and_absent_is_said_so(api: HfApi, owner: Owner, tmp_path: Path) -> None:
    with pytest.raises(LocalEntryNotFoundError):
        api.hf_hub_download(owner.repo, ".gitattributes", cache_dir=tmp_path, local_files_only=True)


def test_a_broken_download_goes_on_where_it_stopped(api: HfApi, owner: Owner, tmp_path: Path, hub: LiveHub) -> None:
    api.upload_file(path_or_fileobj=LARGE, path_in_repo="m.bin", repo_id=owner.repo)
    blobs = tmp_path / f"models--{owner.repo.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(LARGE).hexdigest()}.incomplete").write_bytes(LARGE[:300_000])
    assert Path(api.hf_hub_download(owner.repo, "m.bin", cache_dir=tmp_path)).read_bytes() == LARGE


@pytest.fixture
def hf(hub: LiveHub, owner: Owner, tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """The `hf` command, as a person runs it."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": owner.token,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_COLOR": "1",
    }
    command = str(Path(sys.executable).with_name("hf"))
    return lambda *words: subprocess.run(
        [command, *words], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_command_line(hf, owner: Owner, folder: Path, tmp_path: Path) -> None:
    up = hf("upload", owner.repo, str(folder), "--revision", "dev")
    assert up.returncode == 0, up.stderr
    down = hf("download", owner.repo, "--revision", "dev", "--local-dir", str(tmp_path / "down"))
    assert down.returncode == 0, down.stderr
    expected = files_below(folder)
    assert {name: data for name, data in files_below(tmp_path / "down").items() if name in expected} == expected
    assert owner.name in hf("auth", "whoami").stdout
    missing = hf("download", f"{owner.name}/nope")
    assert missing.returncode != 0
    assert "not found" in (missing.stdout + missing.stderr).lower()
