"""Files from the web by their hash, and mirrors: tried in order, believed by hash only."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tenuto.testing.live_hub import LiveHub
from tests.cli.test_workspace_story import WEIGHTS, Keeper


class Web(http.server.BaseHTTPRequestHandler):
    """Serves what is in `files`; remembers what was asked, and with which token."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[tuple[str, str, str | None]]] = []

    def _answer(self, *, body: bool) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Authorization")))
        content = self.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if body and content:
            self.wfile.write(content)

    def do_GET(self) -> None:
        """Answer with the file."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answer with its size."""
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    """The address of a server of files."""
    Web.files, Web.asked = {}, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def keeper(hub: LiveHub, tmp_path: Path) -> Keeper:
    """A keeper with an empty project."""
    return Keeper(tmp_path, hub)


def sha256(content: bytes) -> str:
    """The name of the bytes."""
    return hashlib.sha256(content).hexdigest()


def test_a_file_from_the_web_is_locked_fetched_verified_and_mended(keeper: Keeper, web: str) -> None:
    Web.files["/voices/en.onnx"] = WEIGHTS
    added = keeper("add", f"{web}/voices/en.onnx?download=1", "--sha256", sha256(WEIGHTS))
    assert added.status == 9  # the server knows no such address
    Web.files["/voices/en.onnx?download=1"] = WEIGHTS
    added = keeper("add", f"{web}/voices/en.onnx?download=1", "--sha256", sha256(WEIGHTS))
    assert added.status == 0, str(added)
    file = keeper.project / "models/en.onnx"
    assert file.read_bytes() == WEIGHTS
    assert all(token is None for _, _, token in Web.asked), "a token went to a server that is no hub"

    asked = len(Web.asked)
    for command in (
        ["sync"],
        ["sync", "--frozen"],
        ["pull"],
        ["verify"],
        ["lock", "--check"],
        ["status", "--check"],
        ["outdated"],
    ):
        assert keeper(*command).status == 0, command
    assert len(Web.asked) == asked

    file.unlink()
    file.write_bytes(b"mine")
    assert keeper("verify").status == 5
    assert keeper("repair").status == 0
    clone = keeper.project.parent / "clone"
    clone.mkdir()
    for name in ("tenuto.toml", "tenuto.lock"):
        (clone / name).write_bytes((keeper.project / name).read_bytes())
    assert keeper("pull", cwd=clone, TENUTO_CACHE=str(keeper.folder / "fresh")).status == 0
    assert (clone / "models/en.onnx").read_bytes() == WEIGHTS


def test_wrong_bytes_from_the_web_are_never_taken(keeper: Keeper, web: str) -> None:
    Web.files["/a.bin"] = b"x" + WEIGHTS[1:]
    refused = keeper("add", f"{web}/a.bin", "--sha256", sha256(WEIGHTS), "--json")
    assert refused.status == 5
    assert refused.error["code"] == "HashMismatch"
    assert not (keeper.project / "models").exists()
    assert "a.bin" not in (keeper.project / "tenuto.toml").read_text()
    assert keeper("add", f"{web}/a.bin").status == 2  # without a hash nobody knows what is meant


def test_a_mirror_steps_in_where_the_source_has_the_wrong_bytes_or_none(keeper: Keeper, web: str) -> None:
    Web.files |= {"/bad/a.bin": b"x" + WEIGHTS[1:], "/good/a.bin": WEIGHTS}
    flags = ("--sha256", sha256(WEIGHTS), "--mirror", f"{web}/gone/a.bin", "--mirror", f"{web}/good/a.bin")
    added = keeper("add", f"{web}/bad/a.bin", *flags)
    assert added.status == 0, str(added)
    assert (keeper.project / "models/a.bin").read_bytes() == WEIGHTS


def test_a_mirror_of_a_repo_steps_in_when_the_repo_is_gone(keeper: Keeper, web: str) -> None:
    address = keeper.publish("m", {"sub/model.safetensors": WEIGHTS, "config.json": b"{}"})
    copy = keeper.publish("copy", {"deep/sub/model.safetensors": WEIGHTS})
    assert keeper("add", address, "--mirror", f"{copy}/deep", "--mirror", f"{web}/files/").status == 0
    keeper.api.delete_repo(f"{keeper.owner}/m")
    Web.files["/files/config.json"] = b"{}"
    (keeper.project / "models/m/config.json").unlink()
    (keeper.project / "models/m/sub/model.safetensors").unlink()
    for file in (keeper.home / ".cache/tenuto/store-v1/objects").glob("??/*"):
        if file.stat().st_size in {2, len(WEIGHTS)}:
            file.unlink()
    pulled = keeper("pull")
    assert pulled.status == 0, str(pulled)
    assert (keeper.project / "models/m/sub/model.safetensors").read_bytes() == WEIGHTS
    assert all(token is None for _, _, token in Web.asked)
