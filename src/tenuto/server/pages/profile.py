"""The page of a namespace: whose it is, and its repos as far as the caller may see them."""

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from tenuto.core.errors import NotFoundError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.access import Action, Repo, may
from tenuto.server.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.home import Shown
from tenuto.server.pages.render import render
from tenuto.server.repos import REPO_COLUMNS, repo_of_row
from tenuto.server.schema import likes, repos, users

_MOST = 24
_LIKES = select(func.count()).where(likes.c.repo_id == repos.c.id).correlate(repos).scalar_subquery()


class Owner(NamedTuple):
    """Whose namespace it is; of one without an account only the name is known."""

    name: str
    kind: str
    created_ms: int | None


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
    owns = may(call.actor, Action.ADMINISTER, Repo(0, RepoId(RepoKind.MODEL, namespace, "any")))
    governs = may(call.actor, Action.GOVERN, None)
    found_owner = owner or Owner(namespace, "", None)
    return render("profile.html", call, owner=found_owner, groups=shown, owns=owns, governs=governs)


def _owner(connection: Connection, name: str) -> Owner | None:
    query = select(users.c.name, users.c.kind, users.c.created_ms).where(users.c.name_key == name.lower())
    row = connection.execute(query).first()
    return Owner(*row) if row else None
