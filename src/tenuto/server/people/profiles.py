"""What is known of users and namespaces: overviews, what they like, and the repos that are one's own (hub-protocol sections 5.4, 9.3)."""

from typing import Any

from sqlalchemy import Connection, Select, delete, func, select

from tenuto.core.errors import NotFoundError
from tenuto.core.ids import RepoKind
from tenuto.core.wire import timestamp_text
from tenuto.server.access import Action, Actor, Repo, any_in, may
from tenuto.server.accounts import user_id_of
from tenuto.server.http.exchange import Answer, Call, json_answer, next_page
from tenuto.server.hub import Parts
from tenuto.server.people.accounts import COLUMNS, Kind, account_of_row, find_account
from tenuto.server.people.organizations import count_members, memberships_of
from tenuto.server.people.whoami import shown_membership
from tenuto.server.repos.rows import REPO_COLUMNS, repo_of_row
from tenuto.server.schema import git_objects, lfs_objects, likes, repos, users

_PAGE = 100
_MAX_PAGE = 1000
_MOST_REPOS = 10_000


def like(parts: Parts, call: Call) -> Answer:
    """The caller likes the repo; doing so twice changes nothing."""
    row = {"repo_id": call.repo.key, "user_id": call.actor.user_id, "created_ms": parts.now_ms()}
    with parts.database.write() as connection:
        connection.execute(parts.database.insert_new(likes), row)
    return json_answer({})


def unlike(parts: Parts, call: Call) -> Answer:
    """The caller no longer likes the repo."""
    own = (likes.c.repo_id == call.repo.key) & (likes.c.user_id == call.actor.user_id)
    with parts.database.write() as connection:
        connection.execute(delete(likes).where(own))
    return json_answer({})


def likers(parts: Parts, call: Call) -> Answer:
    """A page of the users who like the repo."""
    limit, after = call.number("limit", _PAGE, _MAX_PAGE), call.number("cursor", 0, 2**62)
    query = select(users.c.id, users.c.name).join(likes, likes.c.user_id == users.c.id)
    query = query.where(likes.c.repo_id == call.repo.key, users.c.id > after).order_by(users.c.id).limit(limit + 1)
    with parts.database.read() as connection:
        rows = connection.execute(query).all()
    answer = [{"user": row.name, "fullname": row.name, "avatarUrl": ""} for row in rows[:limit]]
    return json_answer(answer, headers=next_page(call, rows[limit - 1].id) if len(rows) > limit else None)


def liked(parts: Parts, call: Call) -> Answer:
    """What a user likes, as far as the caller may see it, the newest first."""
    with parts.database.read() as connection:
        user_id = user_id_of(connection, call.params["user"])
        query = select(*REPO_COLUMNS, likes.c.created_ms).join(likes, likes.c.repo_id == repos.c.id)
        query = query.where(likes.c.user_id == user_id).order_by(likes.c.created_ms.desc()).limit(_MOST_REPOS)
        rows = [tuple(row) for row in connection.execute(query)]
    found = [(repo_of_row(row[:-1]), row[-1]) for row in rows]
    answer = [
        {"createdAt": timestamp_text(time_ms), "repo": {"name": repo.id.full_name, "type": repo.id.kind.value}}
        for repo, time_ms in found
        if may(call.actor, Action.SEE, repo)
    ]
    return json_answer(answer)


def user_overview(parts: Parts, call: Call) -> Answer:
    """A user or a service, and how much of it the caller may see."""
    with parts.database.read() as connection:
        account = find_account(connection, call.params["user"])
        if account.kind is Kind.ORGANIZATION:
            raise NotFoundError(f"{account.name} is no user but an organization", code="UserNotFound")
        counted = _counts(connection, call.actor, account.name)
        organizations = [shown_membership(one) for one in memberships_of(connection, account.id)]
        liked = select(func.count()).select_from(likes).where(likes.c.user_id == account.id)
        like_count = int(connection.execute(liked).scalar_one())
    answer = {"user": account.name, "fullname": account.shown_name, "avatarUrl": "", "type": "user", "isPro": False}
    more = {"orgs": organizations, "numLikes": like_count, "createdAt": timestamp_text(account.created_ms)}
    return json_answer({**answer, **counted, **more})


def organization_overview(parts: Parts, call: Call) -> Answer:
    """An organization, or a namespace that belongs to nobody but has repos which the caller may see."""
    name = call.params["organization"]
    with parts.database.read() as connection:
        row = connection.execute(select(*COLUMNS).where(users.c.name_key == name.lower())).first()
        account = account_of_row(tuple(row)) if row else None
        counted = _counts(connection, call.actor, account.name if account else name)
        member_count = count_members(connection, account) if account else 0
    if (account and account.kind is not Kind.ORGANIZATION) or (account is None and not any(counted.values())):
        raise NotFoundError(f"there is no organization {name[:100]}", code="UserNotFound")
    name, full_name = (account.name, account.shown_name) if account else (name, name)
    answer = {"name": name, "fullname": full_name, "avatarUrl": "", "details": "", "numUsers": member_count}
    return json_answer({**answer, **counted})


def _counts(connection: Connection, actor: Actor, namespace: str) -> dict[str, int]:
    found = [repo.id.kind for repo in _repos_of(connection, namespace) if may(actor, Action.SEE, repo)]
    return {f"num{kind.value.capitalize()}s": found.count(kind) for kind in RepoKind}


def _repos_of(connection: Connection, namespace: str) -> list[Repo]:
    query = select(*REPO_COLUMNS).where(repos.c.namespace == namespace).order_by(repos.c.id).limit(_MOST_REPOS)
    return [repo_of_row(tuple(row)) for row in connection.execute(query)]


def own_repos(parts: Parts, call: Call) -> Answer:
    """The repos of the caller that its token may see, with what they take up."""
    return _stored(parts, call, call.actor.name)


def namespace_repos(parts: Parts, call: Call) -> Answer:
    """The repos of a namespace, with what they take up, for those who see all of it."""
    name = call.params["organization"]
    if not may(call.actor, Action.SEE, any_in(name)._replace(private=True)):
        raise NotFoundError(f"there is no organization {name[:100]} of yours", code="UserNotFound")
    return _stored(parts, call, name)


def _stored(parts: Parts, call: Call, namespace: str) -> Answer:
    with parts.database.read() as connection:
        found = [repo for repo in _repos_of(connection, namespace) if may(call.actor, Action.SEE, repo)]
        sizes: dict[int, int] = {}
        for query in (_sizes(lfs_objects, namespace), _sizes(git_objects, namespace)):
            for key, size in connection.execute(query):
                sizes[key] = sizes.get(key, 0) + int(size)
    total = sum(sizes.get(repo.key, 0) for repo in found) or 1
    answer = [
        {
            "id": repo.id.full_name,
            "type": repo.id.kind.value,
            "updatedAt": timestamp_text(repo.modified_ms),
            "visibility": "private" if repo.private else "public",
            "storage": sizes.get(repo.key, 0),
            "storagePercent": round(100 * sizes.get(repo.key, 0) / total, 2),
        }
        for repo in found
    ]
    return json_answer(answer)


def _sizes(table: Any, namespace: str) -> Select[*tuple[Any, ...]]:
    query = select(table.c.repo_id, func.sum(table.c.size)).join(repos, repos.c.id == table.c.repo_id)
    return query.where(repos.c.namespace == namespace).group_by(table.c.repo_id)
