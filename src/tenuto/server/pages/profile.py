"""The page of a namespace: whose it is, and its repos as far as the caller may see them."""

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from tenuto.core.errors import NotFoundError
from tenuto.core.ids import RepoKind
from tenuto.server.access import Action, any_in, may
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.home import Shown
from tenuto.server.pages.render import render
from tenuto.server.people.accounts import COLUMNS, Account, Kind, account_of_row
from tenuto.server.people.organizations import count_members, list_members, memberships_of
from tenuto.server.people.services import owner_of
from tenuto.server.repos.rows import REPO_COLUMNS, repo_of_row
from tenuto.server.schema import likes, repos, users

_MOST = 24
_MOST_OTHERS = 24
_LIKES = select(func.count()).where(likes.c.repo_id == repos.c.id).correlate(repos).scalar_subquery()


class Owner(NamedTuple):
    """Whose namespace it is, and the accounts it goes with: members of an organization, organizations of a user, or for whom a
    service acts. Of a namespace without an account only the name is known."""

    name: str
    kind: str = ""
    created_ms: int | None = None
    full_name: str = ""
    word: str = ""
    others: tuple[str, ...] = ()
    unnamed: int = 0
    """How many more of them there are."""


def profile(parts: Parts, call: Call) -> Answer:
    """The page of a namespace."""
    name = call.params["namespace"]
    with parts.database.read() as connection:
        owner = _owner(connection, name)
        namespace = owner.name if owner else name
        query = select(*REPO_COLUMNS, _LIKES).where(repos.c.namespace == namespace).order_by(repos.c.modified_ms.desc())
        rows = [tuple(row) for row in connection.execute(query)]
    found = [Shown(repo_of_row(row[:-1]), [], row[-1]) for row in rows]
    seen = [one for one in found if may(call.actor, Action.SEE, one.repo)]
    if owner is None and not seen:
        raise NotFoundError(f"there is no account {name[:100]}", code="UserNotFound")
    groups = [(kind.plural, [one for one in seen if one.repo.id.kind is kind]) for kind in RepoKind]
    shown = [(word, len(members), members[:_MOST]) for word, members in groups if members]
    owns = may(call.actor, Action.ADMINISTER, any_in(namespace))
    governs = may(call.actor, Action.GOVERN, None)
    found_owner = owner or Owner(namespace)
    return render("profile.html", call, owner=found_owner, groups=shown, owns=owns, governs=governs)


def _owner(connection: Connection, name: str) -> Owner | None:
    row = connection.execute(select(*COLUMNS).where(users.c.name_key == name.lower())).first()
    if row is None:
        return None
    account = account_of_row(tuple(row))
    word, others, count = _others(connection, account)
    shown = others[:_MOST_OTHERS]
    kind = account.kind.value
    return Owner(account.name, kind, account.created_ms, account.full_name, word, shown, count - len(shown))


def _others(connection: Connection, account: Account) -> tuple[str, tuple[str, ...], int]:
    """What those accounts are to this one, their names or the first of them, and how many there are."""
    match account.kind:
        case Kind.ORGANIZATION:
            members = list_members(connection, account, limit=_MOST_OTHERS)
            return "Members", tuple(one.account.name for one in members), count_members(connection, account)
        case Kind.SERVICE:
            return "Acts for", (owner_of(connection, account).name,), 1
    organizations = tuple(one.organization.name for one in memberships_of(connection, account.id))
    return "Organizations", organizations, len(organizations)
