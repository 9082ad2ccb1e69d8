"""`push`, `pull`, `sync`: what a person reads about what moved which way."""

import json
import shutil
from urllib.request import urlopen

from inline_snapshot import snapshot

from tests.cli.conftest import Desk, Done, Shell


def test_the_first_push(desk: Desk) -> None:
    desk("init")
    assert str(desk("push")) == snapshot("""\
exit status 0
--- out ---
Nothing is tracked yet. Next: tenuto track PATH --to hf://namespace/name, or tenuto add hf://namespace/name
""")
    desk.write("data/a.txt", "first\n")
    desk.write("data/b.bin", bytes(2000))
    desk("track", "data", "--to", desk.repo)
    assert str(desk("push")) == snapshot("""\
exit status 9
--- err ---
error: hf://datasets/ann/voices is not on [HUB], or you may not see it
hint: correct the name; if it is private, `tenuto login`; if it is to be yours, `tenuto repo create hf://datasets/ann/voices`
""")
    desk("repo", "create", desk.repo)
    assert str(desk("push", "--dry-run")) == snapshot("""\
exit status 0
--- out ---
data: would push 2 files (2.0 kB) to hf://datasets/ann/voices
  upload                  6 B  a.txt
  upload               2.0 kB  b.bin
""")
    assert str(desk("push", "--message", "The first files")) == snapshot("""\
exit status 0
--- out ---
data: pushed 2 files (2.0 kB) to hf://datasets/ann/voices at [COMMIT]
Next: commit tenuto.lock
""")
    assert str(desk("push")) == snapshot("""\
exit status 0
--- out ---
data: nothing to push to hf://datasets/ann/voices at [COMMIT]
""")
    assert str(desk("status")) == snapshot("""\
exit status 0
--- out ---
data: clean (2 files, 2.0 kB)
""")
    assert str(desk("pull")) == snapshot("""\
exit status 0
--- out ---
data: up to date at [COMMIT]
""")
    assert str(desk("sync")) == snapshot("""\
exit status 0
--- out ---
data: in step with hf://datasets/ann/voices at [COMMIT]
""")


def test_the_title_of_a_commit(desk: Desk) -> None:
    desk.begin()
    for verb in ("push", "sync"):
        desk.write("data/a.txt", f"{verb}\n")
        assert desk(verb, "--message", f"By {verb}").status == 0
    desk.write("data/a.txt", "unnamed\n")
    desk("push")
    address = f"{desk.environment['HF_ENDPOINT']}/api/{desk.repo.removeprefix('hf://')}/commits/main"
    with urlopen(address, timeout=10) as answer:
        titles = [commit["title"] for commit in json.load(answer)]
    assert titles[:3] == ["Update data", "By sync", "By push"]


def test_a_clone_pulls(desk: Desk) -> None:
    desk.begin()
    clone = desk.clone()
    assert str(desk("status", cwd=clone)) == snapshot("""\
exit status 0
--- out ---
data: missing (0 files, 0 B)
  Next: tenuto pull
""")
    assert str(desk("pull", "--dry-run", cwd=clone)) == snapshot("""\
exit status 0
--- out ---
data: would take 2 files (5.1 kB) from [COMMIT]
  download                6 B  a.txt
  download             5.1 kB  b.bin
""")
    assert str(desk("pull", cwd=clone)) == snapshot("""\
exit status 0
--- out ---
data: took 2 files (5.1 kB) from [COMMIT], 5.1 kB downloaded
""")
    (clone / "data" / "a.txt").unlink()
    assert str(desk("pull", "data", cwd=clone)) == snapshot("""\
exit status 0
--- out ---
data: took 1 file (6 B) from [COMMIT], 0 B downloaded
""")
    assert str(desk("pull", "--quiet", cwd=clone)) == "exit status 0\n"


