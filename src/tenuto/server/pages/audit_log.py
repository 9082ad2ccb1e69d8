"""What was done to a repo, or anywhere on the hub, by whom and from where: the audit log, newest first."""

import re
from typing import Any

from tenuto.core.human import size_text
from tenuto.core.wire import timestamp_text
from tenuto.server.audit.reading import Entry, Wanted, entries
from tenuto.server.git.objects import GitReader
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.render import render

_PAGE = 50
_FACT_CHARACTERS = 300
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def of_repo(parts: Parts, call: Call) -> Answer:
    """What was done to a repo, for who administers it."""
    with parts.database.read() as connection:
        page = RepoPage(call, GitReader(connection, call.repo.key, parts.cache))
        found = list(entries(connection, Wanted(repo_key=call.repo.key, before=_before(call), limit=_PAGE + 1)))
        return page.render("repo_audit.html", "audit", **_shown(found))


def of_hub(parts: Parts, call: Call) -> Answer:
    """What was done on the hub, for who governs it."""
    actor = (call.text("actor") or "").strip() or None
    with parts.database.read() as connection:
        found = list(entries(connection, Wanted(actor=actor, before=_before(call), limit=_PAGE + 1)))
    return render("audit.html", call, who=actor or "", **_shown(found))


def _before(call: Call) -> int | None:
    return call.number("before", 1, 2**62) if call.text("before") else None


def _shown(found: list[Entry]) -> dict[str, Any]:
    lines = [(one, ", ".join(_fact(*fact) for fact in one.facts.items())[:_FACT_CHARACTERS]) for one in found]
    return {"entries": lines[:_PAGE], "before": found[_PAGE - 1].number if len(found) > _PAGE else 0}


def _fact(name: str, value: object) -> str:
    """A fact in a few words: of a time when that is, of a hash what tells it from others, of bytes how much that is."""
    if name.endswith("_ms") and isinstance(value, int):
        return f"{name.removesuffix('_ms')} {timestamp_text(value)[:16].replace('T', ' ')} UTC"
    if name == "bytes" and isinstance(value, int):
        return size_text(value)
    return f"{name.replace('_', ' ')} {_value_text(value)}"


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(_value_text, value))
    text = str(value)
    return text[:8] if _HASH.fullmatch(text) else text
