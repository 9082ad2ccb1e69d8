"""Whatever strangers send, each reader of it gives a value or a refusal, and never fails in any other way."""

import contextlib
import io
import json
import string
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenuto.core.errors import AccessDeniedError, IntegrityError, UsageError
from tenuto.core.gitobj import parse_commit, parse_pointer, parse_tree
from tenuto.core.ids import RepoId, RepoKind
from tenuto.core.wire import LfsObject, PreuploadRequest
from tenuto.server.access import Repo
from tenuto.server.api.absent import Absence
from tenuto.server.content.commits import CommitReader
from tenuto.server.content.files import parse_range
from tenuto.server.content.lfs import BatchRequest
from tenuto.server.content.lfs_parts import Completion
from tenuto.server.content.locks import LockRequest, VerifyRequest
from tenuto.server.content.packs import PackRequest
from tenuto.server.content.storage import DuplicateRequest, PurgeRequest
from tenuto.server.gate import read_token
from tenuto.server.gates.deciding import Handling
from tenuto.server.git_wire.protocol import packet, read_command, read_fetch_v0, read_packet, read_push
from tenuto.server.http.exchange import Call
from tenuto.server.routes import make_routes
from tenuto.server.routing import Route, Router
from tenuto.server.signing import Signer
from tenuto.testing.live_hub import LiveHub
from tests.server.talk import Talk, large, small

ROUTER = Router(make_routes())
WORDS = """
    key value header file lfsFile copyFile deletedFile path content encoding oid size algo objects operation transfers ref name files
    paths parts partNumber etag deletions sha rewriteHistory target type user status requestId title description comment tag message
    startingPoint fromRepo toRepo visibility private gated organization pullRequest cursor limit force sample gitIgnore"""
KEYS = st.sampled_from(WORDS.split())
VALUES = st.sampled_from(
    ["main", "model", "sha256", "base64", "a" * 64, "../x", "\0", "\ud800", "refs/heads/main", "accepted", "1", "auto"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | VALUES
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=15
)
BODIES = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
DEEP = b"[" * 100_000


def call_with(body: bytes = b"", query: str = "") -> Call:
    made = Call("POST", {}, query, {}, "http://h")
    made.body = body
    return made


@given(st.text() | st.from_regex(r"bytes=[0-9,-]{0,30}", fullmatch=True), st.integers(0, 1 << 40))
def test_a_range_lies_within_the_file(text: str, size: int) -> None:
    with contextlib.suppress(UsageError):
        found = parse_range(text, size)
        assert found is None or 0 <= found[0] < found[1] <= size


@given(st.text(), st.sampled_from(["limit", "cursor", "expand", "p"]))
def test_queries_and_forms(text: str, key: str) -> None:
    call = call_with(text.encode("utf-8", "replace"), text.encode("utf-8", "replace").decode("latin-1"))
    named = call_with(query=f"{key}={quote(text, errors='replace')}")
    with contextlib.suppress(UsageError):
        assert all(isinstance(value, str) for values in call.query.values() for value in values)
    with contextlib.suppress(UsageError):
        assert 1 <= named.number(key, 7, 100) <= 100
    with contextlib.suppress(UsageError):
        call.form()


@given(st.text() | st.text().map("Basic {}".format) | st.text().map("Bearer {}".format), st.booleans())
@example("Basic =", True)
@example("Basic " + "A" * 5, True)
def test_credentials(header: str, basic: bool) -> None:
    token = read_token(header, basic=basic)
    assert token is None or token


@given(st.text(max_size=300) | st.text(string.ascii_letters + string.digits + "-_.=", max_size=300))
def test_links_that_nobody_signed(link: str) -> None:
    with pytest.raises(AccessDeniedError):
        Signer(b"s" * 32).read(link, "download", 0)


@given(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "x"]), st.text(max_size=80) | st.binary(max_size=80))
def test_paths_of_requests(method: str, path: str | bytes) -> None:
    raw = path.decode("latin-1") if isinstance(path, bytes) else quote(path, safe="/", errors="replace")
    for start in ("/", "/api/models/", "/api/models/a/b/tree/", "/a/b/resolve/", "/datasets/a/b.git/"):
        with contextlib.suppress(UsageError):
            found = ROUTER.find(method, start + raw)
            assert found is None or isinstance(found[0], Route)