def test_an_edit_and_a_deletion_are_pushed(desk: Desk) -> None:
    desk.begin()
    desk.write("data/a.txt", "second\n")
    desk.write("data/c.txt", "third\n")
    (desk.project / "data" / "b.bin").unlink()
    assert str(desk("push")) == snapshot("""\
exit status 0
--- out ---
data: pushed 2 files (13 B) to hf://datasets/ann/voices at [COMMIT]
  1 file missing here, left on the hub; tenuto pull brings such files back, --delete deletes them there
Next: commit tenuto.lock
""")
    assert str(desk("push", "--delete", "--dry-run")) == snapshot("""\
exit status 0
--- out ---
data: would delete 1 file on hf://datasets/ann/voices
  delete on the hub       0 B  b.bin
""")
    assert str(desk("push", "--delete")) == snapshot("""\
exit status 0
--- out ---
data: deleted 1 file on hf://datasets/ann/voices at [COMMIT]
Next: commit tenuto.lock
""")


def test_what_they_changed_comes_here_by_sync(desk: Desk) -> None:
    desk.begin()
    clone = desk.clone()
    desk("pull", cwd=clone)
    desk.write("data/a.txt", "second\n")
    desk.write("data/c.txt", "third\n")
    (desk.project / "data" / "b.bin").unlink()
    desk("push", "--delete")
    (clone / "data" / "d.txt").write_text("fourth\n")
    assert str(desk("pull", cwd=clone)) == snapshot("""\
exit status 0
--- out ---
data: up to date at [COMMIT]
  1 file of your own changed and left alone; tenuto push sends what you changed
""")
    assert str(desk("push", cwd=clone)) == snapshot("""\
exit status 1
--- err ---
error: data: a.txt and 2 other files changed on the hub since the last sync
hint: run `tenuto sync`, which brings both sides together
""")
    assert str(desk("sync", "--dry-run", cwd=clone)) == snapshot("""\
exit status 0
--- out ---
data: would take 2 files (13 B) from [COMMIT], would remove 1 file here
  download                7 B  a.txt
  remove here          5.1 kB  b.bin
  download                6 B  c.txt
data: would push 1 file (7 B) to hf://datasets/ann/voices
  upload                  7 B  d.txt
""")
    assert str(desk("sync", cwd=clone)) == snapshot("""\
exit status 0
--- out ---
data: took 2 files (13 B) from [COMMIT], removed 1 file here, 13 B downloaded
  what made way is in [OTHER]/.tenuto/trash/[MOMENT]
data: pushed 1 file (7 B) to hf://datasets/ann/voices at [COMMIT]
Next: commit tenuto.lock
""")


def conflict(desk: Desk) -> None:
    desk.begin()
    clone = desk.clone()
    desk("pull", cwd=clone)
    desk.write("data/a.txt", "ours\n")
    (clone / "data" / "a.txt").unlink()
    (clone / "data" / "a.txt").write_text("theirs\n")
    desk("push", cwd=clone)


def test_a_conflict(desk: Desk) -> None:
    conflict(desk)
    assert str(desk("push")) == snapshot("""\
exit status 1
--- err ---
error: data: a.txt changed here and on the hub
hint: run `tenuto sync` with --ours, --theirs or --keep-both
""")
    assert str(desk("sync")) == snapshot("""\
exit status 1
--- err ---
error: data: a.txt changed here and on the hub
hint: choose with --ours, --theirs (yours goes to .tenuto/trash) or --keep-both
""")
    assert str(desk("sync", "--dry-run")) == snapshot("""\
exit status 0
--- out ---
data: 1 conflict with [COMMIT]
  conflict                7 B  a.txt
  conflicts want a choice: --ours, --theirs or --keep-both
""")
    assert str(desk("sync", "--ours", "--theirs")) == snapshot("""\
exit status 2
--- err ---
error: --ours, --theirs and --keep-both exclude each other
hint: give one of them
""")
    assert str(desk("sync", "--ours")) == snapshot("""\
exit status 0
--- out ---
data: pushed 1 file (5 B) to hf://datasets/ann/voices at [COMMIT]
Next: commit tenuto.lock
""")


