"""The sample files are what they claim to be, and the same for the same seed."""

import collections
import hashlib
import importlib.util
import io
import math
import pickle
import struct
import wave
import zipfile
from pathlib import Path

import pytest

from tenuto.testing import samples
from tenuto.testing.tensors import FLOAT16, FLOAT32


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class CheckpointReader(pickle.Unpickler):
    """Reads what `torch.load(weights_only=True)` would allow, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        return {
            "torch._utils _rebuild_tensor_v2": lambda *parts: ("tensor", *parts),
            "torch FloatStorage": "float32",
            "torch HalfStorage": "float16",
            "collections OrderedDict": collections.OrderedDict,
        }[f"{module} {name}"]

    def persistent_load(self, pid: object) -> object:
        return pid


def read_checkpoint(path: Path) -> dict[str, object]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        root = archive.namelist()[0].split("/")[0]
        return CheckpointReader(io.BytesIO(archive.read(f"{root}/data.pkl"))).load()


class TestWav:
    def test_length_and_rate(self, tmp_path: Path) -> None:
        path = tmp_path / "a.wav"
        assert samples.write_wav(str(path), 0.25, 8000, seed=3) == path.stat().st_size
        with wave.open(str(path)) as file:
            assert (file.getnframes(), file.getframerate(), file.getsampwidth()) == (2000, 8000, 2)
            frames = file.readframes(2000)
        loudest = max(abs(value) for value in struct.unpack("<2000h", frames))
        assert 1000 < loudest < 32767, "it can be heard, and does not clip"

    def test_seeds_differ(self, tmp_path: Path) -> None:
        for seed in (1, 2, 1):
            samples.write_wav(str(tmp_path / f"{seed}.wav"), 0.1, seed=seed)
        assert (tmp_path / "1.wav").read_bytes() != (tmp_path / "2.wav").read_bytes()

    def test_no_sound_at_all(self, tmp_path: Path) -> None:
        samples.write_wav(str(tmp_path / "empty.wav"), 0)
        with wave.open(str(tmp_path / "empty.wav")) as file:
            assert file.getnframes() == 0


class TestTensors:
    @pytest.mark.parametrize(("kind", "letter"), [(FLOAT32, "f"), (FLOAT16, "e")])
    def test_noise_is_finite_and_small(self, kind: samples.Tensor, letter: str) -> None:
        tensor = samples.noise((50, 20), 1, kind)
        values = struct.unpack(f"<1000{letter}", tensor.data)
        assert all(2**-5 <= abs(value) <= 2**-4 for value in values)
        assert {math.copysign(1, value) for value in values} == {1, -1}

    def test_safetensors(self, tmp_path: Path) -> None:
        tensors = {
            "a": samples.noise((3, 4), 1),
            "b": samples.noise((5,), 2, FLOAT16),
            "none": samples.noise((0, 2), 3),
        }
        path = tmp_path / "w.safetensors"
        assert samples.write_safetensors(str(path), tensors, {"format": "pt"}) == path.stat().st_size
        assert path.stat().st_size == 8 + int.from_bytes(path.read_bytes()[:8], "little") + 48 + 10
        if importlib.util.find_spec("safetensors"):
            from safetensors import safe_open

            with safe_open(str(path), "numpy") as file:
                assert file.metadata() == {"format": "pt"}
                assert file.get_tensor("a").tobytes() == tensors["a"].data

    def test_torch_checkpoint(self, tmp_path: Path) -> None:
        weight = samples.noise((2, 3, 4), 5)
        plain = {"n": None, "t": True, "i": -(2**70), "z": 0, "f": 0.5, "s": "é", "l": [1, (2, "x")], "d": {}}
        samples.write_torch_checkpoint(
            str(tmp_path / "w.pt"), {**plain, "weight": weight, "half": samples.noise((), 1, FLOAT16)}
        )
        read = read_checkpoint(tmp_path / "w.pt")
        assert {key: read[key] for key in plain} == plain
        storage = ("storage", "float32", "0", "cpu", 24)
        assert read["weight"] == ("tensor", storage, 0, (2, 3, 4), (12, 4, 1), False, collections.OrderedDict())
        assert read["half"][1] == ("storage", "float16", "1", "cpu", 1)
        with zipfile.ZipFile(tmp_path / "w.pt") as archive:
            assert archive.read("w/data/0") == weight.data
            assert (archive.read("w/version"), archive.read("w/byteorder")) == (b"3\n", b"little")

    def test_storages_are_aligned(self, tmp_path: Path) -> None:
        path = tmp_path / "aligned.pt"
        samples.write_torch_checkpoint(str(path), {str(n): samples.noise((n + 1,), n) for n in range(5)})
        data = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name, extra = struct.unpack("<HH", data[member.header_offset + 26 : member.header_offset + 30])
                assert (member.header_offset + 30 + name + extra) % 64 == 0

    def test_other_values_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="set"):
            samples.write_torch_checkpoint(str(tmp_path / "w.pt"), {"a": {1, 2}})


@pytest.mark.parametrize("make", [samples.checkpoint_folder, samples.lora_folder, samples.dataset_folder])
class TestFolders:
    def test_the_same_seed_gives_the_same_bytes(self, make: object, tmp_path: Path) -> None:
        first, again, other = (
            digests(Path(make(str(tmp_path / name), seed))) for name, seed in (("1", 7), ("2", 7), ("3", 8))
        )
        assert first == again
        assert first.keys() == other.keys()
        assert sum(first[name] != other[name] for name in first) >= 2

    def test_files_have_content(self, make: object, tmp_path: Path) -> None:
        make(str(tmp_path / "f"))
        assert all(path.stat().st_size for path in (tmp_path / "f").rglob("*") if path.is_file())


def test_the_size_of_checkpoints_is_a_parameter(tmp_path: Path) -> None:
    for size_bytes in (300_000, 3_000_000):
        folder = Path(samples.checkpoint_folder(str(tmp_path / str(size_bytes)), size_bytes=size_bytes))
        total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert 0.7 * size_bytes < total < 1.3 * size_bytes