@pytest.mark.parametrize(
    "kind",
    [
        BatchRequest,
        Completion,
        LfsObject,
        PreuploadRequest,
        PackRequest,
        PurgeRequest,
        DuplicateRequest,
        Handling,
        LockRequest,
        VerifyRequest,
    ],
)
def test_json_of_every_kind(kind: type) -> None:
    @given(BODIES)
    @example(DEEP)
    @example(b'{"objects":' * 50_000)
    @example(b'{"size":1e999}')
    @example(b'"\xed\xa0\x80"')
    def check(body: bytes) -> None:
        with contextlib.suppress(UsageError):
            assert isinstance(call_with(body).json(kind), kind)

    check()


COMMIT_LINES = st.lists(
    BODIES
    | st.sampled_from(
        [
            json.dumps(one).encode()
            for one in (
                {"key": "header", "value": {"summary": "x"}},
                small("a.txt", b"text"),
                large("m.bin", "a" * 64, 5),
                {"key": "deletedFolder", "value": {"path": "/"}},
                {"key": "copyFile", "value": {"path": "b", "srcPath": "a"}},
            )
        ]
    ),
    max_size=6,
)


@given(COMMIT_LINES)
@example([b'{"key":"header","value":{}}', b'{"key":"file","value":' * 20_000])
def test_lines_of_a_commit(hub: LiveHub, lines: list[bytes]) -> None:
    reader = CommitReader(hub.hub.parts, Repo(1, RepoId(RepoKind.MODEL, "a", "b")))
    with contextlib.suppress(UsageError):
        reader.read(io.BytesIO(b"\n".join(lines)))
        assert len(reader.operations) < len(b"\n".join(lines))


PACKETS = st.lists(
    st.binary(max_size=60).map(packet)
    | st.text(max_size=60).map(packet)
    | st.sampled_from([b"0000", b"0001", b"0002", b"0003", b"0004", b"ffff", b"-001", b" 004"])
    | st.sampled_from(["want", "have", "shallow", "deepen", "deepen-since", "filter", "command=fetch", "done"]).flatmap(
        lambda word: st.sampled_from(["", " ", " 0", " " + "a" * 40, " " + "9" * 12, "\0x"]).map(
            lambda rest: packet(word + rest)
        )
    ),
    max_size=12,
).map(b"".join)


@given(st.binary(max_size=200) | PACKETS)
def test_lines_of_git(body: bytes) -> None:
    readers: list[Callable[[io.BytesIO], object]] = [read_packet, read_fetch_v0, read_command, read_push]
    for read in readers:
        with contextlib.suppress(UsageError):
            read(io.BytesIO(body))


OBJECTS = st.binary(max_size=300) | st.lists(
    st.sampled_from(
        [
            b"tree " + b"a" * 40 + b"\n",
            b"parent " + b"b" * 40 + b"\n",
            b"author A <a@b> 1 +0000\n",
            b"committer A <a@b> 99999999999999999999 +0000\n",
            b"\n",
            b"100644 a\0" + bytes(20),
            b"40000 \0" + bytes(20),
            b"version https://git-lfs.github.com/spec/v1\n",
            b"oid sha256:" + b"c" * 64 + b"\n",
            b"size 99999999999999999999999\n",
            b"\xff",
        ]
    ),
    max_size=8,
).map(b"".join)


@given(OBJECTS)
def test_objects_of_git(body: bytes) -> None:
    with contextlib.suppress(IntegrityError):
        assert len(parse_tree(body)) <= len(body) // 21
    with contextlib.suppress(IntegrityError):
        parse_commit(body)
    pointer = parse_pointer(body)
    assert pointer is None or (len(pointer.sha256) == 64 and pointer.size >= 0)


