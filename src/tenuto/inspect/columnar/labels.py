"""The names of classes that numbers in a table stand for, as `datasets` writes them into its metadata."""

import msgspec

KEY = "huggingface"
_MOST_NAMES, _NAME_CHARACTERS = 10_000, 100


class _Info(msgspec.Struct):
    features: dict[str, object] = {}


class _Described(msgspec.Struct):
    info: _Info = msgspec.field(default_factory=_Info)


def class_names(described: str) -> dict[str, list[str]]:
    """The names of the classes, by column; nothing for what is no such description."""
    try:
        found = msgspec.json.decode(described, type=_Described)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return {name: labels for name, feature in found.info.features.items() if (labels := _labels(feature))}


def _labels(feature: object) -> list[str]:
    """The names of a feature, or of the items of a list of it."""
    if isinstance(feature, list):
        return _labels(feature[0]) if len(feature) == 1 else []
    if not isinstance(feature, dict):
        return []
    if feature.get("_type") in {"Sequence", "List", "LargeList"}:
        return _labels(feature.get("feature"))
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return [str(name)[:_NAME_CHARACTERS] for name in names[:_MOST_NAMES]] if isinstance(names, list) else []
