"""Repos as people have them, to look at with a browser: a model with a card, a dataset of sounds, adapters, one behind a gate."""

import datetime
import io
import json
import math
import struct
import wave
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tenuto.testing.live_hub import LiveHub
from tests.server.talk import Talk, small

CARD = """---
license: apache-2.0
language: [en, fr]
pipeline_tag: audio-classification
library_name: transformers
base_model: acme/base
tags: [audio, music, birds]
---
# A listener for birds

It hears **which bird sings**, from ten seconds of sound. See [the configuration](config.json) and [how](#how-to-use-it).

![Waves](picture.png)

## How to use it

```python
from acme import Listener  # as small as it gets

listener = Listener.from_pretrained("acme/listener")
print(listener("dawn.wav"), 0.98)
```

| bird | precision | recall |
| :--- | ---: | ---: |
| wren | 0.98 | 0.95 |
| robin | 0.91 | 0.97 |

> It was not tested on parrots.

1. Record
2. Listen
"""

GATED_CARD = """---
license: other
extra_gated_heading: Tell us who you are
extra_gated_prompt: The recordings hold **voices of people**. Do not try to find out whose.
extra_gated_fields:
  Affiliation: text
  Country: country
  Born on: date_picker
  Purpose:
    type: select
    options: [Research, Teaching, {label: Something else, value: other}]
  I agree to the terms: checkbox
extra_gated_button_content: Access repository
---
# Voices
"""
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763c86029000002bc0101a6d5ba1c0000000049454e44ae426082"
)


def tone(seconds: float, pitch_hz: float = 440.0, rate_hz: int = 8000) -> bytes:
    """A WAV file of a tone that swells."""
    count = int(seconds * rate_hz)
    samples = [
        int(20_000 * math.sin(math.pi * i / count) * math.sin(2 * math.pi * pitch_hz * i * (1 + i / count) / rate_hz))
        for i in range(count)
    ]
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(struct.pack(f"<{count}h", *samples))
    return buffer.getvalue()


def weights(tensors: dict[str, list[int]], meta: dict[str, str] | None = None) -> bytes:
    """A safetensors file of zeros."""
    header: dict[str, object] = {"__metadata__": meta} if meta else {}
    at = 0
    for name, shape in tensors.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


def adapter_config(base: str = "acme/listener") -> bytes:
    config = {"base_model_name_or_path": base, "peft_type": "LORA", "r": 16, "lora_alpha": 32, "lora_dropout": 0.05}
    return json.dumps({**config, "target_modules": ["q_proj", "v_proj"]}).encode()


def trainer_state() -> bytes:
    log = [
        {"step": step, "epoch": step / 100, "loss": 2.5 / (1 + step / 40), "learning_rate": 1e-4}
        for step in range(0, 400, 10)
    ]
    log += [{"step": step, "eval_loss": 2.7 / (1 + step / 35)} for step in range(50, 400, 50)]
    return json.dumps({"global_step": 400, "log_history": log}).encode()


class World(NamedTuple):
    """Who owns it, and the repos."""

    owner: str
    token: str
    model: str
    adapters: str
    dataset: str
    gated: str
    private: str


def build(hub: LiveHub, owner: str = "acme") -> World:
    """A hub with something to look at."""
    token = hub.user(owner)
    talk = Talk(hub.url, token)
    world = World(owner, token, *(f"{owner}/{name}" for name in ("listener", "styles", "birds", "voices", "drafts")))
    for repo, kind, private in (
        (world.model, "model", False),
        (world.adapters, "model", False),
        (world.dataset, "dataset", False),
        (world.gated, "dataset", False),
        (world.private, "model", True),
    ):
        talk.create(repo, kind=kind, private=private).raise_for_status()
    _fill_model(talk, world.model)
    _fill_adapters(talk, world.adapters)
    _fill_dataset(talk, world.dataset)
    talk.commit(
        world.gated, small("README.md", GATED_CARD.encode()), small("train/a.wav", tone(0.2)), kind="datasets"
    ).raise_for_status()
    talk.client.put(f"/api/datasets/{world.gated}/settings", json={"gated": "manual"}).raise_for_status()
    talk.close()
    return world


