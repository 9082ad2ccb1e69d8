"""A web server with one file that answers ranges as it should, and counts the bytes that it sends; and files cut into small blocks."""

import contextlib
import re
from collections.abc import Iterator

import pytest

from tenuto.hub import lanes
from tests.hub.scripted import Reply, Seen, Server, serving

BLOCK = 16_384


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files from 100 kB on come by blocks of 16 KiB."""
    monkeypatch.setattr(lanes, "BLOCKS_FROM_BYTES", 100_000)
    monkeypatch.setattr(lanes, "BLOCK_BYTES", (BLOCK, BLOCK))


def part_of(content: bytes, seen: Seen, tag: str = '"tag"') -> Reply:
    """The answer of an honest server that has these bytes at every path."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", seen.headers.get("range", ""))
    if not asked:
        return Reply(200, content, {"ETag": tag})
    start, end = int(asked[1]), min(int(asked[2] or len(content)) + 1, len(content))
    if start >= len(content):
        return Reply(416, b"", {"Content-Range": f"bytes */{len(content)}"})
    return Reply(206, content[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}", "ETag": tag})


@contextlib.contextmanager
def honest(content: bytes) -> Iterator[Server]:
    """That server."""
    with serving(lambda seen: part_of(content, seen)) as server:
        yield server


def asked_bytes(server: Server, size: int, agent: str = "tenuto") -> int:
    """The bytes that all requests of that program asked for."""
    total = 0
    for seen in server.seen:
        if seen.headers["user-agent"] != agent:
            continue
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", seen.headers.get("range", ""))
        total += (int(asked[2] or size - 1) + 1 - int(asked[1])) if asked else size
    return total
