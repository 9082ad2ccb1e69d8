"""Routes: a method, a pattern over the raw path, the action that it needs, a handler. Matching is on undecoded segments.

Pattern words: `{name}` one segment · `{name}.git` one segment with that end · `{rev}` one segment, or `refs/pr/1` and its like unescaped ·
`{path*}` all the rest · `{T}` models, datasets or spaces · `{W}` the same as a web prefix: datasets, spaces, models or nothing.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from sqlalchemy import Connection

from tenuto.core.errors import UsageError
from tenuto.core.ids import RepoKind
from tenuto.server.access import Action, Repo
from tenuto.server.http.exchange import Answer, Call, Sink
from tenuto.server.hub import Parts
from tenuto.server.signing import Operation

Handler: TypeAlias = Callable[[Parts, Call], Answer | Sink]
Recall: TypeAlias = Callable[[Parts, Call], Answer | None]
Target: TypeAlias = Callable[[Parts, Connection, Call], Repo | None]
SMALL_BODY_BYTES = 1 << 20
_WORD = re.compile(r"\{(\w+)(\*?)\}(.*)")
_CARD = ("main", "README.md")
_BYTES = ("/resolve/", "/raw/", "/lfs/", "/xet/", ".git/", "/info/refs", "/git-")
_OWN_QUOTAS = {"/api/validate-yaml": "validation", "/oauth/device": "logins", "/oauth/token": "logins"}
"""Asked without a token, by those who have one or are about to: strangers at the same address do not use theirs up."""
_SPECIAL_REFS = ("pr", "heads", "convert")


class Route:
    """One row of the table. A target in the body (`target`) or in a signed link (`link`) takes the place of the one in the path."""

    def __init__(
        self,
        method: str,
        pattern: str,
        action: Action,
        handler: Handler,
        *,
        target: Target | None = None,
        link: Operation | None = None,
        recall: Recall | None = None,
        body_bytes: int = 0,
        streams: bool = False,
        basic: bool = False,
        proposal: bool = False,
        card: bool = False,
        plain: bool = False,
        page: bool = False,
    ) -> None:
        if not isinstance(action, Action):
            raise TypeError(f"{method} {pattern} must name the action that it needs")
        self.method, self.pattern, self.action, self.handler = method, pattern, action, handler
        self.target, self.link = target, link
        self.recall = recall
        """Gives the answer of the handler if all of it is in memory, else None. It waits for nothing, so it needs no thread."""
        self.body_bytes, self.streams = body_bytes, streams
        self.basic = basic
        """Whether git and git-lfs come here, which log in by Basic and only after a 401."""
        self.plain = plain
        """Whether failures are told as plain text, which is what git shows to its user."""
        self.page = page
        """Whether people come here with a browser, which shows them failures as a page."""
        self.quota = _quota(pattern)
        """Which quota of requests a call is counted in (`rates`)."""
        self._proposal, self._card = proposal, card

    def needed(self, call: Call) -> Action:
        """The action that a call needs.

        On a route that takes proposals, to propose is enough with `create_pr` or for `refs/pr/N`. On one for files (`card`), the README
        on `main` is for whoever sees the repo: it is what people decide by whether they ask for the rest.
        """
        if self._card and (call.params["rev"], call.params["path"]) == _CARD:
            return Action.SEE
        is_proposal = self._proposal and (call.flag("create_pr") or call.params.get("rev", "").startswith("refs/pr/"))
        return Action.PROPOSE if is_proposal else self.action

    def __repr__(self) -> str:
        return f"Route({self.method} {self.pattern} needs {self.action})"


def _quota(pattern: str) -> str:
    if pattern in _OWN_QUOTAS:
        return _OWN_QUOTAS[pattern]
    if pattern.startswith(("/api/", "/oauth/")):
        return "api"
    return "resolvers" if any(word in pattern for word in _BYTES) else "pages"


class _Node:
    """A place in the tree of patterns."""

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.words: dict[tuple[str, str], _Node] = {}
        self.rest: dict[str, _Node] = {}
        self.routes: dict[str, tuple[Route, dict[str, str]]] = {}


class Router:
    """Finds the route of a request. Literals win over words, words with an end over those without, words over rests.

    A literal that a path begins with is never taken for a word: no account may have such a name.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            for segments, fixed in _variants(route.pattern):
                self._add(route, segments, fixed)

    def _add(self, route: Route, segments: list[str], fixed: dict[str, str]) -> None:
        node = self._root
        for segment in segments:
            match = _WORD.fullmatch(segment)
            if match is None:
                node = node.literals.setdefault(segment, _Node())
            elif match[2]:
                node = node.rest.setdefault(match[1], _Node())
            else:
                child = node.words.setdefault((match[1], match[3]), _Node())
                node.words = dict(sorted(node.words.items(), key=lambda word: -len(word[0][1])))
                node = child
        if route.method in node.routes:
            raise ValueError(f"{route} and {node.routes[route.method][0]} are the same")
        node.routes[route.method] = (route, fixed)

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and its words, decoded; None if there is none. HEAD is answered where GET is.

        Raises UsageError (BadRequest) if a segment is not UTF-8.
        """
        segments = raw_path.split("/")[1:]
        for wanted in (method, "GET") if method == "HEAD" else (method,):
            for node, words in _matches(self._root, segments, 0, {}):
                if wanted in node.routes:
                    route, fixed = node.routes[wanted]
                    return route, _joined_revision({**_decoded(words), **fixed})
        return None


def _matches(
    node: _Node, segments: list[str], index: int, words: dict[str, str]
) -> Iterator[tuple[_Node, dict[str, str]]]:
    if index == len(segments):
        yield node, words
        return
    segment = segments[index]
    if segment in node.literals:
        yield from _matches(node.literals[segment], segments, index + 1, words)
        if not index:
            return  # what the hub itself has a word for is no namespace
    for (name, end), child in node.words.items():
        if segment.endswith(end) and len(segment) > len(end):
            value = segment.removesuffix(end)
            yield from _matches(child, segments, index + 1, {**words, name: value})
    for name, child in node.rest.items():
        yield child, {**words, name: "/".join(segments[index:])}


def _decoded(words: dict[str, str]) -> dict[str, str]:
    try:
        return {
            name: unquote_to_bytes(text).decode() if "%" in text else text.encode("latin-1").decode()
            for name, text in words.items()
        }
    except UnicodeError as error:
        raise UsageError("the path of the request is not UTF-8") from error


def _joined_revision(words: dict[str, str]) -> dict[str, str]:
    if "ref" in words:
        words["rev"] = f"refs/{words.pop('ref_kind')}/{words.pop('ref')}"
    return words


def _variants(pattern: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The patterns that one row stands for, and the words that each of them fixes."""
    kinds: list[tuple[list[str], dict[str, str]]] = [([], {})]
    segments = pattern.strip("/").split("/")
    if "{T}" in segments:
        kinds = [([kind.plural], {"kind": kind.value}) for kind in RepoKind]
    elif "{W}" in segments:
        kinds = [([kind.plural], {"kind": kind.value}) for kind in RepoKind] + [([], {"kind": RepoKind.MODEL.value})]
    revisions: list[tuple[list[str], dict[str, str]]] = [(["{rev}"], {})]
    if "{rev}" in segments:
        revisions += [(["refs", kind, "{ref}"], {"ref_kind": kind}) for kind in _SPECIAL_REFS]
    for (kind, kind_word), (revision, revision_word) in itertools.product(kinds, revisions):
        yield [part for one in segments for part in _expanded(one, kind, revision)], {**kind_word, **revision_word}


def _expanded(segment: str, kind: list[str], revision: list[str]) -> list[str]:
    if segment in {"{T}", "{W}"}:
        return kind
    return revision if segment == "{rev}" else [segment]
