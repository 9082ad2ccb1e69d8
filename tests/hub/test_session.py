"""Retries, patience, redirects and errors of a session, against servers that answer by script."""

import contextlib
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tenuto.core import wire
from tenuto.core.errors import CODES, AuthenticationError, TenutoError, UnavailableError, UsageError, error_from_code
from tenuto.hub import session as session_module
from tenuto.hub.patience import MAX_WAIT_S, Attempt
from tenuto.hub.session import MAX_REDIRECTS, Session
from tests.hub.scripted import OK, Reply, Seen, Server, free_port, in_turn, serving

CANARY = "hf_canaryCanaryCanary"
CUT = Reply(cut_at=-1)
PATIENT = 1.5
"""More than any test here should need to wait, in seconds."""


class Slept(list[float]):
    """Stands in for `time.sleep`, and remembers."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def slept() -> Slept:
    return Slept()


@contextlib.contextmanager
def talk(*replies: Reply, **options: object) -> Iterator[tuple[Session, Server]]:
    """A session with a server that gives these replies in turn."""
    with serving(in_turn(replies)) as server, Session(server.url, **options) as session:  # type: ignore[arg-type]
        yield session, server


class TestRetries:
    @pytest.mark.parametrize(
        ("reply", "waited_s"),
        [
            (Reply(429, headers={"RateLimit": '"api";r=0;t=7'}), 8.0),
            (Reply(429, headers={"RateLimit": '"resolvers";r=0;t=99999'}), MAX_WAIT_S),
            (Reply(429, headers={"Retry-After": "3"}), 4.0),
            (Reply(503, headers={"Retry-After": "2"}), 3.0),
            (Reply(503, headers={"Retry-After": "0"}), 1.0),
        ],
    )
    def test_waits_as_the_hub_says(self, slept: Slept, reply: Reply, waited_s: float) -> None:
        with talk(reply, OK, sleep=slept) as (session, server):
            assert session.request("GET", "x").status == 200
            assert slept == [waited_s]
            assert len(server.seen) == 2

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(503),
            Reply(502),
            Reply(504),
            Reply(500),
            Reply(408),
            Reply(425),
            Reply(429),
            Reply(429, headers={"RateLimit": '"api";r=5;t=100'}),
            Reply(429, headers={"Retry-After": "Wed, 21 Oct 2037 07:28:00 GMT"}),
            CUT,
            Reply(200, b"x" * 100, cut_at=50),
        ],
    )
    def test_backs_off_where_the_hub_does_not_say(self, slept: Slept, reply: Reply) -> None:
        with talk(reply, OK, sleep=slept) as (session, server):
            assert session.request("GET", "x").body == b"{}"
            assert len(slept) == 1
            assert 1.0 <= slept[0] <= 2.0
            assert len(server.seen) == 2

    def test_the_budget_is_used_up(self, slept: Slept) -> None:
        with talk(Reply(503), sleep=slept, retries=6) as (session, server):
            with pytest.raises(UnavailableError) as caught:
                session.request("GET", "x")
            assert (caught.value.code, caught.value.exit_status) == ("HubUnavailable", 6)
            assert len(server.seen) == 7
        for tries, waited_s in enumerate(slept, 1):
            longest_s = min(2.0**tries, 20.0)
            assert longest_s / 2 <= waited_s <= longest_s

    def test_no_retries_means_one_try(self, slept: Slept) -> None:
        with talk(Reply(503), sleep=slept, retries=0) as (session, server):
            with pytest.raises(UnavailableError):
                session.request("GET", "x")
            assert (len(server.seen), slept) == (1, [])

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 422, 423, 501, 507])
    def test_a_decided_answer_is_final(self, slept: Slept, status: int) -> None:
        with talk(Reply(status), OK, sleep=slept) as (session, server):
            with pytest.raises(TenutoError):
                session.request("GET", "x")
            assert (len(server.seen), slept) == (1, [])

    @pytest.mark.parametrize("code", ["CorruptObject", "InternalError"])
    def test_a_broken_hub_is_not_asked_again(self, slept: Slept, code: str) -> None:
        with talk(Reply(500, headers={"X-Error-Code": code}), OK, sleep=slept) as (session, server):
            with pytest.raises(TenutoError) as caught:
                session.request("GET", "x")
            assert (caught.value.code, len(server.seen)) == (code, 1)

    @pytest.mark.parametrize("reply", [Reply(503), Reply(502), Reply(500), CUT, Reply(200, b"12", cut_at=1)])
    def test_what_may_have_been_done_is_not_repeated(self, slept: Slept, reply: Reply) -> None:
        with talk(reply, OK, sleep=slept) as (session, server):
            with pytest.raises(UnavailableError):
                session.request("POST", "x", body=b"commit", again=False)
            assert (len(server.seen), slept) == (1, [])

    @pytest.mark.parametrize("headers", [{"RateLimit": '"api";r=0;t=1'}, {"Retry-After": "1"}])
    def test_what_was_refused_is_repeated(self, slept: Slept, headers: dict[str, str]) -> None:
        with talk(Reply(429, headers=headers), OK, sleep=slept) as (session, server):
            assert session.request("POST", "x", body=b"commit", again=False).status == 200
            assert [seen.body for seen in server.seen] == [b"commit", b"commit"]
            assert slept == [2.0]

    def test_gained_bytes_renew_the_budget(self, slept: Slept) -> None:
        gained = tries = 0

        def once() -> str:
            nonlocal gained, tries
            tries += 1
            if tries <= 10:
                gained += 1
            raise Attempt(UnavailableError("no"), again=True)

        with Session("http://unused", sleep=slept, retries=2) as session, pytest.raises(UnavailableError):
            session.persist(once, gained=lambda: gained)
        assert tries == 10 + 2
        assert all(waited_s <= 4.0 for waited_s in slept), "backoff begins anew as well"

    def test_a_send_makes_its_body_anew(self, slept: Slept) -> None:
        made = 0

        def blocks() -> Iterator[bytes]:
            nonlocal made
            made += 1
            yield b"one "
            yield b"two"

        with talk(CUT, Reply(503), OK, sleep=slept) as (session, server):
            session.send("PUT", "x", blocks, 7)
            assert [seen.body for seen in server.seen] == [b"one two"] * 3
            assert {seen.headers["content-length"] for seen in server.seen} == {"7"}
        assert made == 3

    def test_a_stop_ends_the_waiting(self) -> None:
        stopped = threading.Event()
        with talk(Reply(503, headers={"Retry-After": "60"})) as (session, server):
            threading.Timer(0.1, stopped.set).start()
            started = time.monotonic()
            with pytest.raises(UnavailableError):
                session.send("PUT", "x", lambda: [b"1"], 1, stopped=stopped)
            assert time.monotonic() - started < 5
            assert len(server.seen) == 1


class TestSilence:
    @pytest.mark.parametrize("stalled", ["head", "body"])
    def test_a_stall_is_named(self, slept: Slept, stalled: str) -> None:
        def answer(_seen: Seen) -> Reply:
            if stalled == "head":
                server.stopped.wait(PATIENT)
                return OK
            return Reply(200, b"x" * 10, pause_s=PATIENT)

        with serving(answer) as server, Session(server.url, timeout_s=0.1, retries=1, sleep=slept) as session:
            with pytest.raises(UnavailableError) as caught:
                session.request("GET", "x")
            assert (caught.value.code, caught.value.exit_status) == ("Stalled", 6)
            assert len(server.seen) == 2

    def test_a_stall_that_passes(self, slept: Slept) -> None:
        with talk(Reply(200, b"x" * 10, pause_s=PATIENT), OK, timeout_s=0.1, sleep=slept) as (session, _):
            assert session.request("GET", "x").body == b"{}"

    def test_slow_is_not_silent(self) -> None:
        with talk(Reply(200, b"ab", pause_s=0.2), timeout_s=1.0) as (session, _):
            assert session.request("GET", "x").body == b"ab"

    def test_nobody_listens(self, slept: Slept) -> None:
        port = free_port()
        with Session(f"http://127.0.0.1:{port}", retries=2, sleep=slept) as session:
            with pytest.raises(UnavailableError, match=f"cannot reach 127.0.0.1:{port}") as caught:
                session.request("GET", "x")
            assert caught.value.code == "NetworkFailure"
        assert len(slept) == 2

    def test_a_hub_that_comes_back(self) -> None:
        port, hub = free_port(), contextlib.ExitStack()

        def start_it(_seconds: float) -> None:
            hub.enter_context(serving(in_turn([OK]), port=port))

        with hub, Session(f"http://127.0.0.1:{port}", retries=1, sleep=start_it) as session:
            assert session.request("GET", "x").status == 200


class TestOffline:
    def test_no_request_is_made(self) -> None:
        with talk(OK, offline=True) as (session, server):
            for call in (
                lambda: session.request("GET", "x"),
                lambda: session.send("PUT", "x", lambda: [b"1"], 1),
            ):
                with pytest.raises(UnavailableError) as caught:
                    call()
                assert (caught.value.code, caught.value.exit_status) == ("Offline", 6)
            assert (server.seen, session.requests_made) == ([], 0)


def moved(to: str, status: int = 307) -> Reply:
    return Reply(status, headers={"Location": to})


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_the_same_origin_gets_the_token_again(self, status: int) -> None:
        with talk(moved("/other?x=1", status), OK, token=CANARY) as (session, server):
            assert session.request("GET", "x").status == 200
            assert [seen.path for seen in server.seen] == ["/x", "/other?x=1"]
            assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {CANARY}"}

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_another_origin_never_sees_it(self, host: str) -> None:
        with serving(in_turn([Reply(200, b"bytes")])) as other:
            elsewhere = f"http://{host}:{other.server_address[1]}/file?signature=s"
            with talk(moved(elsewhere), token=CANARY) as (session, server):
                answer = session.request("GET", "x", headers={"Range": "bytes=1-"})
                assert answer.body == b"bytes"
                assert server.seen[0].headers["authorization"] == f"Bearer {CANARY}"
            assert other.seen[0].headers["range"] == "bytes=1-"
            assert CANARY not in repr(other.seen)

    def test_a_way_back_gets_it_again(self) -> None:
        with serving(in_turn([OK])) as hub, serving(in_turn([moved(f"{hub.url}/end")])) as other:
            hub.answer = in_turn([moved(f"{other.url}/there"), OK])
            with Session(hub.url, CANARY) as session:
                session.request("GET", "x")
            assert [seen.path for seen in hub.seen] == ["/x", "/end"]
            assert "authorization" in hub.seen[1].headers
            assert CANARY not in repr(other.seen)

    def test_a_full_address_elsewhere_gets_no_token(self) -> None:
        with serving(in_turn([OK])) as other, talk(OK, token=CANARY) as (session, _):
            session.send("PUT", f"{other.url}/signed", lambda: [b"1"], 1)
            session.request("GET", f"{other.url}/page2")
            assert len(other.seen) == 2
            assert CANARY not in repr(other.seen)

    def test_neither_netrc_nor_credentials_in_an_address_add_a_token(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login me password {CANARY}\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".netrc").write_bytes(netrc.read_bytes())
        with talk(OK) as (session, server):
            session.request("GET", "x")
            assert "authorization" not in server.seen[0].headers

    def test_a_body_follows_whole(self) -> None:
        with talk(moved("/there"), OK) as (session, server):
            session.send("PUT", "x", lambda: iter([b"ab", b"c"]), 3)
            session.request("POST", "x", body=b"json")
            assert [seen.body for seen in server.seen] == [b"abc", b"abc", b"json"]

    def test_no_redirect_holds_a_connection(self) -> None:
        def answer(seen: Seen) -> Reply:
            return {"/a": moved("/b"), "/b": moved("/c")}.get(seen.path, OK)

        with (
            serving(answer) as server,
            Session(server.url, connections=1, timeout_s=5) as session,
            ThreadPoolExecutor(4) as pool,
        ):
            asked = [pool.submit(session.request, "GET", "a") for _ in range(8)]
            assert [task.result(timeout=10).status for task in asked] == [200] * 8

    def test_round_and_round(self, slept: Slept) -> None:
        with talk(moved("/x?token=secret"), sleep=slept) as (session, server):
            with pytest.raises(UnavailableError, match="without end") as caught:
                session.request("GET", "x")
            assert (caught.value.code, len(server.seen), slept) == ("BadAnswer", MAX_REDIRECTS, [])
            assert "secret" not in caught.value.message

    @pytest.mark.parametrize(
        "target",
        ["file:///etc/passwd", "gopher://x/", "ftp://127.0.0.1/", "http://[", "http://127.0.0.1:99999999/",
         "http://\x7f/", f"http://{'a' * 300}.test/"],
    )  # fmt: skip
    def test_an_address_that_is_none(self, slept: Slept, target: str) -> None:
        with talk(moved(target), sleep=slept, retries=0) as (session, server):
            with pytest.raises(UnavailableError) as caught:
                session.request("GET", "x")
            assert caught.value.exit_status == 6
            assert len(server.seen) == 1

    def test_from_https_to_http_is_refused(self, tls: tuple[ssl.SSLContext, str]) -> None:
        with serving(in_turn([OK])) as plain, serving(in_turn([moved(f"{plain.url}/x")]), tls[0]) as secure:
            with (
                Session(secure.url, CANARY) as session,
                pytest.raises(UnavailableError, match="from https to http") as caught,
            ):
                session.request("GET", "x")
            assert caught.value.code == "BadAnswer"
            assert secure.seen[0].headers["authorization"] == f"Bearer {CANARY}"
            assert plain.seen == []

    def test_from_http_to_https_leaves_the_token_behind(self, tls: tuple[ssl.SSLContext, str]) -> None:
        with serving(in_turn([OK]), tls[0]) as secure, talk(moved(f"{secure.url}/x"), token=CANARY) as (session, _):
            assert session.request("GET", "x").status == 200
            assert CANARY not in repr(secure.seen)

    def test_a_certificate_that_nobody_vouches_for(
        self, tls: tuple[ssl.SSLContext, str], monkeypatch: pytest.MonkeyPatch, slept: Slept
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        with serving(in_turn([OK]), tls[0]) as secure, Session(secure.url, CANARY, retries=1, sleep=slept) as session:
            with pytest.raises(UnavailableError, match="is not trusted: self-signed certificate"):
                session.request("GET", "x")
            assert secure.seen == []


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ssl.SSLContext, str]:
    """A TLS context for 127.0.0.1, whose certificate this process trusts."""
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1"]
    try:
        subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    return context, certificate


class TestAddresses:
    @pytest.mark.parametrize("address", ["http://[", "//[x", "ftp://x/", "http://\x00/"])
    def test_one_that_is_none(self, slept: Slept, address: str) -> None:
        with Session("http://127.0.0.1:9", CANARY, sleep=slept) as session, pytest.raises(UnavailableError) as caught:
            session.request("GET", address)
        assert (caught.value.code, slept) == ("BadAnswer", [])

    def test_an_error_shows_no_credentials_and_no_signature(self, slept: Slept) -> None:
        address = f"http://me:password@127.0.0.1:{free_port()}/x?signature=secret"
        with (
            Session("http://unused", CANARY, sleep=slept, retries=0) as session,
            pytest.raises(UnavailableError) as caught,
        ):
            session.request("GET", address)
        text = f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
        assert "password" not in text
        assert "secret" not in text


class TestTokens:
    @pytest.mark.parametrize("token", ["hf_x\n", " hf_x", "hf_x y", "hf_ü", "hf_\x01", "", "hf_x\r\nX-Evil: 1"])
    def test_one_that_no_header_can_carry(self, token: str) -> None:
        with pytest.raises(AuthenticationError) as caught:
            Session("http://unused", token)
        assert caught.value.code == "BadToken"
        assert "hf_x" not in f"{caught.value!r} {caught.value.hint}"

    def test_no_token_in_what_a_session_shows(self) -> None:
        with Session("http://unused", CANARY) as session:
            assert session.has_token
            assert CANARY not in f"{session!r} {session}"


class TestErrors:
    @pytest.mark.parametrize("code", CODES)
    def test_each_comes_back_as_it_was_sent(self, slept: Slept, code: str) -> None:
        error = error_from_code(code, "Näme of it", hint="do this")
        if code == "BadToken":
            error = error_from_code(code, wire.INVALID_CREDENTIALS, hint="do this")
        reply = Reply(error.http_status, wire.error_body(error), wire.error_headers(error))
        with talk(reply, sleep=slept, retries=0) as (session, _):
            with pytest.raises(type(error)) as caught:
                session.request("GET", "x")
            assert (caught.value.code, caught.value.message, caught.value.hint) == (code, error.message, "do this")
            with pytest.raises(type(error)) as caught:
                session.request("HEAD", "x")
            assert caught.value.code == code

    @pytest.mark.parametrize(
        ("status", "code"),
        [(401, "NoToken"), (403, "Forbidden"), (404, "EntryNotFound"), (409, "Conflict"), (412, "StaleParent"),
         (413, "TooLarge"), (416, "BadRange"), (422, "HashMismatch"), (429, "RateLimited"), (503, "HubUnavailable"),
         (418, "BadAnswer"), (599, "BadAnswer")],
    )  # fmt: skip
    def test_a_status_alone_is_enough(self, slept: Slept, status: int, code: str) -> None:
        bodies = [b"", b"<html>no</html>", b"[1]", b'{"error": 7}', b"\xff\xfe", b"[" * 100_000]
        replies = [Reply(status, body, {"X-Error-Code": "SomethingNew"}) for body in bodies]
        with talk(*replies, sleep=slept, retries=0) as (session, _):
            for _body in bodies:
                with pytest.raises(TenutoError) as caught:
                    session.request("GET", "x")
                assert caught.value.code == code

    def test_416_is_an_answer_only_to_those_who_ask_for_ranges(self) -> None:
        with talk(Reply(416, b"no")) as (session, _):
            with session.open("GET", "x") as stream:
                assert stream.status == 416
            with pytest.raises(UsageError):
                session.send("PUT", "x", lambda: [b"1"], 1)

    def test_an_answer_too_long_to_be_true(self, slept: Slept, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(session_module, "ANSWER_LIMIT_BYTES", 200_000)
        with talk(Reply(200, b" " * 200_000), Reply(200, b" " * 200_001), Reply(404, b" " * 300_000), sleep=slept) as (
            session,
            server,
        ):
            assert len(session.request("GET", "x").body) == 200_000
            for _ in range(2):
                with pytest.raises(UnavailableError, match="too long") as caught:
                    session.request("GET", "x")
                assert caught.value.code == "BadAnswer"
            assert (len(server.seen), slept) == (3, [])


class TestThreads:
    def test_each_gets_its_own_answer(self) -> None:
        def answer(seen: Seen) -> Reply:
            return Reply(200, seen.path.encode())

        with serving(answer) as server, Session(server.url, connections=4) as session, ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda number: session.request("GET", f"n{number}").body, range(300)))
            assert answers == [f"/n{number}".encode() for number in range(300)]
            assert session.requests_made == 300

    def test_connections_are_kept(self) -> None:
        with talk(OK) as (session, server):
            ports: set[int] = set()
            seen_from = server.get_request

            def get_request() -> tuple[object, tuple[str, int]]:
                connection, address = seen_from()
                ports.add(address[1])
                return connection, address

            server.get_request = get_request  # type: ignore[method-assign,assignment]
            for _ in range(5):
                session.request("GET", "x")
            assert len(ports) == 1
