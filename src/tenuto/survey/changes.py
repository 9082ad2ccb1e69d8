"""What changed between two inventories, such as the one in git and the one of today."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from tenuto.core.errors import UsageError
from tenuto.store.disk import disk_errors
from tenuto.survey.inventory import Inventory, Item

_COMPARED = ("status", "revision", "snapshot", "digest", "local_path", "files_count", "size_bytes", "license")

Key = tuple[str | None, ...]


class ItemChange(msgspec.Struct, frozen=True):
    """An entry that is new, gone or changed; `fields` are those that changed, each with its old and its new value."""

    name: str
    kind: str
    change: Literal["added", "removed", "changed"]
    fields: dict[str, tuple[str | int | None, str | int | None]] = {}


class InventoryChanges(msgspec.Struct, frozen=True):
    """What changed, by kind and name, since the moment of the older inventory; `same` if nothing did."""

    same: bool
    since: str
    changes: list[ItemChange]


def read_inventory(path: str) -> Inventory:
    """An inventory that was written before. Raises StorageError, and UsageError (BadRequest) for another document."""
    with disk_errors(path), open(path, "rb") as file:
        text = file.read()
    try:
        return msgspec.json.decode(text, type=Inventory)
    except msgspec.DecodeError as error:
        raise UsageError(
            f"{path} is no inventory: {error}", hint="write one with `tenuto inventory --output FILE`"
        ) from error


def inventory_changes(old: Inventory, new: Inventory) -> InventoryChanges:
    """Compare two inventories, as far as both list a kind. Where a name has several snapshots, each is an entry of its own."""
    pairs = [(old.models, new.models), (old.datasets, new.datasets)]
    shared = [(before, after) for before, after in pairs if isinstance(before, list) and isinstance(after, list)]
    before = [item for items, _ in shared for item in items]
    after = [item for _, items in shared for item in items]
    several = _several(before) | _several(after)
    olds, news = _by_key(before, several), _by_key(after, several)
    changes = [_change(olds.get(key), news.get(key)) for key in {**olds, **news}]
    found = sorted((change for change in changes if change), key=lambda change: (change.kind, change.name))
    return InventoryChanges(not found, old.generated_at, found)


def _several(items: Iterable[Item]) -> set[Key]:
    """Names that stand more than once."""
    return {key for key, count in Counter((item.kind, item.name) for item in items).items() if count > 1}


def _by_key(items: Iterable[Item], several: set[Key]) -> Mapping[Key, Item]:
    return {
        (item.kind, item.name, item.snapshot) if (item.kind, item.name) in several else (item.kind, item.name): item
        for item in items
    }


def _change(old: Item | None, new: Item | None) -> ItemChange | None:
    if old is None or new is None:
        item = new or old
        assert item is not None
        return ItemChange(item.name, item.kind, "added" if old is None else "removed")
    pairs = {name: (getattr(old, name), getattr(new, name)) for name in _COMPARED}
    fields = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return ItemChange(new.name, new.kind, "changed", fields) if fields else None
