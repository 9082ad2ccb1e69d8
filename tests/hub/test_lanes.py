"""A large file by ranges over several connections: whole in the end whatever the source does, and never fetched twice."""

import itertools
import resource
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenuto.core.errors import StorageError, TenutoError
from tenuto.hub import lanes
from tenuto.hub.download import Wanted, download, download_from
from tenuto.hub.lanes import FIRST_LANES, Pace
from tenuto.hub.session import Session
from tenuto.hub.sources import WebSource
from tenuto.store.local import LocalStore
from tenuto.testing.lies import Answer, Lie, Wait, WrongBytes
from tenuto.testing.stores import FaultyStore, MemoryStore, StoreFault
from tests.hub.place import Place, check_whole, noise, sha256_of, spool_files
from tests.hub.ranged import BLOCK, asked_bytes, honest, part_of, small_blocks
from tests.hub.scripted import Reply, Seen, Server, serving
from tests.hub.test_faults import CASES, CONTENT, SIZE, WEIGHTS, filled, patience_s

__all__ = ["filled", "small_blocks"]

pytestmark = pytest.mark.usefixtures("small_blocks")
LARGE = noise(1_000_000, 9)
FILE = Wanted("large.bin", len(LARGE), sha256_of(LARGE))


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "store"))


def fetch(server: Server, store: LocalStore, wanted: Wanted = FILE, **options: object) -> None:
    with Session(server.url, retries=2, sleep=lambda _seconds: None) as session:
        download_from([WebSource(session, f"{server.url}/file")], [wanted], store, **options)  # type: ignore[arg-type]
    assert check_whole(store) == {wanted.sha256}
    assert spool_files(Path(store.root).parent) == []


def hold(store: LocalStore, *numbers: int) -> None:
    """What a transfer that was killed after these blocks has left."""
    with store.receive_blocks(FILE.key, FILE.size, BLOCK) as incoming:
        for number in numbers:
            incoming.write(number * BLOCK, LARGE[number * BLOCK : (number + 1) * BLOCK])
            incoming.complete(number)


class TestRanges:
    @pytest.mark.parametrize("jobs", [1, 3, 8])
    def test_every_byte_is_asked_for_once(self, store: LocalStore, jobs: int) -> None:
        with honest(LARGE) as server:
            fetch(server, store, jobs=jobs)
            assert asked_bytes(server, len(LARGE)) == len(LARGE)
            assert len(server.seen) > 5

    def test_several_connections_at_once(self, store: LocalStore) -> None:
        meeting = threading.Barrier(FIRST_LANES, timeout=10)
        first = itertools.count()

        def answer(seen: Seen) -> Reply:
            if 1 <= next(first) <= FIRST_LANES:
                meeting.wait()
            return part_of(LARGE, seen)

        with serving(answer) as server:
            fetch(server, store)
        assert not meeting.broken

    @pytest.mark.parametrize("held", [(0,), (1, 2, 3), (60, 61), tuple(range(0, 62, 2)), tuple(range(62))])
    def test_goes_on_with_what_lacks(self, store: LocalStore, held: tuple[int, ...]) -> None:
        hold(store, *held)
        done: list[int] = []
        with honest(LARGE) as server:
            fetch(server, store, progress=done.append)
            kept = sum(min(BLOCK, len(LARGE) - number * BLOCK) for number in held)
            assert asked_bytes(server, len(LARGE)) == len(LARGE) - kept
        assert done[0] == kept
        assert sum(done) == len(LARGE)

    def test_a_store_that_takes_no_blocks_gets_one_stream(self, store: LocalStore) -> None:
        memory = MemoryStore()
        with honest(LARGE) as server, Session(server.url) as session:
            download_from([WebSource(session, f"{server.url}/file")], [FILE], memory)
            assert len(server.seen) == 1
        assert check_whole(memory) == {FILE.sha256}

    def test_held_blocks_that_are_rotten_cost_a_second_transfer(self, store: LocalStore) -> None:
        with store.receive_blocks(FILE.key, FILE.size, BLOCK) as incoming:
            incoming.write(0, b"\0" * BLOCK)
            incoming.complete(0)
        done: list[int] = []
        with honest(LARGE) as server:
            fetch(server, store, progress=done.append)
            assert len(LARGE) < asked_bytes(server, len(LARGE)) <= 2 * len(LARGE)
        assert sum(done) == len(LARGE)


