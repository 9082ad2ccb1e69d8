"""The routes that git and git-lfs come by, with and without `.git` behind the name (hub-protocol sections 7.4, 7.5)."""

from tenuto.server.access import Action
from tenuto.server.content import locks
from tenuto.server.git_wire import smart_http as git_http
from tenuto.server.routing import SMALL_BODY_BYTES, Route


def make_git_routes() -> list[Route]:
    """The rows of the table. A push asks for the right to write when it asks for the refs (`git_http.info_refs`)."""
    routes = []
    for end in ("", ".git"):
        repo = f"/{{W}}/{{namespace}}/{{name}}{end}"
        routes += [
            Route("GET", f"{repo}/info/refs", Action.READ, git_http.info_refs, basic=True, plain=True),
            Route(
                "POST",
                f"{repo}/git-upload-pack",
                Action.READ,
                git_http.upload_pack,
                streams=True,
                basic=True,
                plain=True,
            ),
            Route(
                "POST",
                f"{repo}/git-receive-pack",
                Action.WRITE,
                git_http.receive_pack,
                streams=True,
                basic=True,
                plain=True,
            ),
        ]
    return routes + _lock_routes()


def _lock_routes() -> list[Route]:
    place, small = "/{W}/{namespace}/{name}.git/info/lfs/locks", SMALL_BODY_BYTES
    return [
        Route("GET", place, Action.READ, locks.list_locks, basic=True),
        Route("POST", place, Action.WRITE, locks.create_lock, body_bytes=small, basic=True),
        Route("POST", f"{place}/verify", Action.WRITE, locks.verify_locks, body_bytes=small, basic=True),
        Route("POST", f"{place}/{{lock}}/unlock", Action.WRITE, locks.unlock, body_bytes=small, basic=True),
    ]
