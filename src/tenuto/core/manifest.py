"""The manifest `tenuto.toml`: what a person wants. Normative description: docs/formats/manifest.md."""

import re
import tomllib
from typing import Any, Literal

import msgspec

from tenuto.core.errors import UsageError
from tenuto.core.ids import Address, RepoKind, check_sha256
from tenuto.core.paths import check_path, folded
from tenuto.core.selection import Selection
from tenuto.core.settings import check_endpoint

MANIFEST_NAME = "tenuto.toml"
_ALWAYS = ("path", "repo", "source", "kind")
KINDS = ("model", "adapter", "dataset", "checkpoint")
WEB = ("https://", "http://")
_WEB_ADDRESS = re.compile(r"https?://[^\s/@\\]+/[^\s#\\]+")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One named folder, or one file if `file` is set, that the project needs.

    `path` is relative to the project and lies in no other artifact. Either `repo` is the `hf://` address that it is pushed to and pulled
    from, or `source` is where others publish it: an `hf://` address, of which `include` to `all_formats` choose files, or an `https://` address
    of one file with its `sha256`. `hub` is the endpoint of the hub that it is on, if not that of the project; `mirrors` are other sources of
    the same bytes.
    """

    path: str
    repo: str | None = None
    kind: str = "model"
    file: bool = False
    source: str | None = None
    hub: str | None = None
    groups: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    variant: str | None = None
    all_formats: bool = False
    mirrors: tuple[str, ...] = ()
    sha256: str | None = None

    @property
    def is_own(self) -> bool:
        """Whether it is pushed from here."""
        return self.repo is not None

    @property
    def origin(self) -> str:
        """`repo` or `source`, as it is written."""
        return self.repo or self.source or ""

    @property
    def is_web_file(self) -> bool:
        """Whether it is one file from the web, with a hash that the manifest gives."""
        return self.origin.startswith(WEB)

    @property
    def address(self) -> Address:
        """`origin`, parsed; raises UsageError (BadAddress) for a file from the web."""
        return Address.parse(self.origin)

    @property
    def selection(self) -> Selection:
        """Which files of `source` are taken."""
        return Selection(self.include, self.exclude, self.variant, self.all_formats)


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be locked. Licences are named as cards name them, in lower case; with `licenses`, others than these are refused."""

    licenses: tuple[str, ...] | None = None
    refused_licenses: tuple[str, ...] = ()
    unknown_license: Literal["allow", "refuse"] = "allow"


class Project(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Facts of the project as a whole; `hub` is the endpoint that its repos live on."""

    name: str | None = None
    hub: str | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole `tenuto.toml`."""

    project: Project = Project()
    policy: Policy = Policy()
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
    if (artifact.repo is None) == (artifact.source is None):
        raise _fault(
            f"artifact {name!r} has not one of `repo` and `source`", "`repo` is your own, `source` that of others"
        )
    try:
        check_path(artifact.path)
        for address in artifact.mirrors:
            check_source(address)
        check_source(artifact.origin) if artifact.source else Address.parse(artifact.origin)
        if artifact.hub is not None:
            check_endpoint(artifact.hub)
        _check_choice(artifact)
    except UsageError as error:
        raise _fault(f"artifact {name!r}: {error}", error.hint or "correct the file by hand") from error


def check_source(text: str) -> str:
    """Return `text` if it may be a source: an `hf://` address, or `https://` with a path; raises UsageError (BadAddress)."""
    if not text.startswith(WEB):
        Address.parse(text)
    elif not _WEB_ADDRESS.fullmatch(text):
        raise UsageError(
            f"{text.rpartition('@')[2]!r} is not the address of a file",
            code="BadAddress",
            hint="write https://host/path, without a name or password",
        )
    return text


def _check_choice(artifact: Artifact) -> None:
    chooses = artifact.include or artifact.exclude or artifact.variant or artifact.all_formats
    if chooses and (artifact.is_own or artifact.is_web_file):
        raise UsageError(
            "only a `source` on a hub can be taken in part", hint="remove include, exclude, variant and all_formats"
        )
    if artifact.is_web_file and not (artifact.file and artifact.sha256):
        raise UsageError(
            "a file from the web needs `file = true` and `sha256`", hint="`tenuto add URL --sha256 HASH` writes both"
        )
    if artifact.sha256 is not None:
        check_sha256(artifact.sha256)
        if not artifact.is_web_file:
            raise UsageError("`sha256` is for files from the web", hint="the lock pins what a hub holds")
    for group in artifact.groups:
        if not _GROUP.fullmatch(group):
            raise UsageError(f"{group[:70]!r} cannot name a group", hint="use letters, digits, '.', '_' and '-'")


def check_artifact_name(name: str) -> str:
    """Return `name` if it may name an artifact: a safe path, so that `loras/jazz` works; raises UsageError (BadManifest)."""
    try:
        return check_path(name)
    except UsageError as error:
        raise _fault(
            f"{name!r} cannot name an artifact: {error}", "use letters, digits, '.', '_', '-' and '/'"
        ) from error


def _check_overlaps(manifest: Manifest) -> None:
    owners: dict[str, tuple[str, str]] = {}
    for name, artifact in sorted(manifest.artifacts.items(), key=lambda item: folded(item[1].path)):
        parts = artifact.path.split("/")
        for depth in range(1, len(parts) + 1):
            above = "/".join(parts[:depth])
            owner, path = owners.get(folded(above), ("", ""))
            if owner:
                somewhere = "" if path == above else f", which is {path} on some systems"
                raise _fault(
                    f"artifacts {owner!r} and {name!r} share {artifact.path}{somewhere}", "give each its own folder"
                )
        owners[folded(artifact.path)] = name, artifact.path


def default_kind(address: Address) -> str:
    """The kind of an artifact that is not said: as its repo is."""
    return "dataset" if address.repo.kind is RepoKind.DATASET else "model"


def with_artifact(text: str, name: str, artifact: Artifact) -> str:
    """`text` with one artifact added at the end, or changed in its place; comments and order of the rest stay.

    `text` is a valid manifest.
    """
    import tomlkit

    values = {**dict.fromkeys(_ALWAYS), **msgspec.to_builtins(artifact), "kind": artifact.kind}
    values = {key: value for key, value in values.items() if value is not None}
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


def without_artifact(text: str, name: str) -> str:
    """`text` with one artifact gone; comments and order of the rest stay. `text` is a valid manifest that has it."""
    import tomlkit

    document: Any = tomlkit.parse(text)
    del document["artifacts"][name]
    if not document["artifacts"]:
        del document["artifacts"]
    return tomlkit.dumps(document)
