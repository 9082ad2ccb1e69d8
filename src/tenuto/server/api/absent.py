"""What stock clients can ask for and this hub does not do: said with 501 and in words, not as a name that does not exist."""

from tenuto.core.errors import UnavailableError
from tenuto.server.access import Action
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.routing import Route

_REPO = "/api/{T}/{namespace}/{name}"
_SPACE = "/api/spaces/{namespace}/{name}"
_ABSENT: dict[str, dict[str, str]] = {
    "webhooks": {
        "/api/settings/webhooks": "GET POST",
        "/api/settings/webhooks/{rest*}": "GET POST DELETE",
    },
    "buckets": {"/api/buckets/{rest*}": "GET POST PUT DELETE", "/buckets/{rest*}": "GET"},
    "copies of whole repos": {f"{_REPO}/duplicate": "POST"},
    "attachments of comments": {"/uploads": "POST"},
    "followers": {
        "/api/users/{user}/followers": "GET",
        "/api/users/{user}/following": "GET",
        "/api/organizations/{organization}/followers": "GET",
    },
    "running spaces": {
        "/api/spaces/templates": "GET",
        f"{_SPACE}/runtime": "GET",
        f"{_SPACE}/secrets": "GET POST DELETE",
        f"{_SPACE}/variables": "GET POST DELETE",
        f"{_SPACE}/hardware": "POST",
        f"{_SPACE}/sleeptime": "POST",
        f"{_SPACE}/storage": "POST DELETE",
        f"{_SPACE}/volumes": "GET PUT DELETE",
        f"{_SPACE}/restart": "POST",
        f"{_SPACE}/pause": "POST",
        f"{_SPACE}/dev-mode": "POST",
        f"{_SPACE}/logs/{{rest*}}": "GET",
        f"{_SPACE}/semantic-search": "GET",
    },
    "lists of all tags": {"/api/models-tags-by-type": "GET", "/api/datasets-tags-by-type": "GET"},
    "looks into weights": {"/api/models/{namespace}/{name}/safetensors-metadata/{rest*}": "GET"},
    "leaderboards": {"/api/datasets/{namespace}/{name}/leaderboard": "GET"},
    "kernels": {"/api/kernels": "GET", "/api/kernels/{rest*}": "GET POST PUT DELETE"},
    "collections": {
        "/api/collections": "GET POST",
        "/api/collections/{rest*}": "GET POST PATCH DELETE",
    },
    "papers": {"/api/papers/{rest*}": "GET", "/api/daily_papers": "GET"},
    "jobs": {"/api/jobs/{rest*}": "GET POST", "/api/scheduled-jobs/{rest*}": "GET POST DELETE"},
}


class Absence:
    """A handler that says what is absent."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __call__(self, parts: Parts, call: Call) -> Answer:
        raise UnavailableError(f"this hub has no {self.what}", code="NotSupported")


def absent_routes() -> list[Route]:
    """The rows of the table. They answer everybody alike, whatever exists."""
    return [
        Route(method, pattern, Action.SERVE, Absence(what))
        for what, patterns in _ABSENT.items()
        for pattern, methods in patterns.items()
        for method in methods.split()
    ]
