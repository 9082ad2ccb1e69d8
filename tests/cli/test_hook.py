"""A person commits, and git asks `tenuto hook check` before: with the hook that we write, and as the framework pre-commit calls it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import PROGRAM, Shell
from tests.project.test_hooks import LOCK, MANIFEST, Repository

ROOT = Path(__file__).parents[2]
AUTHOR = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")


def commit(shell: Shell, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Commit what is staged, as a person does."""
    return subprocess.run(
        ["git", *AUTHOR, "commit", "-qm", "A change", *arguments],
        cwd=folder,
        env=shell.environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(params=["", "deep/below"])
def repository(shell: Shell, request: pytest.FixtureRequest) -> Repository:
    """A repository with our hook; the project is at the top of it, or further down."""
    made = Repository(shell.project, request.param)
    installed = shell("hook", "install", "--max-size", "100kB", cwd=made.root)
    assert (installed.status, installed.out) == (0, f"Wrote {shell.project}/.git/hooks/pre-commit\n")
    return made


def test_a_commit_that_is_in_order_passes(shell: Shell, repository: Repository) -> None:
    done = commit(shell, repository.top)
    assert done.returncode == 0, done.stderr
    repository.write("tenuto.toml", f"# changed\n{MANIFEST}")
    assert commit(shell, repository.root, "-a").returncode == 0
    assert repository.git("status", "--short") == ""


def test_a_commit_that_is_not_is_refused(shell: Shell, repository: Repository) -> None:
    assert commit(shell, repository.top).returncode == 0
    repository.stage("models/small/model.bin", bytes(100_001))
    refused = commit(shell, repository.root)
    assert refused.returncode == 1
    for said in ("100 kB are too much for git", "belongs to the artifact small", "git commit --no-verify"):
        assert said in refused.stdout + refused.stderr
    assert repository.git("rev-list", "--count", "HEAD") == "1\n"
    repository.git("rm", "-qr", "--cached", "--", str(repository.root / "models"))
    repository.stage("code.py", "")
    assert commit(shell, repository.top).returncode == 0


def test_what_is_committed_counts_where_only_some_files_are(shell: Shell, repository: Repository) -> None:
    assert commit(shell, repository.top).returncode == 0
    repository.write("tenuto.lock", "version = 1\n")
    repository.stage("code.py", "")
    assert commit(shell, repository.root, "--", "code.py").returncode == 0
    refused = commit(shell, repository.root, "--", "tenuto.lock")
    assert refused.returncode == 1
    assert "small is not locked as tenuto.toml wants it" in refused.stdout + refused.stderr


def test_in_a_second_working_tree(shell: Shell, repository: Repository) -> None:
    assert commit(shell, repository.top).returncode == 0
    repository.git("worktree", "add", "-q", str(shell.folder / "second"))
    second = shell.folder / "second" / repository.root.relative_to(repository.top)
    (second / "tenuto.lock").write_text("version = 1\n")
    assert commit(shell, second, "-a").returncode == 1
    (second / "tenuto.lock").write_text(LOCK)
    (second / "tenuto.toml").write_text(f"# changed\n{MANIFEST}")
    assert commit(shell, second, "-a").returncode == 0


def test_nothing_that_lies_in_the_repository_is_imported(shell: Shell, repository: Repository) -> None:
    repository.stage("click.py", "raise SystemExit(9)\n")
    (repository.top / "tenuto").mkdir()
    (repository.top / "tenuto" / "__init__.py").write_text("raise SystemExit(9)\n")
    assert commit(shell, repository.top).returncode == 0


def test_what_it_says_for_machines(shell: Shell, repository: Repository) -> None:
    assert shell("hook", "check", "--json", cwd=repository.root).json == {"files": 2, "problems": []}
    repository.stage(".env", "HF_TOKEN=hf_CanaryNeverToBeSeen\n")
    refused = shell("hook", "check", "--json", cwd=repository.root)
    assert refused.status == 1
    assert [problem["what"] for problem in refused.json["problems"]] == ["token"]


def test_a_hook_of_somebody_else_stays(shell: Shell, repository: Repository) -> None:
    hook = repository.top / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\n")
    refused = shell("hook", "install", cwd=repository.root)
    assert refused.status == 1
    assert "let that one run `tenuto hook check`" in refused.err
    assert hook.read_text() == "#!/bin/sh\n"


def test_as_the_framework_calls_it(shell: Shell) -> None:
    (declared,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert declared["id"] == "tenuto-check"
    program, *words = declared["entry"].split()
    assert program == "tenuto"
    repository = Repository(shell.project)
    repository.stage("large.bin", bytes(2000))
    asked = [*PROGRAM, *words, "--max-size", "1kB", "tenuto.toml", "large.bin"]
    done = subprocess.run(asked, cwd=repository.top, env=shell.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "large.bin" in done.stdout
    assert Path(sys.executable).with_name(program).exists()
