"""What is published together: the fault of one object is the error of those who sent it, and of nobody else."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tenuto.core.errors import UnavailableError
from tenuto.core.ids import RepoId
from tenuto.server.content.commits import held_sizes
from tenuto.server.holdings.publisher import Publisher
from tenuto.server.repos.rows import find_repo
from tenuto.testing.live_hub import LiveHub
from tenuto.testing.stores import Call, SlowStore
from tests.server.conftest import Owner


def test_an_object_that_was_collected_meanwhile_is_missed_by_its_own_upload_only(hub: LiveHub, owner: Owner) -> None:
    parts = hub.hub.parts
    first, gone, other = (parts.store.take_in(os.urandom(5000)) for _ in range(3))
    batches, is_at_work = [], threading.Event()

    def meanwhile(call: Call) -> None:
        if call.name == "publish":
            batches.append(call.about)
        if call == Call("publish", (first.sha256,)):
            is_at_work.set()
            while len(publisher._waiting) < 2:  # both come while the first one is at work, and so together
                time.sleep(0.001)
        if call == Call("has", gone.sha256):
            parts.store.delete(gone.sha256)

    publisher = Publisher(parts.database, SlowStore(parts.store, meanwhile), 1 << 30)
    with parts.database.read() as connection:
        repo = find_repo(connection, RepoId.parse(owner.repo))
    assert repo
    with ThreadPoolExecutor(3) as pool:
        leading = pool.submit(publisher.publish, repo.key, first, parts.now_ms())
        assert is_at_work.wait(20)
        refused, held = (pool.submit(publisher.publish, repo.key, one, parts.now_ms()) for one in (gone, other))
        with pytest.raises(UnavailableError, match="deleted meanwhile"):
            refused.result()
        leading.result()
        held.result()
    assert list(map(len, batches)) == [1, 2]
    with parts.database.read() as connection:
        names = [one.sha256 for one in (first, gone, other)]
        assert held_sizes(connection, repo.key, names) == {first.sha256: 5000, other.sha256: 5000}
    assert parts.store.has(other.sha256)
