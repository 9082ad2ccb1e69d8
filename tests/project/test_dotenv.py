"""Tokens from the `.env` of a project: what is read of it, and when it is not."""

import os
import subprocess
from pathlib import Path

import pytest

from tenuto.core.errors import StorageError
from tenuto.core.settings import PUBLIC_HUB, TOKEN_VARIABLES
from tenuto.project.dotenv import Dotenv, read_dotenv, tokens_in
from tenuto.project.preferences import settings_from

LINES = {
    "HF_TOKEN=hf_a": "hf_a",
    "  export HF_TOKEN = hf_a  ": "hf_a",
    "export\tHF_TOKEN=hf_a": "hf_a",
    "HF_TOKEN=hf_a # mine": "hf_a",
    "HF_TOKEN=hf_a#b": "hf_a#b",
    "HF_TOKEN='hf_a' # it's mine": "hf_a",
    'HF_TOKEN="hf_a"': "hf_a",
    'HF_TOKEN="hf_\\"a\\\\"': 'hf_"a\\',
    "HF_TOKEN='hf_\\a'": "hf_\\a",
    'HF_TOKEN="$HOME"': "$HOME",
    "HF_TOKEN=$(id)": "$(id)",
    "\ufeffX=1\r\nHF_TOKEN=hf_a\r\n": "hf_a",
    "HF_TOKEN=first\nHF_TOKEN=hf_a": "hf_a",
    "HF_TOKEN=": None,
    "HF_TOKEN=''": None,
    "HF_TOKEN= # none": None,
    "# HF_TOKEN=hf_a": None,
    "MY_HF_TOKEN=hf_a": None,
    "HF_TOKEN hf_a": None,
    "HF_TOKEN='hf_a": None,
    "HF_TOKEN=hf_a b": None,
}


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(("text", "token"), LINES.items())
def test_lines(text: str, token: str | None) -> None:
    assert tokens_in(text).get("HF_TOKEN") == token


def test_nothing_but_tokens_is_taken() -> None:
    others = ("HF_ENDPOINT", "TENUTO_ENDPOINT", "HF_HOME", "TENUTO_CONFIG", "HTTPS_PROXY", "PATH", "hf_token")
    text = "\n".join(f"{name}=x" for name in (*others, *TOKEN_VARIABLES))
    assert tuple(tokens_in(text)) == TOKEN_VARIABLES


@pytest.mark.parametrize("variable", TOKEN_VARIABLES)
def test_a_token_is_found_and_the_environment_goes_before_it(tmp_path: Path, variable: str) -> None:
    (tmp_path / ".env").write_text(f"{variable}=hf_file\nHF_ENDPOINT=https://evil.example\n")
    config = {"TENUTO_CONFIG": str(tmp_path)}
    found = settings_from(config, root=str(tmp_path))
    assert (found.token, found.origins["token"], found.endpoint) == ("hf_file", ".env", PUBLIC_HUB)
    assert "hf_file" not in repr(found)
    assert settings_from(config).token is None
    for other in TOKEN_VARIABLES:
        assert settings_from({**config, other: "hf_shell"}, root=str(tmp_path)).token == "hf_shell"


def test_it_goes_before_the_file_of_the_user(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HF_TOKEN=hf_file\n")
    (tmp_path / "settings.toml").write_text('token = "hf_user"\n')
    assert settings_from({"TENUTO_CONFIG": str(tmp_path)}, root=str(tmp_path)).token == "hf_file"


def test_where_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert read_dotenv(str(tmp_path)) == Dotenv({})
    (tmp_path / ".env").symlink_to("nowhere")
    assert read_dotenv(str(tmp_path)) == Dotenv({})
    (tmp_path / ".env").unlink()
    os.mkfifo(tmp_path / ".env")
    assert read_dotenv(str(tmp_path)) == Dotenv({})


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(".env")
    with pytest.raises(StorageError, match=r"\.env"):
        read_dotenv(str(tmp_path))


@pytest.mark.parametrize("name", [".env", ".ENV"])
def test_what_git_tracks_is_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text("HF_TOKEN=hf_file\n")
    git(tmp_path, "init", "-q")
    assert read_dotenv(str(tmp_path)) == Dotenv({"HF_TOKEN": "hf_file"})
    (tmp_path / name).write_text("HF_TOKEN=hf_file\n")
    git(tmp_path, "add", name)
    assert read_dotenv(str(tmp_path)) == Dotenv({}, is_tracked=True)


def test_a_template_that_git_tracks_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HF_TOKEN=\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".env")
    assert read_dotenv(str(tmp_path)) == Dotenv({})


def test_where_git_does_not_say_it_counts_as_tracked(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HF_TOKEN=hf_file\n")
    git(tmp_path, "init", "-q")
    (tmp_path / ".git" / "index").write_bytes(b"no index")
    assert read_dotenv(str(tmp_path)).is_tracked


def test_a_token_is_not_shown(tmp_path: Path) -> None:
    assert "hf_file" not in repr(Dotenv({"HF_TOKEN": "hf_file"}))
