"""What the README of a repo says about it: its card, the tags that follow from it, and both as rows that a search can ask."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from tenuto.core.errors import IntegrityError
from tenuto.core.gitobj import parse_tree
from tenuto.core.ids import RepoKind
from tenuto.core.wire import timestamp_text
from tenuto.server.access import Repo
from tenuto.server.git.objects import DEFAULT_BRANCH, HEADS, CommitFacts, GitReader
from tenuto.server.hub import Parts
from tenuto.server.repos.card import CardError, read_card
from tenuto.server.schema import git_commits, git_objects, git_refs, lfs_objects, likes, repo_cards, repo_tags, repos

CARD_BYTES = 1 << 20
_TAG_CHARACTERS = 200
_MOST_TAGS = 500
_BATCH = 200
_FILE_KINDS, _FILE = 0o170000, 0o100000
_README = "README.md"
_DATASET_KEYS = (
    "task_categories",
    "task_ids",
    "language",
    "language_creators",
    "annotations_creators",
    "multilinguality",
    "size_categories",
    "source_datasets",
)

Card = dict[str, object]


def readme_of(git: GitReader, commit: CommitFacts) -> bytes | None:
    """The README at a commit, or None if there is none that a card could be in."""
    item = git.find(commit.tree, _README)
    if item is None or item.mode & _FILE_KINDS != _FILE:
        return None
    facts, body = git.small_blob(item.oid)
    if facts.pointer or facts.size > CARD_BYTES:
        return None
    return git.body(item.oid) if body is None else body


def card_of(git: GitReader, commit: CommitFacts) -> Card | None:
    """The front matter of the README at a commit, or None."""
    return parse_card(readme_of(git, commit) or b"")


def parse_card(readme: bytes) -> Card | None:
    """The front matter of a README, or None."""
    try:
        return read_card(readme.decode(errors="replace"))
    except CardError:
        return None  # a card that cannot be read hides no repo; `validate-yaml` says what is wrong with it


def _texts(card: Card, key: str) -> list[str]:
    value = card.get(key)
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str) and 0 < len(one) <= _TAG_CHARACTERS - 20]


def tags_of(kind: RepoKind, card: Card | None) -> list[str]:
    """The tags of a repo: those that its card names, and those that follow from other facts in it."""
    card = card or {}
    tags = _texts(card, "tags")
    if kind is RepoKind.DATASET:
        tags += [f"{key}:{value}" for key in _DATASET_KEYS for value in _texts(card, key)]
    else:
        tags += [value for key in ("library_name", "pipeline_tag", "language") for value in _texts(card, key)]
        tags += [f"dataset:{value}" for value in _texts(card, "datasets")]
        tags += [f"base_model:{value}" for value in _texts(card, "base_model")]
    tags += [f"license:{value}" for value in _texts(card, "license")]
    return list(dict.fromkeys(tags))[:_MOST_TAGS]


def _findable(kind: RepoKind, card: Card | None) -> list[str]:
    """Everything that a filter may name."""
    extra = [f"{key}:{value}" for key in ("pipeline_tag", "language") for value in _texts(card or {}, key)]
    return list(dict.fromkeys([*tags_of(kind, card), *extra]))


def describe(repo: Repo, head: str | None, card: Card | None, like_count: int) -> dict[str, object]:
    """What lists and infos say of a repo."""
    answer: dict[str, object] = {
        "_id": str(repo.key),
        "id": repo.id.full_name,
        "author": repo.id.namespace,
        "sha": head,
        "private": repo.private,
        "gated": repo.gate.value or False,
        "disabled": False,
        "lastModified": timestamp_text(max(repo.modified_ms, repo.created_ms)),
        "createdAt": timestamp_text(repo.created_ms),
        "downloads": 0,
        "likes": like_count,
        "trendingScore": 0,
        "tags": tags_of(repo.id.kind, card),
    }
    if card is not None:
        answer["cardData"] = card
        answer.update({key: card[key] for key in ("pipeline_tag", "library_name") if isinstance(card.get(key), str)})
    return answer


def more_facts(git: GitReader, repo: Repo, wanted: Sequence[str]) -> dict[str, object]:
    """Facts that are only told to those who ask for them by `expand`."""
    answer: dict[str, object] = {}
    if "usedStorage" in wanted:
        total = select(func.coalesce(func.sum(lfs_objects.c.size), 0)).where(lfs_objects.c.repo_id == repo.key)
        answer["usedStorage"] = int(git.connection.execute(total).scalar_one())
    if "xetEnabled" in wanted:
        answer["xetEnabled"] = True
    return answer


def like_count_of(git: GitReader) -> int:
    """How many users like a repo."""
    count = select(func.count()).select_from(likes).where(likes.c.repo_id == git.repo_key)
    return int(git.connection.execute(count).scalar_one())


class _Stale(NamedTuple):
    """A repo whose rows are those of an older head, and the README at its head, if there is one."""

    repo_key: int
    kind: RepoKind
    commit: str
    readme: str | None


class _Read(NamedTuple):
    """A card that was read from a head."""

    repo_key: int
    commit: str
    card: str
    tags: list[str]


def refresh(parts: Parts) -> None:
    """The rows of all repos are those of their heads now, whoever moved them; in few statements, however many heads moved."""
    is_done = False
    while not is_done:
        with parts.database.read() as connection:
            stale = _stale(connection)
            read = _read(connection, stale)
        if read:
            with parts.database.write() as connection:
                _write(connection, read)
        is_done = len(stale) < _BATCH


def _stale(connection: Connection) -> list[_Stale]:
    """The next repos to be looked at. One that is damaged hides no other one: it has no card."""
    trees = git_objects.alias("tree")
    query = (
        select(repos.c.id, repos.c.kind, git_refs.c.commit_oid, trees.c.body)
        .join(git_refs, (git_refs.c.repo_id == repos.c.id) & (git_refs.c.name == HEADS + DEFAULT_BRANCH))
        .outerjoin(repo_cards, repo_cards.c.repo_id == repos.c.id)
        .outerjoin(git_commits, (git_commits.c.repo_id == repos.c.id) & (git_commits.c.oid == git_refs.c.commit_oid))
        .outerjoin(trees, (trees.c.repo_id == repos.c.id) & (trees.c.oid == git_commits.c.tree_oid))
        .where(repo_cards.c.commit_oid.is_(None) | (repo_cards.c.commit_oid != git_refs.c.commit_oid))
        .limit(_BATCH)
    )
    rows = connection.execute(query)
    return [_Stale(key, RepoKind(kind), commit, _find_readme(body or b"")) for key, kind, commit, body in rows]


def _find_readme(tree: bytes) -> str | None:
    try:
        item = next((one for one in parse_tree(tree) if one.name == _README), None)
    except IntegrityError:
        return None
    return item.oid if item and item.mode & _FILE_KINDS == _FILE else None


def _read(connection: Connection, stale: Sequence[_Stale]) -> list[_Read]:
    """The cards of these repos."""
    wanted = {(one.repo_key, one.readme) for one in stale if one.readme}
    cards: dict[tuple[int, str | None], Card | None] = {}
    query = select(git_objects.c.repo_id, git_objects.c.oid, git_objects.c.body).where(
        git_objects.c.repo_id.in_({key for key, _ in wanted}),
        git_objects.c.oid.in_({oid for _, oid in wanted}),
        git_objects.c.kind == "blob",
        git_objects.c.lfs_sha256.is_(None),
        git_objects.c.size <= CARD_BYTES,
    )
    for key, oid, body in connection.execute(query) if wanted else ():
        if (key, oid) in wanted:
            cards[key, oid] = parse_card(body)
    none = parse_card(b"")
    found = [(one, cards.get((one.repo_key, one.readme), none)) for one in stale]
    return [
        _Read(one.repo_key, one.commit, msgspec.json.encode(card).decode(), _findable(one.kind, card))
        for one, card in found
    ]


def _write(connection: Connection, read: Sequence[_Read]) -> None:
    """Put the rows in place of those that were there. A repo that was deleted meanwhile needs none."""
    keys = [one.repo_key for one in read]
    for table in (repo_cards, repo_tags):
        connection.execute(delete(table).where(table.c.repo_id.in_(keys)))
    here = set(connection.execute(select(repos.c.id).where(repos.c.id.in_(keys))).scalars())
    rows = [{"repo_id": one.repo_key, "commit_oid": one.commit, "card": one.card} for one in read]
    tags = [{"repo_id": one.repo_key, "tag": tag} for one in read for tag in one.tags]
    for target, values in ((repo_cards, rows), (repo_tags, tags)):
        if kept := [row for row in values if row["repo_id"] in here]:
            connection.execute(insert(target), kept)
