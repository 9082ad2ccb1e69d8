"""Help of every command; global flags before and after it; nothing heavy is loaded to say it."""

import subprocess
import sys

import click
import pytest
from inline_snapshot import snapshot

from tenuto.cli.frame import Command, LazyGroup
from tenuto.cli.main import cli
from tests.cli.conftest import Shell

HEAVY = {"httpx2", "rich", "numpy", "sqlalchemy", "starlette", "tomlkit", "asyncio", "huggingface_hub", "ssl"}


def commands() -> list[tuple[str, ...]]:
    """The words of every command there is."""
    found: list[tuple[str, ...]] = []

    def walk(group: LazyGroup, words: tuple[str, ...]) -> None:
        with click.Context(group) as context:
            for name in group.list_commands(context):
                command = group.get_command(context, name)
                if isinstance(command, LazyGroup):
                    walk(command, (*words, name))
                else:
                    assert isinstance(command, Command)
                    found.append((*words, name))

    walk(cli, ())
    return found


def test_the_commands() -> None:
    assert {("init",), ("track",), ("push",), ("repo", "create"), ("hub", "token", "create")} <= set(commands())


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_ends_with_an_example_and_the_exit_codes(shell: Shell, words: tuple[str, ...]) -> None:
    done = shell(*words, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"Usage: tenuto {' '.join(words)} ")
    example, status = done.out.index("\nExample:\n"), done.out.index("\nExit status:\n")
    assert done.out.index("\nOptions:\n") < example < status
    for line in done.out[example:status].strip().splitlines()[1:]:
        assert line.startswith(f"  tenuto {' '.join(words)}"), line
    codes = [line.split()[0] for line in done.out[status:].strip().splitlines()[1:] if line.startswith("  ")]
    assert codes[0] == "0"
    assert max(map(len, done.out.splitlines())) <= 100


HELP = snapshot("""\
exit status 0
--- out ---
Usage: tenuto [OPTIONS] COMMAND [ARGS]...

  Model weights and audio datasets: locked, verified, in step with a hub.

Options:
  --json            Print one JSON document.
  --quiet           Print errors only.
  --verbose         Print more, and the whole trace of a bug.
  --offline         Make no request.
  --no-progress     Show no progress bars.
  --root DIRECTORY  Start from this folder.
  --version         Print the version.
  -h, --help        Show this message and exit.

Commands:
  init         Start a project in this folder.
  track        Put a folder or file of your own under the project's care.
  add          Take what others publish into the project.
  remove       Take artifacts out of the project.
  import-list  Take a list of repo ids into the manifest.
  plan         Say what a sync would fetch, and whether it can.
  lock         Pin what others publish.
  outdated     Say which sources have something newer.
  upgrade      Take what the sources have now.
  status       Say what differs from the lock.
  push         Send what changed here to the hub.
  pull         Fetch what the lock pins.
  sync         Bring folder and hub together, both ways.
  tag          Give a version a label.
  import-dvc   Take over what DVC tracks.
  verify       Read every locked file and compare it with its hash.
  inventory    Say which models and datasets are here.
  checksums    Print the sha256 of every file.
  smoke        Check that the files that matter are here.
  diff         Say what differs between two versions.
  package      Let a Python package ship the lock.
  repair       Bring back files that are damaged or missing.
  inspect      Say what is inside a file, and whether it is whole.
  cache        The store that all your projects share.
  login        Keep a token for a hub.
  logout       Forget the token of a hub.
  whoami       Say who the hub takes you for.
  repo         Make, open, close and delete repos on the hub.
  access       Gated repos: ask to be let in, and decide who is.
  hub          Run a hub of your own.
  hook         What git asks before a commit.
  completion   Let a shell complete what you type.
""")


def test_help(shell: Shell) -> None:
    assert str(shell("--help")) == HELP


def test_help_for_short(shell: Shell) -> None:
    assert shell("-h").out == shell("--help").out