def test_a_conflict_for_theirs(desk: Desk) -> None:
    conflict(desk)
    assert str(desk("sync", "--theirs")) == snapshot("""\
exit status 0
--- out ---
data: took 1 file (7 B) from [COMMIT], 7 B downloaded
  what made way is in [PROJECT]/.tenuto/trash/[MOMENT]
Next: commit tenuto.lock
""")


def test_a_conflict_for_both(desk: Desk) -> None:
    conflict(desk)
    assert str(desk("sync", "--keep-both")) == snapshot("""\
exit status 0
--- out ---
data: took 1 file (7 B) from [COMMIT], 7 B downloaded
  yours of data/a.txt is now data/a.mine-13102ad5.txt
data: pushed 1 file (5 B) to hf://datasets/ann/voices at [COMMIT]
Next: commit tenuto.lock
""")


def test_a_conflict_with_the_lock(desk: Desk) -> None:
    conflict(desk)
    shutil.copy(desk.folder / "other" / "tenuto.lock", desk.project)
    assert str(desk("pull")) == snapshot("""\
exit status 1
--- err ---
error: data: a.txt changed here and on the hub
hint: choose with --ours, --theirs (yours goes to .tenuto/trash) or --keep-both
""")
    assert str(desk("pull", "--dry-run")) == snapshot("""\
exit status 0
--- out ---
data: 1 conflict with [COMMIT]
  conflict                7 B  a.txt
  conflicts want a choice: --ours, --theirs or --keep-both
""")


