"""A person types, presses the tab key, and their shell asks: in real shells, those that are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tenuto.core.lockfile import Lock, Tag
from tests.cli.conftest import PROGRAM, Shell

MANIFEST = """\
[artifacts.music-small]
path = "models/music-small"
source = "hf://a/b"
groups = ["small", "first"]
[artifacts.music-large]
path = "models/music-large"
source = "hf://a/c"
[artifacts.voices]
path = "voices"
repo = "hf://datasets/a/voices"
kind = "dataset"
"""
LABELS = [("voices", "beta"), ("voices", "best"), ("music-large", "first")]
REVISIONS = ["trunk", "v1.2", "v1/rc"]
CASES = {
    "verify": ["music-small", "music-large", "voices"],
    "verify mus": ["music-small", "music-large"],
    "pull music-small mus": ["music-large"],
    "remove v": ["voices"],
    "cache expose v": ["voices"],
    "diff mus": ["music-small", "music-large"],
    "diff voices be": ["best", "beta"],
    "diff voices best v1": ["v1.2", "v1/rc"],
    "diff music-large": ["first", *REVISIONS],
    "tag v": ["voices"],
    "tag voices b": ["best", "beta"],
    "tag voices best t": ["trunk"],
    "sync --group": ["first", "small"],
    "track voices --kind": ["model", "adapter", "dataset", "checkpoint"],
    "inventory --format": ["text", "json", "csv", "html", "cyclonedx"],
    "ca": ["cache"],
    "cache e": ["expose"],
    "hub user": ["add", "list", "set", "disable", "enable", "password", "invite"],
    "sync --thei": ["--theirs"],
    "no-such-command": [],
}
"""What was typed (with a space after it, where that is a whole word) and what the shell offers."""


def ask(name: str, script: str, shell: Shell, *arguments: str) -> list[str]:
    """The lines that a shell prints which carries out the script; skipped where there is no such shell."""
    program = shutil.which(name)
    if not program:
        pytest.skip(f"{name} is not installed")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [program, *arguments, "-c", script],
        cwd=shell.project,
        env={**shell.environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.fixture
def typist(shell: Shell) -> Shell:
    """A person in a project with three artifacts, labels, a branch and two tags of git."""
    shell.write("tenuto.toml", MANIFEST)
    source = {"source": "hf://a/b", "commit": "1" * 40, "digest": "2" * 64}
    lock = Lock(tags={(name, label): Tag(name=name, label=label, **source) for name, label in LABELS})
    shell.write("tenuto.lock", lock.text)
    for arguments in (
        ("init", "-q", "-b", "trunk"),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first"),
        ("tag", "v1.2"),
        ("tag", "v1/rc"),
    ):
        subprocess.run(["git", *arguments], cwd=shell.project, check=True)
    return shell


def words_of(typed: str, offered: list[str]) -> list[str]:
    """The words of the line; the last one is the one that is being typed, and may be empty."""
    words = ["tenuto", *typed.split()]
    is_begun = not offered or offered[0].startswith(words[-1])
    return words if is_begun else [*words, ""]


@pytest.mark.parametrize(("typed", "offered"), CASES.items(), ids=CASES)
def test_bash_offers_what_fits(typist: Shell, typed: str, offered: list[str]) -> None:
    words = words_of(typed, offered)
    quoted = " ".join(f"'{word}'" for word in words)
    script = (
        'eval "$(tenuto completion bash)"; complete -p tenuto >/dev/null || exit 9; '
        f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _tenuto_completion tenuto; "
        'for one in "${COMPREPLY[@]}"; do echo "$one"; done'
    )
    found = ask("bash", script, typist, "--norc", "--noprofile")
    assert found == offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("voices@",), ["voices@best", "voices@beta", *(f"voices@{revision}" for revision in REVISIONS)]),
        (("voices@be",), ["voices@best", "voices@beta"]),
        (("music-small", "music-large@f"), ["music-large@first"]),
        (("voices", "@"), ["@best", "@beta", *(f"@{revision}" for revision in REVISIONS)]),
        (("voices", "@", "be"), ["@best", "@beta"]),
        (("music-small", "voices", "@", "v1."), ["@v1.2"]),
        (("nothing@v1.",), ["nothing@v1.2"]),
    ],
)
def test_versions_behind_a_name(typist: Shell, words: tuple[str, ...], offered: list[str]) -> None:
    """bash ends a word before and after an `@`, and wants the answer with it; other shells do not."""
    typed = "\n".join(["tenuto", "pull", *words])
    done = typist(COMP_WORDS=typed, COMP_CWORD=str(len(words) + 1), _TENUTO_COMPLETE="bash_complete")
    assert done.out.split() == [f"plain,{word}" for word in offered]


@pytest.mark.parametrize("typed", ["verify mus", "sync --group", "ca"])
def test_fish_offers_what_fits(typist: Shell, typed: str) -> None:
    line = " ".join(words_of(typed, CASES[typed]))
    found = ask("fish", f"tenuto completion fish | source; complete -C '{line}'", typist, "--no-config")
    assert sorted(one.split("\t")[0] for one in found) == sorted(CASES[typed])


@pytest.mark.parametrize("typed", ["verify mus", "ca"])
def test_zsh_offers_what_fits(typist: Shell, typed: str) -> None:
    words = words_of(typed, CASES[typed])
    script = (
        "compdef() { }; _describe() { print -l ${(P)3} }; "
        'eval "$(tenuto completion zsh)"; '
        f"words=({' '.join(words)}); CURRENT={len(words)}; _tenuto_completion"
    )
    found = ask("zsh", script, typist, "-f")
    assert [one.split(":")[0] for one in found] == CASES[typed]


@pytest.mark.parametrize("manifest", [None, "artifacts = 3", "[[[", b"\xff"])
def test_where_there_is_nothing_to_offer_the_shell_hears_no_error(shell: Shell, manifest: str | bytes | None) -> None:
    if manifest is not None:
        shell.write("tenuto.toml", manifest)
    done = shell(COMP_WORDS="tenuto verify ", COMP_CWORD="2", _TENUTO_COMPLETE="bash_complete")
    assert (done.status, done.out.strip(), done.err) == (0, "", "")


def test_the_project_may_lie_elsewhere(typist: Shell) -> None:
    words = f"tenuto --root {typist.project} verify v"
    done = typist(COMP_WORDS=words, COMP_CWORD="4", _TENUTO_COMPLETE="bash_complete", cwd=typist.home)
    assert done.out == "plain,voices\n"


def test_nothing_is_loaded_that_takes_long(typist: Shell) -> None:
    asked = [sys.executable, "-X", "importtime", *PROGRAM[1:]]
    wanted = {"COMP_WORDS": "tenuto pull ", "COMP_CWORD": "2", "_TENUTO_COMPLETE": "bash_complete"}
    done = subprocess.run(
        asked, cwd=typist.project, env={**typist.environment, **wanted}, capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "tenuto.cli.completion" in loaded
    assert loaded.isdisjoint({"httpx2", "rich", "tomlkit", "sqlalchemy", "asyncio", "tenuto.hub.session"})
    assert done.stdout.split() == [f"plain,{name}" for name in CASES["verify"]]


def test_a_shell_that_nobody_knows_is_refused(shell: Shell) -> None:
    refused = shell("completion", "tcsh")
    assert refused.status == 2
    assert "fish" in refused.err
