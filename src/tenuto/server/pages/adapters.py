"""What an adapter is made of, from its `adapter_config.json`."""

from typing import NamedTuple

import msgspec

from tenuto.core.errors import IntegrityError, NotFoundError
from tenuto.server.pages.content import File, Shelf

CONFIG = "adapter_config.json"
_CONFIG_BYTES = 1 << 16
_MOST_TARGETS = 24
_CHARACTERS, _TARGET_CHARACTERS = 200, 60


class Adapter(NamedTuple):
    """What an adapter changes, and how strongly; what its configuration does not say is empty."""

    base_model: str
    kind: str
    rank: str
    alpha: str
    dropout: str
    targets: tuple[str, ...]


def read_adapter(shelf: Shelf, file: File) -> Adapter | None:
    """The adapter that a configuration describes, or None if it describes none."""
    try:
        value = msgspec.json.decode(shelf.head(file, _CONFIG_BYTES))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, NotFoundError, IntegrityError):
        return None
    if not isinstance(value, dict):
        return None
    targets = value.get("target_modules")
    named = targets if isinstance(targets, list) else [targets] if targets else []
    return Adapter(
        base_model=_text(value.get("base_model_name_or_path")),
        kind=_text(value.get("peft_type")),
        rank=_text(value.get("r")),
        alpha=_text(value.get("lora_alpha")),
        dropout=_text(value.get("lora_dropout")),
        targets=tuple(_text(one)[:_TARGET_CHARACTERS] for one in named[:_MOST_TARGETS]),
    )


def _text(value: object) -> str:
    return str(value)[:_CHARACTERS] if isinstance(value, str | int | float) else ""
