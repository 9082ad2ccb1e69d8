"""How a request for access goes from state to state: the table. docs/gates.md shows it to people."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from tenuto.server.access import Standing
from tenuto.server.audit import Deed

_NONE, _PENDING, _ACCEPTED = Standing.NONE, Standing.PENDING, Standing.ACCEPTED
_REJECTED, _REVOKED, _EXPIRED, _OUTDATED = Standing.REJECTED, Standing.REVOKED, Standing.EXPIRED, Standing.OUTDATED


class Event(StrEnum):
    """What somebody does to a request."""

    ASK = "ask"  # the account itself, where somebody decides
    ENTER = "enter"  # the account itself, where asking is enough
    WITHDRAW = "withdraw"  # the account itself
    ACCEPT = "accept"  # an administrator of the repo, as all that follow
    REJECT = "reject"
    REVOKE = "revoke"
    REOPEN = "reopen"
    GRANT = "grant"
    PROLONG = "prolong"


NEXT: Mapping[Event, Mapping[Standing, Standing]] = MappingProxyType(
    {
        Event.ASK: {
            _NONE: _PENDING,
            _PENDING: _PENDING,
            _ACCEPTED: _ACCEPTED,
            _EXPIRED: _PENDING,
            _OUTDATED: _ACCEPTED,
        },
        Event.ENTER: dict.fromkeys((_NONE, _PENDING, _ACCEPTED, _EXPIRED, _OUTDATED), _ACCEPTED),
        Event.WITHDRAW: {_PENDING: _NONE},
        Event.ACCEPT: dict.fromkeys((_PENDING, _REJECTED, _REVOKED, _EXPIRED), _ACCEPTED),
        Event.REJECT: dict.fromkeys((_PENDING, _ACCEPTED, _EXPIRED, _OUTDATED), _REJECTED),
        Event.REVOKE: dict.fromkeys((_ACCEPTED, _EXPIRED, _OUTDATED), _REVOKED),
        Event.REOPEN: dict.fromkeys((_ACCEPTED, _REJECTED, _REVOKED, _EXPIRED, _OUTDATED), _PENDING),
        Event.GRANT: dict.fromkeys((_NONE, _PENDING, _REJECTED, _REVOKED, _EXPIRED, _OUTDATED), _ACCEPTED),
        Event.PROLONG: {_ACCEPTED: _ACCEPTED},
    }
)
"""To which state an event leads from which; what is not in it is refused, and changes nothing."""

DEEDS = {
    Event.ASK: Deed.ACCESS_REQUEST,
    Event.ENTER: Deed.ACCESS_REQUEST,
    Event.WITHDRAW: Deed.ACCESS_WITHDRAW,
    Event.ACCEPT: Deed.ACCESS_ACCEPT,
    Event.REJECT: Deed.ACCESS_REJECT,
    Event.REVOKE: Deed.ACCESS_REVOKE,
    Event.REOPEN: Deed.ACCESS_REOPEN,
    Event.GRANT: Deed.ACCESS_GRANT,
    Event.PROLONG: Deed.ACCESS_GRANT,
}
"""What the audit log calls an event."""

SHOWN_AS = {_REVOKED: _REJECTED, _EXPIRED: _REJECTED, _OUTDATED: _ACCEPTED}
"""In which of the three lists that stock clients know a state appears: with those who have access, or with those who have not."""


def shown_as(standing: Standing) -> Standing:
    """The state that stock clients are told."""
    return SHOWN_AS.get(standing, standing)
