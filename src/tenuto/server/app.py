"""The ASGI application: finds the route, asks the gate, moves bytes, turns every failure into a JSON answer, writes the log."""

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any, BinaryIO, TypeAlias, TypeVar

import msgspec

from tenuto.core.errors import InternalError, NotFoundError, TenutoError, UsageError
from tenuto.core.human import size_text
from tenuto.core.pack import FEATURE_HEADER, FEATURE_VERSION
from tenuto.core.wire import REQUEST_ID, error_from_answer
from tenuto.server.forgery import check_form
from tenuto.server.gate import admit, admit_known
from tenuto.server.http.exchange import JSON_HEADERS, Answer, Call, FileBody, Pieces, Sink, error_answer
from tenuto.server.http.passage import BLOCK_BYTES, to_its_end
from tenuto.server.http.receiving import INLET, Blocks, OpenInlet, Patience
from tenuto.server.http.sending import LongBody
from tenuto.server.hub import Parts
from tenuto.server.pages.failures import failure_page, wants_page
from tenuto.server.permit import Permit
from tenuto.server.routes import make_routes
from tenuto.server.routing import Route, Router

T = TypeVar("T")
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
_SHORT_BYTES = 1 << 16
_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")
_GUARDS = {
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, Cookie",
    "X-Content-Type-Options": "nosniff",
}
_KEPT_BY_NOBODY = {"Cache-Control": "private, no-store"}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="tenuto"', "LFS-Authenticate": 'Basic realm="tenuto"'}


class DisconnectedError(Exception):
    """The client went away before its request was complete."""


