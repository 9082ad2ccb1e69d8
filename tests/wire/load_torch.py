"""A process with the real torch: it saves files in every way that people do, tracks them, and says what `tenuto.load` makes of each.

`load_torch.py PROJECT PACKAGES`: what torch's environment lacks is taken from the folder PACKAGES.
"""

import json
import os
import sys

sys.path.append(sys.argv[2])

import safetensors.torch
import torch
from torch import nn

import tenuto
from tenuto.core.settings import resolve
from tenuto.project.track import Request, track
from tenuto.project.workspace import Workspace, create

TYPES = (
    "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 bfloat16 float32 float64 complex64 "
    "float8_e4m3fn float8_e5m2"
)
MARK = "sprung"


class Trap:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (MARK,)


class Own(nn.Module):
    """A class that only its author has."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)


def numbers(kind):
    """A few of every type, negative ones among them."""
    return (torch.arange(12).reshape(3, 4) - 4).to(getattr(torch, kind))


def saved(folder):
    """Every file, by name, with what it should be loaded as; None where it is to be refused."""
    tensors = {kind: numbers(kind) for kind in TYPES.split()} | {
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(2.5),
    }
    safetensors.torch.save_file(tensors, f"{folder}/types.safetensors")
    wanted = {"types.safetensors": tensors}
    model = Own()
    training = {
        "model": model.state_dict(),
        "optimizer": torch.optim.AdamW(model.parameters()).state_dict(),
        "epoch": 3,
        "best": 0.25,
        "names": ["a", "b"],
        "shared": [tensors["float32"], tensors["float32"][1:]],
        "turned": tensors["float32"].t(),
        "weight": nn.Parameter(tensors["bfloat16"]),
    }
    kept = {"state.pt": model.state_dict(), "training.ckpt": training, "types.bin": tensors}
    for name, value in kept.items():
        torch.save(value, f"{folder}/{name}")
    torch.save({"w": Trap()}, f"{folder}/trap.pt")
    torch.save(model, f"{folder}/whole.pt")
    torch.save(tensors, f"{folder}/legacy.pt", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), f"{folder}/script.pt")
    return wanted | kept | dict.fromkeys(("trap.pt", "whole.pt", "legacy.pt", "script.pt"))


def same(one, other):
    """Whether two values are alike to the last bit, types included."""
    if isinstance(one, torch.Tensor):
        alike = isinstance(other, torch.Tensor) and one.dtype == other.dtype and one.shape == other.shape
        return alike and one.device == other.device and bits(one) == bits(other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and type(one) is type(other)


def bits(tensor):
    """The bytes of a tensor in its own order."""
    return tensor.detach().contiguous().flatten().view(torch.uint8).tolist() if tensor.numel() else []


def main(root):
    """Print, for each file, `same`, `other` or the error."""
    folder = os.path.join(root, "data")
    os.makedirs(folder)
    os.chdir(root)
    create(root)
    wanted = saved(folder)
    with Workspace(root, resolve({"cache": os.environ["TENUTO_CACHE"]}), None) as workspace:
        track(workspace, Request(folder, "hf://ann/data"))
    outcome = {}
    for name, value in wanted.items():
        try:
            found = tenuto.load(f"data/{name}", root=root, framework="torch")
        except tenuto.TenutoError as error:
            outcome[name] = f"{type(error).__name__}: {error}"
        else:
            outcome[name] = "same" if value is not None and same(value, found) else "other"
    outcome["writes to it"] = writes_to_it(root)
    outcome[MARK] = os.path.exists(MARK)
    json.dump(outcome, sys.stdout)


def writes_to_it(root):
    """Whether what was loaded is the caller's own, and the file stays as it is."""
    tenuto.load("data/types.safetensors", root=root, framework="torch")["float32"][0, 0] = 9
    return float(tenuto.load("data/types.safetensors", root=root, framework="torch")["float32"][0, 0]) == -4


if __name__ == "__main__":
    main(sys.argv[1])
