"""`tenuto.load` with the real torch: whatever `torch.save` and safetensors write is read to the last bit, or refused by name."""

import json
import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

import tenuto
from tests.wire.client import python_of

pytestmark = [pytest.mark.wire, pytest.mark.slow]

CHILD = str(Path(__file__).with_name("load_torch.py"))
REFUSED = {
    "trap.pt": "can run code when it is loaded",
    "whole.pt": "can run code when it is loaded",
    "legacy.pt": "is no checkpoint that is a zip of tensors",
    "script.pt": "is no checkpoint that is a zip of tensors",
}


def test_every_way_to_save_weights(tmp_path: Path) -> None:
    done = subprocess.run(
        [python_of("transformers"), CHILD, str(tmp_path / "project"), sysconfig.get_path("purelib")],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "TENUTO_CACHE": str(tmp_path / "cache"),
            "PYTHONPATH": str(Path(tenuto.__file__).parents[1]),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome.pop("sprung") is False
    assert outcome.pop("writes to it") is True
    for name, reason in REFUSED.items():
        said = outcome.pop(name)
        assert said.startswith("UsageError")
        assert reason in said
    assert outcome == dict.fromkeys(["types.safetensors", "state.pt", "training.ckpt", "types.bin"], "same")
