"""The user's own settings file, below flags, environment and manifest."""

from pathlib import Path

import pytest

from tenuto.core.errors import StorageError, UsageError
from tenuto.project.preferences import set_preference, settings_from


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"TENUTO_CONFIG": str(tmp_path)}


def write(environment: dict[str, str], content: bytes) -> None:
    Path(environment["TENUTO_CONFIG"], "settings.toml").write_bytes(content)


def test_without_a_file_all_is_as_by_default(environment: dict[str, str]) -> None:
    settings = settings_from(environment)
    assert (settings.jobs, settings.origins["jobs"]) == (8, "default")


def test_the_file_is_read(environment: dict[str, str]) -> None:
    write(environment, b'jobs = 3\nendpoint = "https://hub.example"\nprogress = false\n')
    settings = settings_from(environment)
    assert (settings.jobs, settings.endpoint, settings.progress) == (3, "https://hub.example", False)
    assert settings.origins["jobs"] == "user file"


def test_everything_else_goes_before_it(environment: dict[str, str]) -> None:
    write(environment, b'jobs = 3\nendpoint = "https://hub.example"\nlink = "copy"\n')
    settings = settings_from(
        {**environment, "TENUTO_JOBS": "4"}, {"endpoint": "https://team.example"}, {"link": "symlink", "jobs": None}
    )
    assert (settings.jobs, settings.endpoint, settings.link) == (4, "https://team.example", "symlink")
    assert [settings.origins[key] for key in ("jobs", "endpoint", "link")] == ["environment", "manifest", "flag"]


@pytest.mark.parametrize("content", [b"jobs = ", b"\xff\xfe", b'jobs = "many"\n', b"jobs = 0\n"])
def test_a_file_that_is_wrong_is_refused(environment: dict[str, str], content: bytes) -> None:
    write(environment, content)
    with pytest.raises(UsageError) as caught:
        settings_from(environment)
    assert caught.value.code == "BadCommand"
    assert caught.value.hint


def test_a_file_that_cannot_be_read_is_a_fault_of_the_disk(environment: dict[str, str]) -> None:
    Path(environment["TENUTO_CONFIG"], "settings.toml").mkdir()
    with pytest.raises(StorageError):
        settings_from(environment)


def test_a_token_in_it_is_not_shown(environment: dict[str, str]) -> None:
    write(environment, b'token = "hf_secret"\n')
    settings = settings_from(environment)
    assert settings.token == "hf_secret"
    assert "hf_secret" not in repr(settings)


@pytest.mark.parametrize("value", ["20 GB", 'a "quoted" \\ one', "musique \u00e9\U0001f3b5", "line\u2028break\x7f\t\n"])
def test_what_is_written_is_read_again(environment: dict[str, str], value: str) -> None:
    write(environment, b"# my own\njobs = 3\n")
    for written in (value, value):
        set_preference(settings_from(environment), "hf_home", written)
    assert (settings_from(environment).hf_home, settings_from(environment).jobs) == (value, 3)
    set_preference(settings_from(environment), "hf_home", None)
    assert Path(environment["TENUTO_CONFIG"], "settings.toml").read_text() == "# my own\njobs = 3\n"
