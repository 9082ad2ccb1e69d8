"""Plain requests to our hub, for what prepares a measure and for commits."""

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx2

from bench.fingerprint import hash_of
from bench.loopback import USER, Hub
from bench.measure import StepError

TIMEOUT_S = 600
BLOCK_BYTES = 1 << 20


class Talk:
    """Requests to one hub as the user of the benchmark. Every failure raises StepError. Close it, or use it in a `with` block."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._client = httpx2.Client(
            base_url=hub.url, headers={"Authorization": f"Bearer {hub.token}"}, timeout=TIMEOUT_S, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def request(self, method: str, url: str, **arguments: Any) -> httpx2.Response:
        """One request and its good answer."""
        try:
            answer = self._client.request(method, url, **arguments)
            if answer.is_success:
                return answer
        except httpx2.HTTPError as error:
            raise StepError(f"{method} {url} failed: {error}") from error
        raise StepError(f"{method} {url} was answered {answer.status_code}: {answer.text[:500]}")

    def create(self, name: str) -> str:
        """A new private model repo; its full name."""
        body = {"name": name, "organization": USER, "type": "model", "visibility": "private"}
        self.request("POST", "/api/repos/create", json=body)
        return f"{USER}/{name}"

    def commit(self, repo: str, body: bytes) -> None:
        """A commit of lines, as `commit_body` makes them."""
        self.request(
            "POST", f"/api/models/{repo}/commit/main", content=body, headers={"Content-Type": "application/x-ndjson"}
        )

    def commit_large(self, repo: str, path: str, sha256: str, size_bytes: int) -> None:
        """A commit of one large object that the repo holds."""
        self.commit(repo, commit_body([large(path, sha256, size_bytes)]))

    def put_whole(self, repo: str, path: str, file: Path) -> str:
        """Upload a file as one whole object and commit it; its sha256."""
        sha256, size_bytes = hash_of(file), file.stat().st_size
        wanted = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": sha256, "size": size_bytes}]}
        answer = self.request("POST", f"/{repo}.git/info/lfs/objects/batch", json=wanted).json()["objects"][0]
        if "actions" in answer:
            headers = {"Content-Length": str(size_bytes)}
            self.request("PUT", answer["actions"]["upload"]["href"], content=pieces(file), headers=headers)
        self.commit_large(repo, path, sha256, size_bytes)
        return sha256

    def url(self, repo: str, path: str) -> str:
        """Where a file of a repo is."""
        return f"{self.hub.url}/{repo}/resolve/main/{quote(path)}"


def pieces(file: Path) -> Iterator[bytes]:
    """The bytes of a file, a block at a time."""
    with open(file, "rb", buffering=0) as opened:
        while block := opened.read(BLOCK_BYTES):
            yield block


def commit_body(lines: Iterable[dict[str, Any]]) -> bytes:
    """The body of a commit."""
    header = {"key": "header", "value": {"summary": "bench", "description": ""}}
    return "".join(json.dumps(line) + "\n" for line in (header, *lines)).encode()


def small(path: str, content: bytes) -> dict[str, Any]:
    """The line of a commit for a small file."""
    value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    return {"key": "file", "value": value}


def large(path: str, sha256: str, size_bytes: int) -> dict[str, Any]:
    """The line of a commit for a large object."""
    return {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": sha256, "size": size_bytes}}
