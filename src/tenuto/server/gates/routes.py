"""The routes of gates (hub-protocol section 9.1)."""

from tenuto.server.access import Action
from tenuto.server.gates import asking, deciding, showing
from tenuto.server.routing import SMALL_BODY_BYTES, Route

_API = "/api/{T}/{namespace}/{name}"
_WEB = "/{W}/{namespace}/{name}"


def gate_routes() -> list[Route]:
    """The rows of the table."""
    small, requests = SMALL_BODY_BYTES, f"{_API}/user-access-request"
    return [
        Route("GET", f"{_API}/access-form", Action.SEE, asking.show_form),
        Route("POST", f"{_WEB}/ask-access", Action.ENGAGE, asking.ask, body_bytes=small, page=True),
        Route("POST", f"{requests}/cancel", Action.ENGAGE, asking.withdraw, body_bytes=small),
        Route(
            "POST",
            f"{_WEB}/withdraw-access",
            Action.ENGAGE,
            asking.withdraw_on_page,
            body_bytes=small // 16,
            page=True,
        ),
        Route("GET", f"{_WEB}/user-access-report", Action.ADMINISTER, showing.report),
        Route("GET", f"{requests}/{{status}}", Action.ADMINISTER, showing.list_requests),
        Route("POST", f"{requests}/handle", Action.ADMINISTER, deciding.handle, body_bytes=small),
        Route("POST", f"{requests}/handle-many", Action.ADMINISTER, deciding.handle_many, body_bytes=small),
        Route("POST", f"{requests}/grant", Action.ADMINISTER, deciding.grant, body_bytes=small),
    ]
