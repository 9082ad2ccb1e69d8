"""Files of format version 1 lie in `v1/`: a manifest, its lock, the listings that the lock pins, and a store that holds them.

They are read as they were written. Run as a script, this file writes them anew: `python -m tests.compat.test_v1`. That is right only
while version 1 is unreleased, or to add to it; a committed file is changed by nobody.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from tenuto.core.ids import Address
from tenuto.core.listing import Entry, Listing
from tenuto.core.lockfile import Lock, Locked, parse_lock
from tenuto.core.manifest import Artifact, parse_manifest, with_artifact
from tenuto.store.local import LocalStore

V1 = Path(__file__).with_name("v1")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PART_KEY = "git-4b825dc642cb6eb9a060e54bf8d69288fbee4904"
HEAD = '# Kept by hand.\n\n[project]\nname = "voices"   # of the choir\nhub = "https://hub.example.org"\n\n'
FILES = {
    "beats": {
        "config.json": b'{"layers": 2}\n',
        "encoder iter3.pt": bytes(range(256)) * 4,
        "examples/\u00e9tude.wav": b"RIFF",
    },
    "loras/jazz": {"jazz.safetensors": b"\x02\0\0\0\0\0\0\0{}"},
    "clips": {"README.md": b"# Clips\n", "data/empty.wav": b"", "data/a.wav": b"RIFF", "data/A.wav": b"riff"},
}
ARTIFACTS = {
    "beats": Artifact("checkpoints", "hf://audio/beats@v1", "checkpoint"),
    "loras/jazz": Artifact("loras/jazz.safetensors", "hf://audio/jazz-lora@refs/pr/3", "adapter", file=True),
    "clips": Artifact("data/clips", "hf://datasets/audio/clips", "dataset"),
}


def listing_of(name: str) -> Listing:
    files = FILES[name].items()
    return Listing(Entry(path, hashlib.sha256(data).hexdigest(), len(data)) for path, data in files)


def locked(name: str) -> Locked:
    artifact, listing = ARTIFACTS[name], listing_of(name)
    return Locked(
        name=name,
        path=artifact.path,
        kind=artifact.kind,
        source=artifact.repo,
        digest=listing.digest,
        files=len(listing),
        bytes=listing.size_bytes,
        commit=None if name == "clips" else COMMIT,
        license="cc-by-4.0" if name == "clips" else None,
        file=artifact.file,
    )


def write(folder: Path) -> None:
    """Write the files of this version into `folder`."""
    folder.mkdir(parents=True)
    manifest = HEAD
    for name, artifact in ARTIFACTS.items():
        manifest = with_artifact(manifest, name, artifact)
    (folder / "tenuto.toml").write_text(manifest, encoding="utf-8", newline="\n")
    (folder / "tenuto.lock").write_text(Lock().replace(*map(locked, ARTIFACTS)).text, encoding="utf-8", newline="\n")
    store = LocalStore(str(folder / "cache"))
    for name, files in FILES.items():
        for data in files.values():
            store.put(data)
        store.put(listing_of(name).text)
    with store.receive(key=PART_KEY) as incoming:
        incoming.write(b"the first half, ")


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """A copy that may be written to."""
    return Path(shutil.copytree(V1, tmp_path / "v1"))


def test_the_manifest() -> None:
    manifest = parse_manifest((V1 / "tenuto.toml").read_text(encoding="utf-8"))
    assert (manifest.project.name, manifest.project.hub) == ("voices", "https://hub.example.org")
    assert manifest.artifacts == ARTIFACTS
    assert ARTIFACTS["loras/jazz"].address == Address.parse("hf://audio/jazz-lora@refs%2Fpr%2F3")


def test_the_lock() -> None:
    text = (V1 / "tenuto.lock").read_text(encoding="utf-8")
    lock = parse_lock(text)
    assert lock.artifacts == {name: locked(name) for name in ARTIFACTS}
    assert lock.text == text


def test_from_the_lock_to_every_byte(v1: Path) -> None:
    lock, store = parse_lock((v1 / "tenuto.lock").read_text(encoding="utf-8")), LocalStore(str(v1 / "cache"))
    for name, entry in lock.artifacts.items():
        listing = Listing.parse(store.read(entry.digest))
        assert listing.digest == entry.digest
        assert (len(listing), listing.size_bytes) == (entry.files, entry.bytes)
        assert {path: store.read(file.sha256) for path, file in listing.items()} == FILES[name]


def test_the_store_is_complete_and_can_be_added_to(v1: Path) -> None:
    store = LocalStore(str(v1 / "cache"))
    names = {found.sha256 for found in store}
    contents = {data for files in FILES.values() for data in files.values()}
    assert names == {hashlib.sha256(data).hexdigest() for data in contents} | {
        listing_of(name).digest for name in FILES
    }
    assert store.read(store.put(b"from today")) == b"from today"
    assert len(list(store)) == len(names) + 1


def test_an_interrupted_transfer_goes_on(v1: Path) -> None:
    store = LocalStore(str(v1 / "cache"))
    with store.receive(key=PART_KEY) as incoming:
        assert incoming.size == len(b"the first half, ")
        incoming.write(b"the second half")
        store.publish([incoming.seal(sha256=hashlib.sha256(b"the first half, the second half").hexdigest())])


def test_today_writes_the_same_bytes(tmp_path: Path) -> None:
    """All but the manifest, which is no canonical text."""
    write(tmp_path / "v1")
    today, then = tree(tmp_path / "v1"), tree(V1)
    assert today.keys() == then.keys()
    assert {path for path in today if today[path] != then[path]} <= {"tenuto.toml"}


if __name__ == "__main__":
    shutil.rmtree(V1, ignore_errors=True)
    write(V1)
    sys.stdout.write("".join(f"{os.path.relpath(V1 / path)}\n" for path in sorted(tree(V1))))
