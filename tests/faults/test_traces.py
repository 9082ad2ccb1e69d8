"""Fault 14: a trace that shows the variables of every step, as some programs log it, shows no token."""

import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tenuto.core.errors import InternalError, TenutoError
from tenuto.hub.session import Session
from tests.hub.scripted import Reply, free_port, in_turn, serving

CANARY = "hf_canaryOfTraces"
ANSWERS = {
    "no answer": Reply(cut_at=-1),
    "half an answer": Reply(200, b"x" * 100, cut_at=10),
    "silence": Reply(200, b"x" * 100, pause_s=2),
    "not allowed": Reply(403, b"{}"),
    "a bad token": Reply(401, b"{}"),
    "a failure": Reply(500, b"<html>"),
    "a redirect to nowhere": Reply(302, headers={"Location": "http://[::1"}),
    "a redirect to another port": Reply(302, headers={"Location": "http://127.0.0.1:1/"}),
    "a redirect to no host": Reply(302, headers={"Location": f"http://{'a' * 300}.test/"}),
}


@contextmanager
def hub(name: str) -> Iterator[str]:
    """The address of a hub that answers so."""
    if name == "nobody listens":
        yield f"http://127.0.0.1:{free_port()}"
    elif name == "what is no HTTP":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=_babble, args=(listener,), daemon=True).start()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    else:
        with serving(in_turn([ANSWERS[name]])) as server:
            yield server.url


def _babble(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"SSH-2.0-nothing\r\n\r\n")


def trace_of(act: Callable[[], object]) -> str:
    """All that a trace can show of how `act` fails."""
    try:
        act()
    except TenutoError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    raise AssertionError("it did not fail")


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("name", [*ANSWERS, "nobody listens", "what is no HTTP"])
def test_no_failure_of_a_request_shows_it(name: str, method: str) -> None:
    with hub(name) as url, Session(url, CANARY, retries=0, timeout_s=0.3) as session:
        act = {
            "GET": lambda: session.request("GET", "x"),
            "PUT": lambda: session.send("PUT", "x", lambda: [b"1"], 1),
        }[method]
        text = trace_of(act)
    assert "timeout_s" in text or "session.py" in text, "it shows variables"
    assert CANARY not in text


def test_a_trace_shows_variables() -> None:
    """That it would be found."""

    def fail(token: str) -> None:
        raise InternalError(f"a token of {len(token)} characters")

    assert CANARY in trace_of(lambda: fail(CANARY))
