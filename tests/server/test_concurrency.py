"""Many at once: one wins, others wait or are told; nothing is lost, nothing is torn."""

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tenuto.server.service import THREADS
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import Talk, large, small

CROWDS = pytest.mark.parametrize("count", [THREADS + 4, pytest.param(50, marks=pytest.mark.slow)])
"""More than the hub has threads for."""


def at_once(hub: LiveHub, token: str, count: int, work: Callable[[Talk, int], object]) -> list:
    """Run `work` in that many threads, begun together, each with a connection of its own."""
    barrier = threading.Barrier(count)

    def run(number: int) -> object:
        talk = Talk(hub.url, token)
        try:
            barrier.wait()
            return work(talk, number)
        finally:
            talk.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@CROWDS
def test_fifty_commit_to_one_branch_and_all_is_kept(hub: LiveHub, owner: Owner, count: int) -> None:
    def work(talk: Talk, number: int) -> list[int]:
        return [talk.commit(owner.repo, small(f"t{number}/f{turn}", b"x")).status_code for turn in range(3)]

    assert at_once(hub, owner.token, count, work) == [[200] * 3] * count
    assert len(owner.talk.listing(owner.repo)) == 3 * count + 1
    history = owner.talk.get(f"/api/models/{owner.repo}/commits/main?limit=1000").json()
    assert len({one["id"] for one in history}) == 3 * count + 1


@pytest.mark.parametrize("count", [2, 20, pytest.param(50, marks=pytest.mark.slow)])
def test_of_commits_with_one_parent_one_wins(hub: LiveHub, owner: Owner, count: int) -> None:
    head = owner.talk.head(owner.repo)
    answers = at_once(
        hub, owner.token, count, lambda talk, number: talk.commit(owner.repo, small("f", b"%d" % number), parent=head)
    )
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [200] + [412] * (count - 1)
    assert {one.headers["X-Error-Code"] for one in answers if one.status_code == 412} == {"StaleParent"}
    winner = statuses.index(200)
    assert owner.talk.read(owner.repo, "f").content == b"%d" % winner
    assert len(owner.talk.get(f"/api/models/{owner.repo}/commits/main").json()) == 2


@CROWDS
def test_fifty_that_try_again_on_412_lose_nothing(hub: LiveHub, owner: Owner, count: int) -> None:
    def work(talk: Talk, number: int) -> str:
        while True:
            answer = talk.commit(owner.repo, small(f"f{number}", b"x"), parent=talk.head(owner.repo))
            if answer.status_code == 200:
                return str(answer.json()["commitOid"])
            assert answer.status_code == 412

    made = at_once(hub, owner.token, count, work)
    assert {f"f{number}" for number in range(count)} <= owner.talk.listing(owner.repo).keys()
    line = owner.talk.get(f"/api/models/{owner.repo}/commits/main?limit=1000").json()
    assert len(line) == count + 1, "each of them is there once, in one line"
    assert {one["id"] for one in line[:-1]} == set(made)


def test_one_repo_is_created_once(hub: LiveHub, owner: Owner) -> None:
    statuses = at_once(hub, owner.token, 8, lambda talk, _: talk.create(f"{owner.name}/new").status_code)
    assert sorted(statuses) == [200] + [409] * 7


def test_the_same_object_from_many_sides(hub: LiveHub, owner: Owner) -> None:
    data = os.urandom(300_000)
    oid = hashlib.sha256(data).hexdigest()
    href = owner.talk.batch(owner.repo, (oid, len(data))).json()["objects"][0]["actions"]["upload"]["href"]

    def work(talk: Talk, number: int) -> int:
        return talk.put(href, data if number % 2 else bytes(len(data))).status_code

    statuses = at_once(hub, owner.token, 8, work)
    assert statuses == [422, 200] * 4
    owner.talk.commit(owner.repo, large("x", oid)).raise_for_status()
    assert owner.talk.read(owner.repo, "x").content == data


@pytest.mark.parametrize("turns", [4, pytest.param(15, marks=pytest.mark.slow)])
def test_many_objects_at_once(hub: LiveHub, owner: Owner, turns: int) -> None:
    def work(talk: Talk, number: int) -> list[str]:
        return [talk.put_large(owner.repo, b"%d-%d" % (number, turn)) for turn in range(turns)]

    oids = [oid for some in at_once(hub, owner.token, 12, work) for oid in some]
    owner.talk.commit(owner.repo, *[large(f"f{index}", oid) for index, oid in enumerate(oids)]).raise_for_status()
    assert len(owner.talk.listing(owner.repo)) == 12 * turns + 1


def test_deleting_a_repo_while_others_write_to_it(hub: LiveHub, owner: Owner) -> None:
    def work(talk: Talk, number: int) -> set[int]:
        if number == 0:
            return {talk.delete(owner.repo).status_code}
        seen = set()
        for turn in range(12):
            data = b"%d %d" % (number, turn)
            oid = hashlib.sha256(data).hexdigest()
            batch = talk.batch(owner.repo, (oid, len(data)))
            seen.add(batch.status_code)
            if batch.status_code == 200:
                seen.add(talk.put(batch.json()["objects"][0]["actions"]["upload"]["href"], data).status_code)
            seen.add(talk.commit(owner.repo, small(f"f{number}-{turn}", b"")).status_code)
        return seen

    statuses = set().union(*at_once(hub, owner.token, 6, work))
    assert statuses <= {200, 404}, "never a 500"
    assert owner.talk.get(f"/api/models/{owner.repo}").status_code == 404


def test_readers_see_whole_commits(hub: LiveHub, owner: Owner) -> None:
    owner.talk.commit(owner.repo, small("a", b"0"), small("b", b"0")).raise_for_status()
    stop = threading.Event()

    def work(talk: Talk, number: int) -> int:
        if number == 0:
            for turn in range(1, 40):
                talk.commit(owner.repo, small("a", b"%d" % turn), small("b", b"%d" % turn)).raise_for_status()
            stop.set()
            return 0
        reads = 0
        while not stop.is_set():
            head = talk.head(owner.repo)
            assert talk.read(owner.repo, "a", head).content == talk.read(owner.repo, "b", head).content
            listing = talk.listing(owner.repo)
            assert listing["a"]["oid"] == listing["b"]["oid"]
            reads += 1
        return reads

    assert all(reads > 0 for reads in at_once(hub, owner.token, 4, work)[1:])


def hub_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("hub_")}


def test_the_hub_runs_no_more_threads_and_files_than_it_needs(hub: LiveHub, owner: Owner) -> None:
    def work(talk: Talk, number: int) -> None:
        for _ in range(10):
            talk.read(owner.repo, ".gitattributes").raise_for_status()

    others = hub_threads()  # of hubs of other tests, and the first ones of this hub
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        at_once(hub, owner.token, 16, work)
    # A thread keeps a connection to the database: three files. One file a request would be 480.
    assert len(os.listdir("/proc/self/fd")) <= before + 4 * THREADS
    assert len(hub_threads() - others) <= THREADS
    assert httpx2.get(f"{hub.url}/health").status_code == 200