def _fill_model(talk: Talk, repo: str) -> None:
    talk.commit(
        repo,
        small("README.md", CARD.encode()),
        small(
            "config.json",
            json.dumps({"layers": 12, "heads": {"count": 8, "bias": None}, "labels": ["wren", "robin"]}).encode(),
        ),
        small(
            "model.safetensors", weights({f"encoder.layers.{i}.weight": [16, 8] for i in range(12)}, {"format": "pt"})
        ),
        small("picture.png", PNG),
        small(
            "listener.py",
            b'"""Listens."""\n\n\ndef listen(path: str) -> float:\n    # half of the time\n    return 0.5\n',
        ),
        small("results/scores.csv", b"bird,precision\nwren,0.98\nrobin,0.91\n"),
        small("sounds/dawn.wav", tone(1.5)),
    ).raise_for_status()
    talk.commit(
        repo,
        small(
            "listener.py",
            b'"""Listens."""\n\n\ndef listen(path: str) -> float:\n    # most of the time\n    return 0.9\n',
        ),
    ).raise_for_status()
    talk.post(
        f"/api/models/{repo}/discussions", {"title": "Does it hear owls?", "description": "I **hope** so."}
    ).raise_for_status()


def _fill_adapters(talk: Talk, repo: str) -> None:
    talk.commit(
        repo,
        small("README.md", b"---\nlicense: mit\nbase_model: acme/listener\n---\n# Styles\n\nTwo adapters.\n"),
        *(small(f"{name}/adapter_config.json", adapter_config()) for name in ("jazz", "folk")),
        small("jazz/adapter_model.safetensors", weights({"base.q_proj.lora_A.weight": [16, 64]})),
        small("jazz/trainer_state.json", trainer_state()),
    ).raise_for_status()


def _fill_dataset(talk: Talk, repo: str) -> None:
    birds = {"wren": 6, "robin": 4, "owl": 2}
    sounds = [
        small(f"{split}/{bird}/{number}.wav", tone(0.2 + 0.15 * number, 300 + 100 * number))
        for split, share in (("train", 1), ("test", 2))
        for bird, count in birds.items()
        for number in range(count // share)
    ]
    text = b"---\nlicense: cc-by-4.0\ntask_categories: [audio-classification]\ntags: [audio, birds]\n---\n# Birds at dawn\n\nShort recordings.\n"
    tables = [small("data/train-00000-of-00001.parquet", table()), small("data/notes.jsonl", notes())]
    talk.commit(repo, small("README.md", text), *sounds, *tables, kind="datasets").raise_for_status()


def table() -> bytes:
    """Recordings in a Parquet file, as `datasets` writes them."""
    birds = ["wren", "robin", "owl"]
    rows = [
        {
            "audio": {"bytes": bytes(4000 + 100 * number), "path": f"{number:03d}.wav"},
            "label": number % 3,
            "seconds": None if number == 4 else 0.5 + number / 8,
            "heard": datetime.datetime(2024, 5, 1, 5, 30, tzinfo=datetime.UTC) + datetime.timedelta(minutes=7 * number),
            "other_birds": list(range(number % 3)),
            "note": "A long song that begins low, rises, stops, and begins again from the top of the hedge. "
            * (number % 4),
            "embedding": [round(number / 3 + step / 7, 3) for step in range(64)],
        }
        for number in range(60)
    ]
    label = {"_type": "ClassLabel", "names": birds}
    features = {"label": label, "other_birds": {"_type": "List", "feature": label}}
    kinds = [("label", pa.int64()), ("other_birds", pa.list_(pa.int64())), ("embedding", pa.list_(pa.float32()))]
    described = json.dumps({"info": {"features": features}})
    found = pa.Table.from_pylist(rows)
    for name, kind in kinds:
        found = found.set_column(found.schema.names.index(name), name, found[name].cast(kind))
    out = io.BytesIO()
    pq.write_table(found.replace_schema_metadata({"huggingface": described}), out)
    return out.getvalue()


def notes() -> bytes:
    rows = [
        {"file": f"{number:03d}.wav", "seconds": number / 4, "place": {"lat": 51.5, "note": None}}
        for number in range(70)
    ]
    return b"".join(json.dumps(row | ({"wind": True} if row["seconds"] == 1 else {})).encode() + b"\n" for row in rows)
