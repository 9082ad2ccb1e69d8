"""`inspect`: what a person, a program and a script learn of files."""

import json
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from inline_snapshot import snapshot

from tenuto.testing.samples import noise, write_safetensors, write_wav
from tests.cli.conftest import Shell


def weights(folder: Path, name: str = "model.safetensors") -> Path:
    write_safetensors(str(folder / name), {"head": noise((2, 4), 1), "tail": noise((3,), 2)}, {"format": "pt"})
    return folder / name


def test_what_is_whole(shell: Shell) -> None:
    weights(shell.project)
    write_wav(str(shell.project / "clip.wav"), 0.5)
    assert str(shell("inspect", "model.safetensors", "clip.wav")) == snapshot("""\
exit status 0
--- out ---
model.safetensors: safetensors, 204 B, whole
  metadata: format pt
  tensors: 2
  parameters: 11
  parameters by dtype: F32 11
  tensor list: head F32 [2,4], tail F32 [3]
clip.wav: wav, 16.0 kB, whole
  chunks: fmt, data
  coding: PCM
  channels: 1
  rate hz: 16,000
  bits: 16
  frames: 8,000
  duration s: 0.5
""")


def test_what_is_damaged_or_dangerous(shell: Shell) -> None:
    file = weights(shell.project)
    file.write_bytes(file.read_bytes()[:-4])
    shell.write("adapter.pt", pickle.dumps({"run": exec}))
    shell.write("clip.mp3", "<!doctype html><title>Sign in</title>")
    assert str(shell("inspect", "model.safetensors", "adapter.pt", "clip.mp3")) == snapshot("""\
exit status 5
--- out ---
model.safetensors: safetensors, 200 B, damaged
  metadata: format pt
  tensors: 2
  parameters: 11
  parameters by dtype: F32 11
  tensor list: head F32 [2,4], tail F32 [3]
  damage: Truncated: tail ends at 44, and there are 40 bytes
adapter.pt: pickle, 41 B, whole, not safe to load
  globals: builtins.exec
  pickles: 1
  danger: CodeOnLoad: it names builtins.exec
clip.mp3: html, 37 B, damaged
  damage: HtmlPage: a web page was saved instead of the file
""")


def test_as_json(shell: Shell) -> None:
    shell.write("adapter.pt", pickle.dumps({"run": exec}, protocol=4))
    done = shell("inspect", "adapter.pt", "--json")
    assert done.status == 5
    assert done.json == snapshot(
        {
            "files": [
                {
                    "file": "adapter.pt",
                    "format": "pickle",
                    "size_bytes": 41,
                    "is_whole": True,
                    "is_safe": False,
                    "facts": {"globals": ["builtins.exec"], "pickles": 1},
                    "findings": [
                        {"code": "CodeOnLoad", "severity": "danger", "where": "", "detail": "it names builtins.exec"}
                    ],
                }
            ]
        }
    )


def test_headers_alone(shell: Shell) -> None:
    write_wav(str(shell.project / "clip.wav"), 0.5)
    assert shell("inspect", "--quick", "clip.wav").status == 0


def test_the_first_rows_of_a_table(shell: Shell) -> None:
    rows = {
        "name": ["wren\x1b[31m", "owl", None, "x" * 500],
        "number": [1, 2, 3, None],
        "label": [0, 1, 2, None],
    }
    names = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["low", "high"]}}}}
    table = pa.table(rows).replace_schema_metadata({"huggingface": json.dumps(names)})
    pq.write_table(
        table, str(shell.project / "birds.parquet"), compression={"name": "none", "number": "brotli", "label": "zstd"}
    )
    shown = str(shell("inspect", "birds.parquet")).partition("first rows:\n")[2].partition("  pages with")[0]
    assert shown.splitlines() == [
        r"    name wren\x1b[31m, label low (0)",
        "    name owl, label high (1)",
        "    name null, label 2",
        f"    name {'x' * 80}…, label null",
    ]
    assert "first rows" not in str(shell("inspect", "--quick", "birds.parquet"))


def test_what_cannot_be_looked_at(shell: Shell) -> None:
    assert str(shell("inspect", "absent.pt")) == snapshot("""\
exit status 9
--- err ---
error: absent.pt does not exist
""")
    assert str(shell("inspect", ".")) == snapshot("""\
exit status 2
--- err ---
error: . is not a file
hint: name files, not folders
""")
    assert shell("inspect").status == 2


def test_a_name_cannot_write_on_the_terminal(shell: Shell) -> None:
    shell.write("evil.json", '{"\x1b[2J": 1}'.replace("\x1b", "\\u001b"))
    done = shell("inspect", "evil.json")
    assert done.status == 0
    assert "\x1b" not in done.out


def test_a_name_that_is_no_text(shell: Shell) -> None:
    named = os.fsdecode(b"model\xff\x1b.json")
    shell.write(named, "{}")
    assert shell("inspect", named).out == "model\\udcff\\x1b.json: json, 2 B, whole\n  kind: table\n"
    assert shell("inspect", named, "--json").json["files"][0]["file"] == "model\\udcff\x1b.json"
