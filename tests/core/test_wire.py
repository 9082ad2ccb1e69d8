"""Errors cross the wire and come back as themselves; what a hub says is read without ever failing."""

from datetime import UTC, datetime

import msgspec
import pytest
from huggingface_hub.utils import parse_datetime
from hypothesis import example, given
from hypothesis import strategies as st

from tenuto.core import wire
from tenuto.core.errors import CODES, TenutoError, error_from_code


class Headers(dict[str, str]):
    """Header names without regard to case, as HTTP has them."""

    def __init__(self, **headers: str) -> None:
        super().__init__({name.lower().replace("_", "-"): value for name, value in headers.items()})

    def get(self, name: str, default: object = None) -> object:
        return super().get(name.lower(), default)


def headers_of(error: TenutoError) -> Headers:
    return Headers(**wire.error_headers(error))


@pytest.mark.parametrize("code", CODES)
class TestEveryCode:
    def test_comes_back_as_itself(self, code: str) -> None:
        error = error_from_code(code, "what happened to \u00e9", hint="what to do")
        back = wire.error_from_answer(error.http_status, headers_of(error), wire.error_body(error))
        assert type(back) is type(error)
        assert (back.code, back.message, back.hint) == (error.code, error.message, error.hint)

    def test_comes_back_from_a_body_alone(self, code: str) -> None:
        error = error_from_code(code, "what happened")
        back = wire.error_from_answer(error.http_status, Headers(), wire.error_body(error))
        assert (type(back), back.code, back.message, back.hint) == (type(error), code, "what happened", None)

    def test_comes_back_from_a_head_answer(self, code: str) -> None:
        error = error_from_code(code, "what happened")
        back = wire.error_from_answer(error.http_status, headers_of(error), b"")
        assert (type(back), back.code) == (type(error), code)
        assert back.message == (wire.INVALID_CREDENTIALS if code == "BadToken" else "what happened")


@given(st.text(max_size=2000))
@example("line one\nline two\r\nX-Injected: yes")
@example("\x00\x7f\x1b[31m")
def test_any_message_makes_a_valid_header(message: str) -> None:
    headers = wire.error_headers(error_from_code("BadRequest", message))
    value = headers[wire.ERROR_MESSAGE]
    assert value.isascii()
    assert value.isprintable() or value == ""
    assert len(value) <= 1000
    assert value == value.strip()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BadRequest"),
        (401, "NoToken"),
        (403, "Forbidden"),
        (404, "EntryNotFound"),
        (409, "Conflict"),
        (412, "StaleParent"),
        (413, "TooLarge"),
        (416, "BadRange"),
        (429, "RateLimited"),
        (500, "HubUnavailable"),
        (502, "HubUnavailable"),
        (503, "HubUnavailable"),
        (501, "NotSupported"),
        (504, "HubUnavailable"),
        (507, "HubUnavailable"),
        (418, "BadAnswer"),
        (302, "BadAnswer"),
        (200, "BadAnswer"),
    ],
)
def test_a_hub_that_knows_no_codes(status: int, code: str) -> None:
    error = wire.error_from_answer(status, Headers(), b"<html>")
    assert error.code == code
    assert str(status) in error.message


@pytest.mark.parametrize("code", ["RepoNotFound", "EntryNotFound", "RevisionNotFound", "GatedRepo"])
@pytest.mark.parametrize("status", [401, 403, 404])
def test_the_code_goes_before_the_status(code: str, status: int) -> None:
    assert wire.error_from_answer(status, Headers(X_Error_Code=code), b"").code == code


def test_a_bad_token_is_told_from_none() -> None:
    headers = Headers(X_Error_Message="Invalid credentials in Authorization header")
    assert wire.error_from_answer(401, headers, b"").code == "BadToken"
    body = b'{"error": "Invalid credentials in Authorization header"}'
    assert wire.error_from_answer(401, Headers(), body).code == "BadToken"
    assert wire.error_from_answer(401, Headers(X_Error_Code="RepoNotFound"), b"").code == "RepoNotFound"


def test_a_token_that_is_too_narrow_is_told_from_a_closed_gate() -> None:
    said = (
        "Please enable access to public gated repositories in your fine-grained token settings to view this repository."
    )
    for headers, body in ((Headers(X_Error_Message=said), b""), (Headers(), f'{{"error": "{said}"}}'.encode())):
        error = wire.error_from_answer(403, headers, body)
        assert (error.code, error.exit_status) == ("TokenTooNarrow", 4)
    assert wire.error_from_answer(403, Headers(X_Error_Code="GatedRepo"), b'{"error": "gated"}').code == "GatedRepo"
    assert wire.error_from_answer(404, Headers(X_Error_Message=said), b"").code == "EntryNotFound"


def test_an_unknown_code_falls_back_to_the_status() -> None:
    assert wire.error_from_answer(404, Headers(X_Error_Code="MoonPhase"), b"").code == "EntryNotFound"
    assert wire.error_from_answer(404, Headers(), b'{"error": "x", "code": "MoonPhase"}').code == "EntryNotFound"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": "one"}', "one"),
        (b'{"message": "two"}', "two"),
        (b'{"error": ["a", "b"]}', "a; b"),
        (b'{"error": ["a", 5]}', "a; 5"),
        (b'{"error": {"x": 1}}', "the hub answered 400"),
        (b'{"error": "", "message": "three"}', "three"),
        (b'["error"]', "the hub answered 400"),
        (b"null", "the hub answered 400"),
        (b"\xff\xfe", "the hub answered 400"),
        (b'{"error": "\xff"}', "the hub answered 400"),
        (b"[" * 100_000, "the hub answered 400"),
    ],
)
def test_bodies(body: bytes, message: str) -> None:
    assert wire.error_from_answer(400, Headers(), body).message == message


