"""All routes of the hub (hub-protocol section 4)."""

from tenuto.server.access import Action
from tenuto.server.api import repos as repo_api
from tenuto.server.api import uploads as upload_api
from tenuto.server.api.absent import absent_routes
from tenuto.server.api.community import community_routes
from tenuto.server.api.openapi import openapi_route
from tenuto.server.content import files, lfs, lfs_parts, packs
from tenuto.server.content import listing as listing_api
from tenuto.server.gates.routes import gate_routes
from tenuto.server.git_wire.routes import make_git_routes
from tenuto.server.pages.account_routes import account_page_routes
from tenuto.server.pages.routes import page_routes
from tenuto.server.people import whoami
from tenuto.server.people.routes import account_routes
from tenuto.server.routing import SMALL_BODY_BYTES, Route
from tenuto.server.signin.routes import sign_in_routes
from tenuto.server.xet.routes import xet_routes

_API = "/api/{T}/{namespace}/{name}"
_WEB = "/{W}/{namespace}/{name}"
_LFS = "/{W}/{namespace}/{name}.git/info/lfs"
_MANY_PATHS_BYTES = 4 * SMALL_BODY_BYTES


def make_routes() -> list[Route]:
    """The table."""
    routes = [
        *_hub_routes(),
        *_repo_routes(),
        *_content_routes(),
        *_upload_routes(),
        *_lfs_routes(),
        *xet_routes(),
        *community_routes(),
        *account_routes(),
        *sign_in_routes(),
        *gate_routes(),
        *absent_routes(),
        *make_git_routes(),
        *page_routes(),
        *account_page_routes(),
    ]
    return [*routes, openapi_route(routes)]


def _hub_routes() -> list[Route]:
    return [
        Route("GET", "/health", Action.SERVE, repo_api.well),
        Route("GET", "/api/agent-harnesses", Action.SERVE, repo_api.agent_harnesses),
        Route("HEAD", "/api/telemetry/{topic*}", Action.SERVE, repo_api.ignored),
        Route("POST", "/v1/telemetry", Action.SERVE, repo_api.ignored, body_bytes=SMALL_BODY_BYTES),
        Route("POST", "/api/validate-yaml", Action.SERVE, upload_api.validate_yaml, body_bytes=_MANY_PATHS_BYTES),
        Route("GET", "/api/whoami-v2", Action.IDENTIFY, whoami.whoami),
    ]


def _repo_routes() -> list[Route]:
    small = SMALL_BODY_BYTES
    return [
        Route(
            "POST",
            "/api/repos/create",
            Action.CREATE,
            repo_api.create,
            target=repo_api.repo_to_create,
            body_bytes=small,
        ),
        Route(
            "DELETE",
            "/api/repos/delete",
            Action.ADMINISTER,
            repo_api.delete,
            target=repo_api.repo_to_delete,
            body_bytes=small,
        ),
        Route("PUT", f"{_API}/settings", Action.ADMINISTER, repo_api.settings, body_bytes=small),
        Route("GET", f"{_API}/auth-check", Action.READ, repo_api.allowed),
        Route("GET", f"{_API}/auth-check/write", Action.WRITE, repo_api.allowed),
    ]


def _content_routes() -> list[Route]:
    return [
        Route("GET", _API, Action.SEE, listing_api.info),
        Route("GET", f"{_API}/revision/{{rev}}", Action.SEE, listing_api.info),
        Route("GET", f"{_API}/tree/{{rev}}", Action.SEE, listing_api.tree),
        Route("GET", f"{_API}/tree/{{rev}}/{{path*}}", Action.SEE, listing_api.tree),
        Route("POST", f"{_API}/paths-info/{{rev}}", Action.SEE, listing_api.paths_info, body_bytes=_MANY_PATHS_BYTES),
        Route("GET", f"{_API}/refs", Action.SEE, listing_api.refs),
        Route("GET", f"{_API}/commits/{{rev}}", Action.SEE, listing_api.commits),
        Route(
            "GET",
            f"{_WEB}/resolve/{{rev}}/{{path*}}",
            Action.READ,
            files.resolve,
            recall=files.recall_resolve,
            page=True,
            card=True,
        ),
        Route("POST", f"{_API}/pack/{{rev}}", Action.READ, packs.send, body_bytes=_MANY_PATHS_BYTES),
        Route("GET", f"{_WEB}/raw/{{rev}}/{{path*}}", Action.READ, files.raw, recall=files.recall_raw, page=True),
    ]


def _upload_routes() -> list[Route]:
    small = SMALL_BODY_BYTES
    return [
        Route(
            "POST",
            f"{_API}/preupload/{{rev}}",
            Action.WRITE,
            upload_api.preupload,
            body_bytes=_MANY_PATHS_BYTES,
            proposal=True,
        ),
        Route("POST", f"{_API}/commit/{{rev}}", Action.WRITE, upload_api.receive_commit, streams=True, proposal=True),
        Route("PUT", f"{_API}/pack", Action.WRITE, packs.receive, streams=True),
        Route("POST", f"{_API}/branch/{{branch}}", Action.WRITE, upload_api.create_branch, body_bytes=small),
        Route("DELETE", f"{_API}/branch/{{branch}}", Action.WRITE, upload_api.delete_branch, body_bytes=small),
        Route("POST", f"{_API}/tag/{{rev}}", Action.WRITE, upload_api.create_tag, body_bytes=small),
        Route("DELETE", f"{_API}/tag/{{tag}}", Action.WRITE, upload_api.delete_tag, body_bytes=small),
    ]


def _lfs_routes() -> list[Route]:
    small = SMALL_BODY_BYTES
    return [
        Route("POST", f"{_LFS}/objects/batch", Action.READ, lfs.batch, body_bytes=small, basic=True),
        Route("PUT", "/lfs/upload/{oid}", Action.PROPOSE, lfs.upload, link="upload", streams=True),
        Route("PUT", "/lfs/part/{oid}", Action.PROPOSE, lfs_parts.upload_part, link="part", streams=True),
        Route(
            "POST",
            "/lfs/complete/{oid}",
            Action.PROPOSE,
            lfs_parts.complete,
            link="complete",
            body_bytes=_MANY_PATHS_BYTES,
        ),
        Route("POST", "/lfs/verify/{oid}", Action.PROPOSE, lfs.verify, link="verify", body_bytes=small),
        Route("GET", "/lfs/download/{oid}", Action.READ, files.download, link="download"),
    ]
