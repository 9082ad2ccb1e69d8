"""Small real files: sound, weights, and the folders that projects keep them in. The same seed gives the same bytes."""

import array
import json
import math
import os
import random
import sys
import wave

from tenuto.testing.tensors import FLOAT16, Tensor, noise, write_safetensors, write_torch_checkpoint

__all__ = [
    "Tensor",
    "checkpoint_folder",
    "dataset_folder",
    "lora_folder",
    "noise",
    "write_safetensors",
    "write_torch_checkpoint",
    "write_wav",
]

_LABELS = ("siren", "rain", "speech", "guitar", "engine", "birdsong")
_HIDDEN = 256


def write_wav(path: str, seconds: float = 1.0, rate_hz: int = 16_000, seed: int = 0) -> int:
    """Write a mono 16-bit WAV file, a chord that fades out over a little noise, and return its size in bytes."""
    source = random.Random(seed)
    pitches_hz = [source.uniform(110, 880) for _ in range(3)]
    count = int(seconds * rate_hz)
    frames = array.array("h", bytes(2 * count))
    hiss = source.randbytes(count)
    for index in range(count):
        moment_s = index / rate_hz
        chord = sum(math.sin(2 * math.pi * pitch_hz * moment_s) for pitch_hz in pitches_hz) / len(pitches_hz)
        frames[index] = round(20_000 * math.exp(-2 * moment_s / max(seconds, 0.001)) * chord) + hiss[index] - 128
    if sys.byteorder == "big":
        frames.byteswap()
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(frames.tobytes())
    return os.path.getsize(path)


def checkpoint_folder(path: str, seed: int = 0, size_bytes: int = 3_000_000) -> str:
    """Make a folder of checkpoints at `path` and return it: about `size_bytes` in six files, two folders deep.

    `encoder_iter3.pt` (as `torch.save` writes it), `encoder_iter3.safetensors` (weights of the same shapes at half precision),
    `config.json`, `labels.csv` and two clips under `examples/`.
    """
    os.makedirs(os.path.join(path, "examples"), exist_ok=True)
    rows = max(1, size_bytes // (6 * _HIDDEN))
    shapes = {
        "encoder.weight": (rows - rows // 4, _HIDDEN),
        "head.weight": (rows // 4, _HIDDEN),
        "head.bias": (_HIDDEN,),
    }
    settings = {"embed_dim": _HIDDEN, "layers": 2, "rate_hz": 16_000, "dropout": 0.1, "finetuned": False, "seed": seed}
    full = {name: noise(shape, _mixed(seed, number)) for number, (name, shape) in enumerate(shapes.items())}
    half = {name: noise(shape, _mixed(seed, number), FLOAT16) for number, (name, shape) in enumerate(shapes.items())}
    write_torch_checkpoint(os.path.join(path, "encoder_iter3.pt"), {"cfg": settings, "model": full})
    write_safetensors(os.path.join(path, "encoder_iter3.safetensors"), half, {"format": "pt"})
    _write_text(os.path.join(path, "config.json"), json.dumps(settings, indent=2) + "\n")
    rows_text = "".join(f"{number},{label}\n" for number, label in enumerate(_LABELS))
    _write_text(os.path.join(path, "labels.csv"), f"index,label\n{rows_text}")
    for number in (1, 2):
        write_wav(os.path.join(path, "examples", f"clip_{number:02d}.wav"), 0.5, seed=_mixed(seed, number))
    return path


def lora_folder(path: str, seed: int = 0, rank: int = 8, hidden: int = 1024) -> str:
    """Make a LoRA adapter as PEFT lays it out at `path` and return it: weights, configuration and card; 2 layers of 32 * rank * hidden bytes."""
    os.makedirs(path, exist_ok=True)
    weights = {}
    for layer in range(2):
        for number, target in enumerate(("q_proj", "v_proj")):
            stem = f"base_model.model.layers.{layer}.self_attn.{target}"
            weights[f"{stem}.lora_A.weight"] = noise((rank, hidden), _mixed(seed, 8 * layer + 2 * number))
            weights[f"{stem}.lora_B.weight"] = noise((hidden, rank), _mixed(seed, 8 * layer + 2 * number + 1))
    write_safetensors(os.path.join(path, "adapter_model.safetensors"), weights, {"format": "pt"})
    settings = {
        "peft_type": "LORA",
        "base_model_name_or_path": "demo/base",
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "target_modules": ["q_proj", "v_proj"],
    }
    _write_text(os.path.join(path, "adapter_config.json"), json.dumps(settings, indent=2) + "\n")
    card = f"---\nbase_model: demo/base\nlicense: apache-2.0\nlibrary_name: peft\n---\n\n# Adapter {seed}\n\nRank {rank}.\n"
    _write_text(os.path.join(path, "README.md"), card)
    return path


def dataset_folder(path: str, seed: int = 0, clips: int = 8, seconds: float = 1.0) -> str:
    """Make a small labelled audio dataset at `path` and return it: `data/train/*.wav`, `metadata.csv` and a card."""
    folder = os.path.join(path, "data", "train")
    os.makedirs(folder, exist_ok=True)
    lines = ["file_name,label"]
    for number in range(clips):
        name = f"clip_{number:04d}.wav"
        write_wav(os.path.join(folder, name), seconds, seed=_mixed(seed, number))
        lines.append(f"{name},{_LABELS[number % len(_LABELS)]}")
    _write_text(os.path.join(folder, "metadata.csv"), "\n".join(lines) + "\n")
    _write_text(os.path.join(path, "README.md"), f"---\nlicense: cc-by-4.0\n---\n\n# {clips} clips\n")
    return path


def _mixed(seed: int, number: int) -> int:
    return seed * 1_000 + number


def _write_text(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
