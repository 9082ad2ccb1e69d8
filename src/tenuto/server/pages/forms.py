"""What every form of a page carries, so that no other site can send it for somebody."""

from tenuto.server.exchange import Call

CSRF_FIELD = "csrf"


def csrf_token(call: Call) -> str:
    """What a form must send back in the field `csrf`; empty for a caller without a session, whose forms need none."""
    return ""
