"""`import-list`: a list of repo ids, as a download script or a text file has it, becomes sources in the manifest."""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from tenuto.core.errors import NotFoundError, UsageError
from tenuto.core.ids import Address, RepoKind
from tenuto.core.manifest import Artifact, default_kind, with_artifact
from tenuto.project.resolve import DEFAULT_REVISION
from tenuto.project.workspace import Only, Workspace, create, find_root

_ARRAY = re.compile(r"^\s*(?:export\s+|declare\s+-\w+\s+|readonly\s+)?([A-Za-z_]\w*)\s*\+?=\s*[(\[]")
_END = re.compile(r"[)\]]")
_SECTION = re.compile(r"^\s*(?:#+|\[|//)?\s*\W*(models|datasets)\b\W*$", re.IGNORECASE)
_TOKEN = re.compile(r"""(?:hf://)?(?:datasets/|models/|spaces/)?[\w.-]+/[\w.-]+(?:@[\w./%-]+)?""")
_WORD = re.compile(r"""^[\s,"'()\[\]{}-]*(?P<id>[^\s"',()\[\]{}]+)["']?[\s,)\]}]*$""")


class Imported(msgspec.Struct, frozen=True):
    """What became of one id of the list: the name and path that it has in the manifest now, or had already."""

    source: str
    name: str
    path: str
    kind: str
    state: Literal["added", "known"]


@contextlib.contextmanager
def begun(folder: str) -> Iterator[str | None]:
    """There is a project around the folder. Where there was none, one is begun in it: its manifest is told, and gone again if this fails."""
    try:
        find_root(folder)
    except NotFoundError:
        made = create(folder)
    else:
        yield None
        return
    try:
        yield made
    except BaseException:
        os.unlink(made)
        raise


class _Item(NamedTuple):
    address: Address
    kind: str


def import_list(workspace: Workspace, text: str, only: Only = Only()) -> list[Imported]:  # noqa: B008 - a constant
    """Write every id of a list into the manifest, each once; nothing is asked and nothing is fetched.

    Read are lines of one id, and arrays of shell and Python scripts. An id is a dataset's if it says so (`datasets/…`), or if the heading
    or the name of the array that it stands under does. Raises UsageError (BadRequest) if the list holds no id.
    """
    items = [item for item in dict.fromkeys(_items(text)) if not only.kinds or item.kind in only.kinds]
    if not items:
        raise UsageError(
            "the list holds no repo id",
            hint="write one id a line: namespace/name for a model, datasets/namespace/name for a dataset",
        )
    manifest, imported = workspace.manifest_text, []
    known = {
        _place(one.address): (name, one) for name, one in workspace.manifest.artifacts.items() if not one.is_web_file
    }
    taken = set(workspace.manifest.artifacts)
    for item in items:
        source = str(item.address)
        if _place(item.address) in known:
            name, artifact = known[_place(item.address)]
            imported.append(Imported(source, name, artifact.path, artifact.kind, "known"))
            continue
        name = _free_name(item, taken)
        taken.add(name)
        artifact = Artifact(f"{item.kind}s/{name}", kind=item.kind, source=source)
        manifest = with_artifact(manifest, name, artifact)
        imported.append(Imported(source, name, artifact.path, artifact.kind, "added"))
    workspace.write_manifest(manifest)
    return imported


def _place(address: Address) -> Address:
    """The address with its revision said, so that both ways to write it are one."""
    return address._replace(revision=address.revision or DEFAULT_REVISION)


def _items(text: str) -> Iterator[_Item]:
    context, in_array = None, False
    for line in text.splitlines():
        section = _SECTION.match(line)
        array = _ARRAY.match(line)
        if section and not array:
            context = section[1].lower()
            continue
        if array:
            context = _context_of(array[1])
            line, in_array = line[array.end() :], True
        line = line.partition(" #")[0]
        yield from _of_line(line, context, is_script=in_array)
        in_array = in_array and not _END.search(line)


def _context_of(name: str) -> str | None:
    lower = name.lower()
    return next((kind for kind in ("datasets", "models") if kind.removesuffix("s") in lower), None)


def _of_line(line: str, context: str | None, *, is_script: bool) -> Iterator[_Item]:
    if line.lstrip().startswith(("#", "//")):
        return
    words = line.split() if is_script else [line]
    for word in words:
        found = _WORD.match(word)
        if found and _TOKEN.fullmatch(found["id"]):
            yield _item(found["id"], context)


def _item(text: str, context: str | None) -> _Item:
    plain = text.removeprefix("hf://")
    is_typed = plain.partition("/")[0] in {kind.plural for kind in RepoKind}
    prefix = "datasets/" if context == "datasets" and not is_typed else ""
    address = Address.parse(f"hf://{prefix}{plain}")
    return _Item(address, default_kind(address))


def _free_name(item: _Item, taken: set[str]) -> str:
    repo = item.address.repo
    names = [repo.name, f"{repo.namespace}-{repo.name}", f"{repo.namespace}-{repo.name}-{repo.kind.value}"]
    free = next((name for name in names if name not in taken), None)
    if free is None:
        raise UsageError(f"{item.address}: no name is free for it", hint="add it with `tenuto add --name`")
    return free
