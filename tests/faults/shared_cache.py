"""A cache before a hub that keeps whatever it is not forbidden to keep, and gives it to whoever asks for the same address: real nginx."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from bench.hub.peers import free_port, nginx_program

_START_S = 20
_SETTINGS = """\
daemon off;
master_process off;
pid {place}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    proxy_cache_path {place}/kept keys_zone=kept:1m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {hub};
            proxy_set_header Host $http_host;
            proxy_cache kept;
            proxy_cache_key $request_uri;
            proxy_cache_valid any 10m;
            add_header X-Kept $upstream_cache_status always;
        }}
    }}
}}
"""


@contextlib.contextmanager
def shared_cache(hub_url: str, place: Path) -> Iterator[str]:
    """The address of the cache, as long as the block lasts; `place` is an empty folder."""
    program = nginx_program()
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    port = free_port()
    settings = place / "nginx.conf"
    settings.write_text(_SETTINGS.format(place=place, port=port, hub=hub_url))
    with open(place / "nginx.log", "wb") as log:
        process = subprocess.Popen([program, "-p", str(place), "-c", str(settings), "-e", "stderr"], stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, place / "nginx.log")
        yield url
    finally:
        process.terminate()
        process.wait(_START_S)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx2.TransportError):
            httpx2.get(f"{url}/health", trust_env=False)
            return
        time.sleep(0.02)
    raise AssertionError(f"nginx did not start: {log.read_text()}")