class App:
    """Serves the routes of one hub. Handlers run in `threads`; the event loop only moves bytes."""

    def __init__(self, parts: Parts, threads: ThreadPoolExecutor) -> None:
        self._parts, self._threads = parts, threads
        self._router = Router(make_routes())
        self.blocks = Blocks()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await Exchange(self, scope, receive, send).run()

    async def in_thread(self, function: Callable[..., T], *values: object) -> T:
        """Call a function in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *values))

    @property
    def parts(self) -> Parts:
        """The working parts of the hub."""
        return self._parts

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
        """The route of a request; raises NotFoundError (RouteNotFound), UsageError (BadRequest)."""
        found = self._router.find(method, raw_path)
        if found is None:
            raise NotFoundError(f"there is no route {method} {raw_path[:200]}", code="RouteNotFound")
        return found


class Exchange:
    """One request and its answer."""

    def __init__(self, app: App, scope: Message, receive: Receive, send: Send) -> None:
        self._app, self._receive, self._send = app, receive, send
        self._method: str = scope["method"]
        self._raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        self._query = scope["query_string"].decode("latin-1")
        self._scheme: str = scope.get("scheme", "http")
        self._address = str((scope.get("client") or ("",))[0])[:64]
        self._headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._request_id = self._headers.get("x-amzn-trace-id", "")[:64] or secrets.token_hex(8)
        self._call: Call | None = None
        self._route: Route | None = None
        self._permit: Permit | None = None
        self._status, self._sent_bytes = 0, 0
        self._body_ended = False
        limits = app.parts.limits
        self._patience = Patience(limits.request_stall_s, limits.request_least_rate)
        self._open_inlet: OpenInlet | None = scope.get("extensions", {}).get(INLET, {}).get("open")

    async def run(self) -> None:
        """Answer, whatever happens, and write one line to the log."""
        started = time.perf_counter()
        try:
            file = None
            try:
                answer = self._shown(await self._answer())
                if isinstance(answer.body, FileBody) and self._method != "HEAD":
                    file = await self._app.in_thread(self._opened, answer.body)
            except TenutoError as error:
                answer = self._failure(error)
            except DisconnectedError:
                raise
            except Exception as error:  # noqa: BLE001  # the last resort: no bug may show a stranger more than this
                self._log_bug(error)
                answer = self._failure(InternalError("the hub failed; its log says where"))
            await self._deliver(answer, file)
        except DisconnectedError:
            self._status = self._status or 499
        finally:
            self._log(started)

    async def _answer(self) -> Answer:
        route, params = self._app.find(self._method, self._raw_path)
        self._route = route
        call = self._call = Call(
            self._method,
            params,
            self._query,
            self._headers,
            self._base_url(),
            self._raw_path,
            address=self._address,
            request_id=self._request_id,
        )
        if route.streams or (route.body_bytes and route.target is None):
            # Strangers are turned away before their body is read.
            is_in = admit_known(self._app.parts, route, call)
            if not is_in and (elsewhere := await self._app.in_thread(admit, self._app.parts, route, call)):
                return elsewhere
            if route.streams:
                check_form(route, call)
                return await self._stream(route, call)
            call.body = await self._read_body(route.body_bytes)
            result = await self._app.in_thread(self._handle, route, call)
        elif at_once := self._at_once(route, call):
            return at_once
        else:
            call.body = await self._read_body(route.body_bytes) if route.body_bytes else b""
            result = await self._app.in_thread(self._admit_and_handle, route, call)
        assert isinstance(result, Answer)
        return result

    def _at_once(self, route: Route, call: Call) -> Answer | None:
        """The answer, if nothing has to be read for it."""
        if route.recall is None or not admit_known(self._app.parts, route, call):
            return None
        return route.recall(self._app.parts, call)

    def _admit_and_handle(self, route: Route, call: Call) -> Answer | Sink:
        return admit(self._app.parts, route, call) or self._handle(route, call)

    def _handle(self, route: Route, call: Call) -> Answer | Sink:
        check_form(route, call)
        return route.handler(self._app.parts, call)

    def _base_url(self) -> str:
        host = self._headers.get("host", "")
        if not _HOST.fullmatch(host):
            raise UsageError("the Host header is not the name of a host")
        return f"{self._scheme}://{host}"

    async def _read_body(self, limit: int) -> bytes:
        self._check_length(limit)
        pieces, size = [], 0
        while piece := await self._next_piece():
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
        return b"".join(pieces)

    def _check_length(self, limit: int) -> None:
        length = self._headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise _too_large(limit)

    async def _next_piece(self) -> bytes:
        """The next bytes of the body, empty at its end; raises DisconnectedError, UnavailableError (Stalled)."""
        while not self._body_ended:
            message = await self._patience.wait(self._receive())
            if message["type"] == "http.disconnect":
                raise DisconnectedError
            self._body_ended = not message.get("more_body", False)
            body: bytes = message.get("body", b"")
            if body:
                self._patience.earn(len(body))
                return body
        return b""

    async def _stream(self, route: Route, call: Call) -> Answer:
        """Hand the body to the sink: a short one at one go, a long one straight from the socket, one of unknown length in blocks."""
        length = self._headers.get("content-length", "")
        known = int(length) if length.isdecimal() else None
        if known is not None and known <= _SHORT_BYTES:
            return await self._app.in_thread(self._take_in, route, call, await self._read_body(_SHORT_BYTES))
        sink = await self._app.in_thread(route.handler, self._app.parts, call)
        assert isinstance(sink, Sink)
        try:
            self._check_length(sink.max_bytes)
            if known is None or "upgrade" in self._headers or self._open_inlet is None:
                await self._hand_over(sink)
            else:
                await self._pour(sink, known, self._open_inlet)
            return await self._app.in_thread(self._finish, sink)
        finally:
            await self._app.in_thread(sink.close)

    def _finish(self, sink: Sink) -> Answer:
        """A long body came to its end: whether it counts is up to the right that its sender has by now."""
        self._check_right()
        return sink.finish()

    def _opened(self, body: FileBody) -> BinaryIO:
        """The file of a long answer, which may have taken its time to be made, for a caller who may still have it."""
        self._check_right()
        file = body.open()
        file.seek(body.start)
        return file

    def _check_right(self) -> None:
        if (permit := self._find_permit()) and not permit.is_known():
            permit.check()

    async def _hand_over(self, sink: Sink) -> None:
        """While one block is written, the next one comes in."""
        writing: asyncio.Future[None] | None = None
        size = 0
        try:
            while block := await self._next_block():
                size += len(block)
                if size > sink.max_bytes:
                    raise _too_large(sink.max_bytes)
                if writing:
                    await asyncio.shield(writing)
                writing = asyncio.ensure_future(self._app.in_thread(sink.write, block))
            if writing:
                await asyncio.shield(writing)
        finally:
            if writing:
                await asyncio.wait([writing])

    async def _pour(self, sink: Sink, length: int, open_inlet: OpenInlet) -> None:
        first = await self._next_piece()  # lets a client begin that waits for leave
        if self._body_ended:
            return await to_its_end(self._app.in_thread(sink.write, first))
        try:
            with closing(open_inlet(length - len(first))) as inlet:
                await to_its_end(self._app.in_thread(sink.write, first))
                await inlet.pour(sink.write, self._app.blocks, self._app.in_thread, self._patience)
        except ConnectionError as error:
            await self._wait_until_gone()  # the web server sees for itself that it is
            raise DisconnectedError from error

    def _take_in(self, route: Route, call: Call, body: bytes) -> Answer:
        sink = route.handler(self._app.parts, call)
        assert isinstance(sink, Sink)
        try:
            if len(body) > sink.max_bytes:
                raise _too_large(sink.max_bytes)
            if body:
                sink.write(body)
            return sink.finish()
        finally:
            sink.close()

    async def _next_block(self) -> bytes:
        pieces, size = [], 0
        while size < BLOCK_BYTES and (piece := await self._next_piece()):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def _shown(self, answer: Answer) -> Answer:
        """What a handler refused by an answer of its own, for programs, a browser is told on a page; with the same headers."""
        is_refusal = answer.status >= 400 and answer.headers.get("Content-Type") == JSON_HEADERS["Content-Type"]
        call, route, body = self._call, self._route, answer.body
        if not (is_refusal and isinstance(body, bytes) and call and route and route.page and wants_page(call)):
            return answer
        page = failure_page(call, error_from_answer(answer.status, answer.headers, body), answer.status)
        return page._replace(headers={**answer.headers, **page.headers})

    def _failure(self, error: TenutoError) -> Answer:
        route = self._route
        anonymous = self._call is None or not self._call.actor.is_known
        status = 401 if anonymous and error.code == "GatedRepo" else error.http_status
        if (route is None or route.page) and (call := self._call or self._stray()) and wants_page(call):
            return failure_page(call, error, status)
        answer = error_answer(error, status=status)
        if route is None or not route.basic:
            return answer
        assert isinstance(answer.body, bytes)
        # git shows plain text, git-lfs reads `message`; both send their token only when they are asked for it.
        body = msgspec.json.encode({**msgspec.json.decode(answer.body), "message": error.message})
        if route.plain:
            answer = answer._replace(headers={**answer.headers, "Content-Type": "text/plain; charset=utf-8"})
            body = f"{error.message}\n".encode()
        if anonymous and error.code in {"RepoNotFound", "NoToken", "BadToken", "GatedRepo"}:
            return Answer(401, {**answer.headers, **_CHALLENGE}, body)
        return answer._replace(body=body)

    def _stray(self) -> Call | None:
        """The call of a request that has no route, if its address makes one."""
        try:
            return Call(self._method, {}, self._query, self._headers, self._base_url(), self._raw_path)
        except UsageError:
            return None

    def _find_permit(self) -> Permit | None:
        """The right by which the caller of this request gets bytes of a repo, or gives them."""
        call, route = self._call, self._route
        if self._permit is None and call and route and call.target:
            self._permit = Permit(self._app.parts, call, route.needed(call))
        return self._permit

    async def _between_turns(self) -> None:
        """Return if the caller still may have what it is being sent; else it gets no more, and sees that it was cut short."""
        permit = self._find_permit()
        if permit is None or permit.is_known():
            return
        try:
            await self._app.in_thread(permit.check)
        except TenutoError as error:
            self._log_end("withdrawn", error.message)
            raise DisconnectedError from error

    def _all_headers(self, answer: Answer) -> dict[str, str]:
        """Those of the answer, and ours. Nobody on the way keeps for others what it does not say they may have; of a repo that is not
        open to everybody, nobody keeps anything."""
        headers = {REQUEST_ID: self._request_id, FEATURE_HEADER: FEATURE_VERSION, **_GUARDS}
        repo = self._call.target if self._call else None
        if answer.status >= 400 or (repo and (repo.private or repo.gate)):
            return headers | dict(answer.headers) | _KEPT_BY_NOBODY
        return headers | dict(answer.headers)

    async def _deliver(self, answer: Answer, file: BinaryIO | None) -> None:
        self._status = answer.status
        headers = self._all_headers(answer)
        if self._call and self._call.rate:
            headers |= self._call.rate.headers()
        if answer.status != 304 and not isinstance(answer.body, Pieces):
            length = answer.body.length if isinstance(answer.body, FileBody) else len(answer.body)
            headers["Content-Length"] = str(length)
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        if self._method == "HEAD" or answer.status == 304:
            await self._send({"type": "http.response.body", "body": b""})
        elif isinstance(answer.body, bytes):
            await self._send({"type": "http.response.body", "body": answer.body})
            self._sent_bytes = len(answer.body)
        elif isinstance(answer.body, Pieces):
            await self._send_pieces(answer.body)
        else:
            assert file is not None
            await self._send_file(answer.body, file)

    async def _send_pieces(self, body: Pieces) -> None:
        """Send pieces as they are made; nothing more is made once the client is gone."""
        gone = asyncio.ensure_future(self._wait_until_gone())
        try:
            while (piece := await self._app.in_thread(next, body.steps, None)) is not None:
                if gone.done():
                    raise DisconnectedError
                await self._between_turns()
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                self._sent_bytes += len(piece)
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            await self._app.in_thread(body.steps.close)

    async def _send_file(self, body: FileBody, file: BinaryIO) -> None:
        """Send the bytes of a file; rather too few than wrong ones."""
        long = LongBody(file, body.length)
        try:
            if body.length:
                await self._send({"type": "http.response.body", "body": long, "more_body": True})
                await long.send(self._app.in_thread, self._between_turns)
        except TenutoError as error:
            self._log_end("damage", error.message)
            raise DisconnectedError from error
        except OSError as error:
            if not isinstance(error, ConnectionError | TimeoutError):
                self._log_end("damage", str(error))
            raise DisconnectedError from error
        finally:
            self._sent_bytes = body.length - long.left
            file.close()
        await self._send({"type": "http.response.body", "body": b""})

    async def _wait_until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _log(self, started: float) -> None:
        parts = self._app.parts
        length = self._headers.get("content-length", "")
        parts.log.write(
            "request",
            parts.now_ms(),
            method=self._method,
            path=self._raw_path,
            status=self._status,
            ms=round((time.perf_counter() - started) * 1000, 1),
            bytes=self._sent_bytes,
            announced=int(length) if length.isdecimal() else 0,
            actor=self._call.actor.name if self._call else "",
            id=self._request_id,
        )

    def _log_end(self, kind: str, message: str) -> None:
        """Say why a body ended before its end."""
        self._app.parts.log.write(
            kind, self._app.parts.now_ms(), message=message, path=self._raw_path, id=self._request_id
        )

    def _log_bug(self, error: Exception) -> None:
        self._app.parts.log.failure(self._app.parts.now_ms(), error, path=self._raw_path, id=self._request_id)


def _too_large(limit: int) -> UsageError:
    return UsageError(f"the body of the request is larger than {size_text(limit)}", code="TooLarge")
