"""Find repos: by author, name, tags and gate, sorted, page by page (hub-protocol section 5.4)."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from tenuto.core.errors import UnavailableError, UsageError
from tenuto.core.ids import RepoKind
from tenuto.server.access import Action, Repo, may
from tenuto.server.git.objects import GitReader
from tenuto.server.git.trees import Walk
from tenuto.server.http.exchange import Answer, Call, json_answer, next_page
from tenuto.server.hub import Parts
from tenuto.server.repos.cards import Card, describe, more_facts, refresh
from tenuto.server.repos.rows import REPO_COLUMNS, repo_of_row
from tenuto.server.schema import likes, repo_cards, repo_tags, repos

_PAGE = 100
_MAX_PAGE = 1000
_FULL_PAGE = 50
_BATCH = 500
_MAX_TERMS = 20
_LIKES = select(func.count()).where(likes.c.repo_id == repos.c.id).correlate(repos).scalar_subquery()
_SORTS: dict[str, ColumnElement[Any]] = {
    "lastModified": repos.c.modified_ms,
    "createdAt": repos.c.created_ms,
    "likes": _LIKES,
    "downloads": repos.c.id,  # nothing is counted: the newest come first
    "trendingScore": repos.c.id,
}
_NOT_SUPPORTED = ("apps", "inference", "inference_provider", "num_parameters", "linked", "models", "datasets")


class Found(NamedTuple):
    """A repo that a search found, and where the next page would begin behind it."""

    repo: Repo
    head: str | None
    card: Card | None
    likes: int
    cursor: str


def list_models(parts: Parts, call: Call) -> Answer:
    """A page of the models that the caller may see."""
    return _list(parts, call, RepoKind.MODEL)


def list_datasets(parts: Parts, call: Call) -> Answer:
    """A page of the datasets that the caller may see."""
    return _list(parts, call, RepoKind.DATASET)


def list_spaces(parts: Parts, call: Call) -> Answer:
    """A page of the spaces that the caller may see."""
    return _list(parts, call, RepoKind.SPACE)


def _list(parts: Parts, call: Call, kind: RepoKind) -> Answer:
    is_full = call.flag("full")
    limit = call.number("limit", _PAGE, _FULL_PAGE if is_full else _MAX_PAGE)
    refresh(parts)
    with parts.database.read() as connection:
        found, cursor = find_repos(connection, call, kind, limit)
        answer = [_shown(parts, connection, call, one, is_full) for one in found]
    return json_answer(answer, headers=next_page(call, cursor) if cursor else None)


def find_repos(connection: Connection, call: Call, kind: RepoKind, limit: int) -> tuple[list[Found], str | None]:
    """The first `limit` repos that the query of the call asks for and the caller may see; the cursor of the next page, if there is one.

    It looks at the rows that `cards.refresh` keeps. Raises UsageError (BadRequest, TooLarge), UnavailableError (NotSupported).
    """
    query, sort = _query(call, kind)
    seen = (one for one in _found(connection, query, sort, call) if may(call.actor, Action.SEE, one.repo))
    page = list(islice(seen, limit + 1))
    return page[:limit], page[limit - 1].cursor if len(page) > limit else None


def _query(call: Call, kind: RepoKind) -> tuple[Select[*tuple[Any, ...]], ColumnElement[Any]]:
    unknown = next((key for key in _NOT_SUPPORTED if key in call.query), None)
    if unknown:
        raise UnavailableError(f"this hub does not search by {unknown}", code="NotSupported")
    sort = _SORTS.get(call.text("sort") or "lastModified")
    if sort is None:
        raise UsageError(f"sort must be one of {', '.join(_SORTS)}")
    query = select(*REPO_COLUMNS, repo_cards.c.commit_oid, repo_cards.c.card, _LIKES, sort)
    query = query.outerjoin(repo_cards, repo_cards.c.repo_id == repos.c.id).where(repos.c.kind == kind.value)
    for condition in _conditions(call):
        query = query.where(condition)
    return query.order_by(sort.desc(), repos.c.id.desc()), sort


def _conditions(call: Call) -> Iterator[ColumnElement[bool]]:
    terms = [*call.query.get("search", []), *call.query.get("filter", []), *call.query.get("pipeline_tag", [])]
    if len(terms) > _MAX_TERMS:
        raise UsageError(f"a search may have {_MAX_TERMS} terms", code="TooLarge")
    author = call.text("author")
    if author:
        yield func.lower(repos.c.namespace) == author.lower()
    for text in call.query.get("search", []):
        for word in text.lower().split()[:_MAX_TERMS]:
            yield repos.c.name_key.contains(word, autoescape=True)
    tags = [tag for text in call.query.get("filter", []) for tag in text.split(",") if tag]
    tags += [f"pipeline_tag:{tag}" for tag in call.query.get("pipeline_tag", [])]
    for tag in tags[:_MAX_TERMS]:
        yield select(repo_tags.c.tag).where(repo_tags.c.repo_id == repos.c.id, repo_tags.c.tag == tag).exists()
    if call.text("gated") is not None:
        yield repos.c.gate != "" if call.flag("gated") else repos.c.gate == ""


def _found(
    connection: Connection, query: Select[*tuple[Any, ...]], sort: ColumnElement[Any], call: Call
) -> Iterator[Found]:
    """All that fits, in order, behind the cursor of the call."""
    cursor = call.text("cursor")
    while True:
        rows = connection.execute(_behind(query, sort, cursor).limit(_BATCH)).all()
        for row in rows:
            values = tuple(row)
            repo = repo_of_row(values[: len(REPO_COLUMNS)])
            head, card, like_count, value = values[len(REPO_COLUMNS) :]
            cursor = f"{value}:{repo.key}"
            yield Found(repo, head, msgspec.json.decode(card) if card else None, like_count, cursor)
        if len(rows) < _BATCH:
            return


def _behind(query: Select[*tuple[Any, ...]], sort: ColumnElement[Any], cursor: str | None) -> Select[*tuple[Any, ...]]:
    if cursor is None:
        return query
    value, _, key = cursor.partition(":")
    if not all(text.isascii() and text.isdecimal() and len(text) < 19 for text in (value, key)):
        raise UsageError("the cursor is not one of this hub")
    return query.where(or_(sort < int(value), (sort == int(value)) & (repos.c.id < int(key))))


def _shown(parts: Parts, connection: Connection, call: Call, one: Found, is_full: bool) -> dict[str, object]:
    answer = describe(one.repo, one.head, one.card, one.likes)
    git = GitReader(connection, one.repo.key, parts.cache)
    expand = call.query.get("expand", [])
    if (is_full or "siblings" in expand) and one.head:
        files = Walk(git.trees, recursive=True).entries(git.resolve(one.head).tree)
        answer["siblings"] = [{"rfilename": path} for path, item in files if not item.is_tree]
    if expand:
        answer |= more_facts(git, one.repo, expand)
        return {key: value for key, value in answer.items() if key in {"_id", "id", *expand}}
    if not (is_full or call.flag("cardData")):
        answer.pop("cardData", None)
    return answer
