"""The proxy changes nothing without a script, and with one exactly what the script says."""

import gzip
import http.client
import http.server
import json
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tenuto.testing.lies import (
    Fault,
    Gzipped,
    IgnoredRange,
    Lie,
    ResetConnection,
    Rewritten,
    ShiftedRange,
    Slow,
    Stall,
    Truncated,
    WrongBytes,
    WrongEtag,
    captive_portal,
    rate_limited,
    unavailable,
)
from tenuto.testing.lying_hub import LyingHub

CONTENT = bytes(range(256)) * 1000


class Upstream(http.server.BaseHTTPRequestHandler):
    """A hub of one file: `/file` with ranges, `/links` that name their own address, `/echo` of what was sent."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        base = f"http://{self.headers['Host']}"
        if self.path.startswith("/links"):
            body = json.dumps({"href": f"{base}/file", "other": "http://elsewhere.test/"}).encode()
            self.answer(200, body, Link=f'<{base}/links?page=2>; rel="next"', content_type="application/json")
        elif self.path.startswith("/moved"):
            self.answer(307, b"", Location=f"{base}/file")
        elif "Range" in self.headers:
            first, last = self.headers["Range"].removeprefix("bytes=").split("-")
            end = int(last or len(CONTENT) - 1)
            part = CONTENT[int(first) : end + 1]
            self.answer(206, part, Content_Range=f"bytes {first}-{end}/{len(CONTENT)}", ETag='"abc"')
        else:
            self.answer(200, CONTENT, ETag='"abc"', X_Twice="1")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.answer(200, body, X_Method=self.command, X_Auth=self.headers.get("Authorization", ""))

    do_PUT = do_PATCH = do_DELETE = do_POST


@pytest.fixture
def upstream() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    server.daemon_threads = False
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hub(upstream: http.server.ThreadingHTTPServer) -> Iterator[LyingHub]:
    with LyingHub(f"http://127.0.0.1:{upstream.server_address[1]}") as hub:
        yield hub


class Got:
    """An answer as the client sees it; `error` is what reading the body ended with, if not well."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.error, self.body = response.status, response.headers, "", b""
        try:
            self.body = response.read()
        except http.client.IncompleteRead as error:
            self.body, self.error = error.partial, "short"
        except ConnectionResetError:
            self.error = "reset"


def ask(hub: LyingHub, path: str = "/file", method: str = "GET", body: object = None, **headers: str) -> Got:
    connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers)  # type: ignore[arg-type]
        return Got(connection.getresponse())
    finally:
        connection.close()


def tell(hub: LyingHub, fault: Fault, **headers: str) -> Got:
    hub.lies = [Lie("GET", "^/file", fault)]
    got = ask(hub, **headers)
    assert hub.requests[-1].fault == fault
    assert ask(hub).body == CONTENT, "a lie is told once"
    return got


class TestWithoutScript:
    def test_bytes_status_and_headers_pass(self, hub: LyingHub) -> None:
        got = ask(hub)
        assert (got.status, got.body, got.headers["ETag"], got.headers["X-Twice"]) == (200, CONTENT, '"abc"', "1")

    def test_ranges_pass(self, hub: LyingHub) -> None:
        got = ask(hub, Range="bytes=10-19")
        assert (got.status, got.body, got.headers["Content-Range"]) == (206, CONTENT[10:20], "bytes 10-19/256000")

    def test_head_has_the_length_and_no_body(self, hub: LyingHub) -> None:
        got = ask(hub, method="HEAD")
        assert (got.body, got.headers["Content-Length"]) == (b"", "256000")

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_every_method_and_its_body_pass(self, hub: LyingHub, method: str) -> None:
        got = ask(hub, "/echo", method, body=CONTENT)
        assert (got.body, got.headers["X-Method"]) == (CONTENT, method)

    def test_a_chunked_body_passes(self, hub: LyingHub) -> None:
        got = ask(hub, "/echo", "POST", body=iter([b"one ", b"two ", CONTENT]))
        assert got.body == b"one two " + CONTENT

    def test_addresses_in_answers_name_the_proxy(self, hub: LyingHub) -> None:
        got = ask(hub, "/links")
        assert json.loads(got.body) == {"href": f"{hub.url}/file", "other": "http://elsewhere.test/"}
        assert got.headers["Link"] == f'<{hub.url}/links?page=2>; rel="next"'
        assert ask(hub, "/moved").headers["Location"] == f"{hub.url}/file"

    def test_a_connection_is_kept(self, hub: LyingHub) -> None:
        connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=10)
        connection.request("GET", "/file")
        assert connection.getresponse().read() == CONTENT
        kept = connection.sock
        connection.request("GET", "/links")
        connection.getresponse().read()
        assert connection.sock is kept
        connection.close()

    def test_the_token_reaches_the_hub_and_not_the_record(self, hub: LyingHub) -> None:
        got = ask(hub, "/echo", "POST", body=b"", Authorization="Bearer hf_secret")
        assert got.headers["X-Auth"] == "Bearer hf_secret"
        asked = hub.requests[-1]
        assert (asked.method, asked.path, asked.status, asked.fault) == ("POST", "/echo", 200, None)
        assert asked.headers["authorization"] == "***"
        assert "hf_secret" not in repr(hub.requests)


