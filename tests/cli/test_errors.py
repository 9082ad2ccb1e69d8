"""What goes wrong: one line that says what, one that says what to do, and an exit status that tells programs."""

import subprocess
import sys

import pytest
from inline_snapshot import snapshot

from tests.cli.conftest import Desk, Shell

HOLD = """\
import sys
from tenuto.core.settings import resolve
from tenuto.project.workspace import Workspace
sys.argv = ["tenuto", "push"]
with Workspace({root!r}, resolve(), print).exclusive():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_bad_command_lines(shell: Shell) -> None:
    assert str(shell("frobnicate")) == snapshot("""\
exit status 2
--- err ---
error: no such command 'frobnicate'
hint: see `tenuto --help`
""")
    assert str(shell("pusch")) == snapshot("""\
exit status 2
--- err ---
error: no such command 'pusch'
hint: did you mean 'push'? If not, see `tenuto --help`
""")
    assert str(shell("push", "--dry")) == snapshot("""\
exit status 2
--- err ---
error: no such option '--dry'
hint: did you mean '--dry-run'? If not, see `tenuto push --help`
""")
    assert str(shell("push", "-m")) == snapshot("""\
exit status 2
--- err ---
error: option '-m' requires an argument
hint: see `tenuto --help`
""")
    assert str(shell("repo", "rename")) == snapshot("""\
exit status 2
--- err ---
error: no such command 'rename'
hint: see `tenuto repo --help`
""")
    assert str(shell("init", "extra")) == snapshot("""\
exit status 2
--- err ---
error: got unexpected extra argument (extra)
hint: see `tenuto init --help`
""")


def test_errors_for_programs(shell: Shell) -> None:
    assert shell("frobnicate", "--json").error == snapshot(
        {
            "code": "BadCommand",
            "message": "no such command 'frobnicate'",
            "hint": "see `tenuto --help`",
            "exit_status": 2,
        }
    )
    assert shell("--json", "push", "--bogus").error == snapshot(
        {
            "code": "BadCommand",
            "message": "no such option '--bogus'",
            "hint": "did you mean '--verbose'? If not, see `tenuto push --help`",
            "exit_status": 2,
        }
    )
    assert shell("status", "--json").error["code"] == "ProjectNotFound"
    shell("init")
    assert shell("push", "none", "--json").error == snapshot(
        {
            "code": "ArtifactNotFound",
            "message": "no artifact is named 'none'",
            "hint": "the manifest has: none yet",
            "exit_status": 9,
        }
    )
    assert shell("init", "--json").error["code"] == "Exists"


def test_no_project(shell: Shell) -> None:
    for command in (["status"], ["push"], ["pull"], ["sync"], ["verify"], ["repair"], ["track", "."]):
        done = shell(*command)
        assert done.status == 9, command
        assert done.err.startswith("error: no tenuto.toml in "), command
        assert done.err.endswith("hint: run `tenuto init` first\n"), command


def test_a_manifest_that_is_wrong(shell: Shell) -> None:
    shell.write("tenuto.toml", "[artifacts.x]\npath = 3\n")
    assert str(shell("status")) == snapshot("""\
exit status 2
--- err ---
error: tenuto.toml is not valid: Expected `str`, got `int` - at `$.artifacts[...].path`
hint: correct the file by hand, or restore it from git
""")
    shell.write("tenuto.toml", "what is this")
    assert str(shell("status")) == snapshot("""\
exit status 2
--- err ---
error: tenuto.toml is not valid: Expected '=' after a key in a key/value pair (at line 1, column 6)
hint: correct the file by hand, or restore it from git
""")
    shell.write("tenuto.toml", '[artifacts.x]\npath = "../x"\nrepo = "hf://a/b"\n')
    assert str(shell("status")) == snapshot("""\
exit status 2
--- err ---
error: tenuto.toml is not valid: artifact 'x': path '../x' is not allowed: it has an empty, '.' or '..' segment
hint: rename the file
""")


def test_a_lock_that_is_wrong(shell: Shell) -> None:
    shell("init")
    shell.write("tenuto.lock", "<<<<<<< HEAD\nversion = 1\n=======\nversion = 1\n>>>>>>> other\n")
    assert str(shell("status")) == snapshot("""\
exit status 2
--- err ---
error: tenuto.lock is not valid: it holds merge-conflict markers
hint: keep one side, then run `tenuto sync`
""")
    shell.write("tenuto.lock", "version = 7\n")
    assert str(shell("pull")) == snapshot("""\
exit status 2
--- err ---
error: tenuto.lock is not valid: it has version 7, this program reads version 1
hint: use a newer tenuto
""")


def test_a_hub_that_is_down(shell: Shell) -> None:
    shell("init")
    shell.write("data/a.txt", "first\n")
    shell("track", "data", "--to", "hf://ann/model")
    assert str(shell("push")) == snapshot("""\
exit status 6
--- err ---
error: cannot reach 127.0.0.1:9: connection refused
hint: is the hub running, and its address right?
""")
    assert str(shell("whoami")) == snapshot("""\
exit status 6
--- err ---
error: cannot reach 127.0.0.1:9: connection refused
hint: is the hub running, and its address right?
""")
    assert str(shell("whoami", TENUTO_RETRIES="1")) == snapshot("""\
