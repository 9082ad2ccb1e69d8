"""Work that threads do together: all of it, or the first failure, and nobody at it any more."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tenuto.hub.shared_work import SharedWork

FAILURES = [ValueError("a bug"), MemoryError(), KeyboardInterrupt()]


def test_every_piece_is_done_once() -> None:
    pieces, done = iter(range(500)), []
    with ThreadPoolExecutor(4) as pool:
        work = SharedWork(lambda: next(pieces, None), done.append, lambda: 4, pool.submit)
        work.widen()
        work.run()
    assert sorted(done) == list(range(500))


def test_without_other_threads_the_caller_does_it() -> None:
    pieces, done = iter(range(5)), []
    work = SharedWork(lambda: next(pieces, None), done.append, lambda: 4, lambda _task: None)
    work.widen()
    work.run()
    assert done == list(range(5))


def test_never_more_threads_than_lanes() -> None:
    pieces, lock = iter(range(200)), threading.Lock()
    at_it, most = 0, 0

    def do(_piece: int) -> None:
        nonlocal at_it, most
        with lock:
            at_it += 1
            most = max(most, at_it)
        work.widen()
        with lock:
            at_it -= 1

    with ThreadPoolExecutor(8) as pool:
        work = SharedWork(lambda: next(pieces, None), do, lambda: 3, pool.submit)
        work.widen()
        work.run()
    assert most <= 3


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
@pytest.mark.parametrize("who", ["the first thread", "another one"])
def test_a_failure_is_raised_when_nobody_is_at_it(failure: BaseException, who: str) -> None:
    """One of two threads fails while the other is in the middle of a piece: that one ends it first."""
    meeting, pieces, ended = threading.Barrier(2, timeout=10), itertools.count(), []
    failed = threading.Event()

    def do(_piece: int) -> None:
        meeting.wait()
        is_first = threading.current_thread() is first
        if is_first == (who == "the first thread"):
            failed.set()
            raise failure
        failed.wait(10)
        ended.append(1)

    first = threading.current_thread()
    with ThreadPoolExecutor(1) as pool:
        work = SharedWork(lambda: next(pieces), do, lambda: 2, pool.submit)
        work.widen()
        with pytest.raises(type(failure)) as caught:
            work.run()
        assert caught.value is failure
        assert ended == [1]
        assert work.working == 0
    assert next(pieces) == 2, "nothing was taken after the failure"


def test_a_helper_that_comes_late_finds_nothing_to_do() -> None:
    tasks, done = [], []
    pieces = iter(range(3))
    work = SharedWork(lambda: next(pieces, None), done.append, lambda: 3, tasks.append)
    work.widen()
    work.run()
    for task in tasks:
        task()
    assert done == [0, 1, 2]
    assert work.working == 0
