"""Routes by which programs and devices get to act for somebody, and administrators let people in."""

from tenuto.server.access import Action
from tenuto.server.routing import SMALL_BODY_BYTES, Route
from tenuto.server.signin import device_login, invitation_api

_SMALL = SMALL_BODY_BYTES // 16


def sign_in_routes() -> list[Route]:
    """The rows of the table."""
    return [
        Route("POST", "/oauth/device", Action.SERVE, device_login.begin, body_bytes=_SMALL),
        Route("POST", "/oauth/token", Action.SERVE, device_login.fetch, body_bytes=_SMALL),
        Route("POST", "/api/hub/invitations", Action.GOVERN, invitation_api.make, body_bytes=_SMALL),
    ]
