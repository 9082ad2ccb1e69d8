"""Counts the requests that are being answered, for work that is done when nobody waits."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_Message = MutableMapping[str, Any]
_Serve = Callable[[_Message, Any, Any], Awaitable[None]]


class Traffic:
    """An application, and how many requests it is at."""

    def __init__(self, serve: _Serve) -> None:
        self._serve = serve
        self._requests = 0

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered; may be asked from any thread."""
        return self._requests > 0

    async def __call__(self, scope: _Message, receive: Any, send: Any) -> None:
        self._requests += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._requests -= 1
