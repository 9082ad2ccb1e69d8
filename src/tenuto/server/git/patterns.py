"""The patterns of `.gitignore` and `.gitattributes`, matched without regular expressions, so that no pattern can be made slow on purpose.

Source: gitignore(5), gitattributes(5). Oracles: `git check-ignore`, `git check-attr`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

MAX_PATTERNS = 2000
_STAR = object()
_ANY = object()
_CLASSES: dict[str, Callable[[str], bool]] = {
    "alnum": str.isalnum,
    "alpha": str.isalpha,
    "blank": lambda c: c in " \t",
    "digit": lambda c: c in "0123456789",
    "lower": str.islower,
    "punct": lambda c: c.isascii() and c.isprintable() and not c.isalnum() and c != " ",
    "space": str.isspace,
    "upper": str.isupper,
    "xdigit": lambda c: c in "0123456789abcdefABCDEF",
}


class _Set(NamedTuple):
    negated: bool
    ranges: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]

    def holds(self, character: str) -> bool:
        inside = any(low <= character <= high for low, high in self.ranges) or any(
            _CLASSES[name](character) for name in self.classes
        )
        return inside is not self.negated


_Token: TypeAlias = object


class Glob:
    """A pattern for one segment of a path; one that cannot be read matches nothing."""

    def __init__(self, text: str) -> None:
        self._literal = text if not any(c in text for c in "*?[\\") else None
        self._suffix = text[1:] if text[:1] == "*" and not any(c in text[1:] for c in "*?[\\") else None
        self._tokens = _tokens(text)

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` fits."""
        if self._literal is not None:
            return name == self._literal
        if self._suffix is not None:
            return name.endswith(self._suffix)
        return self._tokens is not None and _fits(self._tokens, name)


def _tokens(text: str) -> list[_Token] | None:
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character == "[":
            found = _read_set(text, position + 1)
            if found is None:
                return None
            token, position = found
            tokens.append(token)
            continue
        if character == "\\":
            position += 1
            if position == len(text):
                return None
            tokens.append(text[position])
        elif character == "*":
            if not tokens or tokens[-1] is not _STAR:
                tokens.append(_STAR)
        else:
            tokens.append(_ANY if character == "?" else character)
        position += 1
    return tokens


def _read_set(text: str, position: int) -> tuple[_Set, int] | None:
    """The set whose `[` stands before `position`, and where it ends; None if it never does."""
    negated = text[position : position + 1] in {"!", "^"} and bool(text[position : position + 1])
    position += negated
    ranges: list[tuple[str, str]] = []
    classes: list[str] = []
    start = position
    while position < len(text):
        if text[position] == "]" and position > start:
            return _Set(negated, tuple(ranges), tuple(classes)), position + 1
        if text.startswith("[:", position) and ":]" in text[position:]:
            end = text.index(":]", position)
            if text[position + 2 : end] not in _CLASSES:
                return None
            classes.append(text[position + 2 : end])
            position = end + 2
            continue
        position += text[position] == "\\"
        low = text[position : position + 1]
        position += 1
        if text[position : position + 1] == "-" and text[position + 1 : position + 2] not in {"", "]"}:
            position += 1 + (text[position + 1] == "\\")
            ranges.append((low, text[position : position + 1]))
            position += 1
        else:
            ranges.append((low, low))
    return None


def _fits(tokens: list[_Token], name: str) -> bool:
    """Match with one point to fall back to: time is at most the product of both lengths."""
    at, token_at = 0, 0
    retry_at, retry_token = -1, -1
    while at < len(name):
        if token_at < len(tokens) and tokens[token_at] is _STAR:
            retry_at, retry_token = at, token_at
            token_at += 1
        elif token_at < len(tokens) and _is_one(tokens[token_at], name[at]):
            at += 1
            token_at += 1
        elif retry_token >= 0:
            retry_at += 1
            at, token_at = retry_at, retry_token + 1
        else:
            return False
    return all(token is _STAR for token in tokens[token_at:])


def _is_one(token: _Token, character: str) -> bool:
    if isinstance(token, _Set):
        return token.holds(character)
    return token is _ANY or token == character


class PathPattern:
    """A pattern for a path: without an inner slash for the last segment anywhere, else for the whole path, where `**` is any depth."""

    def __init__(self, text: str) -> None:
        self._anywhere = "/" not in text
        text = text.removeprefix("/")
        self._segments = [None if part == "**" and not self._anywhere else Glob(part) for part in text.split("/")]

    def matches(self, path: Sequence[str]) -> bool:
        """Whether the path, given as its segments, fits."""
        if self._anywhere:
            glob = self._segments[0]
            return glob is not None and glob.matches(path[-1])
        reached = {0}
        for index, glob in enumerate(self._segments):
            if glob is not None:
                reached = {place + 1 for place in reached if place < len(path) and glob.matches(path[place])}
            elif index == len(self._segments) - 1:
                return any(place < len(path) for place in reached)
            elif reached:
                reached = set(range(min(reached), len(path) + 1))
        return len(path) in reached


