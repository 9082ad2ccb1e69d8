"""`diff` as a shell sees it."""

from inline_snapshot import snapshot

from tests.cli.conftest import Desk


def test_what_differs(desk: Desk) -> None:
    desk.begin()
    assert str(desk("diff")) == snapshot("""\
exit status 0
--- out ---
data: no difference between the lock and what is here
""")
    desk.write("data/a.txt", "changed\n")
    desk.write("data/c.txt", "new\n")
    (desk.project / "data/b.bin").unlink()
    assert str(desk("diff", "data")) == snapshot("""\
exit status 1
--- out ---
data: 3 differences between the lock and what is here
  modified  a.txt  (6 B -> 8 B)
  removed   b.bin  (5.1 kB)
  added     c.txt  (4 B)
  1 added, 1 removed, 1 modified
""")
    assert desk("diff", "data", "hub:main", "--quiet").status == 1
    assert desk("diff", "data", "hub:main", "hub:main").status == 0
    done = desk("diff", "data", "--json")
    assert done.status == 1
    assert done.json["artifacts"][0]["files"][1] == {
        "path": "b.bin",
        "change": "removed",
        "old_size": 5120,
        "new_size": None,
        "old_sha256": "4345361085c730756d843f13849c50a996fe2f1fac3a7ac05fb063bb743a423e",
        "new_sha256": None,
    }


def test_revisions_that_are_none(desk: Desk) -> None:
    desk.begin()
    assert str(desk("diff", "data", "git:v1")) == snapshot("""\
exit status 9
--- err ---
error: git knows no revision 'v1' here
""")
    assert desk("diff", "data", "v1", "--offline").status == 6
    assert desk("diff", "nothing").status == 9