words = st.one_of(st.text(max_size=20), st.sampled_from([*CODES, wire.INVALID_CREDENTIALS]))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), words),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["error", "message", "code", "hint", "x"]), inner, max_size=4),
    ),
    max_leaves=8,
)


@given(
    st.integers(100, 999),
    st.dictionaries(st.sampled_from(["x-error-code", "x-error-message", "retry-after", "ratelimit", "link"]), words),
    st.one_of(st.binary(max_size=60), json_values.map(msgspec.json.encode)),
)
def test_any_answer_becomes_some_error(status: int, headers: dict[str, str], body: bytes) -> None:
    found = Headers(**headers)
    error = wire.error_from_answer(status, found, body)
    assert isinstance(error, TenutoError)
    assert CODES[error.code].error is type(error)
    assert isinstance(error.message, str)
    assert error.hint is None or isinstance(error.hint, str)
    assert (wire.wait_s(found) or 0) >= 0
    wire.next_link(found)


class TestWait:
    @pytest.mark.parametrize(
        ("limit", "seconds"),
        [
            ('"api";r=0;t=55', 56.0),
            ('"api";r=3;t=55', None),
            ('"api"; r=0; t=1', 2.0),
            ('"api";t=7;r=0', 8.0),
            ('"api";r=0', None),
            ('"api";r=0;t=x', None),
            ('"api";r=00;t=2', 3.0),
            (f'"api";r=0;t={"9" * 5000}', None),
            ("", None),
        ],
    )
    def test_rate_limit(self, limit: str, seconds: float | None) -> None:
        assert wire.wait_s(Headers(RateLimit=limit)) == seconds

    @pytest.mark.parametrize(
        ("after", "seconds"),
        [
            ("2", 3.0),
            ("0", 1.0),
            (" 5 ", 6.0),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("\u0665", None),
            ("9" * 5000, None),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ],
    )
    def test_retry_after(self, after: str, seconds: float | None) -> None:
        assert wire.wait_s(Headers(Retry_After=after)) == seconds

    def test_an_exhausted_limit_goes_before_retry_after(self) -> None:
        assert wire.wait_s(Headers(RateLimit='"api";r=0;t=9', Retry_After="2")) == 10.0
        assert wire.wait_s(Headers(RateLimit='"api";r=5;t=9', Retry_After="2")) == 3.0
        assert wire.wait_s(Headers()) is None


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ('<http://hub.test/api?cursor=a,b>; rel="next"', "http://hub.test/api?cursor=a,b"),
        ("<http://x>; rel=next", "http://x"),
        ('<http://p>; rel="prev", <http://n>; rel="next"', "http://n"),
        ('<http://n>; title="t"; rel="next", <http://l>; rel="last"', "http://n"),
        ('<http://p>; rel="prev"', None),
        ('<http://p>; rel="nextish"', None),
        ("", None),
        ("<" * 60_000, None),
        ("<>;" * 20_000, None),
    ],
)
def test_next_link(link: str, address: str | None) -> None:
    assert wire.next_link(Headers(Link=link)) == address


class TestTimestamps:
    def test_form(self) -> None:
        assert wire.timestamp_text(0) == "1970-01-01T00:00:00.000Z"
        assert wire.timestamp_text(1_769_860_800_007) == "2026-01-31T12:00:00.007Z"

    @given(st.integers(0, 4_102_444_800_000))
    def test_stock_clients_read_the_same_moment(self, time_ms: int) -> None:
        moment = parse_datetime(wire.timestamp_text(time_ms))
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        assert since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000 == time_ms


class TestStructs:
    def test_names_on_the_wire(self) -> None:
        assert msgspec.to_builtins(wire.LfsInfo("a", 1, 2)) == {"oid": "a", "size": 1, "pointerSize": 2}
        assert msgspec.to_builtins(wire.PreuploadAnswer("p", "lfs", True, "o")) == {
            "path": "p",
            "uploadMode": "lfs",
            "shouldIgnore": True,
            "oid": "o",
        }
        assert msgspec.to_builtins(wire.CommitResult("c", "u")) == {"commitOid": "c", "commitUrl": "u", "success": True}

    def test_what_is_absent_is_left_out(self) -> None:
        assert (
            msgspec.json.encode(wire.TreeEntry("file", "a", "b", 1)) == b'{"type":"file","path":"a","oid":"b","size":1}'
        )
        assert b"error" not in msgspec.json.encode(wire.LfsAnswer("a", 1))

    def test_later_fields_of_a_hub_are_passed_over(self) -> None:
        text = b'{"type": "file", "path": "a", "oid": "b", "size": 1, "xetHash": "x", "lastCommit": {"id": 1}}'
        assert msgspec.json.decode(text, type=wire.TreeEntry) == wire.TreeEntry("file", "a", "b", 1)
        identity = msgspec.json.decode(b'{"name": "me", "type": "user", "emailVerified": true}', type=wire.Identity)
        assert identity.name == "me"
