"""A budget for a whole session, short first tries, and what the user hears while nothing happens."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tenuto.core.errors import UnavailableError
from tenuto.hub.patience import BUDGET_OF_TRIES
from tenuto.hub.session import Session
from tests.hub.scripted import OK, Reply, free_port, in_turn, serving


class TestBudget:
    def test_where_everything_fails_the_end_comes_soon(self) -> None:
        slept: list[float] = []
        with serving(in_turn([Reply(503)])) as server, Session(server.url, retries=2, sleep=slept.append) as session:
            for _ in range(50):
                with pytest.raises(UnavailableError):
                    session.request("GET", "x")
            spent = 2 * BUDGET_OF_TRIES
            assert spent <= len(slept) <= spent + 50, "each has one more try, and all together the budget"
            assert len(server.seen) == 50 + len(slept)

    def test_successes_fill_it_again(self) -> None:
        failing = [Reply(503), OK] * 60
        with serving(in_turn(failing)) as server, Session(server.url, retries=2, sleep=lambda _s: None) as session:
            for _ in range(3 * BUDGET_OF_TRIES):
                assert session.request("GET", "x").status == 200
            server.answer = in_turn([Reply(503), Reply(503), OK])
            assert session.request("GET", "x").status == 200


class TestFirstContact:
    def test_nobody_there_is_said_within_seconds(self) -> None:
        heard: list[str] = []
        slept: list[float] = []
        port = free_port()
        with (
            Session(f"http://127.0.0.1:{port}", sleep=slept.append, notice=heard.append) as session,
            pytest.raises(UnavailableError, match="connection refused"),
        ):
            session.request("GET", "x")
        assert heard == [
            f"waiting for 127.0.0.1:{port}: connection refused (try {number} of 6)" for number in range(2, 7)
        ]
        assert sum(slept) <= 5.0

    def test_a_name_that_nobody_knows(self) -> None:
        heard: list[str] = []
        with (
            Session("http://hub.invalid", sleep=lambda _s: None, retries=1, notice=heard.append) as session,
            pytest.raises(UnavailableError, match=r"cannot reach hub\.invalid: its name is not known"),
        ):
            session.request("GET", "x")
        assert heard == ["waiting for hub.invalid: its name is not known (try 2 of 2)"]

    def test_a_hub_that_was_there_is_given_more_time(self) -> None:
        slept: list[float] = []
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(serving(in_turn([Reply(200, b"{}", {"Connection": "close"})])))
            session = stack.enter_context(Session(server.url, sleep=slept.append))
            session.request("GET", "x")
            server.shutdown()
            server.server_close()
            with pytest.raises(UnavailableError):
                session.request("GET", "x")
        assert sum(slept) > 10


class TestNotices:
    def test_many_threads_say_it_once(self) -> None:
        heard: list[str] = []
        replies = [Reply(503, headers={"Retry-After": "6"})] * 8 + [OK]
        options = {"sleep": lambda _seconds: time.sleep(0.05), "notice": heard.append, "connections": 8}
        with serving(in_turn(replies)) as server, Session(server.url, **options) as session:  # type: ignore[arg-type]
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda _number: session.request("GET", "x"), range(8)))
            host = server.url.removeprefix("http://")
        assert heard[0] == f"waiting for {host}: it asks for 7 s (try 2 of 6)"
        assert len(heard) <= 3

    def test_what_goes_well_is_silent(self) -> None:
        heard: list[str] = []
        with serving(in_turn([OK])) as server, Session(server.url, notice=heard.append) as session:
            session.request("GET", "x")
        assert heard == []