class _Rule(NamedTuple):
    pattern: PathPattern
    negated: bool
    only_folders: bool


class IgnoreRules:
    """The rules of one `.gitignore` at the root of a repo. Of the rules that match, the last one counts."""

    def __init__(self, text: str) -> None:
        rules = (_ignore_rule(line) for line in text.removeprefix("\ufeff").split("\n")[:MAX_PATTERNS])
        self._rules = [rule for rule in rules if rule]

    def ignores(self, path: str) -> bool:
        """Whether the file `path`, or a folder that it lies in, is ignored."""
        segments = path.split("/")
        return bool(self._rules) and any(
            self._last_match(segments[:end], end < len(segments)) for end in range(1, len(segments) + 1)
        )

    def _last_match(self, segments: list[str], is_folder: bool) -> bool:
        for rule in reversed(self._rules):
            if (is_folder or not rule.only_folders) and rule.pattern.matches(segments):
                return not rule.negated
        return False


def _ignore_rule(line: str) -> _Rule | None:
    text = _strip_right(line.removesuffix("\r"))
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text[negated:]
    only_folders = text.endswith("/")
    text = text[: len(text) - only_folders]
    return _Rule(PathPattern(text), negated, only_folders) if text else None


def _strip_right(text: str) -> str:
    stripped = text.rstrip(" ")
    escaped = (len(stripped) - len(stripped.rstrip("\\"))) % 2 and len(stripped) < len(text)
    return stripped + " " if escaped else stripped


class LargeFileRules:
    """Which paths the `.gitattributes` at the root of a repo sends to LFS."""

    def __init__(self, text: str) -> None:
        self._rules: list[tuple[PathPattern, bool]] = []
        for line in text.removeprefix("\ufeff").split("\n")[:MAX_PATTERNS]:
            pattern, attributes = _split_attributes(line.strip())
            wanted = next((_filter_of(one) for one in reversed(attributes) if _filter_of(one) is not None), None)
            if pattern and wanted is not None and pattern[0] not in "#!" and not pattern.endswith("/"):
                self._rules.append((PathPattern(pattern), wanted))

    def is_large(self, path: str) -> bool:
        """Whether the file is a large one by its name; of the rules that match, the last one counts."""
        segments = path.split("/")
        return next((wanted for pattern, wanted in reversed(self._rules) if pattern.matches(segments)), False)


def _split_attributes(line: str) -> tuple[str, list[str]]:
    if line.startswith('"') and '"' in line[1:]:
        pattern, _, rest = line[1:].partition('"')
        return pattern, rest.split()
    pattern, *attributes = line.split() or [""]
    return pattern, attributes


def _filter_of(attribute: str) -> bool | None:
    if attribute.startswith("filter="):
        return attribute == "filter=lfs"
    return False if attribute in {"-filter", "!filter", "filter"} else None


_LARGE_SUFFIXES = [
    "7z",
    "aac",
    "aiff",
    "arrow",
    "avif",
    "bin",
    "bmp",
    "bz2",
    "ckpt",
    "flac",
    "ftz",
    "gguf",
    "gif",
    "gz",
    "h5",
    "jpeg",
    "jpg",
    "joblib",
    "lz4",
    "m4a",
    "mlmodel",
    "mov",
    "mp3",
    "mp4",
    "model",
    "msgpack",
    "npy",
    "npz",
    "ogg",
    "onnx",
    "opus",
    "ot",
    "parquet",
    "pb",
    "pickle",
    "pkl",
    "png",
    "pt",
    "pth",
    "rar",
    "safetensors",
    "tar",
    "tflite",
    "tgz",
    "tif",
    "tiff",
    "wasm",
    "wav",
    "webm",
    "webp",
    "wma",
    "xz",
    "zip",
    "zst",
]  # forty-odd words, readable


def default_attributes() -> str:
    """The `.gitattributes` of a new repo: what is large by nature goes to LFS."""
    lines = [f"*.{suffix} filter=lfs diff=lfs merge=lfs -text" for suffix in _LARGE_SUFFIXES]
    lines += ["saved_model/**/* filter=lfs diff=lfs merge=lfs -text", "*tfevents* filter=lfs diff=lfs merge=lfs -text"]
    return "\n".join(lines) + "\n"
