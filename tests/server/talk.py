"""A caller that knows the protocol and nothing else: plain requests, plain answers."""

import base64
import hashlib
import json
from urllib.parse import quote

import httpx2


class Talk:
    """Requests to one hub with one token."""

    def __init__(self, url: str, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False, verify=False)

    def close(self) -> None:
        self.client.close()

    def get(self, path: str, **kwargs) -> httpx2.Response:
        return self.client.get(path, **kwargs)

    def post(self, path: str, body: object = None, **kwargs) -> httpx2.Response:
        return self.client.post(path, json=body if body is not None else {}, **kwargs)

    def create(self, repo: str, *, private: bool = False, kind: str = "model") -> httpx2.Response:
        namespace, name = repo.split("/")
        visibility = "private" if private else "public"
        return self.post(
            "/api/repos/create", {"name": name, "organization": namespace, "type": kind, "visibility": visibility}
        )

    def delete(self, repo: str, kind: str = "model") -> httpx2.Response:
        namespace, name = repo.split("/")
        body = {"name": name, "organization": namespace, "type": kind}
        return self.client.request("DELETE", "/api/repos/delete", json=body)

    def commit(self, repo: str, *lines: dict, rev: str = "main", parent: str | None = None, kind: str = "models"):
        header = {"key": "header", "value": {"summary": "a change", "description": "", "parentCommit": parent}}
        body = "".join(json.dumps(line) + "\n" for line in (header, *lines))
        url = f"/api/{kind}/{repo}/commit/{quote(rev, safe='')}"
        return self.client.post(url, content=body, headers={"Content-Type": "application/x-ndjson"})

    def batch(self, repo: str, *objects: tuple[str, int], operation: str = "upload", transfers=("basic",), prefix=""):
        body = {
            "operation": operation,
            "transfers": list(transfers),
            "objects": [{"oid": oid, "size": size} for oid, size in objects],
        }
        return self.post(f"/{prefix}{repo}.git/info/lfs/objects/batch", body)

    def put_large(self, repo: str, data: bytes) -> str:
        """Upload an object by its link, if the repo lacks it, and return its sha256."""
        oid = hashlib.sha256(data).hexdigest()
        answer = self.batch(repo, (oid, len(data))).json()["objects"][0]
        if "actions" in answer:
            self.put(answer["actions"]["upload"]["href"], data).raise_for_status()
        return oid

    def put(self, href: str, data: bytes) -> httpx2.Response:
        """As stock clients do it: no credentials beside the link."""
        return httpx2.put(href, content=data, trust_env=False, verify=False, timeout=30)

    def head(self, repo: str, rev: str = "main") -> str:
        return self.get(f"/api/models/{repo}/revision/{quote(rev, safe='')}").json()["sha"]

    def listing(self, repo: str, rev: str = "main") -> dict[str, dict]:
        """All files by path, page by page."""
        url, found = f"/api/models/{repo}/tree/{quote(rev, safe='')}?recursive=true", {}
        while url:
            answer = self.get(url)
            answer.raise_for_status()
            found.update({one["path"]: one for one in answer.json() if one["type"] == "file"})
            url = answer.links.get("next", {}).get("url")
        return found

    def read(self, repo: str, path: str, rev: str = "main", **kwargs) -> httpx2.Response:
        return self.get(f"/{repo}/resolve/{quote(rev, safe='')}/{quote(path)}", **kwargs)


def small(path: str, content: bytes) -> dict:
    value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
    return {"key": "file", "value": value}


def large(path: str, oid: str, size: int | None = None) -> dict:
    value = {"path": path, "algo": "sha256", "oid": oid}
    return {"key": "lfsFile", "value": value if size is None else {**value, "size": size}}


def copied(path: str, source: str, revision: str | None = None) -> dict:
    return {"key": "copyFile", "value": {"path": path, "srcPath": source, "srcRevision": revision}}


def gone(path: str) -> dict:
    return {"key": "deletedFolder" if path.endswith("/") else "deletedFile", "value": {"path": path}}
