"""Routes of the chunk store (xet-protocol sections 7.1, 8 and 14). Each list of names holds what clients have called a route, newest first."""

from tenuto.server.access import Action
from tenuto.server.routing import SMALL_BODY_BYTES, Handler, Route
from tenuto.server.xet import download as xet_download
from tenuto.server.xet import upload as xet_upload

_XET = "/xet/{scope}/{oid}"  # the repo, and the generation of what clients remember of it


def xet_routes() -> list[Route]:
    """The rows of the table."""
    return [
        Route(
            "GET",
            "/api/{T}/{namespace}/{name}/xet-write-token/{rev}",
            Action.WRITE,
            xet_upload.write_token,
            proposal=True,
        ),
        Route("GET", "/api/{T}/{namespace}/{name}/xet-read-token/{rev}", Action.READ, xet_upload.read_token),
        Route("GET", "/xet/data/{oid}", Action.READ, xet_download.data, link="xet-data"),
        *_writing("v1/xorb-grants/default/{hash}", handler=xet_upload.grant, body_bytes=SMALL_BODY_BYTES),
        *_writing(
            "v1/xorbs/default/{hash}",
            "xorbs/default/{hash}",
            "xorb/default/{hash}",
            handler=xet_upload.receive_xorb,
            streams=True,
        ),
        *_writing("v2/shards", handler=xet_upload.receive_shard_in_lines, streams=True),
        *_writing("v1/shards", "shards", "shard/default/{hash}", handler=xet_upload.receive_shard, streams=True),
        *_reading(
            "v1/chunks/default/{hash}", "chunks/default/{hash}", "chunk/default/{hash}", handler=xet_download.chunks
        ),
        *_reading("v2/reconstructions/{hash}", handler=xet_download.reconstruction_v2),
        *_reading(
            "v1/reconstructions/{hash}",
            "reconstructions/{hash}",
            "reconstruction/{hash}",
            handler=xet_download.reconstruction,
        ),
    ]


def _writing(*names: str, handler: Handler, body_bytes: int = 0, streams: bool = False) -> list[Route]:
    # Who got a token to write, be it for a proposal, goes on until even that is no longer allowed.
    return [
        Route(
            "POST", f"{_XET}/{name}", Action.PROPOSE, handler, link="xet-write", body_bytes=body_bytes, streams=streams
        )
        for name in names
    ]


def _reading(*names: str, handler: Handler) -> list[Route]:
    return [Route("GET", f"{_XET}/{name}", Action.READ, handler, link="xet-read") for name in names]