class TestOneStreamInstead:
    @pytest.mark.parametrize(
        "lie",
        [
            lambda seen, reply: Reply(200, LARGE, {"ETag": '"tag"'}),
            lambda seen, reply: reply._replace(headers={**reply.headers, "Content-Range": "bytes 1-2/3"}),
            lambda seen, reply: reply._replace(headers={"ETag": '"tag"'}),
            lambda seen, reply: Reply(416),
            lambda seen, reply: Reply(200, LARGE, {"ETag": '"tag"'}) if "range" in seen.headers else reply,
        ],
        ids=["ignored", "shifted", "silent", "416", "ignored only"],
    )
    @pytest.mark.parametrize("from_request", [0, 3, 6])
    def test_where_ranges_are_not_kept(
        self, store: LocalStore, lie: Callable[[Seen, Reply], Reply], from_request: int
    ) -> None:
        count = itertools.count()

        def answer(seen: Seen) -> Reply:
            reply = part_of(LARGE, seen)
            return lie(seen, reply) if next(count) >= from_request and "range" in seen.headers else reply

        done: list[int] = []
        with serving(answer) as server:
            fetch(server, store, progress=done.append)
        assert sum(done) == len(LARGE)

    def test_where_the_file_changes_meanwhile(self, store: LocalStore) -> None:
        other, count = noise(len(LARGE), 10), itertools.count()

        def answer(seen: Seen) -> Reply:
            return part_of(other, seen, '"old"') if next(count) < 3 else part_of(LARGE, seen, '"new"')

        with serving(answer) as server:
            fetch(server, store)

    def test_where_ranges_hold_other_bytes(self, store: LocalStore) -> None:
        def answer(seen: Seen) -> Reply:
            reply = part_of(LARGE, seen)
            return reply._replace(body=bytes(len(reply.body))) if reply.status == 206 else reply

        with serving(answer) as server:
            fetch(server, store)

    def test_a_range_that_is_too_long(self, store: LocalStore) -> None:
        count = itertools.count()

        def answer(seen: Seen) -> Reply:
            reply = part_of(LARGE, seen)
            return reply._replace(body=reply.body + b"more") if reply.status == 206 and next(count) < 4 else reply

        with serving(answer) as server:
            fetch(server, store)


class TestFaults:
    """Every fault of `test_faults`, on a file that comes by blocks."""

    @pytest.mark.parametrize("times", [1, 3])
    @pytest.mark.parametrize("name", CASES)
    def test_that_passes(self, filled: Place, store: LocalStore, name: str, times: int) -> None:
        lie = Lie("GET", "/weights.bin", CASES[name].fault, times=times, after=1)
        done: list[int] = []
        with filled.through(lie, timeout_s=patience_s(lie.fault), retries=6) as (remote, _):
            try:
                download(remote, filled.repo, filled.head, [WEIGHTS], store, progress=done.append)
            except TenutoError:
                assert check_whole(store) == set()
                assert sum(done) == 0
                download(remote, filled.repo, filled.head, [WEIGHTS], store)
        assert check_whole(store) == {sha256_of(CONTENT)}

    @pytest.mark.parametrize("name", CASES)
    def test_while_it_lasts(self, filled: Place, store: LocalStore, name: str) -> None:
        lie = Lie("GET", "/weights.bin", CASES[name].fault, times=None, after=2)
        with filled.through(lie, timeout_s=patience_s(lie.fault)) as (remote, liar):
            try:
                download(remote, filled.repo, filled.head, [WEIGHTS], store)
            except TenutoError:
                assert check_whole(store) == set()
                liar.lies = []
                download(remote, filled.repo, filled.head, [WEIGHTS], store)
        assert check_whole(store) == {sha256_of(CONTENT)}

    def test_wrong_bytes_are_named(self, filled: Place, store: LocalStore) -> None:
        @dataclass(frozen=True)
        class Whole(WrongBytes):
            def bend(self, answer: Answer, wait: Wait) -> Answer:
                answer.body = [b"".join(super().bend(answer, wait).body)]
                return answer

        with filled.through(Lie("GET", "/weights.bin", Whole(), times=None)) as (remote, liar):
            with pytest.raises(TenutoError) as caught:
                download(remote, filled.repo, filled.head, [WEIGHTS], store)
            assert caught.value.code == "HashMismatch"
            for part in (sha256_of(CONTENT), liar.url, filled.repo.web_path, "weights.bin"):
                assert part in caught.value.message

    def test_one_failing_lane_ends_all_and_keeps_what_is_complete(self, store: LocalStore) -> None:
        fails_from = len(LARGE) // 2

        def answer(seen: Seen) -> Reply:
            start = int(seen.headers["range"].removeprefix("bytes=").partition("-")[0])
            return Reply(503) if start >= fails_from else part_of(LARGE, seen)

        with serving(answer) as server:
            with pytest.raises(TenutoError):
                fetch(server, store)
            server.answer = lambda seen: part_of(LARGE, seen)
            server.seen.clear()
            fetch(server, store)
            assert asked_bytes(server, len(LARGE)) < len(LARGE) * 3 // 4


