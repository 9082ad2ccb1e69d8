"""`tenuto tag`, `tenuto pull NAME@VERSION`, `tenuto package` and `tenuto import-dvc`, typed."""

import hashlib

from inline_snapshot import snapshot

from tests.cli.conftest import Desk


def two_versions(desk: Desk) -> None:
    desk.begin()
    assert desk("tag", "data", "best").status == 0
    desk.write("data/a.txt", "second\n")
    assert desk("push").status == 0


def test_a_label_and_the_way_back(desk: Desk) -> None:
    two_versions(desk)
    listed = desk("tag", "--list", "--json").json
    assert [(tag["name"], tag["label"], tag["pinned"]) for tag in listed["tags"]] == [("data", "best", False)]
    digest = listed["tags"][0]["digest"]
    desk.filters[digest[:12]] = "[DIGEST]"
    assert str(desk("tag", "--list")) == snapshot("""\
exit status 0
--- out ---
data@best  [DIGEST] at [COMMIT]
""")
    assert str(desk("pull", "data@best")) == snapshot("""\
exit status 0
--- out ---
data: took 1 file (6 B) from [COMMIT], 6 B downloaded
Next: commit tenuto.lock
""")
    assert (desk.project / "data" / "a.txt").read_text() == "first\n"
    assert str(desk("tag", "data", "best")) == snapshot("""\
exit status 0
--- out ---
data@best is [DIGEST] at [COMMIT] already
""")
    assert str(desk("tag", "data", "best", "--delete")) == snapshot("""\
exit status 0
--- out ---
data@best was [DIGEST] at [COMMIT], and is no label any more
Next: commit tenuto.lock
""")
    assert str(desk("tag", "--list")) == snapshot("""\
exit status 0
--- out ---
No labels yet. Next: tenuto tag NAME LABEL
""")


def test_an_older_version_does_not_take_own_changes(desk: Desk) -> None:
    two_versions(desk)
    desk.write("data/a.txt", "my own\n")
    assert desk("pull", "data@best").status == 1
    assert (desk.project / "data" / "a.txt").read_text() == "my own\n"


def test_wrong_words(desk: Desk) -> None:
    desk.begin()
    for words in (["tag", "data", "x", "--list"], ["tag", "data", "x", "y", "--delete"], ["tag", "data", "--delete"]):
        done = desk(*words)
        assert (done.status, done.out) == (2, ""), words
    assert desk("tag").out == desk("tag", "data").out == desk("tag", "--list").out
    assert desk("tag", "none").status == 9
    assert desk("pull", "data@never").status == 9
    assert desk("tag", "data", "x", "never", "--json").error["code"] == "RevisionNotFound"


def test_a_package_gets_the_lock_and_a_check_tells(desk: Desk) -> None:
    desk.begin()
    desk.write("src/demo/__init__.py", "")
    assert desk("package", "src/demo", "--check").status == 1
    assert str(desk("package", "src/demo")) == snapshot("""\
exit status 0
--- out ---
data: hf://datasets/ann/voices at [COMMIT], 2 files, 5.1 kB
Wrote [PROJECT]/src/demo/_tenuto
Next: commit it, and make sure that it is in the wheel
""")
    assert str(desk("package", "src/demo", "--check")) == snapshot("""\
exit status 0
--- out ---
data: hf://datasets/ann/voices at [COMMIT], 2 files, 5.1 kB
[PROJECT]/src/demo/_tenuto is as locked
""")
    desk.write("data/a.txt", "second\n")
    desk("push")
    assert desk("package", "src/demo", "--check").status == 1
    assert desk("package", "src/none").status == 9


def test_what_dvc_tracks_is_taken_over(desk: Desk) -> None:
    content = b"weights" * 4000
    name = hashlib.md5(content, usedforsecurity=False).hexdigest()
    desk.write(f".dvc/cache/files/md5/{name[:2]}/{name[2:]}", content)
    desk.write("model.pt.dvc", f"outs:\n- md5: {name}\n  size: 28000\n  hash: md5\n  path: model.pt\n")
    desk.write("gone.pt.dvc", f"outs:\n- md5: {name[::-1]}\n  size: 1\n  hash: md5\n  path: gone.pt\n")
    desk.write("checkpoints.dvc", "outs:\n- md5: null\n  path: checkpoints\n")
    desk("init")
    desk("repo", "create", desk.repo)
    assert str(desk("import-dvc", "--to", desk.repo)) == snapshot("""\
exit status 9
--- out ---
model.pt: tracked 1 file, 1 file (28.0 kB) from the DVC cache, kept on hf://datasets/ann/voices
Next: commit tenuto.toml, tenuto.lock and .gitignore, then `tenuto push`
--- err ---
error: checkpoints.dvc: checkpoints has no md5: DVC never recorded what it is
hint: if the files are here: tenuto track checkpoints --to hf://namespace/name
error: gone.pt: 1 file neither here nor in the DVC cache: gone.pt
hint: run `dvc pull` where that works, or name another cache with --cache
""")
    assert desk("import-dvc", "checkpoints.dvc", "--to", desk.repo, "--json").status == 2
    assert desk("import-dvc", "model.pt.dvc", "--to", desk.repo).status == 0
    desk.write("model.pt", "my own")
    assert desk("import-dvc", "model.pt.dvc", "--to", desk.repo).status == 1
    assert (desk.project / "model.pt").read_text() == "my own"
