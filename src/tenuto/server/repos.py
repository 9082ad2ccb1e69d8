"""Repos as rows: find, make, change, drop."""

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from tenuto.core.errors import ConflictError
from tenuto.core.ids import RepoId, RepoKind, check_name
from tenuto.server.access import Repo
from tenuto.server.schema import repos

_COLUMNS = (
    repos.c.id,
    repos.c.kind,
    repos.c.namespace,
    repos.c.name,
    repos.c.private,
    repos.c.created_ms,
    repos.c.modified_ms,
)
_BY_NAME = select(*_COLUMNS).where(repos.c.kind == bindparam("kind"), repos.c.name_key == bindparam("name_key"))
_BY_KEY = select(*_COLUMNS).where(repos.c.id == bindparam("key"))


def find_repo(connection: Connection, repo: RepoId) -> Repo | None:
    """The repo of that name, or None. Case counts."""
    row = connection.execute(_BY_NAME, {"kind": repo.kind.value, "name_key": repo.full_name.lower()}).first()
    found = _repo(tuple(row)) if row else None
    return found if found and found.id == repo else None


def find_repo_by_key(connection: Connection, key: int) -> Repo | None:
    """The repo with that id in the database, or None."""
    row = connection.execute(_BY_KEY, {"key": key}).first()
    return _repo(tuple(row)) if row else None


def _repo(row: tuple[int, str, str, str, bool, int, int]) -> Repo:
    key, kind, namespace, name, private, created_ms, modified_ms = row
    return Repo(key, RepoId(RepoKind(kind), namespace, name), private, created_ms, modified_ms)


def create_repo(connection: Connection, repo: RepoId, *, private: bool, now_ms: int) -> Repo:
    """Make an empty repo, without any ref. Raises UsageError (BadAddress), ConflictError (Exists), also if only the case differs."""
    check_name(repo.namespace, "namespace")
    check_name(repo.name, "repo name")
    key = repo.full_name.lower()
    if connection.execute(_BY_NAME, {"kind": repo.kind.value, "name_key": key}).first():
        raise ConflictError(f"You already created this {repo.kind} repo: {repo.full_name}", code="Exists")
    row = {
        "kind": repo.kind.value,
        "namespace": repo.namespace,
        "name": repo.name,
        "name_key": key,
        "private": private,
        "created_ms": now_ms,
        "modified_ms": now_ms,
    }
    made = connection.execute(insert(repos).values(row).returning(repos.c.id)).scalar_one()
    return Repo(int(made), repo, private, now_ms, now_ms)


def set_private(connection: Connection, key: int, private: bool) -> None:
    """Show a repo to everybody, or hide it."""
    connection.execute(update(repos).where(repos.c.id == key).values(private=private))


def mark_modified(connection: Connection, key: int, now_ms: int) -> None:
    """Remember when a repo last changed."""
    connection.execute(update(repos).where(repos.c.id == key).values(modified_ms=now_ms))


def delete_repo(connection: Connection, key: int) -> None:
    """Drop a repo with all its rows. Large objects stay in the store until nobody has them and they are collected."""
    connection.execute(delete(repos).where(repos.c.id == key))