class TestDisk:
    @pytest.mark.parametrize("call", ["receive", "write", "complete", "seal", "publish"])
    @pytest.mark.parametrize("at", [1, 5])
    def test_where_the_disk_refuses_the_next_run_goes_on(self, store: LocalStore, call: str, at: int) -> None:
        full = StorageError("no room left", code="DiskFull")
        faulty = FaultyStore(store, [StoreFault(call, full, at=at if call in {"write", "complete"} else 1, times=1000)])
        done: list[int] = []
        with honest(LARGE) as server, Session(server.url) as session:
            source = WebSource(session, f"{server.url}/file")
            with pytest.raises(StorageError) as caught:
                download_from([source, source], [FILE], faulty, progress=done.append)
            assert caught.value.code == "DiskFull"
            assert check_whole(store) == set()
            assert sum(done) == (len(LARGE) if call == "publish" else 0)
        with honest(LARGE) as server:
            download_again(server, store)

    def test_where_a_block_file_may_not_grow(self, store: LocalStore) -> None:
        """The real thing: the system refuses to write beyond a limit."""
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(LARGE) // 2, limit[1]))
            with honest(LARGE) as server, pytest.raises(StorageError):
                fetch(server, store)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            signal.signal(signal.SIGXFSZ, ignored)
        with honest(LARGE) as server:
            fetch(server, store)


def download_again(server: Server, store: LocalStore) -> None:
    """The same into the store itself; what a failed publish left is an orphan for the sweep."""
    with Session(server.url) as session:
        download_from([WebSource(session, f"{server.url}/file")], [FILE], store)
    assert check_whole(store) == {FILE.sha256}


class TestPace:
    @pytest.mark.parametrize(("useful", "settles_at"), [(1, 2), (2, 2), (4, 4), (6, 6), (7, 8), (20, 8)])
    def test_grows_while_more_lanes_bring_more(self, useful: int, settles_at: int) -> None:
        now_s = [0.0]
        pace = Pace(8, lambda: now_s[0])
        assert pace.lanes == FIRST_LANES
        for _ in range(20):
            now_s[0] += 2.0
            pace.moved(1_000_000 * min(pace.lanes, useful))
        assert pace.lanes == settles_at

    def test_says_when_it_wants_more(self) -> None:
        now_s = [0.0]
        pace = Pace(100, lambda: now_s[0])
        wants = []
        for number in range(7):
            now_s[0] += 2.0
            wants.append(pace.moved(1 << number))
        assert wants == [True, False, True, False, True, False, True], "after each step it waits for what comes of it"

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_never_more_than_allowed(self, jobs: int) -> None:
        now_s = [0.0]
        pace = Pace(jobs, lambda: now_s[0])
        for number in range(10):
            now_s[0] += 2.0
            assert not pace.moved(1 << number)
        assert pace.lanes == jobs


@pytest.mark.parametrize(("size", "cut"), [(64 << 20, 0), ((1 << 30) - 1, 0), (1 << 30, 1), (500 << 30, 1)])
def test_blocks_are_larger_in_larger_files(size: int, cut: int) -> None:
    assert lanes.block_bytes(size) == lanes.BLOCK_BYTES[cut]


def test_the_fault_cases_are_for_a_file_that_comes_by_blocks() -> None:
    assert SIZE >= lanes.BLOCKS_FROM_BYTES
