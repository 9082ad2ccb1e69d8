"""`verify` and `repair`: damage is named and mended."""

import os
from pathlib import Path

from inline_snapshot import snapshot

from tests.cli.conftest import Desk


def flip(file: Path) -> None:
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.chmod(0o644)
    with open(file, "r+b") as opened:
        opened.write(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_damage_is_named_and_mended(desk: Desk) -> None:
    desk.begin()
    assert str(desk("verify")) == snapshot("""\
exit status 0
--- out ---
All as locked (2 files, 5.1 kB read)
""")
    assert str(desk("repair")) == snapshot("""\
exit status 0
--- out ---
Nothing to repair (2 files, 5.1 kB read)
""")
    flip(desk.project / "data" / "a.txt")
    (desk.project / "data" / "b.bin").unlink()
    assert str(desk("verify")) == snapshot("""\
exit status 5
--- out ---
damaged: data/a.txt
  expected sha256 b640e840b19d378660b32fb51ae18d67dccb4a8596a29e7bd72c1b2ae5928f41
  found    sha256 e77dd5a62737fce07de0891ba568d6f3ffc1799a7e4ce4ad7f8ff29955927c6f
missing: data/b.bin
2 files not as locked (2 files, 6 B read)
Next: tenuto repair, or tenuto push where the change is yours
""")
    assert str(desk("verify", "--quiet")) == "exit status 5\n"
    assert str(desk("repair", "--dry-run")) == snapshot("""\
exit status 5
--- out ---
would repair: data/a.txt (damaged)
would repair: data/b.bin (missing)
""")
    assert str(desk("repair")) == snapshot("""\
exit status 0
--- out ---
repaired: data/a.txt (damaged)
repaired: data/b.bin (missing)
What was there before is in [PROJECT]/.tenuto/quarantine/[MOMENT]
""")
    assert str(desk("verify", "data")) == snapshot("""\
exit status 0
--- out ---
All as locked (2 files, 5.1 kB read)
""")


def test_damage_as_json(desk: Desk) -> None:
    desk.begin()
    flip(desk.project / "data" / "a.txt")
    done = desk("verify", "--json")
    assert done.status == 5
    assert done.json == snapshot(
        {
            "files": 2,
            "bytes": 5126,
            "findings": [
                {
                    "artifact": "data",
                    "path": "data/a.txt",
                    "fault": "damaged",
                    "expected": "b640e840b19d378660b32fb51ae18d67dccb4a8596a29e7bd72c1b2ae5928f41",
                    "found": "e77dd5a62737fce07de0891ba568d6f3ffc1799a7e4ce4ad7f8ff29955927c6f",
                    "size": 6,
                    "detail": None,
                }
            ],
        }
    )
    done = desk("repair", "--json")
    assert done.status == 0
    assert done.json.keys() == {"files", "bytes", "repaired", "remaining", "quarantine", "dry_run"}
    assert Path(done.json["quarantine"], "data", "a.txt").read_bytes() == b"girst\n"


def test_what_cannot_be_mended(desk: Desk) -> None:
    desk("init")
    desk.write("data/a.txt", "first\n")
    desk("track", "data", "--to", desk.repo)
    flip(desk.project / "data" / "a.txt")
    assert str(desk("repair")) == snapshot("""\
exit status 5
--- out ---
cannot repair: data/a.txt (damaged): the store has no good copy, and it was never pushed
""")


def test_what_cannot_be_read(desk: Desk) -> None:
    desk.begin()
    (desk.project / "data" / "a.txt").unlink()
    (desk.project / "data" / "a.txt").mkdir()
    assert str(desk("verify")) == snapshot("""\
exit status 5
--- out ---
unreadable: data/a.txt
  [PROJECT]/data/a.txt: Is a directory
1 file not as locked (2 files, 5.1 kB read)
Next: tenuto repair, or tenuto push where the change is yours
""")


def test_not_locked(desk: Desk) -> None:
    desk.begin()
    (desk.project / "tenuto.lock").unlink()
    assert str(desk("verify")) == snapshot("""\
exit status 9
--- err ---
error: data is not locked
hint: run `tenuto pull` or `tenuto track` first
""")
    assert str(desk("verify", "none")) == snapshot("""\
exit status 9
--- err ---
error: no artifact is named 'none'
hint: the manifest has: data
""")
