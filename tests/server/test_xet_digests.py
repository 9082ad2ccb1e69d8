"""Files are hashed in order, in steps; whoever stops early leaves nothing behind."""

import hashlib
import os
from contextlib import closing

from tenuto.server.xet.digests import sha256s
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import RNG, Cas
from tests.server.conftest import Owner
from tests.store.xet_build import File, make_xorb


def test_each_file_gets_its_own_sha256_and_a_breath_in_between(hub: LiveHub, owner: Owner) -> None:
    xorb = make_xorb([RNG.randbytes(100_000) for _ in range(30)])
    Cas(owner).put_xorb(xorb)
    files = [File([(xorb, 0, 30)]), File([]), File([(xorb, 3, 5), (xorb, 0, 2)]), File([(xorb, 0, 30), (xorb, 0, 9)])]
    found = list(sha256s(hub.hub.parts.xorbs, [file.table() for file in files], 1 << 20))
    assert [sha256 for sha256 in found if sha256] == [hashlib.sha256(file.content).hexdigest() for file in files]
    assert found.count("") >= 4


def test_who_stops_early_leaves_no_open_file(hub: LiveHub, owner: Owner) -> None:
    xorb = make_xorb([RNG.randbytes(100_000) for _ in range(60)])
    Cas(owner).put_xorb(xorb)
    table, path = File([(xorb, 0, 60)]).table(), hub.hub.parts.xorbs.folder.file(xorb.name)
    with closing(sha256s(hub.hub.parts.xorbs, [table] * 3, 1 << 20)) as found:
        next(found)
    links = (f"/proc/self/fd/{one}" for one in os.listdir("/proc/self/fd"))
    assert path not in [os.readlink(link) for link in links if os.path.islink(link)]
