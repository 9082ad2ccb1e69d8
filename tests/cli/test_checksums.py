"""`checksums` and `smoke` as a shell sees them: lines for sha256sum, a report, and exit statuses that CI can rely on."""

import json
import subprocess

from inline_snapshot import snapshot

from tests.cli.conftest import Desk, Shell
from tests.cli.test_health import flip
from tests.cli.test_inventory import leave


def test_checksums_are_read_by_sha256sum(desk: Desk) -> None:
    desk.begin()
    done = desk("checksums")
    assert str(done) == snapshot("""\
exit status 0
--- out ---
b640e840b19d378660b32fb51ae18d67dccb4a8596a29e7bd72c1b2ae5928f41  data/a.txt
4345361085c730756d843f13849c50a996fe2f1fac3a7ac05fb063bb743a423e  data/b.bin
""")
    judge = subprocess.run(
        ["sha256sum", "-c", "--strict"], cwd=desk.project, input=done.out, capture_output=True, text=True, check=False
    )
    assert (judge.returncode, judge.stdout) == (0, "data/a.txt: OK\ndata/b.bin: OK\n")
    assert desk("checksums", "--json").json["read_files"] == 0
    assert desk("checksums", "data", "--full", "--json").json["read_bytes"] == 5126


def test_checksums_into_a_file(shell: Shell) -> None:
    leave(shell.project)
    done = shell("checksums", "--folder", ".", "--models", "--largest", "1", "--output", "models/checksums.sha256")
    assert str(done) == snapshot("""\
exit status 0
--- err ---
Wrote models/checksums.sha256: 1 file, 3.0 kB (3.0 kB read)
""")
    subprocess.run(["sha256sum", "-c", "models/checksums.sha256"], cwd=shell.project, capture_output=True, check=True)


def test_checksums_of_what_is_not_there(shell: Shell) -> None:
    leave(shell.project)
    (shell.project / "models/m").mkdir()
    (shell.project / "models/m/w.bin").symlink_to("nowhere")
    done = shell("checksums", "--folder", ".", "--quiet")
    assert (done.status, done.out.count("\n"), done.err) == (1, 2, "")
    assert "left out: models/m/w.bin: it is not there" in shell("checksums", "--folder", ".").err
    assert shell("checksums", "m", "--folder", ".").status == 2


def test_a_smoke_check_of_a_project(desk: Desk) -> None:
    desk.begin()
    assert str(desk("smoke", "--output", "smoke.json")) == snapshot("""\
exit status 0
--- out ---
2 files checked (with a recorded hash): 2 match, 0 missing
--- err ---
The report is in smoke.json
""")
    flip(desk.project / "data/a.txt")
    assert desk("smoke", "--quick").status == 0
    (desk.project / "data/b.bin").unlink()
    done = desk("smoke", "--output", "out/smoke.json", "--junit", "smoke.xml", "--offline")
    assert str(done) == snapshot("""\
exit status 3
--- out ---
missing: data/b.bin
differs: data/a.txt
  expected sha256 b640e840b19d378660b32fb51ae18d67dccb4a8596a29e7bd72c1b2ae5928f41
  found    sha256 e77dd5a62737fce07de0891ba568d6f3ffc1799a7e4ce4ad7f8ff29955927c6f
2 files checked (with a recorded hash): 0 match, 1 missing
--- err ---
The report is in out/smoke.json
""")
    assert json.loads((desk.project / "out/smoke.json").read_text()) == desk("smoke", "--json").json | {
        "summary": json.loads((desk.project / "out/smoke.json").read_text())["summary"]
    }
    assert (desk.project / "smoke.xml").read_text().count("<failure ") == 2


def test_a_smoke_check_of_any_folder(shell: Shell) -> None:
    assert shell("smoke", ".").status == 2
    leave(shell.project)
    assert str(shell("smoke", ".", "--quiet")) == "exit status 0\n"
    shell("checksums", "--folder", ".", "--models", "--output", "models/checksums.sha256")
    done = shell("smoke", ".", "--json")
    assert (done.status, done.json["summary"]["matched"]) == (0, 2)
    blob = shell.project / "models/facebook/facebook_musicgen-small/models--facebook--musicgen-small/blobs/1"
    flip(blob)
    assert shell("smoke", ".", "--json").status == 3
    (shell.project / "models/checksums.sha256").unlink()
    blob.unlink()
    assert shell("smoke", ".", "--json").status == 4
    reports = list((shell.project / "tests/env_tests").glob("smoke_report_*Z.json"))
    assert reports
    assert json.loads(max(reports).read_text())["summary"]["missing"] == 1


def test_a_smoke_check_with_a_record_that_cannot_be_read(shell: Shell) -> None:
    leave(shell.project)
    shell.write("bad.sha256", "nonsense\n")
    assert str(shell("smoke", ".", "--record", "bad.sha256")) == snapshot("""\
exit status 2
--- err ---
error: [PROJECT]/bad.sha256: line 1 is no checksum: 'nonsense'
hint: write it with `sha256sum`
""")
