"""Style sheet, scripts and pictures of the pages. Their names carry the hash of what they hold, so that browsers may keep them for good."""

import hashlib
from functools import cache
from importlib.resources import files

from tenuto.core.errors import NotFoundError
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HASH_LETTERS = 10


@cache
def _assets() -> dict[str, tuple[str, bytes]]:
    """Name with hash and bytes of each file, by its plain name."""
    found = {}
    for file in files("tenuto.server.pages").joinpath("static").iterdir():
        stem, _, suffix = file.name.rpartition(".")
        if suffix in _TYPES:
            body = file.read_bytes()
            found[file.name] = (f"{stem}.{hashlib.sha256(body).hexdigest()[:_HASH_LETTERS]}.{suffix}", body)
    return found


def asset_path(name: str) -> str:
    """Where a file of the pages is served; raises KeyError if there is none of that name."""
    return f"/static/{_assets()[name][0]}"


def serve_asset(parts: Parts, call: Call) -> Answer:
    """A file of the pages, by its name with the hash."""
    for name, body in _assets().values():
        if name == call.params["file"]:
            headers = {
                "Content-Type": _TYPES[name.rpartition(".")[2]],
                "Cache-Control": "public, max-age=31536000, immutable",
                "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
                "X-Content-Type-Options": "nosniff",
            }
            return Answer(200, headers, body)
    raise NotFoundError("there is no such file of the pages", code="RouteNotFound", hint="load the page anew")
