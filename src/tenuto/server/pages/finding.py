"""The pages on which repos are looked for: by words, tags, owner and gate, in some order, page by page."""

from tenuto.core.ids import RepoKind
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.home import shown
from tenuto.server.pages.render import render
from tenuto.server.repos.cards import refresh
from tenuto.server.repos.search import find_repos

_PAGE = 30
_SORTS = {"lastModified": "Last changed", "createdAt": "Newest"}


def find_models(parts: Parts, call: Call) -> Answer:
    """A page of the models that the query of the call asks for."""
    return _find(parts, call, RepoKind.MODEL)


def find_datasets(parts: Parts, call: Call) -> Answer:
    """A page of the datasets that the query of the call asks for."""
    return _find(parts, call, RepoKind.DATASET)


def find_spaces(parts: Parts, call: Call) -> Answer:
    """A page of the spaces that the query of the call asks for."""
    return _find(parts, call, RepoKind.SPACE)


def _find(parts: Parts, call: Call, kind: RepoKind) -> Answer:
    _forget_what_was_left_empty(call)
    refresh(parts)
    with parts.database.read() as connection:
        found, cursor = find_repos(connection, call, kind, _PAGE)
    values = {key: call.text(key) or "" for key in ("search", "author", "gated", "sort", "cursor")}
    return render(
        "finding.html",
        call,
        section=kind.plural,
        found=[shown(one) for one in found],
        cursor=cursor,
        sorts=_SORTS,
        values=values,
        tags=[tag for text in call.query.get("filter", []) for tag in text.split(",") if tag],
    )


def _forget_what_was_left_empty(call: Call) -> None:
    """A form sends its empty fields, too; they ask for nothing."""
    for key in [key for key, values in call.query.items() if not any(values)]:
        del call.query[key]
