"""The page of a safetensors file shows its tensors, however hostile its header is, and costs no more than a page."""

import json
import re
import struct

import pytest

from tenuto.inspect.findings import FormatError
from tenuto.inspect.source import from_bytes
from tenuto.server.git.objects import BlobFacts
from tenuto.server.http.exchange import Call
from tenuto.server.pages.content import File
from tenuto.server.pages.records import CELLS
from tenuto.server.pages.weights import HEADER_BYTES, tensors
from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}


def framed(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


def shown(content: bytes, query: str = "") -> dict[str, object]:
    file = File("a.safetensors", BlobFacts("0" * 40, len(content), None))
    found = tensors(from_bytes(content), file, Call("GET", {"rev": "main"}, query, {}, "http://hub", "/x"))
    assert found is not None
    return found.values


def test_tensors_are_shown_page_by_page() -> None:
    header = {
        f"layer.{number}": {"dtype": "F32", "shape": [2, number], "data_offsets": [0, 0]} for number in range(450)
    }
    content = framed(json.dumps({"__metadata__": {"format": "pt"}, **header, "scalar": {"shape": []}}).encode())
    names, line = [], 1
    while line:
        found = shown(content, f"line={line}")
        names += [row[0] for row in found["rows"]]  # type: ignore[attr-defined]
        line = int(str(found["next"]))
    assert names == [*header, "scalar"]
    assert (found["count"], found["meta"]) == (451, [("format", "pt")])
    assert found["parameters"] == sum(2 * number for number in range(450)) + 1


@pytest.mark.parametrize(
    ("number", "entry"),
    [
        (500, {"dtype": "F32", "shape": ["&"]}),
        (100, {"dtype": "F32", "shape": [10**300] * 16}),
        (10, {"dtype": "<" * 9999, "shape": [1] * 9999}),
        (10, {"dtype": ["<"] * 999, "shape": [-1, True, "x", 2**47, -(10**300)]}),
        (10, {"shape": {"a": 1}}),
    ],
)
def test_no_entry_makes_a_large_page(owner: Owner, number: int, entry: object) -> None:
    header = {f"{one} {'&' * 200}": entry for one in range(number)}
    meta = {f"{one} {'<' * 300}": '"' * 900 for one in range(50)}
    body = json.dumps({"__metadata__": meta, **header}).encode()
    owner.talk.commit(owner.repo, small("a.safetensors", framed(body))).raise_for_status()
    path, count = f"/{owner.repo}/blob/main/a.safetensors", 0
    while path:
        answer = owner.talk.get(path, headers=HTML)
        assert answer.status_code == 200
        assert len(answer.content) < 80_000
        count += answer.text.count('<td class="mono">')
        following = re.search(r'href="([^"]+)" rel="next"', answer.text)
        path = following[1].replace("&amp;", "&") if following else ""
    assert count == number


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (b"{" + b" " * HEADER_BYTES + b"}", "NotAllChecked"),
        (b"{" + b",".join(b'"%d":{}' % number for number in range(CELLS // 2 + 1)) + b"}", "NotAllChecked"),
        (b'{"a":' + b"[" * 5000, "BadHeader"),
        (b"[]", "BadHeader"),
        (b"{", "BadHeader"),
    ],
)
def test_what_is_not_read_is_told(owner: Owner, header: bytes, code: str) -> None:
    with pytest.raises(FormatError) as raised:
        shown(framed(header))
    assert raised.value.code == code
    owner.talk.commit(owner.repo, small("a.safetensors", framed(header)[: 1 << 20])).raise_for_status()
    assert "This file" in owner.talk.get(f"/{owner.repo}/blob/main/a.safetensors", headers=HTML).text