def test_help_of_a_command(shell: Shell) -> None:
    assert str(shell("verify", "--help")) == snapshot("""\
exit status 0
--- out ---
Usage: tenuto verify [OPTIONS] [NAMES]...

  Read every locked file, whole, and compare it with its hash.

  With --quick, --sample or --since only some files are read or none; the
  others must be there, with the right size. With --deep, each file that has
  the right hash is also inspected, as by `tenuto inspect`.

Options:
  --quick           Read nothing: are the files there, with the size and time
                    they had?
  --sample SHARE    Read a share of the bytes, such as 5%; other files each
                    time.
  --since SPAN      Do not read what was verified within this time, such as 7d
                    or 12h.
  --deep            Look inside what was read, too: is it whole, and safe to
                    load?
  --junit FILE      Write a report for CI, too.
  --json            Print one JSON document.
  --quiet           Print errors only.
  --verbose         Print more, and the whole trace of a bug.
  --offline         Make no request.
  --no-progress     Show no progress bars.
  --root DIRECTORY  Start from this folder.
  -h, --help        Show this message and exit.

Example:
  tenuto verify
  tenuto verify checkpoints --json
  tenuto verify --sample 5%
  tenuto verify --since 7d --junit verify.xml

Exit status:
  0  done and clean
  1  the answer is no: something differs, or both sides moved
  2  bad command line, manifest or lock
  5  integrity: bytes are not what they should be
  6  network or hub unavailable
  9  not found
""")


def test_help_of_a_group(shell: Shell) -> None:
    assert str(shell("repo", "--help")) == snapshot("""\
exit status 0
--- out ---
Usage: tenuto repo [OPTIONS] COMMAND [ARGS]...

  Make, open, close and delete repos on the hub.

Options:
  --json            Print one JSON document.
  --quiet           Print errors only.
  --verbose         Print more, and the whole trace of a bug.
  --offline         Make no request.
  --no-progress     Show no progress bars.
  --root DIRECTORY  Start from this folder.
  -h, --help        Show this message and exit.

Commands:
  create    Make an empty repo.
  settings  Say who may see a repo, and who may read it.
  usage     Say what uses the space of a repo, and what deleting it frees.
  delete    Delete a repo with all its history.
""")


def test_no_command_is_a_question_for_help(shell: Shell) -> None:
    done = shell()
    assert (done.status, done.out) == (2, "")
    assert done.err == shell("--help").out
    assert shell("repo").err == shell("repo", "--help").out


def test_version(shell: Shell) -> None:
    from tenuto import __version__

    assert shell("--version").out == f"tenuto {__version__}\n"


def test_global_flags_stand_before_or_after_the_command(shell: Shell) -> None:
    shell("init")
    for flag in ("--json", "--quiet", "--offline"):
        assert str(shell(flag, "status")) == str(shell("status", flag)), flag
    root = ("--root", str(shell.project))
    assert str(shell(*root, "status", cwd=shell.home)) == str(shell("status", *root, cwd=shell.home))


def loaded(shell: Shell, *arguments: str) -> set[str]:
    """The modules that a run has loaded at its end, those of the program apart."""
    program = (
        "import atexit, os, sys\n"
        "def tell():\n"
        "    with open(os.environ['LOADED'], 'w') as file:\n"
        "        file.write('\\n'.join(sys.modules))\n"
        "atexit.register(tell)\n"
        "from tenuto.cli.main import main\n"
        "main()\n"
    )
    listed = shell.folder / "loaded"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=shell.project,
        env={**shell.environment, "LOADED": str(listed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(listed.read_text().splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("push", "--help"),
        ("repo", "--help"),
        ("status",),
        ("status", "--json"),
        ("verify",),
        ("pull",),
        ("sync", "--frozen"),
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded_in_vain(shell: Shell, arguments: tuple[str, ...]) -> None:
    if {"status", "verify", "pull", "sync"} & set(arguments):
        shell("init")
        shell.write("data/a.txt", "first\n")
        shell("track", "data", "--to", "hf://ann/model")
    modules = loaded(shell, *arguments)
    assert "click" in modules
    tops = {module.split(".")[0] for module in modules}
    assert tops & HEAVY == set()
    if arguments == ("--help",):
        assert not {module for module in modules if module.startswith(("tenuto.project", "tenuto.hub", "tenuto.store"))}
