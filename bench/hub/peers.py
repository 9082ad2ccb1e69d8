"""The servers that ours is held against: nginx, and Starlette's FileResponse on uvicorn, each one process with one file to give."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from bench.loopback import stop
from bench.measure import StepError, tail

START_TIMEOUT_S = 20
NGINX = """\
daemon off;
master_process off;
pid {place}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ root {folder}; }}
    }}
}}
"""
STARLETTE = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route
async def give(request):
    return FileResponse(sys.argv[1])
app = Starlette(routes=[Route("/{name}", give)])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=False, log_level="warning")
"""


class MissingPeerError(Exception):
    """A peer is not installed; the text says how to install it."""


class Server(NamedTuple):
    """A running server: the address of the file that it gives, and its process."""

    url: str
    pid: int


Peer = Callable[[Path, Path], AbstractContextManager[Server]]
"""Serves a file as long as the block lasts, with an existing folder for what the server needs; raises MissingPeerError, StepError."""


@contextmanager
def nginx(file: Path, place: Path) -> Iterator[Server]:
    """nginx with sendfile, in one process."""
    program = nginx_program()
    if program is None:
        raise MissingPeerError("nginx was not found; install it with: apt-get install nginx-light")
    port = free_port()
    settings = place / "nginx.conf"
    settings.write_text(NGINX.format(place=place, port=port, folder=file.parent), encoding="utf-8")
    command = [program, "-p", str(place), "-c", str(settings), "-e", "stderr"]
    with _running(command, port, place / "nginx.log") as pid:
        yield Server(f"http://127.0.0.1:{port}/{file.name}", pid)


def nginx_program() -> str | None:
    """Where nginx is, if it is installed."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))


def nginx_version() -> str | None:
    """Which nginx it is, if it is installed."""
    program = nginx_program()
    if program is None:
        return None
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    return told.strip().rpartition("/")[2]


@contextmanager
def starlette(file: Path, place: Path) -> Iterator[Server]:
    """A bare FileResponse."""
    if find_spec("starlette") is None:
        raise MissingPeerError("starlette was not found; install it with: make setup")
    port = free_port()
    command = [sys.executable, "-c", STARLETTE, str(file), str(port)]
    with _running(command, port, place / "starlette.log") as pid:
        yield Server(f"http://127.0.0.1:{port}/{file.name}", pid)


def free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def _running(command: Sequence[str], port: int, log: Path) -> Iterator[int]:
    """The process of a server that accepts connections on the port; it is stopped afterwards. Raises StepError."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        until_s = time.monotonic() + START_TIMEOUT_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until_s:
                raise StepError(f"`{command[0]}` did not start:\n{tail(log)}")
            time.sleep(0.02)
        yield process.pid
    finally:
        stop(process)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