def keys(done: Done) -> object:
    """The shape of a JSON document: its keys, and those of the first of each list."""

    def shape(value: object) -> object:
        if isinstance(value, dict):
            return {key: shape(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [shape(value[0])] if value else []
        return type(value).__name__

    assert done.status == 0
    return shape(done.json)


def test_push_as_json(desk: Desk) -> None:
    desk.begin()
    desk.write("data/a.txt", "second\n")
    assert keys(desk("push", "--json", "--dry-run")) == snapshot(
        {
            "artifacts": [
                {
                    "name": "str",
                    "repo": "str",
                    "commit": "NoneType",
                    "digest": "NoneType",
                    "steps": [{"action": "str", "path": "str", "size": "int"}],
                    "missing": "int",
                }
            ],
            "uploaded_bytes": "int",
            "dry_run": "bool",
        }
    )
    assert keys(desk("push", "--json")) == snapshot(
        {
            "artifacts": [
                {
                    "name": "str",
                    "repo": "str",
                    "commit": "str",
                    "digest": "str",
                    "steps": [{"action": "str", "path": "str", "size": "int"}],
                    "missing": "int",
                }
            ],
            "uploaded_bytes": "int",
            "dry_run": "bool",
        }
    )
    assert keys(desk("push", "--json")) == snapshot(
        {
            "artifacts": [
                {"name": "str", "repo": "str", "commit": "str", "digest": "str", "steps": [], "missing": "int"}
            ],
            "uploaded_bytes": "int",
            "dry_run": "bool",
        }
    )


def test_pull_as_json(desk: Desk) -> None:
    desk.begin()
    clone = desk.clone()
    assert keys(desk("--json", "pull", "--dry-run", cwd=clone)) == snapshot(
        {
            "artifacts": [
                {
                    "name": "str",
                    "path": "str",
                    "commit": "str",
                    "digest": "str",
                    "steps": [{"action": "str", "path": "str", "size": "int"}],
                    "downloaded_bytes": "int",
                    "kept": [],
                    "trash": "NoneType",
                    "renamed": {},
                    "newer": "NoneType",
                    "is_own": "bool",
                    "in_step": "bool",
                }
            ],
            "unpushed": [],
            "dry_run": "bool",
            "failures": [],
        }
    )
    assert keys(desk("--json", "pull", cwd=clone)) == snapshot(
        {
            "artifacts": [
                {
                    "name": "str",
                    "path": "str",
                    "commit": "str",
                    "digest": "str",
                    "steps": [{"action": "str", "path": "str", "size": "int"}],
                    "downloaded_bytes": "int",
                    "kept": [],
                    "trash": "NoneType",
                    "renamed": {},
                    "newer": "NoneType",
                    "is_own": "bool",
                    "in_step": "bool",
                }
            ],
            "unpushed": [],
            "dry_run": "bool",
            "failures": [],
        }
    )


def test_sync_as_json(desk: Desk) -> None:
    desk.begin()
    desk.write("data/a.txt", "second\n")
    assert keys(desk("sync", "--json")) == snapshot(
        {
            "pulled": {
                "artifacts": [
                    {
                        "name": "str",
                        "path": "str",
                        "commit": "str",
                        "digest": "str",
                        "steps": [],
                        "downloaded_bytes": "int",
                        "kept": ["str"],
                        "trash": "NoneType",
                        "renamed": {},
                        "newer": "NoneType",
                        "is_own": "bool",
                        "in_step": "bool",
                    }
                ],
                "unpushed": [],
                "dry_run": "bool",
                "failures": [],
            },
            "pushed": {
                "artifacts": [
                    {
                        "name": "str",
                        "repo": "str",
                        "commit": "str",
                        "digest": "str",
                        "steps": [{"action": "str", "path": "str", "size": "int"}],
                        "missing": "int",
                    }
                ],
                "uploaded_bytes": "int",
                "dry_run": "bool",
            },
        }
    )


def test_a_conflict_as_json(desk: Desk) -> None:
    conflict(desk)
    assert desk("sync", "--json").error == snapshot(
        {
            "code": "BothMoved",
            "message": "data: a.txt changed here and on the hub",
            "hint": "choose with --ours, --theirs (yours goes to .tenuto/trash) or --keep-both",
            "exit_status": 1,
        }
    )
    done = desk("sync", "--json", "--keep-both")
    [pulled] = done.json["pulled"]["artifacts"]
    assert list(pulled["renamed"]) == ["data/a.txt"]
    assert (desk.project / pulled["renamed"]["data/a.txt"]).read_text() == "ours\n"


def test_nothing_tracked(shell: Shell) -> None:
    shell("init")
    assert (
        str(shell("push"))
        == str(shell("pull"))
        == str(shell("sync"))
        == snapshot("""\
exit status 0
--- out ---
Nothing is tracked yet. Next: tenuto track PATH --to hf://namespace/name, or tenuto add hf://namespace/name
""")
    )


def test_long_plans_are_cut_and_json_has_all(desk: Desk) -> None:
    desk("init")
    for number in range(30):
        desk.write(f"data/{number:02}.txt", "")
    desk("track", "data", "--to", desk.repo)
    desk("repo", "create", desk.repo)
    assert desk("push", "--dry-run").out.splitlines()[-2:] == snapshot(
        ["  upload                  0 B  19.txt", "  and 10 more; --json lists all"]
    )
    assert len(desk("push", "--dry-run", "--json").json["artifacts"][0]["steps"]) == 30


def test_what_was_never_pushed(desk: Desk) -> None:
    desk("init")
    desk.write("data/a.txt", "first\n")
    desk("track", "data", "--to", desk.repo)
    assert str(desk("pull")) == snapshot("""\
exit status 0
--- out ---
data: not on a hub yet; tenuto push sends it
""")
    assert str(desk("pull", cwd=desk.clone())) == snapshot("""\
exit status 9
--- err ---
error: data has never been pushed to hf://datasets/ann/voices, and data is not here
hint: run `tenuto push` where it was made, and commit the lock there
""")
