"""Links for new people and for lost passwords over HTTP, for whoever administers the hub (docs/accounts.md)."""

import msgspec

from tenuto.core.errors import UsageError
from tenuto.server.http.exchange import Answer, Call, json_answer
from tenuto.server.hub import Parts
from tenuto.server.people.accounts import Kind, find_account
from tenuto.server.people.change import changing
from tenuto.server.signin.invitations import FIELD, PATH, InvitationWish, invite, invite_to_reset


class LinkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to invite; `reset` names a user who shall set a new password instead."""

    name: str = ""
    organization: str = ""
    role: str = "read"
    days: float = 7.0
    reset: str = ""


def make_link(parts: Parts, call: Call, wish: InvitationWish, reset: str = "") -> str:
    """The address of a link, which is shown here only. Raises UsageError, NotFoundError (UserNotFound)."""
    with changing(parts, call.origin) as change:
        user = find_account(change.connection, reset, Kind.USER) if reset else None
        secret = invite_to_reset(change, user, wish.days) if user else invite(change, wish)
    return f"{call.base_url}{PATH}?{FIELD}={secret}"


def make(parts: Parts, call: Call) -> Answer:
    """A link by which somebody gets an account, or sets a new password, once."""
    wanted = call.json(LinkRequest)
    wish = InvitationWish(wanted.name, wanted.organization, wanted.role, wanted.days)
    if wanted.reset and wish != InvitationWish(days=wanted.days):
        raise UsageError("whoever sets a new password is here already", hint="say `reset` and `days`, and no more")
    link = make_link(parts, call, wish, wanted.reset)
    return json_answer({"link": link}, headers={"Cache-Control": "no-store"})
