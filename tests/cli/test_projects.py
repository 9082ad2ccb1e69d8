"""`init`, `track`, `status`: what a person sees who begins."""

from inline_snapshot import snapshot

from tests.cli.conftest import Shell

TO = ("--to", "hf://datasets/ann/voices")


def test_init(shell: Shell) -> None:
    assert str(shell("init")) == snapshot("""\
exit status 0
--- out ---
Made [PROJECT]/tenuto.toml
Next: tenuto track PATH --to hf://namespace/name for what is yours,
      tenuto add hf://namespace/name for what others publish
""")
    assert str(shell("init")) == snapshot("""\
exit status 1
--- err ---
error: [PROJECT]/tenuto.toml exists already
hint: edit it, or run `tenuto track PATH --to hf://namespace/name`
""")
    assert shell("init", "--json", cwd=shell.home).json == {"manifest": str(shell.home / "tenuto.toml")}


def test_init_names_a_hub(shell: Shell) -> None:
    assert shell("init", "--hub", "http://127.0.0.1:8010").status == 0
    assert (shell.project / "tenuto.toml").read_text() == snapshot("""\
# What this project needs. `tenuto track PATH --to hf://namespace/name` adds what is yours,
# `tenuto add hf://namespace/name` what others publish.

[project]
hub = "http://127.0.0.1:8010"
""")
    assert str(shell("init", "--hub", "nonsense", cwd=shell.home)) == snapshot("""\
exit status 2
--- err ---
error: 'nonsense' is not the address of a hub
hint: write https://host[:port]
""")


def test_track_and_status(shell: Shell) -> None:
    shell("init")
    assert str(shell("status")) == snapshot("""\
exit status 0
--- out ---
Nothing is tracked yet. Next: tenuto track PATH --to hf://namespace/name, or tenuto add hf://namespace/name
""")
    shell.write("data/a.txt", "first\n")
    shell.write("data/sub/b.bin", b"x" * 1500)
    assert str(shell("track", "data", *TO)) == snapshot("""\
exit status 0
--- out ---
Tracked data: 2 files, 1.5 kB, digest 6b4430296560
Next: commit tenuto.toml, tenuto.lock and .gitignore, then `tenuto push` to hf://datasets/ann/voices
""")
    assert str(shell("track", "data")) == snapshot("""\
exit status 0
--- out ---
data is as it was tracked: 2 files, 1.5 kB, digest 6b4430296560
""")
    assert str(shell("status")) == snapshot("""\
exit status 0
--- out ---
data: not pushed (2 files, 1.5 kB)
  Next: tenuto push
""")
    assert str(shell("status", "--check")) == snapshot("""\
exit status 1
--- out ---
data: not pushed (2 files, 1.5 kB)
  Next: tenuto push
""")


def test_status_after_changes(shell: Shell) -> None:
    shell("init")
    shell.write("data/a.txt", "first\n")
    shell.write("data/sub/b.bin", b"x" * 1500)
    shell("track", "data", *TO)
    shell.write("data/a.txt", "second\n")
    shell.write("data/c.txt", "third\n")
    assert str(shell("status", "data")) == snapshot("""\
exit status 0
--- out ---
data: changed (3 files, 1.5 kB)
  modified  a.txt
  added     c.txt
  Next: tenuto push
""")
    (shell.project / "data" / "sub" / "b.bin").unlink()
    assert str(shell("status")) == snapshot("""\
exit status 0
--- out ---
data: changed (2 files, 13 B)
  modified  a.txt
  added     c.txt
  missing   sub/b.bin
  Next: tenuto track data records what is here now; what was never pushed does not come back
""")
    for name in ("a.txt", "c.txt"):
        (shell.project / "data" / name).unlink()
    assert str(shell("status")) == snapshot("""\
exit status 0
--- out ---
data: missing (0 files, 0 B)
  Next: tenuto track data records what is here now; what was never pushed does not come back
""")
    (shell.project / "tenuto.lock").unlink()
    assert str(shell("status")) == snapshot("""\
exit status 0
--- out ---
data: not locked (0 files, 0 B)
  Next: tenuto track data, or tenuto pull
""")


def test_status_of_many_files(shell: Shell) -> None:
    shell("init")
    shell.write("data/first", "")
    shell("track", "data", *TO)
    for number in range(25):
        shell.write(f"data/{number:02}", "")
    shown = shell("status").out.splitlines()
    assert len(shown) == 23
    assert shown[-2:] == snapshot(["  and 5 more; --json lists all", "  Next: tenuto push"])


def test_status_where_the_listing_is_not_known(shell: Shell) -> None:
    shell("init")
    shell.write("data/first", "")
    shell("track", "data", *TO)
    shell.write("data/second", "")
    assert str(shell("status", TENUTO_CACHE=str(shell.folder / "empty"))) == snapshot("""\
exit status 0
--- out ---
data: changed (2 files, 0 B)
  which files differ is not known here: the store lacks the locked listing
  Next: tenuto track data records what is here now; what was never pushed does not come back
""")


def test_track_a_file_in_a_folder(shell: Shell) -> None:
    shell("init")
    shell.write("weights/model.pt", "weights")
    assert str(shell("track", "weights/model.pt", "--to", "hf://ann/model")) == snapshot("""\
exit status 0
--- out ---
Tracked weights/model.pt: 1 file, 7 B, digest 0aec03bd0d7c
Next: commit tenuto.toml, tenuto.lock and weights/.gitignore, then `tenuto push` to hf://ann/model
""")
    assert (shell.project / "tenuto.toml").read_text() == snapshot("""\
# What this project needs. `tenuto track PATH --to hf://namespace/name` adds what is yours,
# `tenuto add hf://namespace/name` what others publish.

[artifacts."weights/model.pt"]
path = "weights/model.pt"
repo = "hf://ann/model"
kind = "model"
file = true
""")
    assert (shell.project / "tenuto.lock").read_text() == snapshot("""\
# Written by tenuto: commit it to git, do not edit it.
version = 1

[[artifact]]
name = "weights/model.pt"
path = "weights/model.pt"
kind = "model"
source = "hf://ann/model"
digest = "0aec03bd0d7c210442f9edef8e2f432f30a9df9c7535bcb08d985275c29db337"
files = 1
bytes = 7
file = true
""")


