"""The page of a repo: what its card says, what it holds, how it is used, and what stands before it."""

from typing import NamedTuple

from sqlalchemy import func, select

from tenuto.core.ids import RepoKind
from tenuto.server.access import Gate
from tenuto.server.gates.form import Form
from tenuto.server.gates.terms import form_in
from tenuto.server.git.objects import CommitFacts, GitReader
from tenuto.server.http.exchange import Answer, Call
from tenuto.server.hub import Parts
from tenuto.server.pages.adapters import CONFIG, Adapter, read_adapter
from tenuto.server.pages.content import Shelf, find_file, first_items
from tenuto.server.pages.frame import RepoPage
from tenuto.server.pages.gate_form import gate_box
from tenuto.server.pages.markdown import PAGE_BYTES, markdown_html
from tenuto.server.pages.render import Html
from tenuto.server.pages.room import fitting, link_weight
from tenuto.server.pages.snippets import snippets
from tenuto.server.repos.card import CardError, front_matter
from tenuto.server.repos.cards import Card, parse_card, readme_of, tags_of
from tenuto.server.schema import lfs_objects, likes

GATED_CARD_BYTES = 20_000
"""What is left for a card below terms, which are always shown as a whole."""
_MOST_FILES = 2000
_MOST_ADAPTERS, _ADAPTERS_BYTES = 30, 6_000
_FACTS = {
    "license": "Licence",
    "language": "Language",
    "pipeline_tag": "Task",
    "task_categories": "Task",
    "library_name": "Library",
    "base_model": "Base model",
    "datasets": "Trained on",
    "size_categories": "Size",
    "pretty_name": "Name",
}
_FACT_CHARACTERS = 200
_MOST_TAGS = 30


class Totals(NamedTuple):
    """How much a commit holds. Of very many files only the first are counted; `is_all` says whether it were all."""

    files: int
    size_bytes: int
    is_all: bool
    adapters: tuple[str, ...]
    """Folders with an adapter in them."""


def overview(parts: Parts, call: Call) -> Answer:
    """The page of a repo."""
    with parts.database.read() as connection:
        git = GitReader(connection, call.repo.key, parts.cache)
        page = RepoPage(call, git)
        head = page.head()
        readme, totals = readme_of(git, head) if head else None, _totals(parts, git, head)
        card = parse_card(readme or b"") or {}
        adapter = _adapter(parts, page, head)
        form = Form() if call.repo.gate is Gate.OPEN else form_in(readme)
        gate = gate_box(parts, call, git, form)
        stored_bytes, like_count = _counts(git)
        room = GATED_CARD_BYTES if gate else PAGE_BYTES
        lines = snippets(call.repo.id, call.base_url, base_model=adapter.base_model if adapter else "")
        return page.render(
            "overview.html",
            "card",
            head=head,
            totals=totals,
            stored_bytes=stored_bytes,
            likes=like_count,
            text=None if readme is None else _card_html(readme, page, room),
            facts=_facts(card),
            tags=[tag for tag in tags_of(call.repo.id.kind, card) if ":" not in tag][:_MOST_TAGS],
            adapter=adapter,
            snippets=lines,
            gate=gate,
            terms_fault=form.fault if page.rights.administers else "",
        )


def _totals(parts: Parts, git: GitReader, head: CommitFacts | None) -> Totals:
    if head is None:
        return Totals(0, 0, True, ())
    return parts.remembered.once(("totals", git.repo_key, head.tree), lambda: _count(git, head))


def _count(git: GitReader, head: CommitFacts) -> Totals:
    files, is_all = first_items(git, head.tree, _MOST_FILES)
    blobs = git.blobs(item.oid for _, item in files)
    size = sum(blobs[item.oid].true_size for _, item in files if item.oid in blobs)
    folders = [path.removesuffix(CONFIG).rstrip("/") for path, _ in files if path.endswith("/" + CONFIG)]
    shown = tuple(fitting(folders[:_MOST_ADAPTERS], _ADAPTERS_BYTES, link_weight))
    return Totals(len(files), size, is_all, shown)


def _counts(git: GitReader) -> tuple[int, int]:
    """What all large files of all versions take up, in bytes, and how many users like the repo."""
    total = select(func.coalesce(func.sum(lfs_objects.c.size), 0)).where(lfs_objects.c.repo_id == git.repo_key)
    liked = select(func.count()).select_from(likes).where(likes.c.repo_id == git.repo_key)
    size, count = git.connection.execute(select(total.scalar_subquery(), liked.scalar_subquery())).one()
    return int(size), int(count)


def _adapter(parts: Parts, page: RepoPage, head: CommitFacts | None) -> Adapter | None:
    """The adapter in the topmost folder, for those who may read it."""
    if head is None or page.repo.id.kind is not RepoKind.MODEL or not page.rights.reads:
        return None
    file = find_file(page.git, head, CONFIG)
    return read_adapter(Shelf(parts, page.git), file) if file else None


def _card_html(readme: bytes, page: RepoPage, most_bytes: int) -> Html:
    """The card, which everybody reads who sees the repo: people decide by it whether to ask for access."""
    text = without_front_matter(readme.decode(errors="replace"))
    return markdown_html(text, page.repo.id, "main", most_bytes=most_bytes)


def without_front_matter(text: str) -> str:
    """What stands behind the front matter of a card; all of it where there is none that can be read."""
    try:
        found = front_matter(text)
    except CardError:
        return text
    return text if found is None else text.partition("---")[2][len(found) :].partition("---")[2]


def _facts(card: Card) -> list[tuple[str, str]]:
    """What the front matter says, as pairs of a word and a text."""
    found = []
    for key, word in _FACTS.items():
        value = card.get(key)
        values = value if isinstance(value, list) else [value]
        text = ", ".join(str(one) for one in values[:10] if isinstance(one, str | int | float) and one != "")
        if text:
            found.append((word, text[:_FACT_CHARACTERS]))
    return found
