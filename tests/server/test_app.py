"""The application around the routes: errors are JSON, limits hold, the log says what happened and no secret."""

import json
import socket
import time

import pytest

from tenuto.server.hub import Limits
from tenuto.server.log import Log
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import large, small


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/unknown",
        "/api/models/a/b/unknown",
        "/v1/xorbs/default/x",
        "//",
        "/%2e%2e/etc/passwd",
        "/a/b/c",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "HEAD", "OPTIONS"])
def test_what_is_no_route_is_a_json_404(owner: Owner, method: str, path: str) -> None:
    answer = owner.talk.client.request(method, str(owner.talk.client.base_url).rstrip("/") + path)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RouteNotFound")
    if method != "HEAD":
        assert answer.json()["code"] == "RouteNotFound"
    assert answer.headers["Content-Type"].startswith("application/json")


def test_routes_that_clients_call_on_their_own(speak) -> None:
    talk = speak(None)
    assert talk.get("/health").json() == {"status": "ok"}
    assert talk.get("/api/agent-harnesses").json() == {"standardEnvVars": [], "harnesses": {}}
    assert talk.client.head("/api/telemetry/hf_hub/x/y").status_code == 200
    assert talk.client.post("/v1/telemetry", content=b"anything").status_code == 200


def test_whoami(hub: LiveHub, owner: Owner, speak) -> None:
    answer = owner.talk.get("/api/whoami-v2").json()
    assert (answer["name"], answer["type"], answer["orgs"]) == (owner.name, "user", [])
    assert answer["auth"]["accessToken"] == {"displayName": "live hub", "role": "write"}
    assert speak(None).get("/api/whoami-v2").headers["X-Error-Code"] == "NoToken"
    hub.hub.parts.database.read()
    (token,) = hub.hub.list_tokens(owner.name)
    assert token.last_used_ms
    assert token.last_used_ms > time.time() * 1000 - 60_000


def test_a_bug_shows_nothing_but_an_id(owner: Owner, hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_values: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("tenuto.server.git.objects.GitReader.refs", broken)
    answer = owner.talk.get(f"/api/models/{owner.repo}/refs")
    assert (answer.status_code, answer.json()["code"]) == (500, "InternalError")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    log = hub.log()
    assert "secret detail" not in log
    failure = next(json.loads(line) for line in log.splitlines() if '"failure"' in line)
    assert failure["error"] == "RuntimeError"
    assert failure["id"] == answer.headers["X-Request-Id"]


def raw(hub: LiveHub, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", int(hub.url.rpartition(":")[2]))) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        pieces = b""
        while piece := connection.recv(65536):
            pieces += piece
    return pieces


@pytest.mark.parametrize("host", [b"evil.example/x", b"a b", b"<script>", b"", b"a@b", b"h:999999"])
def test_a_host_that_is_none_is_refused(hub: LiveHub, host: bytes) -> None:
    assert raw(hub, b"GET /api/models/a/b HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_urls_are_made_of_the_host_that_was_asked(owner: Owner) -> None:
    answer = owner.talk.client.post("/api/repos/create", json={"name": "other"}, headers={"Host": "hub.example:1234"})
    assert answer.json()["url"] == f"http://hub.example:1234/{owner.name}/other"


def test_bodies_have_limits(owner: Owner) -> None:
    big = b'{"name":"' + b"x" * (2 << 20) + b'"}'
    answer = owner.talk.client.post("/api/repos/create", content=big)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (413, "TooLarge")
    pieces = (b" " * 65536 for _ in range(40))
    assert owner.talk.client.post("/api/repos/create", content=pieces).status_code == 413
    assert owner.talk.client.post("/api/repos/create", content=b"{").status_code == 400
    assert owner.talk.client.post("/api/repos/create", content=b'{"name": 5}').status_code == 400
    assert owner.talk.get("/health").status_code == 200


def test_a_stranger_is_turned_away_before_the_body_is_read(hub: LiveHub, owner: Owner) -> None:
    head = f"POST /api/models/{owner.repo}/commit/main HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(hub.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 401")


def test_a_body_that_stops_coming_ends(tmp_path) -> None:
    with LiveHub(limits=Limits(request_stall_s=0.2)) as hub:
        token = hub.user("slow")
        head = f"POST /api/repos/create HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 10\r\n\r\n{{"
        with socket.create_connection(("127.0.0.1", int(hub.url.rpartition(":")[2])), timeout=10) as connection:
            connection.sendall(head.encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 504")


def test_a_client_that_leaves_costs_nothing(hub: LiveHub, owner: Owner) -> None:
    data = bytes(8 << 20)
    oid = owner.talk.put_large(owner.repo, data)
    owner.talk.commit(owner.repo, large("big.bin", oid)).raise_for_status()
    for _ in range(5):
        with owner.talk.client.stream("GET", f"/{owner.repo}/resolve/main/big.bin") as answer:
            next(answer.iter_raw(1000))
    assert owner.talk.read(owner.repo, "big.bin").content == data


def test_the_log_tells_what_happened_and_no_secret(owner: Owner, hub: LiveHub) -> None:
    talk, repo = owner.talk, owner.repo
    links = talk.batch(repo, ("a" * 64, 5)).json()["objects"][0]["actions"]
    talk.put(links["upload"]["href"], b"wrong")
    talk.put_large(repo, b"right")
    talk.commit(repo, small("a b", b"1")).raise_for_status()
    talk.read(repo, "a b", headers={"X-Amzn-Trace-Id": "trace-1"})
    talk.get(f"/api/whoami-v2?token={owner.token}")
    talk.client.get(f"http://{owner.token}@{hub.url.removeprefix('http://')}/health")
    log = hub.log()
    lines = [json.loads(line) for line in log.splitlines()]
    last = next(one for one in lines if one.get("id") == "trace-1")
    assert last.keys() == {"time", "event", "method", "path", "status", "ms", "bytes", "announced", "actor", "id"}
    assert (last["method"], last["path"], last["status"], last["bytes"]) == (
        "GET",
        f"/{repo}/resolve/main/a%20b",
        200,
        1,
    )
    assert last["actor"] == owner.name
    assert owner.token not in log
    assert links["upload"]["href"].partition("link=")[2] not in log
    assert "?" not in "".join(one.get("path", "") for one in lines)


def test_headers_cannot_be_forged_through_names(owner: Owner) -> None:
    answer = owner.talk.get(f"/{owner.repo}/resolve/main/a%0d%0aSet-Cookie:%20x=1")
    assert answer.status_code == 404
    assert "Set-Cookie" not in answer.headers


def test_log_without_a_stream_is_standard_error(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    from tenuto.server.service import Hub

    with Hub.open(str(tmp_path / "d")) as hub:
        hub.parts.log.write("hello", 0, answer=42)
    assert json.loads(capsys.readouterr().err) == {"time": "1970-01-01T00:00:00.000Z", "event": "hello", "answer": 42}


def test_a_log_that_cannot_be_written_fails_no_request(tmp_path) -> None:
    from tenuto.server.service import Hub

    with open(tmp_path / "log", "w") as stream:
        hub = Hub.open(str(tmp_path / "d"), log=stream)
    with hub:
        hub.parts.log.write("to a closed stream", 0)
    full = open("/dev/full", "w")  # noqa: SIM115  # closing it is what fails
    Log(full).write("to a full disk", 0)
    with pytest.raises(OSError, match="space"):
        full.close()
