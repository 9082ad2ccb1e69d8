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
            "mode": "full",
            "locked_files": 2,
            "locked_bytes": 5126,
            "share": 1.0,
            "artifacts": [{"name": "data", "files": 2, "bytes": 5126, "findings": 1}],
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


def test_a_quick_look_reads_nothing_and_works_without_a_hub(desk: Desk) -> None:
    desk.begin()
    away = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    assert str(desk("verify", "--quick", **away)) == snapshot("""\
exit status 0
--- out ---
All as locked (2 files, 5.1 kB; by size and time, nothing read)
""")
    flip(desk.project / "data" / "a.txt")
    assert desk("verify", "--quick").status == 0, "it does not see what only reading shows"
    os.utime(desk.project / "data" / "a.txt")
    assert str(desk("verify", "--quick")) == snapshot("""\
exit status 1
--- out ---
not read since it changed: data/a.txt
1 file not as locked (2 files, 5.1 kB; by size and time, nothing read)
Next: tenuto verify
""")
    desk.write("data/b.bin", "short")
    (desk.project / "data" / "a.txt").unlink()
    assert str(desk("verify", "--quick", "--offline")) == snapshot("""\
exit status 5
--- out ---
missing: data/a.txt
damaged: data/b.bin
  5 bytes instead of 5,120
2 files not as locked (2 files, 5.1 kB; by size and time, nothing read)
Next: tenuto repair, or tenuto push where the change is yours
""")


def test_a_part_is_read(desk: Desk) -> None:
    desk.begin()
    done = desk("verify", "--sample", "0.01%", "--json", "--offline")
    assert (done.status, done.json["mode"], done.json["files"], done.json["locked_files"]) == (0, "sample", 1, 2)
    assert "of 2 files, 5.1 kB)" in desk("verify", "--sample", "0.01%").out, "the other one"
    assert str(desk("verify", "--since", "1h")) == snapshot("""\
exit status 0
--- out ---
All as locked (0 files, 0 B read, 0.0% of 2 files, 5.1 kB)
""")
    flip(desk.project / "data" / "a.txt")
    assert desk("verify", "--since", "1h").status == 0
    assert desk("verify", "--since", "0s").status == 5


def test_one_depth_at_a_time(desk: Desk) -> None:
    assert str(desk("verify", "--quick", "--since", "7d")) == snapshot("""\
exit status 2
--- err ---
error: --quick, --sample and --since are three answers to one question
hint: give one
""")
    assert str(desk("verify", "--sample", "half")) == snapshot("""\
exit status 2
--- err ---
error: 'half' is not a share
hint: write --sample 5%
""")
    assert desk("verify", "--since", "yesterday", "--json").error["code"] == "BadCommand"


def test_a_report_for_ci(desk: Desk) -> None:
    desk.begin()
    flip(desk.project / "data" / "a.txt")
    assert desk("verify", "--junit", "report.xml", "--quiet").status == 5
    assert (desk.project / "report.xml").read_text() == snapshot("""\
<?xml version='1.0' encoding='utf-8'?>
<testsuites name="tenuto verify" tests="1" failures="1" errors="0">
  <testsuite name="data" tests="1" failures="1" errors="0">
    <testcase classname="data" name="data/a.txt">
      <failure type="damaged" message="damaged: data/a.txt">expected sha256 b640e840b19d378660b32fb51ae18d67dccb4a8596a29e7bd72c1b2ae5928f41
found    sha256 e77dd5a62737fce07de0891ba568d6f3ffc1799a7e4ce4ad7f8ff29955927c6f</failure>
    </testcase>
  </testsuite>
</testsuites>
""")
    assert desk("repair").status == 0
    assert desk("verify", "--junit", "report.xml").status == 0
    assert 'name="2 files are as locked (full)"' in (desk.project / "report.xml").read_text()


def test_what_is_broken_inside(desk: Desk) -> None:
    desk.begin()
    desk.write("data/model.safetensors", b"\xff" * 8 + b"{}")
    assert desk("push").status == 0
    assert desk("verify").status == 0
    assert str(desk("verify", "--deep")) == snapshot("""\
exit status 5
--- out ---
unsound: data/model.safetensors
  BadLength: the header is to have 18,446,744,073,709,551,615 bytes; 100,000,000 are allowed
1 file as locked, but unsound inside (3 files, 5.1 kB read)
Next: `tenuto inspect FILE` says more; the bytes are those that are locked, so only another version can help
""")
