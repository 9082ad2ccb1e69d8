"""The manifest `tenuto.toml`: what a person wants. Normative description: docs/formats/manifest.md."""

import tomllib
from typing import Any

import msgspec

from tenuto.core.errors import UsageError
from tenuto.core.ids import Address, RepoKind
from tenuto.core.paths import check_path

MANIFEST_NAME = "tenuto.toml"
KINDS = ("model", "adapter", "dataset", "checkpoint")


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named folder, or one file if `file` is set, that the project needs.

    `path` is relative to the project and lies in no other artifact; `repo` is the `hf://` address that it is pushed to and pulled from.
    """

    path: str
    repo: str
    kind: str = "model"
    file: bool = False

    @property
    def address(self) -> Address:
        """`repo`, parsed."""
        return Address.parse(self.repo)


class Project(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Facts of the project as a whole; `hub` is the endpoint that its repos live on."""

    name: str | None = None
    hub: str | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole `tenuto.toml`."""

    project: Project = Project()
    artifacts: dict[str, Artifact] = {}


def parse_manifest(text: str) -> Manifest:
    """Read a manifest and check every name, path and address in it.

    Raises UsageError (BadManifest, BadPath or BadAddress), which names the artifact.
    """
    try:
        manifest = msgspec.convert(tomllib.loads(text), Manifest)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise _fault(str(error), "correct the file by hand, or restore it from git") from error
    for name, artifact in manifest.artifacts.items():
        _check_artifact(name, artifact)
    _check_overlaps(manifest)
    return manifest


def _fault(what: str, hint: str) -> UsageError:
    return UsageError(f"{MANIFEST_NAME} is not valid: {what}", code="BadManifest", hint=hint)


def _check_artifact(name: str, artifact: Artifact) -> None:
    check_artifact_name(name)
    if artifact.kind not in KINDS:
        raise _fault(f"artifact {name!r} has the kind {artifact.kind!r}", f"use one of {', '.join(KINDS)}")
    try:
        check_path(artifact.path)
        Address.parse(artifact.repo)
    except UsageError as error:
        raise _fault(f"artifact {name!r}: {error}", error.hint or "correct the file by hand") from error


def check_artifact_name(name: str) -> str:
    """Return `name` if it may name an artifact: a safe path, so that `loras/jazz` works; raises UsageError (BadManifest)."""
    try:
        return check_path(name)
    except UsageError as error:
        raise _fault(
            f"{name!r} cannot name an artifact: {error}", "use letters, digits, '.', '_', '-' and '/'"
        ) from error


def _check_overlaps(manifest: Manifest) -> None:
    owners: dict[str, str] = {}
    for name, artifact in sorted(manifest.artifacts.items(), key=lambda item: item[1].path):
        parts = artifact.path.split("/")
        for depth in range(1, len(parts) + 1):
            owner = owners.get("/".join(parts[:depth]))
            if owner:
                raise _fault(f"artifacts {owner!r} and {name!r} share {artifact.path}", "give each its own folder")
        owners[artifact.path] = name


def default_kind(address: Address) -> str:
    """The kind of an artifact that is not said: as its repo is."""
    return "dataset" if address.repo.kind is RepoKind.DATASET else "model"


def with_artifact(text: str, name: str, artifact: Artifact) -> str:
    """`text` with one artifact added at the end, or changed in its place; comments and order of the rest stay.

    `text` is a valid manifest.
    """
    import tomlkit

    values = {key: value for key, value in msgspec.to_builtins(artifact).items() if value is not False}
    document: Any = tomlkit.parse(text)
    artifacts = document.get("artifacts", {})
    if name in artifacts:
        table = artifacts[name]
        for key in set(table) - set(values):
            del table[key]
        table.update(values)
    elif isinstance(artifacts, tomlkit.items.InlineTable):
        artifacts[name] = tomlkit.inline_table()
        artifacts[name].update(values)
    else:
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        return text + gap + tomlkit.dumps({"artifacts": {name: values}})
    return tomlkit.dumps(document)
