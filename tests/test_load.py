"""`tenuto.load`: what is in a locked file, and nothing is executed."""

import contextlib
import importlib.util
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tenuto
from tenuto.core.errors import IntegrityError, NotFoundError, UsageError
from tenuto.core.settings import resolve
from tenuto.hub.remote import Remote
from tenuto.project.track import Request, track
from tenuto.project.workspace import Workspace, create
from tenuto.testing.tensors import noise, write_torch_checkpoint


def nobody(_settings: object) -> Remote:
    raise AssertionError("a hub was asked")


class Loader:
    """A project with one artifact, `data`, that was never pushed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "data").mkdir()
        create(str(root))

    def put(self, name: str, content: bytes) -> str:
        (self.root / "data" / name).write_bytes(content)
        with Workspace(str(self.root), resolve({"cache": str(self.root.parent / "cache")}), nobody) as workspace:
            track(workspace, Request(str(self.root / "data"), "hf://ann/data"))
        return f"data/{name}"

    def load(self, name: str, content: bytes, **more: Any) -> Any:
        return tenuto.load(self.put(name, content), root=self.root, **more)


@pytest.fixture
def loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    monkeypatch.setenv("TENUTO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "project").mkdir()
    return Loader(tmp_path / "project")


def safetensors(tensors: dict[str, tuple[str, list[int], bytes]], **changed: object) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header | changed).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_tensors_as_numpy(loader: Loader) -> None:
    numbers = np.arange(6, dtype="<f4")
    found = loader.load(
        "model.safetensors",
        safetensors(
            {
                "weight": ("F32", [2, 3], numbers.tobytes()),
                "count": ("I64", [], struct.pack("<q", -5)),
                "none": ("F16", [0, 4], b""),
                "mask": ("BOOL", [3], b"\1\0\1"),
                "half": (
                    "BF16",
                    [3],
                    np.array([1.0, -2.5, 3e38], "<f4").view("<u4").__rshift__(16).astype("<u2").tobytes(),
                ),
            }
        ),
    )
    assert list(found) == ["weight", "count", "none", "mask", "half"]
    assert np.array_equal(found["weight"], numbers.reshape(2, 3))
    assert found["count"].shape == ()
    assert found["count"] == -5
    assert found["none"].shape == (0, 4)
    assert found["mask"].tolist() == [True, False, True]
    assert found["half"].dtype == np.float32
    assert found["half"][:2].tolist() == [1.0, -2.5]
    found["weight"][0, 0] = 9  # the caller's own
    assert tenuto.load("data/model.safetensors", root=loader.root)["weight"][0, 0] == 0


def test_a_number_type_that_numpy_lacks(loader: Loader) -> None:
    with pytest.raises(UsageError, match=r"w in .*model\.safetensors is F8_E4M3, which numpy does not have"):
        loader.load("model.safetensors", safetensors({"w": ("F8_E4M3", [2], b"ab")}))


def test_torch_is_asked_for_by_name_only(loader: Loader) -> None:
    content = safetensors({"w": ("BF16", [2], b"abcd"), "none": ("F32", [0], b"")})
    if importlib.util.find_spec("torch") is None:
        with pytest.raises(ImportError, match="torch"):
            loader.load("model.safetensors", content, framework="torch")
        return
    found = loader.load("model.safetensors", content, framework="torch")
    assert str(found["w"].dtype) == "torch.bfloat16"
    assert found["none"].shape == (0,)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>not found</html>",
        safetensors({"w": ("F32", [2], b"12345678")})[:-1],
        safetensors({"w": ("F32", [2], b"12345678")}) + b"x",
        safetensors({"w": ("F32", [3], b"12345678")}),
        safetensors({"w": ("F32", [2], b"12345678")}, v={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}),
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
    ],
)
def test_a_file_that_is_not_what_its_name_says(loader: Loader, content: bytes) -> None:
    with pytest.raises(IntegrityError, match="cannot be read as safetensors") as caught:
        loader.load("model.safetensors", content)
    assert caught.value.code == "CorruptObject"


def test_values_and_texts(loader: Loader) -> None:
    assert loader.load("config.json", b'{"layers": [1, 2.5, null]}') == {"layers": [1, 2.5, None]}
    assert loader.load("settings.toml", b"rate_hz = 16000\n") == {"rate_hz": 16000}
    assert loader.load("labels.csv", "0,Vögel\n".encode()) == "0,Vögel\n"
    assert loader.load("card.md", b"# A\r\n") == "# A\r\n"
    for name, content in (("a.json", b"{"), ("b.toml", b"="), ("c.txt", b"\xff"), ("d.json", b"[" * 100_000)):
        with pytest.raises(IntegrityError, match="cannot be read as"):
            loader.load(name, content)


def test_arrays(loader: Loader, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    np.savez(tmp_path / "b.npz", x=np.arange(3), y=np.ones((2, 2)))
    assert loader.load("a.npy", (tmp_path / "a.npy").read_bytes()).tolist() == [0, 1, 2, 3, 4]
    whole = (tmp_path / "b.npz").read_bytes()
    for name, content in (("c.npz", b""), ("d.npz", whole[:-30]), ("e.npy", b"\x93NUMPY")):
        with pytest.raises(IntegrityError):
            loader.load(name, content)
    found = loader.load("b.npz", whole)
    assert (found["x"].tolist(), found["y"].shape) == ([0, 1, 2], (2, 2))


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("name", ["model.pt", "model.ckpt", "pytorch_model.bin", "model.pkl", "MODEL.PT"])
def test_a_pickle_is_refused_before_it_is_even_fetched(loader: Loader, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="may be a pickle") as caught:
        loader.load(name, pickle.dumps(Trap(str(tmp_path / "sprung"))))
    assert "weights_only" in (caught.value.hint or "")
    assert not (tmp_path / "sprung").exists()


def torch_zip(pickled: bytes, **more: bytes) -> bytes:
    """What `torch.save` writes, with that as its main pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {"data.pkl": pickled, "version": b"3\n", **more}.items():
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


