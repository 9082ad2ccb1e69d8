"""Which files of a repo an artifact takes: patterns, one variant of many, and weights in one format only."""

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from tenuto.core.errors import UsageError

SAFE_FORMAT = ".safetensors"
_OTHER_FORMATS = frozenset({".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".ot"})
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_INDEX = ".index.json"
# The names under which libraries keep the same weights once a format.
_ONE_NAME = {
    "pytorch_model": "model",
    "tf_model": "model",
    "flax_model": "model",
    "rust_model": "model",
    "diffusion_flax_model": "diffusion_pytorch_model",
}
_WEIGHT_ENDINGS = (SAFE_FORMAT, ".gguf", *sorted(_OTHER_FORMATS))
_VARIANT = re.compile(
    r"(?<![A-Za-z0-9])(I?Q\d(?:_[A-Z0-9]+)*|T?Q\d_\d|BF16|F(?:P)?(?:8|16|32)|INT[48]|NF4|MXFP4)(?![A-Za-z0-9])",
    re.IGNORECASE,
)


class Selection(NamedTuple):
    """What is taken of a repo; without any word, all files but weights that are there as safetensors too.

    Patterns are those of the shell and are compared with whole paths, where `*` matches slashes too; one that ends in a slash names a folder.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    variant: str | None = None
    all_formats: bool = False

    def of(self, paths: Iterable[str]) -> list[str]:
        """The paths that are taken, in their order; raises UsageError (BadManifest) if none has the variant."""
        taken = [path for path in paths if self._matches(path)]
        if self.variant:
            taken = list(_only(taken, self.variant))
        return taken if self.all_formats else list(_without_twins(taken, self.include))

    def _matches(self, path: str) -> bool:
        included = not self.include or _any(path, self.include)
        return included and not _any(path, self.exclude)


def _any(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, f"{pattern}*" if pattern.endswith("/") else pattern) for pattern in patterns)


def _without_twins(paths: list[str], include: tuple[str, ...]) -> Iterator[str]:
    """Leave out weights that stand beside the same weights as safetensors, unless a pattern names their format."""
    safe = {_weights(path) for path in paths if path.endswith(SAFE_FORMAT)}
    for path in paths:
        ending = _ending(path)
        is_named = any(pattern.endswith(ending) for pattern in include)
        if ending not in _OTHER_FORMATS or is_named or _weights(path) not in safe:
            yield path


def _ending(path: str) -> str:
    name = path.removesuffix(_INDEX)
    dot = name.rfind(".")
    return name[dot:].lower() if dot > name.rfind("/") else ""


def _weights(path: str) -> str:
    """What the file holds, whatever its format and however many parts it has."""
    name = path.removesuffix(_INDEX)
    folder, _, file = name[: name.rfind(".")].rpartition("/")
    file = _SHARD.sub("", file)
    first, mark, rest = file.partition(".")
    return f"{folder}/{_ONE_NAME.get(first, first)}{mark}{rest}"


def variants(paths: Iterable[str]) -> list[str]:
    """The variants (quantisations, precisions) that names of weights tell of, sorted; empty if there is only one way to have them."""
    found: dict[str, str] = {}
    for path in paths:
        if path.lower().endswith(_WEIGHT_ENDINGS):
            found |= {match.upper(): match for match in _VARIANT.findall(path)}
    return sorted(found.values(), key=str.upper)


def _only(paths: list[str], variant: str) -> Iterator[str]:
    """All but weights of other variants; weights that tell of no variant stay where their folder has none of the wanted one."""
    wanted = variant.upper()
    named = {path: _names_of(path) for path in paths}
    if not any(wanted in names for names in named.values()):
        known = ", ".join(variants(paths)) or "none"
        raise UsageError(
            f"no file is of the variant {variant!r}", code="BadManifest", hint=f"names of files tell of: {known}"
        )
    served = {(_folder(path), _ending(path)) for path, names in named.items() if wanted in names}
    for path, names in named.items():
        is_weight = path.lower().endswith(_WEIGHT_ENDINGS) or path.endswith(_INDEX)
        if wanted in names or not is_weight or (not names and (_folder(path), _ending(path)) not in served):
            yield path


def _names_of(path: str) -> set[str]:
    return {match.upper() for match in _VARIANT.findall(path)}


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
