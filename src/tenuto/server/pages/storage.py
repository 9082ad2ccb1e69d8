"""What uses the space of a repo, and of all repos of an account: now, by file and version, and over time."""

import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from tenuto.core.errors import NotFoundError
from tenuto.core.space import DaySpace, FileSpace
from tenuto.server.access import Action, Repo, any_in, may
from tenuto.server.git.objects import GitReader
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.plots import Curves, curves
from tenuto.server.pages.render import date_text, render, size_text, weight
from tenuto.server.pages.room import fitting, link_weight
from tenuto.server.pages.samples import Share
from tenuto.server.pages.snippets import freeing
from tenuto.server.quota.limits import allowed_below
from tenuto.server.quota.totals import counted_below
from tenuto.server.repos.rows import REPO_COLUMNS, repo_of_row
from tenuto.server.schema import repo_usage, repos
from tenuto.server.space.recent import recent_overview

_MOST = 40
_DRAWN, _NAME_CHARACTERS = 10, 80
_FILES_BYTES, _REFS_BYTES = 15_000, 6_000
_MOST_REPOS = 100
_COUNTED = func.coalesce(repo_usage.c.file_bytes + repo_usage.c.object_bytes + repo_usage.c.xorb_bytes, 0)


def of_repo(parts: Parts, call: Call) -> Answer:
    """What uses the space of a repo, for who administers it. All versions are walked through, once for each state of the hub."""
    found = recent_overview(parts, call.repo, _MOST)
    with parts.database.read() as connection:
        page = RepoPage(call, GitReader(connection, call.repo.key, parts.cache))
        return page.render(
            "storage.html",
            "storage",
            found=found,
            files=list(fitting(found.files, _FILES_BYTES, lambda one: link_weight(one.path))),
            refs=list(fitting(found.refs, _REFS_BYTES, lambda one: weight(one.ref))),
            largest=[_share(one) for one in found.files[:_DRAWN] if one.held],
            over_time=_over_time(found.days),
            day_of=_day_of,
            lines=freeing(call.repo.id, call.base_url),
        )


def _day_of(time: str) -> str:
    return date_text(datetime.date.fromisoformat(time[:10]))


def _share(one: FileSpace) -> Share:
    name = one.path if len(one.path) <= _NAME_CHARACTERS else f"…{one.path[-_NAME_CHARACTERS:]}"
    return Share(name, one.held, one.size or 0)


def _over_time(days: list[DaySpace]) -> Curves | None:
    """What was held day by day; nothing where that is one day."""
    points = [(float(datetime.date.fromisoformat(one.day).toordinal()), float(one.totals.counted)) for one in days]
    if len(points) < 2:
        return None
    return curves({"held": points}, lambda day: date_text(datetime.date.fromordinal(round(day))), size_text)


class Held(NamedTuple):
    """A repo, and what it holds."""

    repo: Repo
    size_bytes: int


def of_account(parts: Parts, call: Call) -> Answer:
    """What the repos of an account hold, for who administers them; one's own, if the query names none."""
    name = call.text("owner") or call.actor.name
    if not may(call.actor, Action.ADMINISTER, any_in(name)):
        raise NotFoundError(f"there is no account {name[:100]} of yours", code="UserNotFound")
    with parts.database.read() as connection:
        count, found = _held(connection, name)
        total, allowed = counted_below(connection, name), allowed_below(connection, name)
    others = sorted({call.actor.name, *call.actor.rights} - {name})
    values: dict[str, Any] = {
        "owner": name,
        "others": others,
        "total": total,
        "number": count,
        "found": found,
        "allowed": allowed,
    }
    return render("storage_of_owner.html", call, **values)


def _held(connection: Connection, namespace: str) -> tuple[int, list[Held]]:
    """How many repos a namespace has, and the largest of them."""
    here = func.lower(repos.c.namespace) == namespace.lower()
    count = connection.execute(select(func.count()).select_from(repos).where(here)).scalar_one()
    query = select(*REPO_COLUMNS, _COUNTED).outerjoin(repo_usage).where(here)
    rows = connection.execute(query.order_by(_COUNTED.desc(), repos.c.id).limit(_MOST_REPOS))
    return int(count), [Held(repo_of_row(tuple(row)[:-1]), int(row[-1])) for row in rows]
