"""Stock clients upload by Xet and download by Xet and plainly, each in a process with a home and caches of its own."""

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenuto.testing.live_hub import ProcessHub

pytestmark = pytest.mark.wire
MB = 1_000_000
UPLOAD = "api.upload_file(path_or_fileobj=args[0], path_in_repo=args[1], repo_id=args[2])"
FOLDER = "api.upload_folder(folder_path=args[0], repo_id=args[1])"
DOWNLOAD = "print(sha(hf_hub_download(args[0], args[1])))"
PRELUDE = """
import hashlib, sys
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
args, api = sys.argv[1:], HfApi()
def sha(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
"""


class Site:
    """A hub in a process, and clients of it that have nothing in common."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = ProcessHub(str(folder / "hub"))
        self._users = 0

    def owner(self) -> tuple[str, str]:
        """A new user's token and a new public repo."""
        self._users += 1
        name = f"user{self._users}"
        token = self.hub.user(name)
        self.run(token, "api.create_repo(args[0])", f"{name}/m")
        return token, f"{name}/m"

    def start(self, token: str, code: str, *args: object, cache: str = "", **env: str) -> subprocess.Popen[str]:
        home = self.folder / (cache or f"home-{time.monotonic_ns()}")
        settings = {
            "HF_ENDPOINT": self.hub.url,
            "HF_TOKEN": token,
            "HF_HOME": str(home),
            "HF_XET_CACHE": str(home / "xet"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        command = [sys.executable, "-c", PRELUDE + code, *map(str, args)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env={**os.environ, **settings, **env}, **pipes)

    def run(self, token: str, code: str, *args: object, cache: str = "", **env: str) -> str:
        with self.start(token, code, *args, cache=cache, **env) as client:
            out, errors = client.communicate(timeout=300)
        assert client.returncode == 0, errors
        return out.strip()

    def stored_bytes(self) -> int:
        root = self.folder / "hub" / "store-v1"
        return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        with open(self.hub.log_path, encoding="utf-8") as log:
            log.seek(since)
            lines = [json.loads(line) for line in log if line.startswith("{")]
        return [line for line in lines if line["event"] == "request"]

    def mark(self) -> int:
        return os.path.getsize(self.hub.log_path)

    def write(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.hub.stop()


def noise(size: int, seed: int = 0) -> bytes:
    generator = random.Random(seed)
    return b"".join(generator.randbytes(min(MB, size - at)) for at in range(0, size, MB))


def mixed(size: int) -> bytes:
    """A third of noise, a third that repeats, a third of numbers with equal exponents, as weights have."""
    third = size // 3
    weights = bytearray(noise(third, 1))
    weights[3::4] = b"\x3c" * len(weights[3::4])
    weights[2::4] = bytes(byte & 0x83 for byte in weights[2::4])
    return noise(third) + (b"the same again, " * (third // 16 + 1))[:third] + bytes(weights)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "size", [0, 10, 30 * MB, pytest.param(142 * MB, marks=pytest.mark.slow)], ids=["0", "10", "30MB", "142MB"]
)
def test_what_goes_up_comes_down(site: Site, size: int) -> None:
    token, repo = site.owner()
    content = mixed(size) if size > 10 else noise(size)
    mark, before = site.mark(), site.stored_bytes()
    site.run(token, UPLOAD, site.write("up.bin", content), "weights/up.bin", repo)
    paths = [line["path"] for line in site.requests(mark)]
    assert any(path.endswith("/v2/shards") for path in paths) is (size > 0)
    assert not any("/info/lfs/" in path for path in paths)
    assert site.stored_bytes() - before < 0.85 * size + 1000
    for env in ({}, {"HF_HUB_DISABLE_XET": "1"}):
        assert site.run(token, DOWNLOAD, repo, "weights/up.bin", **env) == digest(content)


def test_a_download_by_xet_has_the_same_bytes(site: Site) -> None:
    token, repo = site.owner()
    content = mixed(9 * MB)
    site.run(token, UPLOAD, site.write("x.bin", content), "x.bin", repo)
    code = """
from huggingface_hub import constants
from huggingface_hub.file_download import xet_get
from huggingface_hub.utils import XetFileData
info = api.get_paths_info(args[0], ['x.bin'])[0]
data = XetFileData(file_hash=info.xet_hash, refresh_route=f'{constants.ENDPOINT}/api/models/{args[0]}/xet-read-token/main')
from pathlib import Path
xet_get(incomplete_path=Path(args[1]), xet_file_data=data, headers=api._build_hf_headers(), expected_size=info.size, displayed_filename='x')
print(sha(args[1]))
"""
    mark = site.mark()
    assert site.run(token, code, repo, site.folder / "by-xet") == digest(content)
    paths = [line["path"] for line in site.requests(mark)]
    assert any("/v2/reconstructions/" in path for path in paths)
    assert any(path.startswith("/xet/data/") for path in paths)
    assert not any("/resolve/" in path for path in paths)


def test_a_folder_shares_xorbs_and_a_shard(site: Site) -> None:
    token, repo = site.owner()
    contents = {f"part {number % 3}/file #{number} é.bin": noise(2000 + number, number) for number in range(60)}
    contents["big.safetensors"] = mixed(3 * MB)
    contents["README.md"] = b"# a card\n"
    for name, content in contents.items():
        site.write(f"folder/{name}", content)
    mark = site.mark()
    site.run(token, FOLDER, site.folder / "folder", repo)
    posts = [line["path"].split("/")[-4:] for line in site.requests(mark) if line["method"] == "POST"]
    assert sum("xorbs" in path for path in posts) <= 2
    assert sum("shards" in path for path in posts) <= 2
    listed = site.run(token, "p = snapshot_download(args[0], local_dir=args[1]); print(p)", repo, site.folder / "down")
    for name, content in contents.items():
        assert (Path(listed) / name).read_bytes() == content


def sent(site: Site, mark: int) -> int:
    """How often a client sent a xorb."""
    return sum("/v1/xorbs/" in line["path"] for line in site.requests(mark))


@pytest.mark.parametrize("size", [40 * MB, pytest.param(200 * MB, marks=pytest.mark.slow)], ids=["40MB", "200MB"])
def test_a_small_insertion_costs_little_even_for_a_client_that_remembers_nothing(site: Site, size: int) -> None:
    token, repo = site.owner()
    first = noise(size, 5)
    second = first[: size // 2] + noise(12_345, 6) + first[size // 2 :]
    site.run(token, UPLOAD, site.write("v1.bin", first), "w.bin", repo)
    before = site.stored_bytes()
    site.run(token, UPLOAD, site.write("v2.bin", second), "w.bin", repo)
    assert 12_345 < site.stored_bytes() - before < MB
    revisions = site.run(token, "print(*[one.commit_id for one in api.list_repo_commits(args[0])])", repo).split()
    code = "print(sha(hf_hub_download(args[0], 'w.bin', revision=args[1])))"
    assert site.run(token, code, repo, revisions[0]) == digest(second)
    assert site.run(token, code, repo, revisions[1]) == digest(first)


def test_one_changed_tensor_of_many_costs_its_own_size(site: Site) -> None:
    token, repo = site.owner()
    tensors = {f"layer.{number}.weight": noise(3 * MB // 2, number) for number in range(32)}
    site.run(token, UPLOAD, site.write("t1.safetensors", weights(tensors)), "m.safetensors", repo)
    tensors["layer.17.weight"] = noise(3 * MB // 2, 99)
    changed = weights(tensors)
    before = site.stored_bytes()
    site.run(token, UPLOAD, site.write("t2.safetensors", changed), "m.safetensors", repo)
    assert site.stored_bytes() - before < 0.04 * len(changed)
    assert site.run(token, DOWNLOAD, repo, "m.safetensors") == digest(changed)


def weights(tensors: dict[str, bytes]) -> bytes:
    """A safetensors file of numbers of 4 bytes."""
    head, at = {}, 0
    for name, data in tensors.items():
        head[name] = {"dtype": "F32", "shape": [len(data) // 4], "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(tensors.values())


def test_the_same_file_again_sends_nothing_and_in_a_strange_repo_all_of_it(site: Site) -> None:
    token, repo = site.owner()
    other_token, other_repo = site.owner()
    path = site.write("same.bin", noise(5 * MB, 7))
    site.run(token, UPLOAD, path, "a.bin", repo)
    before, mark = site.stored_bytes(), site.mark()
    site.run(token, UPLOAD, path, "b.bin", repo)
    assert sent(site, mark) == 0
    mark = site.mark()
    site.run(other_token, UPLOAD, path, "a.bin", other_repo, cache="other")
    assert sent(site, mark) == 1
    assert site.stored_bytes() == before
    assert site.run(other_token, DOWNLOAD, other_repo, "a.bin") == digest(noise(5 * MB, 7))


def test_a_client_that_remembers_what_a_repo_dropped_starts_anew(site: Site) -> None:
    token, repo = site.owner()
    path = site.write("remembered.bin", noise(3 * MB, 8))
    site.run(token, UPLOAD, path, "a.bin", repo, cache="remembers")
    drop = """
import sys
from tenuto.server.service import Hub
from tenuto.server.holdings.chunks import drop_files
with Hub.open(sys.argv[1]) as hub, hub.parts.database.write() as connection:
    key = connection.exec_driver_sql("SELECT id FROM repos WHERE namespace = ?", (sys.argv[2],)).scalar()
    gone = drop_files(hub.parts.database, connection, key, [sys.argv[3]])
with Hub.open(sys.argv[1]) as hub:
    hub.parts.xorbs.free(gone)
"""
    sha256 = digest(noise(3 * MB, 8))
    subprocess.run([sys.executable, "-c", drop, str(site.folder / "hub"), repo.partition("/")[0], sha256], check=True)
    mark = site.mark()
    site.run(token, UPLOAD, path, "b.bin", repo, cache="remembers")
    assert sent(site, mark) == 1
    assert site.run(token, DOWNLOAD, repo, "b.bin") == sha256


def test_a_hub_that_is_killed_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        token, repo = site.owner()
        content = noise(80 * MB, 9)
        path = site.write("killed.bin", content)
        client = site.start(token, UPLOAD, path, "k.bin", repo, cache="one")
        deadline = time.monotonic() + 60
        while not any(path.startswith("xorb-") for path in spooled(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.002)
        site.hub.kill()
        threading.Timer(0.5, site.hub.start).start()
        _, errors = client.communicate(timeout=300)
        # Xet retries by itself; if the kill hit a request that does not, the user does.
        if client.returncode:
            assert "Traceback" in errors
            while site.hub.exit_status is not None:
                time.sleep(0.05)
            time.sleep(1)
            site.run(token, UPLOAD, path, "k.bin", repo, cache="one")
        mark = site.mark()
        assert site.run(token, DOWNLOAD, repo, "k.bin", HF_HUB_DISABLE_XET="1") == digest(content)
        assert not any(line["path"].startswith("/xet/") for line in site.requests(mark))
        # From a certain size on, clients are told to use Xet, and then ask for nothing else.
        assert site.run(token, DOWNLOAD, repo, "k.bin") == digest(content)
        assert any(line["path"].startswith("/xet/data/") for line in site.requests(mark))
    finally:
        site.hub.stop()


def spooled(folder: Path) -> list[str]:
    spool = folder / "hub" / "store-v1" / "spool"
    return os.listdir(spool) if spool.is_dir() else []
