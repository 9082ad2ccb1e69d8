"""A hub with one of everything, made once and copied for each test that breaks it."""

import dataclasses
import hashlib
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tenuto.server.git.objects import GitCache
from tenuto.server.hub import Parts
from tenuto.server.service import Hub
from tenuto.server.upkeep.check import FULL, check_hub
from tenuto.server.upkeep.gc import Collected, Collector
from tenuto.server.upkeep.report import CheckReport, Depth
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed
from tests.server.conftest import Owner
from tests.server.talk import Talk, large, small
from tests.store.xet_build import File, make_xorb

DAY_S = 24 * 3600
_RNG = random.Random(5)


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


WHOLE, TWICE, XORB, SHARED = (
    noise(50_000, 1),
    noise(30_000, 2),
    make_xorb([noise(3000 + k, 100 + k) for k in range(6)]),
    make_xorb([noise(2000 + k, 200 + k) for k in range(4)]),
)
CHUNKED, BOTH = File([(XORB, 0, 6), (SHARED, 1, 3)]), File([(SHARED, 0, 4)])


class Sample(NamedTuple):
    """What the sample hub holds: two repos of ann, one of bob."""

    folder: Path
    tokens: dict[str, str]


def make_owner(hub: LiveHub, name: str, repo: str, *, private: bool = False) -> Owner:
    token = hub.user(name)
    talk = Talk(hub.url, token)
    answer = talk.create(f"{name}/{repo}", private=private)
    assert answer.status_code == 200, answer.text
    return Owner(name, token, talk, f"{name}/{repo}")


def fill(hub: LiveHub) -> dict[str, str]:
    """Repos with small, large and chunked files, a branch, a tag with a message, and contents that are held twice."""
    ann, bob = make_owner(hub, "ann", "one"), make_owner(hub, "bob", "two", private=True)
    other = Owner("ann", ann.token, Talk(hub.url, ann.token), "ann/three")
    ann.talk.create("ann/three").raise_for_status()
    for owner, whole in ((ann, WHOLE), (ann, TWICE), (bob, TWICE)):
        oid = owner.talk.put_large(owner.repo, whole)
        owner.talk.commit(owner.repo, large(f"folder/{oid[:4]}.bin", oid), small("notes.txt", b"hi")).raise_for_status()
    for owner, file in ((ann, CHUNKED), (ann, BOTH), (bob, BOTH)):
        Cas(owner).put_file(file)
        committed(owner, file, f"chunked/{file.sha256[:4]}.bin")
    other.talk.commit(other.repo, small("deep/er/a.txt", b"a" * 3000)).raise_for_status()
    ann.talk.post(f"/api/models/{ann.repo}/branch/side").raise_for_status()
    ann.talk.commit(ann.repo, small("only-here.txt", b"side"), rev="side").raise_for_status()
    ann.talk.post(f"/api/models/{ann.repo}/tag/main", {"tag": "v1", "message": "first"}).raise_for_status()
    for owner in (ann, bob, other):
        owner.talk.close()
    return {"ann": ann.token, "bob": bob.token}


def make_sample(folder: Path) -> Sample:
    with LiveHub(str(folder)) as hub:
        tokens = fill(hub)
    return Sample(folder, tokens)


@contextmanager
def opened(folder: Path) -> Iterator[Parts]:
    with open(os.devnull, "w", encoding="utf-8") as nowhere, Hub.open(str(folder), log=nowhere) as hub:
        yield hub.parts


def check(folder: Path, depth: Depth = FULL) -> CheckReport:
    with opened(folder) as parts:
        return check_hub(parts, str(folder), depth)


def copy_sample(sample: Sample, target: Path) -> Path:
    shutil.copytree(sample.folder, target)
    return target


def change(folder: Path, statement: str, *values: object) -> None:
    """Change rows behind the back of the hub; no rule of the tables stops it."""
    with opened(folder) as parts, parts.database.engine.connect() as connection:
        raw = connection.connection.driver_connection
        connection.rollback()
        raw.execute("PRAGMA foreign_keys=OFF")
        done = raw.execute(statement, values)
        assert done.rowcount > 0, "nothing was changed"


def rows(folder: Path, query: str, *values: object) -> list[tuple]:
    with opened(folder) as parts, parts.database.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query, values)]


def rewrite(file: str | Path, content: bytes) -> None:
    os.chmod(file, 0o644)
    Path(file).write_bytes(content)


def flip(file: str | Path, at: int) -> None:
    content = bytearray(Path(file).read_bytes())
    content[at] ^= 1
    rewrite(file, bytes(content))


def object_file(folder: Path, content: bytes) -> Path:
    sha256 = hashlib.sha256(content).hexdigest()
    return folder / "store-v1" / "objects" / sha256[:2] / sha256[2:]


def xorb_file(folder: Path, name: str) -> Path:
    return folder / "store-v1" / "xorbs" / name[:2] / name[2:]


def later(parts: Parts, days: float) -> Parts:
    """The same hub, some days on, as another process sees it: with a memory of its own."""
    moved = int(days * DAY_S * 1000)
    return dataclasses.replace(parts, now_ms=lambda: parts.now_ms() + moved, cache=GitCache())


def collect(parts: Parts, folder: str, days: float = 0, **times: float) -> Collected:
    return Collector(later(parts, days), folder, **times).run()


def stored(folder: Path | str) -> dict[str, set[str]]:
    """The names of all objects and xorbs in the store."""
    found: dict[str, set[str]] = {}
    for shelf in ("objects", "xorbs"):
        root = Path(folder) / "store-v1" / shelf
        found[shelf] = {file.parent.name + file.name for file in root.glob("??/*")}
    return found
