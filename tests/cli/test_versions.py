"""`tenuto tag`, `tenuto pull NAME@VERSION` and `tenuto package`, typed."""

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
