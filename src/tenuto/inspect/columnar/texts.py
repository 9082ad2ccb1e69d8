"""Values as people read them, in one line."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tenuto.core.human import size_text
from tenuto.inspect.columnar.encodings import Blob
from tenuto.inspect.columnar.values import Items, Unread, Value

_MOST_ITEMS = 8
UNREAD = "…"


def value_text(value: Value, names: Sequence[str] = ()) -> str:
    """A value as a text of one line; a number that stands for one of `names`, with that name."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _struct_text(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return f"{names[value]} ({value})"
    if isinstance(value, Items):
        return _items_text(value, names)
    return _plain_text(value)


def _plain_text(value: "bool | float | Decimal | Blob | Unread | None") -> str:
    match value:
        case None:
            return "null"
        case Unread():
            return UNREAD
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case Blob():
            return size_text(value.size_bytes)
        case _:
            return str(value)


def _struct_text(value: dict[str, Value]) -> str:
    """Fields with their names; of a file in a table, which is its bytes and its path, these alone."""
    if set(value) == {"bytes", "path"}:
        return ", ".join(value_text(one) for one in (value["path"], value["bytes"]) if one is not None) or "null"
    return "{" + ", ".join(f"{name}: {_inner_text(one, ())}" for name, one in value.items()) + "}"


def _items_text(items: Items, names: Sequence[str]) -> str:
    shown = ", ".join(_inner_text(one, names) for one in items.values[:_MOST_ITEMS])
    if items.total <= _MOST_ITEMS and items.is_all:
        return f"[{shown}]"
    return f"[{shown}, …] {'' if items.is_all else 'more than '}{items.total:,} items"


def _inner_text(value: Value, names: Sequence[str]) -> str:
    """A value inside of another one: texts in quotes."""
    return msgspec.json.encode(value).decode() if isinstance(value, str) else value_text(value, names)