def test_torch_takes_no_checkpoint_that_could_run_code(loader: Loader, tmp_path: Path) -> None:
    """It is refused by our own look: torch is not asked, nor needed."""
    trap = pickle.dumps({"w": Trap(str(tmp_path / "sprung"))})
    hidden = torch_zip(b"\x80\x02}.", extra=trap)
    for content in (torch_zip(trap), hidden):
        with pytest.raises(UsageError, match="can run code when it is loaded") as caught:
            loader.load("model.pt", content, framework="torch")
        assert "safetensors" in (caught.value.hint or "")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [pickle.dumps({"w": 1}), b"<html>", b"", torch_zip(b"")[:-9]])
def test_torch_takes_no_checkpoint_that_is_no_zip_of_tensors(loader: Loader, content: bytes) -> None:
    with pytest.raises((UsageError, IntegrityError), match=r"is no checkpoint|cannot be read as pt"):
        loader.load("model.pt", content, framework="torch")


def test_torch_takes_no_checkpoint_with_a_part_missing(loader: Loader, tmp_path: Path) -> None:
    whole = tmp_path / "whole.pt"
    write_torch_checkpoint(str(whole), {"w": noise((2, 3), 1)})
    damaged = io.BytesIO()
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(damaged, "w") as new:
        for name in old.namelist():
            if not name.endswith("/data/0"):
                new.writestr(name, old.read(name))
    with pytest.raises(IntegrityError, match="cannot be read as pt"):
        loader.load("model.pt", damaged.getvalue(), framework="torch")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.json", "a.safetensors", "a.txt"])
def test_a_pickle_under_another_name_is_not_loaded_either(loader: Loader, tmp_path: Path, name: str) -> None:
    for content in (pickle.dumps(Trap(str(tmp_path / "sprung"))), _object_array(tmp_path)):
        with contextlib.suppress(IntegrityError):
            loader.load(name, content)
        assert not (tmp_path / "sprung").exists()


def _object_array(tmp_path: Path) -> bytes:
    array = np.empty(1, dtype=object)
    array[0] = Trap(str(tmp_path / "sprung"))
    np.save(tmp_path / "objects.npy", array, allow_pickle=True)
    return (tmp_path / "objects.npy").read_bytes()


def test_what_has_no_loader(loader: Loader) -> None:
    for name in ("sound.wav", "data", "model.gguf"):
        with pytest.raises(UsageError, match="nothing is known of how to load") as caught:
            loader.load(name, b"x")
        assert caught.value.hint == "tenuto.path gives you the file itself"


def test_what_is_not_there(loader: Loader) -> None:
    loader.put("config.json", b"{}")
    with pytest.raises(NotFoundError):
        tenuto.load("data/none.json", root=loader.root)


def test_loading_json_needs_no_numpy(loader: Loader) -> None:
    name = loader.put("config.json", b"{}")
    program = (
        "import sys, tenuto; tenuto.load(sys.argv[1], root=sys.argv[2]); print({'numpy', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, name, loader.root], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
