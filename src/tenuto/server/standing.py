"""How accounts stand with the gates of repos."""

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from tenuto.server.access import Actor, Gate, Repo, Standing
from tenuto.server.schema import access_requests, repos


class Stand(NamedTuple):
    """A standing, and from when on it is another one; None is never."""

    standing: Standing = Standing.NONE
    until_ms: int | None = None


_STAND = (
    select(
        access_requests.c.user_id,
        access_requests.c.status,
        access_requests.c.expires_ms,
        access_requests.c.terms,
        repos.c.terms.label("terms_now"),
    )
    .join(repos, repos.c.id == access_requests.c.repo_id)
    .where(access_requests.c.repo_id == bindparam("repo_key"))
    .where(access_requests.c.user_id.in_([bindparam("user_id"), bindparam("owner_id")]))
)


def find_stand(connection: Connection, repo_key: int, user_id: int, now_ms: int, owner_id: int = 0) -> Stand:
    """How an account stands with the gate of a repo at that time. A service with an owner that was let in is let in as well."""
    rows = connection.execute(_STAND, {"repo_key": repo_key, "user_id": user_id, "owner_id": owner_id}).all()
    stands = {row.user_id: _stand(row.status, row.expires_ms, row.terms, row.terms_now, now_ms) for row in rows}
    own, owners = stands.get(user_id, Stand()), stands.get(owner_id, Stand())
    return owners if owners.standing is Standing.ACCEPTED and own.standing is not Standing.ACCEPTED else own


def _stand(status: str, expires_ms: int | None, agreed: str | None, terms: str, now_ms: int) -> Stand:
    if status != Standing.ACCEPTED:
        return Stand(Standing(status))
    if expires_ms is not None and expires_ms <= now_ms:
        return Stand(Standing.EXPIRED)
    if agreed is not None and agreed != terms:
        return Stand(Standing.OUTDATED)
    return Stand(Standing.ACCEPTED, expires_ms)


def stand_before(connection: Connection, actor: Actor, repo: Repo, now_ms: int) -> tuple[Repo, int | None]:
    """`repo` as the policy needs it, with how `actor` stands with its gate; and from when on that is no longer so."""
    if repo.gate is Gate.OPEN or not actor.is_known:
        return repo, None
    stand = find_stand(connection, repo.key, actor.user_id, now_ms, actor.owner_id)
    return repo._replace(standing=stand.standing), stand.until_ms
