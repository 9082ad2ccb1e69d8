"""The inventory as a CycloneDX 1.6 bill of materials: https://cyclonedx.org/docs/1.6/json/."""

import uuid
from collections.abc import Iterable
from urllib.parse import quote

import msgspec

from tenuto.core.settings import PUBLIC_HUB
from tenuto.survey.inventory import Held, Item, Survey, shown

# As cards name them, and as SPDX does; others go by name.
_SPDX = {
    "afl-3.0": "AFL-3.0",
    "agpl-3.0": "AGPL-3.0-only",
    "apache-2.0": "Apache-2.0",
    "artistic-2.0": "Artistic-2.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-3-clause-clear": "BSD-3-Clause-Clear",
    "bsl-1.0": "BSL-1.0",
    "cc-by-2.0": "CC-BY-2.0",
    "cc-by-3.0": "CC-BY-3.0",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-2.0": "CC-BY-NC-2.0",
    "cc-by-nc-3.0": "CC-BY-NC-3.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc-by-nc-nd-4.0": "CC-BY-NC-ND-4.0",
    "cc-by-nc-sa-2.0": "CC-BY-NC-SA-2.0",
    "cc-by-nc-sa-3.0": "CC-BY-NC-SA-3.0",
    "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0",
    "cc-by-nd-4.0": "CC-BY-ND-4.0",
    "cc-by-sa-3.0": "CC-BY-SA-3.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc0-1.0": "CC0-1.0",
    "ecl-2.0": "ECL-2.0",
    "epl-2.0": "EPL-2.0",
    "eupl-1.2": "EUPL-1.2",
    "gpl-2.0": "GPL-2.0-only",
    "gpl-3.0": "GPL-3.0-only",
    "isc": "ISC",
    "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "mit": "MIT",
    "mpl-2.0": "MPL-2.0",
    "odbl": "ODbL-1.0",
    "pddl": "PDDL-1.0",
    "unlicense": "Unlicense",
    "wtfpl": "WTFPL",
    "zlib": "Zlib",
}

Json = dict[str, object]


def as_cyclonedx(survey: Survey, version: str, endpoint: str = PUBLIC_HUB) -> str:
    """The bill as JSON text; `version` is that of this program, `endpoint` the hub that the repos live on.

    Files whose sha256 is not known are left out.
    """
    components = [_component(held, endpoint) for held in survey.held]
    digest = uuid.uuid5(uuid.NAMESPACE_OID, msgspec.json.encode(components).decode())
    bill: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{digest}",
        "version": 1,
        "metadata": {
            "timestamp": survey.inventory.generated_at,
            "tools": {"components": [{"type": "application", "name": "tenuto", "version": version}]},
        },
        "components": components,
    }
    return msgspec.json.format(msgspec.json.encode(bill), indent=2).decode()


def _component(held: Held, endpoint: str) -> Json:
    item = held.item
    namespace, _, name = (item.repo_id or "").rpartition("/")
    version = item.snapshot or item.digest
    component: Json = {
        "type": "data" if item.is_dataset else "machine-learning-model",
        "bom-ref": f"{item.kind}:{item.name}:{item.local_path}",
        "name": name or item.name,
    }
    optional = {
        "group": namespace,
        "version": version,
        "description": item.readme_excerpt,
        "hashes": [{"alg": "SHA-256", "content": item.digest}] if item.digest else None,
        "licenses": [{"license": _license(item.license)}] if item.license else None,
        "purl": _purl(item, endpoint),
        "properties": _properties(item),
        "components": list(_files(held)),
    }
    return component | {key: value for key, value in optional.items() if value}


def _license(name: str) -> Json:
    known = _SPDX.get(name.lower())
    return {"id": known} if known else {"name": name}


def _purl(item: Item, endpoint: str) -> str | None:
    """`pkg:huggingface/namespace/name@commit`; says which hub if it is another one, and what kind of repo if it is no model."""
    if item.repo_id is None:
        return None
    qualifiers = {}
    if item.source and item.source.startswith("hf://datasets/"):
        qualifiers["repo_type"] = "dataset"
    if endpoint != PUBLIC_HUB:
        qualifiers["repository_url"] = endpoint
    version = f"@{item.snapshot}" if item.snapshot else ""
    more = "&".join(f"{key}={quote(value, safe='/:')}" for key, value in sorted(qualifiers.items()))
    return f"pkg:huggingface/{quote(item.repo_id)}{version}{'?' if more else ''}{more}"


def _properties(item: Item) -> list[Json]:
    facts = {
        "tenuto:kind": item.kind,
        "tenuto:status": item.status,
        "tenuto:path": item.local_path,
        "tenuto:files": str(item.files_count),
        "tenuto:bytes": str(item.size_bytes),
        "tenuto:revision": item.revision,
        "tenuto:verified_at": item.verified_at,
    }
    return [{"name": name, "value": value} for name, value in facts.items() if value is not None]


def _files(held: Held) -> Iterable[Json]:
    for file in held.files:
        if file.sha256:
            name = shown(file.path)
            reference = f"{held.item.kind}:{held.item.name}:{held.item.local_path}:{name}"
            hashes = [{"alg": "SHA-256", "content": file.sha256}]
            yield {"type": "file", "bom-ref": reference, "name": name, "hashes": hashes}
