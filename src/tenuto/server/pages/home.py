"""The start page: what is new, as far as the caller may see it."""

from typing import NamedTuple

from tenuto.core.ids import RepoKind
from tenuto.server.access import Action, Repo, any_in, may
from tenuto.server.gates.book import waiting_in
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.render import render
from tenuto.server.repos.cards import refresh, tags_of
from tenuto.server.repos.search import Found, find_repos

_KINDS = (RepoKind.MODEL, RepoKind.DATASET)
_NEWEST = 6
_MOST_LABELS = 4
_MOST_OWNERS, _MOST_WAITING = 100, 5


class Shown(NamedTuple):
    """A repo in a list."""

    repo: Repo
    labels: list[str]
    likes: int


def shown(one: Found) -> Shown:
    """What a list says of a repo that was found."""
    tags = [tag for tag in tags_of(one.repo.id.kind, one.card) if len(tag) < 30]
    return Shown(one.repo, tags[:_MOST_LABELS], one.likes)


def home(parts: Parts, call: Call) -> Answer:
    """What was changed last."""
    refresh(parts)
    with parts.database.read() as connection:
        waiting = waiting_in(connection, _administered(call), _MOST_WAITING) if call.actor.is_known else []
        groups = [(kind.plural, find_repos(connection, call, kind, _NEWEST)[0]) for kind in _KINDS]
    shown_groups = [(name, [shown(one) for one in found]) for name, found in groups]
    return render("home.html", call, groups=shown_groups, waiting=waiting)


def _administered(call: Call) -> list[str]:
    names = [call.actor.name, *sorted(call.actor.rights)][:_MOST_OWNERS]
    return [name for name in names if may(call.actor, Action.ADMINISTER, any_in(name))]
