"""One large file over one connection: from our hub, stored whole and as chunks, from nginx and from Starlette.

Each server has the same core, its client another; the page cache is warm. Before anything is measured each server must give the very bytes.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench.fingerprint import hash_of
from bench.hub.books import Figures, cpu_s, on
from bench.hub.peers import MissingPeerError, Peer, nginx, starlette
from bench.hub.site import OURS, Site, rotated
from bench.hub.talk import Talk
from bench.measure import StepError, warm

DOWNLOAD = "download"
CHUNKED = "tenuto, chunked"
PEERS: dict[str, Peer] = {"nginx": nginx, "starlette": starlette}
NAME = "model.safetensors"


class Source(NamedTuple):
    """A server that has the file: its name, the address there, a token or nothing, its process, and the folder that it reads."""

    name: str
    url: str
    token: str
    pid: int
    folder: Path


def downloads(site: Site) -> None:
    """Measure all of them."""
    file = site.workload("W2").folder / NAME
    sha256 = hash_of(file)
    with site.folder() as place, ExitStack() as stack:
        sources = [
            _hub(site, stack, place / "whole", OURS, lambda talk, repo: talk.put_whole(repo, NAME, file)),
            _hub(site, stack, place / "chunked", CHUNKED, lambda talk, repo: put_chunked(site, talk, repo, file)),
            *_peers(site, stack, file, place),
        ]
        home = place / "client"
        for source in sources:
            if _fetch(site, source, home, hashed=True)["sha256"] != sha256:
                raise StepError(f"{source.name} gives other bytes than it was given")
        os.sync()
        for number in range(site.repeat):
            for source in rotated(sources, number):
                warm(source.folder)
                site.add(DOWNLOAD, source.name, _sample(site, source, home))


def put_chunked(site: Site, talk: Talk, repo: str, file: Path) -> str:
    """Upload a file by Xet and commit it; its sha256."""
    job = {"action": "up", "file": str(file), "token": talk.hub.token, "token_url": write_token_url(talk, repo)}
    told = site.client("xet", job, home=talk.hub.data.parent / "uploader")
    talk.commit_large(repo, NAME, told["sha256"], told["bytes"])
    return str(told["sha256"])


def write_token_url(talk: Talk, repo: str) -> str:
    """Where a client gets a token to write chunks."""
    return f"{talk.hub.url}/api/models/{repo}/xet-write-token/main"


def _hub(site: Site, stack: ExitStack, place: Path, name: str, put: Callable[[Talk, str], str]) -> Source:
    talk = stack.enter_context(site.hub(place, site.cores.server))
    repo = talk.create("large")
    put(talk, repo)
    return Source(name, talk.url(repo, NAME), talk.hub.token, talk.hub.pid, talk.hub.data)


def _peers(site: Site, stack: ExitStack, file: Path, place: Path) -> list[Source]:
    found = []
    for name, peer in PEERS.items():
        folder = place / name
        folder.mkdir()
        try:
            with on(site.cores.server):
                server = stack.enter_context(peer(file, folder))
        except MissingPeerError as error:
            site.missing[name] = str(error)
            continue
        found.append(Source(name, server.url, "", server.pid, file.parent))
    return found


def _sample(site: Site, source: Source, home: Path) -> Figures:
    before_s = cpu_s(source.pid)
    told = _fetch(site, source, home, hashed=False)
    return {**told, "server_cpu_s": cpu_s(source.pid) - before_s}


def _fetch(site: Site, source: Source, home: Path, *, hashed: bool) -> Any:
    job = {"url": source.url, "token": source.token, "hashed": hashed}
    return site.client("fetch", job, home=home, cores=site.cores.client)
