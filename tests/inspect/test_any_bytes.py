"""Whatever the bytes, a look ends, and ends in findings."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.inspect.detect import FORMATS, HEAD_BYTES, sniff
from tenuto.inspect.findings import CODES, Limits, Report
from tenuto.inspect.look import LOOKS, look_at
from tenuto.inspect.source import from_bytes
from tests.inspect.conftest import WHOLE_FILES
from tests.inspect.test_pickles import HOSTILE, legacy, zipped
from tests.inspect.test_tables import JPEG, PNG

LIMITS = Limits(items=500, steps=5_000, listed=20, findings=20)
WHOLE = {
    **{path.name: path.read_bytes() for path in WHOLE_FILES},
    "old.pt": legacy(bytes(16)),
    "new.pt": zipped({"a/data.pkl": HOSTILE["protocol 4"], "a/data/0": bytes(8)}),
    "a.png": PNG,
    "a.jpg": JPEG,
    "a.json": b'{"a": [1, {"b": null}]}',
    "a.yaml": b"a: &x 1\nb: [*x]\n",
}
INTERESTING = [
    b"\xff" * 8,
    bytes(8),
    b"\xff" * 7 + b"\x7f",
    b"\x00\x00\x00\x80",
    b"\xff\xff",
    b"(",
    b"\x80\x04",
    b"PK\x01\x02",
]


def check(name: str, content: bytes) -> None:
    found = look_at(from_bytes(content), name, LIMITS)
    assert all(finding.code in CODES for finding in found.findings)
    assert len(found.findings) <= LIMITS.findings + len(("damage", "danger", "odd"))
    assert found.format in {*FORMATS, "unknown", "empty"}
    assert msgspec.json.decode(msgspec.json.encode(found))["size_bytes"] == len(content)
    for finding in found.findings:
        assert (finding.detail + finding.where).isprintable()


@pytest.mark.parametrize("format_name", LOOKS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bytes_for_any_format(format_name: str, data: st.DataObject) -> None:
    content = data.draw(st.binary(max_size=400))
    report = Report(LIMITS)
    with report.part():
        LOOKS[format_name](from_bytes(content), report)
    assert all(finding.code in CODES for finding in report.findings)


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from([content[:16] for content in WHOLE.values()]),
    rest=st.binary(max_size=300),
    ending=st.sampled_from(
        sorted({ending for known in FORMATS.values() for ending in known.endings} | {".pt", ".bin", ""})
    ),
)
def test_any_bytes_after_a_true_start(start: bytes, rest: bytes, ending: str) -> None:
    check(f"file{ending}", start + rest)


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_whole_file_with_changes(name: str, data: st.DataObject) -> None:
    content = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        match data.draw(st.sampled_from(["put", "insert", "cut", "flip"])):
            case "put":
                change = data.draw(st.sampled_from(INTERESTING) | st.binary(min_size=1, max_size=8))
                content[at : at + len(change)] = change
            case "insert":
                content[at:at] = data.draw(st.binary(max_size=8))
            case "cut":
                del content[at : at + data.draw(st.integers(1, 600))]
            case "flip" if at < len(content):
                content[at] ^= 1 << data.draw(st.integers(0, 7))
    check(name, bytes(content))


@given(content=st.binary(max_size=HEAD_BYTES), name=st.text(max_size=20))
def test_any_start_is_given_a_format_or_none(content: bytes, name: str) -> None:
    assert sniff(content, name) in {*FORMATS, None}
