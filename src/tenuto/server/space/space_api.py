"""The route by which the owner of a repo learns what uses its space."""

from tenuto.server.access import Action
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.routing import Route
from tenuto.server.space.recent import recent_overview

_SHOWN = 100
_MOST = 10_000


def space_routes() -> list[Route]:
    """The rows of the table."""
    return [Route("GET", "/api/{T}/{namespace}/{name}/usage", Action.ADMINISTER, show)]


def show(parts: Parts, call: Call) -> Answer:
    """What uses the space of a repo: by file, version and ref, with what deleting each would free, and over time."""
    most = call.number("limit", _SHOWN, _MOST)
    return json_answer(recent_overview(parts, call.repo, most))
