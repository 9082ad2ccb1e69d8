"""`hf`, and `huggingface-cli` as it was called before: a folder goes up and comes down."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wire.client import Make
from tests.wire.conftest import MAKES, OWNER, PLACES, Repo
from tests.wire.content import NAMES, SMALL, mixed, read, write

pytestmark = pytest.mark.wire
FILES = {**SMALL, **{name: name.encode() for name in NAMES}, "model.safetensors": mixed(1_000_000)}


EACH = pytest.mark.parametrize(
    ("client", "repo"),
    [
        pytest.param(make, place, marks=[pytest.mark.slow] if (number + number // 2) % 2 == turn else [])
        for number, make in enumerate(MAKES)
        for turn, place in enumerate(PLACES)
    ],
    indirect=True,
    ids=str,
)
"""Each kind of client at one place, and at the others for who has time."""


def run(repo: Repo, *words: str, program: str = "hf") -> str:
    ended = repo.client.run(*words, program=program)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "folder", FILES)


@EACH
def test_a_folder_to_a_new_branch_and_back(repo: Repo, folder: Path, tmp_path: Path) -> None:
    kind = ("--repo-type", repo.kind)
    run(repo, "upload", repo.name, str(folder), *kind, "--revision", "dev")
    run(repo, "download", repo.name, *kind, "--revision", "dev", "--local-dir", str(tmp_path / "down"))
    assert read(tmp_path / "down") == FILES
    assert repo.files() == set()


@EACH
def test_a_file_to_a_repo_that_is_made_by_it(repo: Repo, folder: Path, tmp_path: Path) -> None:
    made = Repo(repo.client, f"{repo.name}-made", repo.kind, repo.private)
    more = ("--private",) if repo.private else ()
    kind = ("--repo-type", repo.kind)
    run(repo, "upload", made.name, str(folder / "model.safetensors"), "a b/m.safetensors", *kind, *more)
    assert made.do("repo_info")["private"] is repo.private
    words = (made.name, "a b/m.safetensors", *kind, "--local-dir", str(tmp_path / "down"))
    run(repo, "download", *words)
    assert read(tmp_path / "down") == {"a b/m.safetensors": FILES["model.safetensors"]}
    assert OWNER in run(repo, "auth", "whoami")


NEW_MAKES = [
    Make("hub-2.4", True),
    pytest.param(Make("hub-1.33", True), marks=pytest.mark.slow),
]  # nothing of this depends on Xet


@pytest.mark.parametrize("client", NEW_MAKES, indirect=True, ids=str)
def test_repos_branches_and_tags(repo: Repo, folder: Path, tmp_path: Path) -> None:
    made = Repo(repo.client, f"{repo.name}-by-command", repo.kind, repo.private)
    kind = ("--type", repo.kind)
    run(repo, "repos", "create", made.name, *kind, *(["--private"] if repo.private else []))
    run(repo, "upload", made.name, str(folder), "--type", repo.kind)
    run(repo, "repos", "branch", "create", made.name, "feat/one", *kind)
    run(repo, "repos", "tag", "create", made.name, "v1", *kind, "--revision", "feat/one", "-m", "a note")
    assert "v1" in run(repo, "repos", "tag", "list", made.name, *kind)
    run(repo, "repos", "delete-files", made.name, "ten.bin", "deep/*", *kind)
    assert made.files() == set(FILES) - {"ten.bin", NAMES[-1]}
    assert made.files(revision="v1") == set(FILES)
    run(repo, "repos", "tag", "delete", made.name, "v1", *kind, "--yes")
    run(repo, "repos", "branch", "delete", made.name, "feat/one", *kind)
    run(repo, "repos", "settings", made.name, *kind, "--public" if repo.private else "--private")
    assert made.do("repo_info")["private"] is not repo.private
    run(repo, "repos", "move", made.name, f"{made.name}-moved", *kind)
    assert f"{made.name}-moved" in run(repo, "repos", "ls", "--type", repo.kind, "--limit", "1000", "--format", "json")
    run(repo, "repos", "delete", f"{made.name}-moved", *kind, "--yes")
    assert made.do("repo_exists") is False


@pytest.mark.parametrize("client", NEW_MAKES, indirect=True, ids=str)
def test_discussions_copies_and_facts(make_repo: Callable[..., Repo], folder: Path, tmp_path: Path) -> None:
    repo, other = make_repo("model"), make_repo("dataset")
    repo.put(folder / "config.json", "config.json", create_pr=True)
    run(repo, "discussions", "create", repo.name, "--title", "a question", "--body", "why?")
    assert "a question" in run(repo, "discussions", "list", repo.name)
    run(repo, "discussions", "comment", repo.name, "2", "--body", "because")
    run(repo, "discussions", "close", repo.name, "2", "--yes")
    assert "config.json" in run(repo, "discussions", "diff", repo.name, "1")
    run(repo, "discussions", "merge", repo.name, "1", "--yes")
    assert repo.files() == {"config.json"}
    run(repo, "cp", f"hf://{repo.name}/config.json", str(tmp_path / "copy.json"))
    assert (tmp_path / "copy.json").read_bytes() == FILES["config.json"]
    run(repo, "repos", "cp", f"hf://{repo.name}/config.json", f"hf://{other.root}/deep/copy.json")
    assert other.get("deep/copy.json") == FILES["config.json"]
    assert "config.json" in run(repo, "models", "ls", repo.name)
    assert repo.name in run(repo, "models", "info", repo.name)
    run(repo, "download", repo.name)
    assert "All checksums match" in run(repo, "cache", "verify", repo.name)
    absent = repo.client.run("webhooks", "ls")
    assert (absent.returncode, "this hub has no webhooks" in absent.stdout + absent.stderr) == (1, True)


OLD_MAKES = [make for make in MAKES if make.environment == "hub-0.36" and make.xet]


@pytest.mark.parametrize("client", OLD_MAKES, indirect=True, ids=str)
def test_repos_and_tags_of_old(repo: Repo, folder: Path) -> None:
    made = Repo(repo.client, f"{repo.name}-by-command", repo.kind, repo.private)
    kind = ("--repo-type", repo.kind)
    run(repo, "repo", "create", made.name, *kind, *(["--private"] if repo.private else []))
    assert made.do("repo_info")["private"] is repo.private
    run(repo, "upload", made.name, str(folder), *kind)
    run(repo, "repo", "tag", "create", made.name, "v1", *kind, "-m", "a note")
    assert "v1" in run(repo, "repo", "tag", "list", made.name, *kind)
    run(repo, "repo-files", "delete", made.name, "ten.bin", "deep/*", *kind)
    assert made.files() == set(FILES) - {"ten.bin", NAMES[-1]}
    assert made.files(revision="v1") == set(FILES)


def test_what_is_missing_is_told(repo: Repo) -> None:
    ended = repo.client.run("download", f"{repo.name}-gone", "--repo-type", repo.kind)
    assert ended.returncode != 0
    assert "not found" in (ended.stdout + ended.stderr).lower()


@pytest.mark.parametrize("client", [make for make in MAKES if make.environment == "hub-0.36"], indirect=True, ids=str)
def test_the_command_of_old(repo: Repo, folder: Path, tmp_path: Path) -> None:
    kind, program = ("--repo-type", repo.kind), "huggingface-cli"
    run(repo, "upload", repo.name, str(folder), *kind, program=program)
    run(repo, "download", repo.name, *kind, "--local-dir", str(tmp_path / "down"), program=program)
    assert read(tmp_path / "down") == FILES
    assert repo.head in run(repo, "download", repo.name, "config.json", *kind, program=program)


@pytest.mark.slow  # it naps for ten seconds
@pytest.mark.parametrize("client", [make for make in MAKES if make.environment != "hub-2.4"], indirect=True, ids=str)
def test_the_command_for_large_folders(repo: Repo, folder: Path, tmp_path: Path) -> None:
    words = ("upload-large-folder", repo.name, str(folder), "--repo-type", repo.kind, "--num-workers=2", "--no-report")
    run(repo, *words)
    run(repo, "download", repo.name, "--repo-type", repo.kind, "--local-dir", str(tmp_path / "down"))
    assert read(tmp_path / "down") == FILES