class TestFaults:
    def test_wrong_bytes_have_the_right_size(self, hub: LyingHub) -> None:
        got = tell(hub, WrongBytes())
        assert len(got.body) == len(CONTENT)
        assert got.body != CONTENT

    def test_truncated(self, hub: LyingHub) -> None:
        got = tell(hub, Truncated())
        assert (got.error, got.body) == ("short", CONTENT[: len(CONTENT) // 2])
        assert got.headers["Content-Length"] == str(len(CONTENT))
        assert tell(hub, Truncated(7)).body == CONTENT[:7]

    def test_reset(self, hub: LyingHub) -> None:
        assert tell(hub, ResetConnection()).error in {"reset", "short"}

    def test_reset_before_the_head(self, hub: LyingHub, upstream: http.server.ThreadingHTTPServer) -> None:
        hub.lies = [Lie("GET", "lost", ResetConnection(keep_bytes=-1))]
        with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
            ask(hub, "/file?lost")
        assert upstream.seen == ["/file?lost"]  # type: ignore[attr-defined]
        assert hub.requests[-1].status == 0

    def test_shifted_range(self, hub: LyingHub) -> None:
        got = tell(hub, ShiftedRange(), Range="bytes=10-19")
        assert (got.status, got.body, got.headers["Content-Range"]) == (206, CONTENT[10:20], "bytes 11-20/256000")

    def test_ignored_range(self, hub: LyingHub) -> None:
        got = tell(hub, IgnoredRange(), Range="bytes=10-19")
        assert (got.status, got.body) == (200, CONTENT)

    def test_a_range_fault_waits_for_a_range(self, hub: LyingHub) -> None:
        hub.lies = [Lie("GET", "file", ShiftedRange())]
        ask(hub)
        assert hub.requests[-1].fault is None
        assert ask(hub, Range="bytes=0-1").headers["Content-Range"] == "bytes 1-2/256000"

    def test_rate_limited(self, hub: LyingHub, upstream: http.server.ThreadingHTTPServer) -> None:
        got = tell(hub, rate_limited())
        assert (got.status, got.headers["RateLimit"]) == (429, '"api";r=0;t=1')
        assert len(upstream.seen) == 1, "only the true answer came from the hub"  # type: ignore[attr-defined]

    def test_unavailable(self, hub: LyingHub) -> None:
        assert tell(hub, unavailable()).headers["Retry-After"] is None
        got = tell(hub, unavailable(2))
        assert (got.status, got.headers["Retry-After"]) == (503, "2")

    def test_captive_portal(self, hub: LyingHub) -> None:
        got = tell(hub, captive_portal())
        assert (got.status, got.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert got.body.startswith(b"<!doctype html>")

    def test_an_answer_by_script_leaves_the_connection_in_order(self, hub: LyingHub) -> None:
        hub.lies = [Lie("POST", "echo", unavailable())]
        connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=10)
        for status in (503, 200):
            connection.request("POST", "/echo", body=CONTENT)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
        connection.close()

    def test_gzipped(self, hub: LyingHub) -> None:
        got = tell(hub, Gzipped(), Range="bytes=0-999")
        assert (got.status, got.headers["Content-Encoding"]) == (206, "gzip")
        assert gzip.decompress(got.body) == CONTENT[:1000]

    def test_wrong_etag(self, hub: LyingHub) -> None:
        got = tell(hub, WrongEtag())
        assert (got.headers["ETag"], got.body) == ('"' + "0" * 64 + '"', CONTENT)

    def test_rewritten(self, hub: LyingHub) -> None:
        got = tell(hub, Rewritten(CONTENT[:256], b"other"))
        assert (got.body, got.headers["Content-Length"]) == (b"other" * 1000, "5000")

    def test_stall(self, hub: LyingHub) -> None:
        started = time.monotonic()
        assert tell(hub, Stall(0.3)).body == CONTENT
        assert time.monotonic() - started >= 0.3

    def test_closing_ends_a_stall(self, upstream: http.server.ThreadingHTTPServer) -> None:
        started = time.monotonic()
        with LyingHub(f"http://127.0.0.1:{upstream.server_address[1]}", [Lie("GET", "", Stall(60))]) as hub:
            connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=10)
            connection.request("GET", "/file")
            response = connection.getresponse()
            assert response.read(100) == CONTENT[:100]
        response.close()
        connection.close()
        assert time.monotonic() - started < 5

    def test_slow(self, hub: LyingHub) -> None:
        started = time.monotonic()
        assert tell(hub, Slow(bytes_per_s=50), Range="bytes=0-9").body == CONTENT[:10]
        assert time.monotonic() - started >= 0.2


class TestScript:
    def test_the_nth_time_and_how_often(self, hub: LyingHub) -> None:
        hub.lies = [Lie("*", "^/file", unavailable(), times=2, after=1)]
        assert [ask(hub).status for _ in range(5)] == [200, 503, 503, 200, 200]

    def test_for_ever(self, hub: LyingHub) -> None:
        hub.lies = [Lie("GET", "", unavailable(), times=None)]
        assert {ask(hub).status for _ in range(4)} == {503}

    def test_method_and_path_must_match(self, hub: LyingHub) -> None:
        hub.lies = [Lie("POST", "^/echo", unavailable()), Lie("GET", r"\?x=\d", unavailable())]
        assert ask(hub).status == 200
        assert ask(hub, "/file?x=y").status == 200
        assert ask(hub, "/file?x=1").status == 503
        assert ask(hub, "/echo", "POST", body=b"").status == 503

    def test_lies_take_their_turns(self, hub: LyingHub) -> None:
        hub.lies = [Lie("GET", "", unavailable()), Lie("GET", "", rate_limited(), after=1)]
        assert [ask(hub).status for _ in range(3)] == [503, 429, 200]
