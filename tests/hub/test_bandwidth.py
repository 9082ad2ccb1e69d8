"""The bucket that all transfers share, by an injected clock; and that a session asks it for everything."""

import threading

import pytest

from tenuto.hub.bandwidth import BURST_S, Bandwidth
from tenuto.hub.session import Session
from tests.hub.scripted import Reply, in_turn, serving


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.longest_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.longest_s = max(self.longest_s, seconds)


@pytest.mark.parametrize("piece", [1, 1000, 65_536, 1_000_000])
def test_over_time_it_is_the_rate_and_a_burst_at_the_most(piece: int) -> None:
    clock = Clock()
    bucket = Bandwidth(100_000, clock=clock, sleep=clock.sleep)
    clock.now_s += 3600
    began_s, taken = clock.now_s, 0
    while taken < 2_000_000 and (taken < 5000 or piece > 1):
        bucket.take(piece)
        taken += piece
    took_s = clock.now_s - began_s
    assert taken <= 100_000 * (took_s + BURST_S) + 1
    assert took_s <= taken / 100_000


def test_no_rate_is_no_limit() -> None:
    clock = Clock()
    bucket = Bandwidth(None, clock=clock, sleep=clock.sleep)
    bucket.take(1 << 50)
    assert clock.now_s == 100.0
    assert bucket.piece_bytes == 1 << 20


def test_threads_share_it() -> None:
    lock, slept = threading.Lock(), []

    def sleep(seconds: float) -> None:
        with lock:
            slept.append(seconds)

    bucket = Bandwidth(1000, clock=lambda: 0.0, sleep=sleep)
    threads = [threading.Thread(target=lambda: [bucket.take(100) for _ in range(10)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(slept) == pytest.approx(5.0 - 0.0), "the last of 50 waits behind all others"


def test_a_session_pays_for_what_it_sends_and_receives() -> None:
    clock = Clock()
    bucket = Bandwidth(1_000_000, clock=clock, sleep=clock.sleep)
    with serving(in_turn([Reply(200, b"x" * 2_000_000)])) as server, Session(server.url, bandwidth=bucket) as session:
        assert len(session.request("GET", "x").body) == 2_000_000
        received_s = clock.now_s - 100.0
        assert received_s == pytest.approx(2.0, abs=BURST_S + 0.01)
        session.send("PUT", "x", lambda: [b"y" * 3_000_000], 3_000_000)
        assert clock.now_s - 100.0 - received_s == pytest.approx(5.0, abs=0.01)


@pytest.mark.parametrize("rate", [20_000, 1_000_000])
def test_no_single_wait_is_long_so_that_who_is_to_stop_ends_soon(rate: int) -> None:
    clock = Clock()
    bucket = Bandwidth(rate, clock=clock, sleep=clock.sleep)
    with serving(in_turn([Reply(200, b"x" * 2_000_000)])) as server, Session(server.url, bandwidth=bucket) as session:
        session.request("GET", "x")
        session.send("PUT", "x", lambda: [b"y" * 2_000_000], 2_000_000)
    assert clock.longest_s <= 2 * BURST_S