def test_what_cannot_be_tracked(shell: Shell) -> None:
    shell("init")
    shell.write("data/a.txt", "first\n")
    assert str(shell("track")) == snapshot("""\
exit status 2
--- err ---
error: missing argument 'PATH'
hint: see `tenuto track --help`
""")
    assert str(shell("track", "nothing", *TO)) == snapshot("""\
exit status 9
--- err ---
error: [PROJECT]/nothing does not exist
hint: name a folder or file that is there
""")
    assert str(shell("track", "data")) == snapshot("""\
exit status 2
--- err ---
error: data is not tracked yet, and --to is missing
hint: say where it is kept: tenuto track data --to hf://datasets/namespace/name
""")
    assert str(shell("track", "data", "--to", "ann/voices")) == snapshot("""\
exit status 2
--- err ---
error: 'ann/voices' is not an address of a hub
hint: write hf://namespace/name for a model repo or hf://datasets/namespace/name for a dataset repo
""")
    assert str(shell("track", "data", *TO, "--kind", "toy")) == snapshot("""\
exit status 2
--- err ---
error: invalid value for '--kind': 'toy' is not one of 'model', 'adapter', 'dataset', 'checkpoint'
hint: see `tenuto track --help`
""")


def test_paths_and_files_that_cannot_be_tracked(shell: Shell) -> None:
    shell("init")
    shell.write("data/a.txt", "first\n")
    assert str(shell("track", "..", *TO)) == snapshot("""\
exit status 2
--- err ---
error: [PROJECT]/.. is not below [PROJECT]
hint: track folders inside the project
""")
    assert str(shell("track", "tenuto.toml", *TO)) == snapshot("""\
exit status 2
--- err ---
error: tenuto.toml belongs to tenuto itself
hint: name a folder or file of your own
""")
    (shell.project / "data" / "broken").symlink_to("nothing")
    assert str(shell("track", "data", *TO)) == snapshot("""\
exit status 9
--- err ---
error: data/broken is a symbolic link to nothing
hint: remove the link, then track again
""")
    (shell.project / "data" / "broken").unlink()
    shell.write("data/what?.txt", "")
    assert str(shell("track", "data", *TO)) == snapshot("""\
exit status 2
--- err ---
error: path 'data/what?.txt' is not allowed: character '?' cannot be written on every system
hint: rename the file
""")


def test_track_as_json(shell: Shell) -> None:
    shell("init")
    shell.write("data/a.txt", "first\n")
    assert shell("track", "data", *TO, "--json").json == snapshot(
        {
            "name": "data",
            "path": "data",
            "repo": "hf://datasets/ann/voices",
            "digest": "d8dc1b46dc4aa45cf4db8127d5e0c32d9d793ea677a2c6db8b68794388ed9bba",
            "files": 1,
            "bytes": 6,
            "hashed_files": 1,
            "hashed_bytes": 6,
            "changed": True,
            "ignored_in": ".gitignore",
        }
    )


def test_status_as_json(shell: Shell) -> None:
    shell("init")
    assert shell("status", "--json").json == snapshot({"clean": True, "artifacts": []})
    shell.write("data/a.txt", "first\n")
    shell("track", "data", *TO)
    shell.write("data/a.txt", "second\n")
    assert shell("--json", "status").json == snapshot(
        {
            "clean": False,
            "artifacts": [
                {
                    "name": "data",
                    "path": "data",
                    "repo": "hf://datasets/ann/voices",
                    "state": "changed",
                    "pushed": False,
                    "files": 1,
                    "bytes": 7,
                    "commit": None,
                    "changes": [{"path": "a.txt", "change": "modified", "size": 7}],
                    "is_own": True,
                }
            ],
        }
    )


def test_quiet(shell: Shell) -> None:
    assert str(shell("init", "--quiet")) == "exit status 0\n"
    shell.write("data/a.txt", "first\n")
    assert str(shell("--quiet", "track", "data", *TO)) == "exit status 0\n"
    assert str(shell("status", "--quiet", "--check")) == "exit status 1\n"
    assert str(shell("status", "--quiet", "none")) == snapshot("""\
exit status 9
--- err ---
error: no artifact is named 'none'
hint: the manifest has: data
""")


def test_from_a_folder_further_down_and_from_elsewhere(shell: Shell) -> None:
    shell("init")
    shell.write("data/deep/a.txt", "first\n")
    assert shell("track", ".", *TO, cwd=shell.project / "data").out.startswith("Tracked data: 1 file")
    assert shell("status", cwd=shell.project / "data" / "deep").out == shell("status").out
    assert shell("--root", str(shell.project), "status", cwd=shell.home).out == shell("status").out
    assert shell("status", "--root", "../project", cwd=shell.home).out == shell("status").out
    assert str(shell("status", "--root", "nowhere")) == snapshot("""\
exit status 2
--- err ---
error: invalid value for '--root': Directory 'nowhere' does not exist
hint: see `tenuto status --help`
""")
    assert str(shell("status", cwd=shell.home)) == snapshot("""\
exit status 9
--- err ---
error: no tenuto.toml in [HOME] or above it
hint: run `tenuto init` first
""")
