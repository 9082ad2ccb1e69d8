"""What became of a form, told on the page that it leads back to: signed, so that no link of others makes the hub say a word."""

import hashlib
import hmac
from typing import NamedTuple
from urllib.parse import urlencode

from tenuto.server.http.exchange import Call
from tenuto.server.hub import Parts

_CHARACTERS = 400


class Told(NamedTuple):
    """What was done, and what was not; empty: nothing is said of it."""

    done: str = ""
    undone: str = ""


def telling(parts: Parts, call: Call, place: str, told: Told, **query: str) -> str:
    """`place`, a path of this hub, with what it shall tell the caller."""
    told = Told(*(text[:_CHARACTERS] for text in told))
    values = {**told._asdict(), "signed": _signature(parts, call, place, told)}
    return f"{place}?{urlencode({**query, **{key: text for key, text in values.items() if text}})}"


def told(parts: Parts, call: Call) -> Told:
    """What the page of a call was led to with; nothing if this hub did not write it for this caller and this page."""
    found = Told(call.text("done") or "", call.text("undone") or "")
    wanted = _signature(parts, call, call.raw_path, found)
    return found if hmac.compare_digest((call.text("signed") or "").encode(), wanted.encode()) else Told()


def _signature(parts: Parts, call: Call, place: str, told: Told) -> str:
    said = "\0".join((call.actor.name, place, *told)).encode()
    return hmac.digest(parts.signer.key("what a page tells"), said, hashlib.sha256).hex()[:32]