@pytest.fixture(scope="module")
def talk(hub: LiveHub):
    made = Talk(hub.url, hub.user("fuzz"))
    made.create("fuzz/repo").raise_for_status()
    made.commit("fuzz/repo", small("a.txt", b"text")).raise_for_status()
    made.post("/api/models/fuzz/repo/discussions", {"title": "A change", "pullRequest": True}).raise_for_status()
    yield made
    made.close()


def filled(pattern: str, word: str = "a") -> str:
    known = {"{T}": "models", "/{W}": "", "{namespace}/{name}": "fuzz/repo", "{num}": "1", "{rev}": "main"}
    known |= {"{status}": "pending", "{user}": "fuzz", "{organization}": "fuzz", "{path*}": "a.txt"}
    for key, value in known.items():
        pattern = pattern.replace(key, value)
    return "".join(
        part if not part.startswith("{") else word
        for part in pattern.replace("}", "\0").replace("{", "\0{").split("\0")
    )


WITH_BODY = [
    one
    for one in make_routes()
    if one.method in {"POST", "PUT"} and not one.link and not isinstance(one.handler, Absence)
]


@pytest.mark.parametrize("route", WITH_BODY, ids=lambda one: f"{one.method} {one.pattern}")
def test_no_body_of_a_request_is_a_bug(talk: Talk, route: Route) -> None:
    @settings(max_examples=15, deadline=None)
    @given(BODIES, st.sampled_from(["application/json", "application/x-www-form-urlencoded", ""]))
    @example(DEEP, "application/json")
    def check(body: bytes, kind: str) -> None:
        answer = talk.client.request(
            route.method, filled(route.pattern), content=body, headers={"Content-Type": kind}, follow_redirects=False
        )
        assert answer.status_code < 500, (body, answer.text)

    check()


CURSORS = (
    "/api/models",
    "/api/models/fuzz/repo/tree/main",
    "/api/models/fuzz/repo/commits/main",
    "/api/models/fuzz/repo/lfs-files",
    "/api/models/fuzz/repo/likers",
    "/api/models/fuzz/repo/user-access-request/pending",
    "/fuzz/repo.git/info/lfs/locks",
)


@pytest.mark.parametrize("place", CURSORS)
def test_no_cursor_is_a_bug(talk: Talk, place: str) -> None:
    @settings(max_examples=25, deadline=None)
    @given(
        st.text(max_size=40)
        | st.integers().map(str)
        | st.tuples(st.integers(), st.integers()).map("{0[0]}:{0[1]}".format)
    )
    @example("\0")
    @example("9" * 30)
    @example(f"{2**63}:{2**63}")
    @example("\u0661:\u0661")
    def check(cursor: str) -> None:
        text = cursor.encode("utf-8", "replace").decode()
        for more in ({}, {"limit": text}, {"recursive": "true", "limit": "2"}, {"sort": "likes"}):
            answer = talk.get(place, params={"cursor": text, **more})
            assert answer.status_code < 500, (cursor, more, answer.text)

    check()


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=30), st.sampled_from(["GET", "POST", "DELETE", "HEAD"]))
@example("\0", "GET")
@example("refs/pr/99999999999999999999", "GET")
def test_no_revision_or_name_is_a_bug(talk: Talk, text: str, method: str) -> None:
    word = quote(text.encode("utf-8", "replace"), safe="")
    for pattern in (
        "/api/models/fuzz/repo/revision/{}",
        "/api/models/fuzz/repo/tree/main/{}",
        "/fuzz/repo/resolve/{}/a.txt",
        "/fuzz/repo/resolve/main/{}",
        "/api/models/fuzz/repo/branch/{}",
        "/api/models/fuzz/repo/tag/{}",
        "/api/models/fuzz/repo/discussions/{}",
        "/api/models/{}/repo",
        "/api/users/{}/overview",
    ):
        answer = talk.client.request(method, pattern.format(word), follow_redirects=False)
        assert answer.status_code < 500, (pattern, text, answer.text)
