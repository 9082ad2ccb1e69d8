"""A token in the `.env` of a project: which hub gets it, and which does not."""

import subprocess
import sys

import pytest
from huggingface_hub import HfApi

from tenuto.testing.live_hub import LiveHub
from tests.cli.conftest import Desk


@pytest.fixture
def writer(desk: Desk) -> Desk:
    """A person whose token is in `.env`, and nowhere else."""
    desk.begin()
    desk.environment.pop("HF_TOKEN")
    desk.write(".env", f"# secrets\nexport HF_TOKEN='{desk.token}'\n")
    return desk


def git(desk: Desk, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=desk.project, check=True, capture_output=True)


def test_it_goes_to_the_hub_that_the_user_named(writer: Desk) -> None:
    assert writer.person in writer("whoami").out
    writer.write("data/c.txt", "third\n")
    assert writer("push").status == 0


def test_only_the_folder_of_the_project_is_looked_at(writer: Desk) -> None:
    (writer.project / ".env").rename(writer.folder / ".env")
    assert writer("whoami").status == 3
    (writer.folder / ".env").rename(writer.project / "data" / ".env")
    assert writer("whoami", cwd=writer.project / "data").status == 3


def test_it_is_not_sent_to_a_hub_that_only_a_manifest_names(writer: Desk, hub: LiveHub) -> None:
    manifest = writer.project / "tenuto.toml"
    manifest.write_text(f'[project]\nhub = "{hub.url}"\n{manifest.read_text()}')
    writer.environment.pop("HF_ENDPOINT")
    refused = writer("whoami")
    assert refused.status == 3
    assert "your token was not sent" in refused.err


def test_a_hub_that_it_names_is_not_asked(writer: Desk, hub: LiveHub) -> None:
    writer.environment.pop("HF_ENDPOINT")
    writer.write(".env", f"HF_TOKEN={writer.token}\nHF_ENDPOINT={hub.url}\nTENUTO_ENDPOINT={hub.url}\n")
    before = hub.log().count("\n")
    refused = writer("--offline", "whoami")
    assert (refused.status, hub.log().count("\n")) == (6, before)
    assert "https://huggingface.co" in refused.err


def test_what_a_clone_brings_is_not_used(writer: Desk) -> None:
    git(writer, "init", "-q")
    git(writer, "add", "-f", ".env")
    refused = writer("whoami")
    assert refused.status == 3
    assert "not used, because git tracks that file" in refused.err


def test_one_that_the_hub_does_not_know_is_traced_back(writer: Desk) -> None:
    writer.write(".env", "HF_TOKEN=hf_unknown\n")
    refused = writer("whoami")
    assert refused.status == 3
    assert "it comes from .env" in refused.err


def test_python_reads_it_too(writer: Desk, hub: LiveHub) -> None:
    HfApi(hub.url, token=writer.token).update_repo_settings(
        f"{writer.person}/voices", repo_type="dataset", private=True
    )
    clone = writer.clone()
    environment = {**writer.environment, "TENUTO_CACHE": str(writer.folder / "empty")}
    asked = [sys.executable, "-c", "import tenuto; print(tenuto.path('data/a.txt'))"]
    without = subprocess.run(asked, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    assert "RepoNotFound" in without.stderr or "NotFoundError" in without.stderr
    (clone / ".env").write_text(f'HF_TOKEN="{writer.token}"\n')
    done = subprocess.run(asked, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{clone}/data/a.txt\n", "")
