"""A caller that knows the chunk protocol and nothing else; it lies where a test wants it to."""

import json
import os
import random

import httpx2

from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import large
from tests.store.xet_build import File, Xorb, file_block, make_xorb, shard, xorb_block

RNG = random.Random(11)


class Cas:
    """Requests with one token for the chunks of one repo."""

    def __init__(self, owner: Owner, *, right: str = "write", repo: str = "", kind: str = "models") -> None:
        answer = owner.talk.get(f"/api/{kind}/{repo or owner.repo}/xet-{right}-token/main")
        assert answer.status_code == 200, answer.text
        self.base, self.token = answer.json()["casUrl"], answer.json()["accessToken"]

    def send(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}", **headers}
        return httpx2.request(
            method, f"{self.base}/{path}", content=content, headers=headers, trust_env=False, verify=False, timeout=30
        )

    def put_xorb(self, xorb: Xorb, body: bytes | None = None) -> httpx2.Response:
        return self.send("POST", f"v1/xorbs/default/{xorb.name}", xorb.body if body is None else body)

    def grant(self, name: str) -> int:
        return self.send("POST", f"v1/xorb-grants/default/{name}", b'{"length":1}').status_code

    def put_shard(self, body: bytes) -> dict[str, object]:
        """The last line of what a hub says of a shard."""
        answer = self.send("POST", "v2/shards", body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert answer.content.endswith(b"\n")
        return json.loads(answer.content.splitlines()[-1])

    def put_file(self, file: File) -> None:
        """Everything that makes `file` known."""
        xorbs = {xorb.name: xorb for xorb, _, _ in file.parts}.values()
        for xorb in xorbs:
            answer = self.put_xorb(xorb)
            assert answer.status_code == 200, answer.text
        result = self.put_shard(shard([file_block(file)], [xorb_block(xorb) for xorb in xorbs]))
        assert result["type"] == "result", result

    def fetch(self, name: str, wanted: str = "", version: int = 2) -> bytes:
        """A file, or `bytes=a-b` of it, put together as clients do it."""
        answer = self.send("GET", f"v{version}/reconstructions/{name}", **({"Range": wanted} if wanted else {}))
        assert answer.status_code == 200, answer.text
        plan = answer.json()
        fetched = {xorb: [_get(entry, version) for entry in entries] for xorb, entries in _entries(plan, version)}
        raw = b""
        for term in plan["terms"]:
            start, end = term["range"]["start"], term["range"]["end"]
            chunks = next(c for c in fetched[term["hash"]] if start in c and end - 1 in c)
            part = b"".join(chunks[index] for index in range(start, end))
            assert len(part) == term["unpacked_length"]
            raw += part
        return raw[plan["offset_into_first_range"] :]


def _entries(plan: dict, version: int):
    return plan["xorbs" if version == 2 else "fetch_info"].items()


def _get(entry: dict, version: int) -> dict[int, bytes]:
    """Chunks by number; only such as are stored as they are."""
    if version == 2:
        (one,) = entry["ranges"]
        chunks, places = one["chunks"], one["bytes"]
    else:
        chunks, places = entry["range"], entry["url_range"]
    wanted = f"bytes={places['start']}-{places['end']}"
    answer = httpx2.get(entry["url"], headers={"Range": wanted}, trust_env=False, verify=False)
    assert answer.status_code == 206, answer.text
    body, at, found = answer.content, 0, {}
    for number in range(chunks["start"], chunks["end"]):
        size = int.from_bytes(body[at + 1 : at + 4], "little")
        assert body[at + 4] == 0
        found[number] = body[at + 8 : at + 8 + size]
        at += 8 + size
    assert at == len(body) == places["end"] + 1 - places["start"]
    return found


def some_xorb(chunks: int = 6, size: int = 3000) -> Xorb:
    return make_xorb([RNG.randbytes(size + k) for k in range(chunks)])


def some_file(xorb: Xorb | None = None) -> File:
    xorb = xorb or some_xorb()
    return File([(xorb, 0, len(xorb.raws)), (xorb, 1, 3)])


def stored(hub: LiveHub) -> set[str]:
    """All files below the data folder that hold bytes of users, whatever their place."""
    root = os.path.join(hub.data_dir, "store-v1")
    return {os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names}


def committed(owner: Owner, file: File, path: str = "a.bin") -> None:
    answer = owner.talk.commit(owner.repo, large(path, file.sha256, len(file.content)))
    assert answer.status_code == 200, answer.text


def read_back(owner: Owner, file: File, path: str = "a.bin") -> None:
    assert owner.talk.read(owner.repo, path).content == file.content


def data_link(cas: Cas, file: File) -> str:
    """A link to the first xorb of a file."""
    plan = cas.send("GET", f"v2/reconstructions/{file.name}").json()
    return plan["xorbs"][file.parts[0][0].name][0]["url"]
