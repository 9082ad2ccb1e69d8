"""What a commit may not hold, seen in real repositories."""

import os
import subprocess
from pathlib import Path

import pytest

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.core.lockfile import Lock, Locked
from tenuto.project.hooks import Problem, check, install

MANIFEST = """\
[artifacts.small]
path = "models/small"
source = "hf://a/small"
[artifacts.voices]
path = "voices"
repo = "hf://datasets/a/voices"
kind = "dataset"
"""
SMALL = Locked(
    name="small",
    path="models/small",
    kind="model",
    source="hf://a/small",
    digest="1" * 64,
    files=1,
    bytes=1,
    commit="2" * 40,
)
LOCK = Lock().replace(SMALL).text


class Repository:
    """A git repository with a project in it."""

    def __init__(self, top: Path, folder: str = "") -> None:
        self.top, self.root = top, top / folder
        self.root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q")
        self.git("config", "user.name", "Ann")
        self.git("config", "user.email", "ann@example.org")
        self.stage("tenuto.toml", MANIFEST)
        self.stage("tenuto.lock", LOCK)

    def git(self, *arguments: str) -> str:
        """Run git; returns what it prints."""
        return subprocess.run(["git", *arguments], cwd=self.top, check=True, capture_output=True, text=True).stdout

    def write(self, path: str, content: bytes | str) -> Path:
        """Put a file into the project."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def stage(self, path: str, content: bytes | str) -> None:
        """Put a file into the project and stage it, ignored or not."""
        self.git("add", "-f", "--", str(self.write(path, content)))

    def problems(self, *files: str, max_bytes: int = 1000) -> list[Problem]:
        """What is wrong."""
        return check(str(self.root), [str(self.root / file) for file in files], max_bytes).problems

    def found(self, *files: str) -> list[tuple[str, str]]:
        """What is wrong, and where."""
        return [(problem.what, problem.path) for problem in self.problems(*files)]


@pytest.fixture(params=["", "deep/below"])
def repository(tmp_path: Path, request: pytest.FixtureRequest) -> Repository:
    """A repository that is ready to commit; the project is at the top of it, or further down."""
    return Repository(tmp_path / "repository", request.param)


def at(repository: Repository, path: str) -> str:
    """A path of the project as git has it."""
    return (repository.root / path).relative_to(repository.top).as_posix()


def test_nothing_is_wrong_before_and_after_the_first_commit(repository: Repository) -> None:
    assert check(str(repository.root)).files == 2
    assert repository.found() == []
    repository.git("commit", "-qm", "Begin")
    assert (check(str(repository.root)).files, repository.found()) == (0, [])


@pytest.mark.parametrize(
    "changed",
    [
        {"source": "hf://a/other"},
        {"path": "models/other"},
        {"kind": "adapter"},
        {"include": ("*.json",)},
        {"variant": "fp16"},
    ],
    ids=str,
)
def test_a_lock_that_is_for_something_else(repository: Repository, changed: dict[str, str]) -> None:
    values = {name: getattr(SMALL, name) for name in SMALL.__struct_fields__} | changed
    repository.stage("tenuto.lock", Lock().replace(Locked(**values)).text)
    (problem,) = repository.problems()
    assert (problem.what, problem.path) == ("lock", at(repository, "tenuto.lock"))
    assert "small" in problem.message
    assert "tenuto lock" in problem.hint


def test_a_lock_that_lacks_one_or_has_one_too_many(repository: Repository) -> None:
    repository.stage("tenuto.lock", "version = 1\n")
    assert repository.found() == [("lock", at(repository, "tenuto.lock"))]
    repository.git("rm", "-q", "--cached", "--", str(repository.root / "tenuto.lock"))
    assert repository.found() == [("lock", at(repository, "tenuto.lock"))]
    repository.stage("tenuto.lock", LOCK)
    repository.stage("tenuto.toml", "")
    assert repository.found() == [("lock", at(repository, "tenuto.lock"))]


def test_what_is_staged_counts_and_not_what_lies_there(repository: Repository) -> None:
    repository.write("tenuto.lock", "version = 1\n")
    assert repository.found() == []
    repository.stage("tenuto.lock", "version = 1\n")
    repository.write("tenuto.lock", LOCK)
    assert repository.found() != []


def test_the_policy_for_licences(repository: Repository) -> None:
    repository.stage("tenuto.toml", f'[policy]\nunknown_license = "refuse"\n{MANIFEST}')
    assert "states no licence" in repository.problems()[0].message


@pytest.mark.parametrize("name", ["tenuto.lock", "tenuto.toml"])
@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", "=======", ">>>>>>> other", "||||||| base"])
def test_marks_of_a_merge(repository: Repository, name: str, mark: str) -> None:
    repository.stage(name, f"{(repository.root / name).read_text()}{mark}\n")
    assert repository.found() == [("markers", at(repository, name))]


@pytest.mark.parametrize(("name", "what"), [("tenuto.lock", "lock"), ("tenuto.toml", "manifest")])
def test_what_cannot_be_read(repository: Repository, name: str, what: str) -> None:
    repository.stage(name, "[[[\n")
    assert repository.found() == [(what, at(repository, name))]


def test_large_files(repository: Repository) -> None:
    repository.stage("exactly.bin", bytes(1000))
    assert repository.found() == []
    repository.stage("more than that;é.bin", bytes(1001))
    (problem,) = repository.problems()
    assert (problem.what, problem.path) == ("large", at(repository, "more than that;é.bin"))
    assert "tenuto track" in problem.hint
    assert repository.problems(max_bytes=1001) == []
    repository.git("commit", "-qm", "In spite of that")
    assert repository.found() == []
    assert repository.found("more than that;é.bin") == [("large", problem.path)]


def test_a_large_file_that_git_does_not_have(repository: Repository) -> None:
    repository.write("new.bin", bytes(1001))
    assert repository.found() == []
    assert repository.found("new.bin") == [("large", at(repository, "new.bin"))]
    assert repository.found("gone.bin") == []


def test_a_pointer_of_git_lfs_is_small(repository: Repository) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 5000\n"
    repository.stage("weights.bin", pointer)
    repository.write("weights.bin", bytes(5000))
    assert repository.found() == repository.found("weights.bin") == []


def test_files_of_artifacts(repository: Repository) -> None:
    repository.stage("models/small/config.json", "{}")
    repository.stage("models/smaller.json", "{}")
    repository.stage("voices", "one file where a folder was")
    assert repository.found() == [
        ("artifact", at(repository, "models/small/config.json")),
        ("artifact", at(repository, "voices")),
    ]
    repository.git("rm", "-q", "--cached", "--", str(repository.root / "voices"))
    (problem,) = repository.problems()
    subprocess.run(problem.hint.partition(";")[0], shell=True, cwd=repository.top, check=True, capture_output=True)
    assert repository.found() == []


def test_a_token_in_dotenv_is_refused_and_not_shown(repository: Repository) -> None:
    repository.stage("web/.env", "HF_TOKEN=\n")
    assert repository.found() == []
    repository.stage("web/.env", "export HF_TOKEN='hf_secret'\n")
    (problem,) = repository.problems()
    assert (problem.what, problem.path) == ("token", at(repository, "web/.env"))
    assert "hf_secret" not in str(problem)


def test_links_and_submodules_are_passed_over(repository: Repository) -> None:
    (repository.root / "link").symlink_to("/dev/zero")
    repository.git("add", "--", str(repository.root / "link"))
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'3' * 40},module")
    assert repository.found() == repository.found("link") == []


def test_where_there_is_no_repository_or_no_project(tmp_path: Path, repository: Repository) -> None:
    (tmp_path / "tenuto.toml").write_text("")
    with pytest.raises(UsageError, match="in no git repository"):
        check(str(tmp_path))
    (tmp_path / "tenuto.toml").unlink()
    (repository.root / "tenuto.toml").unlink()
    with pytest.raises(NotFoundError):
        check(str(repository.root))


def test_a_manifest_that_git_does_not_have_is_looked_at_where_it_lies(repository: Repository) -> None:
    for name in ("tenuto.toml", "tenuto.lock"):
        repository.git("rm", "-q", "--cached", "--", str(repository.root / name))
    assert repository.found() == []
    repository.write("tenuto.lock", "version = 1\n")
    assert repository.found() == [("lock", at(repository, "tenuto.lock"))]


class TestInstall:
    def test_twice(self, repository: Repository) -> None:
        first = install(str(repository.root), "/usr/bin/python3")
        assert (first.path, first.changed) == (str(repository.top / ".git/hooks/pre-commit"), True)
        assert os.access(first.path, os.X_OK)
        assert not install(str(repository.root), "/usr/bin/python3").changed
        assert install(str(repository.root), "/usr/bin/python3", 5).changed

    def test_one_that_is_not_ours_stays(self, repository: Repository) -> None:
        hook = repository.top / ".git/hooks/pre-commit"
        hook.write_text("#!/bin/sh\nexit 0\n")
        with pytest.raises(ConflictError) as caught:
            install(str(repository.root), "/usr/bin/python3")
        assert caught.value.code == "Exists"
        assert "tenuto hook check" in (caught.value.hint or "")
        assert hook.read_text() == "#!/bin/sh\nexit 0\n"

    def test_hooks_that_are_kept_elsewhere_are_left_alone(self, repository: Repository, tmp_path: Path) -> None:
        repository.git("config", "core.hooksPath", str(tmp_path / "shared"))
        with pytest.raises(ConflictError, match="shared"):
            install(str(repository.root), "/usr/bin/python3")
        assert not (tmp_path / "shared").exists()
