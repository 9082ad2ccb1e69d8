"""How much each repo holds, and how much it and its account may hold: exact, whoever writes at the same time (decision 22)."""

from tenuto.server.quota.guard import check_held, check_room, guard
from tenuto.server.quota.limits import Limit, is_limited, limits_on, set_quota
from tenuto.server.quota.totals import Usage, note_day, usage

__all__ = [
    "Limit",
    "Usage",
    "check_held",
    "check_room",
    "guard",
    "is_limited",
    "limits_on",
    "note_day",
    "set_quota",
    "usage",
]
