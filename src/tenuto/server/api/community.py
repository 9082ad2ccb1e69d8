"""Routes by which people find repos, talk about them, get access to them, and keep them in order (hub-protocol section 4.2)."""

from tenuto.server.access import Action
from tenuto.server.api import moves
from tenuto.server.community import routes as discussion_api
from tenuto.server.content import squash, storage
from tenuto.server.people import profiles
from tenuto.server.repos import search
from tenuto.server.routing import SMALL_BODY_BYTES, Route
from tenuto.server.space.space_api import space_routes

_API = "/api/{T}/{namespace}/{name}"
_WEB = "/{W}/{namespace}/{name}"


def community_routes() -> list[Route]:
    """The rows of the table."""
    return [*_finding_routes(), *_keeping_routes(), *space_routes(), *_talk_routes()]


def _finding_routes() -> list[Route]:
    user, organization = "/api/users/{user}", "/api/organizations/{organization}"
    return [
        Route("GET", "/api/models", Action.BROWSE, search.list_models),
        Route("GET", "/api/datasets", Action.BROWSE, search.list_datasets),
        Route("GET", "/api/spaces", Action.BROWSE, search.list_spaces),
        Route("GET", f"{user}/overview", Action.BROWSE, profiles.user_overview),
        Route("GET", f"{user}/likes", Action.BROWSE, profiles.liked),
        Route("GET", f"{organization}/overview", Action.BROWSE, profiles.organization_overview),
        Route("GET", "/api/settings/repositories", Action.IDENTIFY, profiles.own_repos),
        Route("GET", f"{organization}/settings/repositories", Action.IDENTIFY, profiles.namespace_repos),
        Route("POST", f"{_API}/like", Action.ENGAGE, profiles.like, body_bytes=SMALL_BODY_BYTES),
        Route("DELETE", f"{_API}/like", Action.ENGAGE, profiles.unlike),
        Route("GET", f"{_API}/likers", Action.SEE, profiles.likers),
    ]


def _keeping_routes() -> list[Route]:
    small = SMALL_BODY_BYTES
    return [
        Route("POST", "/api/repos/move", Action.ADMINISTER, moves.move, target=moves.repo_to_move, body_bytes=small),
        Route("POST", f"{_API}/super-squash/{{branch}}", Action.WRITE, squash.super_squash, body_bytes=small),
        Route("GET", f"{_API}/lfs-files", Action.WRITE, storage.list_objects),
        Route("POST", f"{_API}/lfs-files/batch", Action.ADMINISTER, storage.purge, body_bytes=small),
        Route("POST", f"{_API}/lfs-files/duplicate", Action.READ, storage.duplicate, body_bytes=small),
    ]


def _talk_routes() -> list[Route]:
    small, talk = SMALL_BODY_BYTES, f"{_API}/discussions"
    one = f"{talk}/{{num}}"
    return [
        Route("GET", talk, Action.SEE, discussion_api.list_discussions),
        Route("POST", talk, Action.DISCUSS, discussion_api.create, body_bytes=small),
        Route("GET", one, Action.SEE, discussion_api.details),
        Route("POST", f"{one}/comment", Action.DISCUSS, discussion_api.add_comment, body_bytes=small),
        Route("POST", f"{one}/comment/{{comment}}/edit", Action.DISCUSS, discussion_api.edit_comment, body_bytes=small),
        Route("POST", f"{one}/comment/{{comment}}/hide", Action.DISCUSS, discussion_api.hide_comment, body_bytes=small),
        Route("POST", f"{one}/title", Action.DISCUSS, discussion_api.rename, body_bytes=small),
        Route("POST", f"{one}/status", Action.DISCUSS, discussion_api.change_status, body_bytes=small),
        Route("POST", f"{one}/merge", Action.WRITE, discussion_api.merge_proposal, body_bytes=small),
    ]
