"""How much of something there is room for on a page."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar
from urllib.parse import quote

from tenuto.server.pages.render import weight

T = TypeVar("T")


def link_weight(path: str) -> int:
    """How many bytes a path takes where it is shown as a link to it, beside the markup."""
    return weight(path) + len(quote(path, safe=""))


def fitting(found: Iterable[T], most_bytes: int, cost: Callable[[T], int]) -> Iterator[T]:
    """The first of them, as far as they cost no more than that all together; one at least."""
    for index, one in enumerate(found):
        most_bytes -= cost(one)
        if index and most_bytes < 0:
            return
        yield one
