"""How accounts stand with the gates of repos."""

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from tenuto.server.access import Actor, Gate, Repo, Standing
from tenuto.server.schema import access_requests, repos


class Stand(NamedTuple):
    """A standing, and from when on it is another one; None is never. `reason` is what whoever decided so says."""

    standing: Standing = Standing.NONE
    until_ms: int | None = None
    reason: str = ""


_STAND = (
    select(
        access_requests.c.user_id,
        access_requests.c.status,
        access_requests.c.expires_ms,
        access_requests.c.terms,
        access_requests.c.reason,
        repos.c.terms.label("terms_now"),
    )
    .join(repos, repos.c.id == access_requests.c.repo_id)
    .where(access_requests.c.repo_id == bindparam("repo_key"))
    .where(access_requests.c.user_id.in_([bindparam("user_id"), bindparam("owner_id")]))
)


def find_stand(connection: Connection, repo_key: int, user_id: int, now_ms: int, owner_id: int = 0) -> Stand:
    """How an account stands with the gate of a repo at that time. A service with an owner that was let in is let in as well,
    and one whose owner was turned away is turned away, whatever it was told itself.
    """
    rows = connection.execute(_STAND, {"repo_key": repo_key, "user_id": user_id, "owner_id": owner_id}).all()
    stands = {
        row.user_id: stand_of(row.status, row.expires_ms, row.terms, row.terms_now, now_ms, row.reason) for row in rows
    }
    own, owners = stands.get(user_id, Stand()), stands.get(owner_id, Stand())
    if owners.standing in {Standing.REJECTED, Standing.REVOKED}:
        return owners
    return owners if owners.standing is Standing.ACCEPTED and own.standing is not Standing.ACCEPTED else own


def stand_of(
    status: str, expires_ms: int | None, agreed: str | None, terms: str, now_ms: int, reason: str | None = None
) -> Stand:
    """What the clock and the terms make of a request.

    Whoever agreed to other terms than those that hold now has to agree again, unless there is nothing left to agree to. `agreed` is None
    for an account that was let in without being asked.
    """
    if status != Standing.ACCEPTED:
        return Stand(Standing(status), reason=reason or "")
    if expires_ms is not None and expires_ms <= now_ms:
        return Stand(Standing.EXPIRED)
    if terms and agreed is not None and agreed != terms:
        return Stand(Standing.OUTDATED, expires_ms)
    return Stand(Standing.ACCEPTED, expires_ms)


def stand_before(connection: Connection, actor: Actor, repo: Repo, now_ms: int) -> tuple[Repo, int | None]:
    """`repo` as the policy needs it, with how `actor` stands with its gate; and from when on that is no longer so."""
    if repo.gate is Gate.OPEN or not actor.is_known:
        return repo, None
    stand = find_stand(connection, repo.key, actor.user_id, now_ms, actor.owner_id)
    return repo._replace(standing=stand.standing, reason=stand.reason), stand.until_ms
