"""The requests for access to one repo as rows, read and changed inside one transaction, each change by compare-and-set."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, and_, case, delete, func, insert, literal, select, update

from tenuto.core.errors import ConflictError, NotFoundError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.access import Standing
from tenuto.server.gates.states import NEXT, Event
from tenuto.server.schema import access_requests, repos, users
from tenuto.server.standing import stand_of

_DAY_MS = 86_400_000
_reviewers = users.alias("reviewers")
_COLUMNS = (
    access_requests,
    users.c.name,
    users.c.full_name,
    users.c.kind,
    users.c.disabled_ms,
    _reviewers.c.name.label("reviewer"),
)


class Request(NamedTuple):
    """A request of an account; `id` 0 is one that is still to be made."""

    id: int
    user_id: int
    name: str
    full_name: str
    kind: str
    is_closed: bool
    standing: Standing
    status: str = ""
    """What the row says; the clock and the terms made `standing` of it."""
    fields: str = "{}"
    created_ms: int = 0
    reviewed_ms: int | None = None
    reviewer: str | None = None
    reason: str | None = None
    expires_ms: int | None = None
    terms: str | None = None
    """What was agreed to; None: nothing had to be."""


class Waiting(NamedTuple):
    """A gated repo at which somebody waits, and how many do."""

    repo: RepoId
    requests: int


def waiting_in(connection: Connection, namespaces: Iterable[str], limit: int) -> list[Waiting]:
    """Where in some namespaces somebody waits to be let in, most of them first."""
    count = func.count().label("waiting")
    query = select(repos.c.kind, repos.c.namespace, repos.c.name, count).join(
        repos, repos.c.id == access_requests.c.repo_id
    )
    query = query.where(access_requests.c.status == Standing.PENDING.value, repos.c.gate != "")
    query = (
        query.where(repos.c.namespace.in_(list(namespaces))).group_by(repos.c.id).order_by(count.desc()).limit(limit)
    )
    return [
        Waiting(RepoId(RepoKind(kind), namespace, name), many)
        for kind, namespace, name, many in connection.execute(query)
    ]


def count_waiting(connection: Connection, repo_key: int) -> int:
    """How many wait to be let in to a repo."""
    here = (access_requests.c.repo_id == repo_key) & (access_requests.c.status == Standing.PENDING.value)
    return int(connection.execute(select(func.count()).select_from(access_requests).where(here)).scalar_one())


class Book:
    """Everything about the requests for one repo. Raises NotFoundError (RepoNotFound) if it is gone."""

    def __init__(self, connection: Connection, repo_key: int, now_ms: int) -> None:
        self._connection, self._repo_key, self.now_ms = connection, repo_key, now_ms
        columns = (repos.c.terms, repos.c.takes_requests, repos.c.grant_days)
        row = connection.execute(select(*columns).where(repos.c.id == repo_key)).first()
        if row is None:
            raise NotFoundError("Repository not found", code="RepoNotFound")
        self.terms, self.takes_requests, self.grant_days = row.terms, row.takes_requests, row.grant_days

    def end_of_grant(self, days: int | None) -> int | None:
        """When a grant for so many days ends that begins now."""
        return None if days is None else self.now_ms + days * _DAY_MS

    def find(self, user_id: int) -> Request | None:
        """The request that an account made, if it made one."""
        return next(self._read(self._query().where(access_requests.c.user_id == user_id)), None)

    def of_account(self, user_id: int) -> Request:
        """The request of an account that exists, made or still to be made."""
        found = self.find(user_id)
        if found:
            return found
        row = self._connection.execute(select(users).where(users.c.id == user_id)).one()
        return _request_of(row)

    def by_ids(self, ids: Iterable[int]) -> list[Request]:
        """The requests with these ids, as far as they are of this repo."""
        return list(self._read(self._query().where(access_requests.c.id.in_(list(ids)))))

    def by_names(self, names: Iterable[str]) -> list[Request]:
        """The requests of accounts, by their names in any case."""
        return list(self._read(self._query().where(users.c.name_key.in_([name.lower() for name in names]))))

    def waiting(self, limit: int, *, can_enter: bool = False) -> list[Request]:
        """What is pending, oldest first; if it shall be let in, without accounts that are closed."""
        query = self._query().where(access_requests.c.status == Standing.PENDING.value).limit(limit)
        return list(self._read(query.where(users.c.disabled_ms.is_(None)) if can_enter else query))

    def page(self, standings: Sequence[Standing], after: int = 0, limit: int | None = None) -> Iterator[Request]:
        """Requests in some states, oldest first, from behind the one with the id `after`; at most `limit` of them."""
        stored = {one if one in _STORED else Standing.ACCEPTED for one in standings}
        query = self._query().where(access_requests.c.status.in_(stored), access_requests.c.id > after)
        left = limit
        for request in self._read(query):
            if left == 0:
                return
            if request.standing in standings:
                left = None if left is None else left - 1
                yield request

    def counts(self) -> dict[Standing, int]:
        """How many requests are in each state, those without any left out."""
        table = access_requests.c
        standing = case(
            (table.status != Standing.ACCEPTED.value, table.status),
            (table.expires_ms <= self.now_ms, Standing.EXPIRED.value),
            (and_(literal(self.terms) != "", table.terms != self.terms), Standing.OUTDATED.value),
            else_=Standing.ACCEPTED.value,
        )
        query = select(standing, func.count()).where(table.repo_id == self._repo_key).group_by(standing)
        return {Standing(name): count for name, count in self._connection.execute(query)}

    def is_outdated(self, request: Request) -> bool:
        """Whether an account agreed to other terms than those that hold: accepted or not, it has to agree anew."""
        return bool(self.terms and request.terms is not None and request.terms != self.terms)

    def count_outdated_by(self, terms: str) -> int:
        """How many have access by terms that they agreed to, and would have to agree anew if `terms` were the ones that hold."""
        if not terms or terms == self.terms:
            return 0
        return sum(one.terms not in {None, terms} for one in self.page([Standing.ACCEPTED]))

    def _query(self) -> "Select[*tuple[Any, ...]]":
        query = select(*_COLUMNS).join(users, users.c.id == access_requests.c.user_id)
        query = query.outerjoin(_reviewers, _reviewers.c.id == access_requests.c.reviewer_id)
        return query.where(access_requests.c.repo_id == self._repo_key).order_by(access_requests.c.id)

    def _read(self, query: "Select[*tuple[Any, ...]]") -> Iterator[Request]:
        for row in self._connection.execute(query):
            stand = stand_of(row.status, row.expires_ms, row.terms, self.terms, self.now_ms)
            yield _request_of(row, stand.standing)

    def step(self, request: Request, event: Event, values: Mapping[str, object]) -> Standing | None:
        """The state that the event led to, with `values` in the row; None if the table knows no such step, and nothing changed.

        Raises ConflictError if somebody else changed the request meanwhile.
        """
        after = NEXT[event].get(request.standing)
        if after is None:
            return None
        here = (access_requests.c.repo_id == self._repo_key) & (access_requests.c.user_id == request.user_id)
        as_seen = here & (access_requests.c.status == request.status)
        row = {"status": after.value, **values}
        if after is Standing.NONE:
            is_done = self._connection.execute(delete(access_requests).where(as_seen)).rowcount
        elif request.id:
            is_done = self._connection.execute(update(access_requests).where(as_seen).values(row)).rowcount
        else:
            new = {"repo_id": self._repo_key, "user_id": request.user_id, "fields": "{}", "created_ms": self.now_ms}
            is_done = self._connection.execute(insert(access_requests).values({**new, **row})).rowcount
        if not is_done:
            raise ConflictError(f"the request of {request.name} changed meanwhile", hint="look at it, and decide again")
        return after


_STORED = {Standing.PENDING, Standing.ACCEPTED, Standing.REJECTED, Standing.REVOKED}


def _request_of(row: "Row[*tuple[Any, ...]]", standing: Standing = Standing.NONE) -> Request:
    if standing is Standing.NONE:
        return Request(0, row.id, row.name, row.full_name, row.kind, row.disabled_ms is not None, standing)
    return Request(
        row.id,
        row.user_id,
        row.name,
        row.full_name,
        row.kind,
        row.disabled_ms is not None,
        standing,
        row.status,
        row.fields,
        row.created_ms,
        row.reviewed_ms,
        row.reviewer,
        row.reason,
        row.expires_ms,
        row.terms,
    )
