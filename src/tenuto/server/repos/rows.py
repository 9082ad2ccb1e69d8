"""Repos as rows: find, make, change, drop."""

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from tenuto.core.errors import ConflictError
from tenuto.core.ids import RepoId, RepoKind, check_name
from tenuto.server.access import Gate, Repo
from tenuto.server.schema import repo_aliases, repos

REPO_COLUMNS = (
    repos.c.id,
    repos.c.kind,
    repos.c.namespace,
    repos.c.name,
    repos.c.private,
    repos.c.created_ms,
    repos.c.modified_ms,
    repos.c.gate,
)
_BY_NAME = select(*REPO_COLUMNS).where(repos.c.kind == bindparam("kind"), repos.c.name_key == bindparam("name_key"))
_BY_KEY = select(*REPO_COLUMNS).where(repos.c.id == bindparam("key"))


def find_repo(connection: Connection, repo: RepoId) -> Repo | None:
    """The repo of that name, or None. Case counts."""
    row = connection.execute(_BY_NAME, {"kind": repo.kind.value, "name_key": repo.full_name.lower()}).first()
    found = repo_of_row(tuple(row)) if row else None
    return found if found and found.id == repo else None


def find_moved_repo(connection: Connection, repo: RepoId) -> Repo | None:
    """The repo that had that name before it was moved, or None. Case counts."""
    named = (repo_aliases.c.kind == repo.kind.value) & (repo_aliases.c.name_key == repo.full_name.lower())
    query = select(*REPO_COLUMNS).join(repo_aliases, repo_aliases.c.repo_id == repos.c.id)
    row = connection.execute(query.where(named & (repo_aliases.c.name == repo.full_name))).first()
    return repo_of_row(tuple(row)) if row else None


def find_repo_by_key(connection: Connection, key: int) -> Repo | None:
    """The repo with that id in the database, or None."""
    row = connection.execute(_BY_KEY, {"key": key}).first()
    return repo_of_row(tuple(row)) if row else None


def repo_of_row(row: tuple[int, str, str, str, bool, int, int, str]) -> Repo:
    """The repo in a row of `REPO_COLUMNS`."""
    key, kind, namespace, name, private, created_ms, modified_ms, gate = row
    return Repo(key, RepoId(RepoKind(kind), namespace, name), private, created_ms, modified_ms, Gate(gate))


def create_repo(connection: Connection, repo: RepoId, *, private: bool, now_ms: int) -> Repo:
    """Make an empty repo, without any ref. Raises UsageError (BadAddress), ConflictError (Exists), also if only the case differs."""
    check_name(repo.namespace, "namespace")
    check_name(repo.name, "repo name")
    key = repo.full_name.lower()
    if connection.execute(_BY_NAME, {"kind": repo.kind.value, "name_key": key}).first():
        raise ConflictError(f"You already created this {repo.kind} repo: {repo.full_name}", code="Exists")
    same_name = (repo_aliases.c.kind == repo.kind.value) & (repo_aliases.c.name_key == key)
    connection.execute(delete(repo_aliases).where(same_name))
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


def set_gate(connection: Connection, key: int, gate: Gate) -> None:
    """Put a gate before the bytes of a repo, or take it away. Who was accepted or rejected before stays so."""
    connection.execute(update(repos).where(repos.c.id == key).values(gate=gate.value))


def set_takes_requests(connection: Connection, key: int, takes_requests: bool) -> None:
    """Let accounts ask for access to a gated repo, or not. Requests that were made before stay."""
    connection.execute(update(repos).where(repos.c.id == key).values(takes_requests=takes_requests))


def set_grant_days(connection: Connection, key: int, days: int | None) -> None:
    """How long those stay who are let in from now on, None for as long as there is no other word."""
    connection.execute(update(repos).where(repos.c.id == key).values(grant_days=days))


def delete_repo(connection: Connection, key: int) -> None:
    """Drop a repo with all its rows. Large objects stay in the store until nobody has them and they are collected."""
    connection.execute(delete(repos).where(repos.c.id == key))