exit status 6
--- err ---
waiting for 127.0.0.1:9: connection refused (try 2 of 2)
error: cannot reach 127.0.0.1:9: connection refused
hint: is the hub running, and its address right?
""")


@pytest.mark.parametrize("how", ["--offline", "TENUTO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(shell: Shell, how: str) -> None:
    shell("init")
    shell.write("data/a.txt", "first\n")
    shell("track", "data", "--to", "hf://ann/model")
    arguments, variables = (("--offline",), {}) if how == "--offline" else ((), {how: "1"})
    done = shell("push", *arguments, **variables)
    assert done.status == 6
    assert done.err.startswith("error: http://127.0.0.1:9 is needed, but this run is offline\nhint: ")
    assert shell("status", *arguments, **variables).status == 0


def test_a_setting_that_is_wrong(shell: Shell) -> None:
    shell("init")
    assert str(shell("status", TENUTO_JOBS="many")) == snapshot("""\
exit status 2
--- err ---
error: TENUTO_JOBS cannot be 'many' (environment)
hint: transfers at a time
""")
    assert str(shell("status", TENUTO_LINK="glue")) == snapshot("""\
exit status 2
--- err ---
error: TENUTO_LINK cannot be 'glue' (environment)
hint: how pulled files are laid out: auto, reflink, hardlink, symlink or copy
""")
    assert str(shell("status", HF_ENDPOINT="", TENUTO_ENDPOINT="ftp://x")) == snapshot("""\
exit status 2
--- err ---
error: 'ftp://x' is not the address of a hub
hint: write https://host[:port]
""")
    (shell.home / ".config" / "tenuto").mkdir(parents=True)
    (shell.home / ".config" / "tenuto" / "settings.toml").write_text("jobs = ")
    assert str(shell("status")) == snapshot("""\
exit status 2
--- err ---
error: [HOME]/.config/tenuto/settings.toml is not valid: Invalid value (at end of document)
hint: correct it, or move it away
""")


def test_another_process_is_at_work(shell: Shell) -> None:
    shell("init")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD.format(root=str(shell.project))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        done = shell("pull")
        assert done.status == 8
        assert f"process {other.pid} on " in done.err
        assert done.err.endswith(
            "(tenuto push) is at work on this project\nhint: wait until it is done, then run the command again\n"
        )
        assert shell("push", "--json").error["code"] == "Locked"
        assert shell("status").status == 0, "looking needs no lock"
        other.communicate()
    assert shell("pull").status == 0


def test_a_disk_that_refuses(shell: Shell) -> None:
    shell("init")
    shell.write(".tenuto", "a file where our folder should be")
    done = shell("pull")
    assert done.status == 7
    assert done.err.startswith("error: ")
    assert "hint: " in done.err


def test_a_repo_that_is_gone(desk: Desk) -> None:
    desk.begin()
    clone = desk.clone()
    desk("repo", "delete", desk.repo, "--yes")
    assert str(desk("pull", cwd=clone, TENUTO_CACHE=str(desk.folder / "empty"))) == snapshot("""\
exit status 9
--- err ---
error: hf://datasets/ann/voices is not on [HUB], or you may not see it
hint: correct the name; if it is private, `tenuto login`; if it is to be yours, `tenuto repo create hf://datasets/ann/voices`
""")
    assert str(desk("sync")) == snapshot("""\
exit status 9
--- err ---
error: hf://datasets/ann/voices is not on [HUB], or you may not see it
hint: correct the name; if it is private, `tenuto login`; if it is to be yours, `tenuto repo create hf://datasets/ann/voices`
""")
    assert str(desk("pull")) == snapshot("""\
exit status 0
--- out ---
data: up to date at [COMMIT]
""")


def test_a_lock_that_was_edited(desk: Desk) -> None:
    desk.begin()
    clone = desk.clone()
    lock = clone / "tenuto.lock"
    text = lock.read_text()
    digest = next(line for line in text.splitlines() if line.startswith("digest"))
    lock.write_text(text.replace(digest, f'digest = "{"0" * 64}"'))
    shown = str(desk("pull", cwd=clone)).replace("0" * 64, "[WRONG]").replace(digest.split('"')[1], "[RIGHT]")
    assert shown == snapshot("""\
exit status 5
--- err ---
error: hf://datasets/ann/voices at [COMMIT] has the digest [RIGHT], the lock says [WRONG]
hint: nothing was changed; find out who changed the lock or the hub
""")
    assert not (clone / "data").exists()


def test_a_bug_is_reported_as_one(shell: Shell) -> None:
    """With the last resort in place, an error that nobody foresaw is one line and exit status 70."""
    program = (
        "import sys, tenuto.project.workspace as w\n"
        "def broken(*_, **__): raise ZeroDivisionError('on purpose')\n"
        "w.create = broken\n"
        "sys.argv = ['tenuto', *sys.argv[1:]]\n"
        "from tenuto.cli.main import main; main()"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        asked = [sys.executable, "-c", program, *arguments]
        return subprocess.run(
            asked, capture_output=True, text=True, cwd=shell.project, env=shell.environment, check=False
        )

    done = run("init")
    assert (done.returncode, done.stdout) == (70, "")
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hint: please report it" in done.stderr
    assert "Traceback" in run("init", "--verbose").stderr
