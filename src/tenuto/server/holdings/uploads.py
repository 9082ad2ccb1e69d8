"""Uploads in parts that are under way: each is one file, into which every part is written at its place."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tenuto.core.errors import ConflictError, InternalError, StorageError
from tenuto.store.base import IncomingBlocks, Sealed, Store

MOST_IDLE = 64


class Plan(NamedTuple):
    """What an upload is to become: its key, its size, that of each part but the last, and until when a part of it may begin."""

    key: str
    size: int
    part_bytes: int
    expires_s: int


class Part:
    """A part on its way in, from its first byte to its last. `number` counts from 0."""

    def __init__(self, incoming: IncomingBlocks, number: int) -> None:
        self._incoming, self.number = incoming, number
        self._position = number * incoming.block_bytes
        self._writing = threading.Lock()
        self._is_over = False

    def write(self, data: bytes | memoryview) -> None:
        """Take in more bytes. Raises ConflictError if somebody else sends the part by now, StorageError."""
        with self._turn():
            self._incoming.write(self._position, data)
            self._position += len(data)

    def complete(self) -> str:
        """All bytes of the part are here, and stay over the end of this process. Returns their tag. Raises as `write` does."""
        with self._turn():
            self._incoming.complete(self.number)
            self._is_over = True
            return _tag(self._incoming, self.number)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        with self._writing:
            if self._is_over:
                raise ConflictError(f"part {self.number + 1} is being sent once more", hint="let one of them end")
            yield

    def end(self) -> None:
        """Not a byte more is written."""
        with self._writing:
            self._is_over = True


def _tag(incoming: IncomingBlocks, number: int) -> str:
    return f"{number + 1:05d}-{incoming.version(number):02x}"


class Upload:
    """One object on its way in by parts, in any order and at once. Of two that send the same part, the one that began later counts."""

    def __init__(self, incoming: IncomingBlocks) -> None:
        self._incoming = incoming
        self._changing = threading.Lock()
        self._coming: dict[int, Part] = {}
        self.completing = threading.Lock()
        """Held by whoever completes the upload, until all see that it is."""
        self.is_over = False
        """Whether it is sealed, or about to be: no part can come."""
        self._stored: Sealed | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the disk lost it: all parts are to be sent again, to another one."""
        return self._incoming.is_lost

    @property
    def is_empty(self) -> bool:
        """Whether no part of it is here."""
        return not any(map(self._incoming.version, range(self.parts)))

    @property
    def is_stored(self) -> bool:
        """Whether the object is in the store, and its repo may not hold it yet."""
        return self._stored is not None

    @property
    def may_go_on(self) -> bool:
        """Whether anything of it is here that whoever comes next may go on with."""
        return self.is_stored if self.is_over else not self.is_empty

    @property
    def parts(self) -> int:
        """How many there are."""
        return max(-(-self._incoming.size // self._incoming.block_bytes), 1)

    def begin(self, number: int) -> Part:
        """Begin to take in a part; what was there of it is gone. Raises ConflictError if the upload is being completed, StorageError."""
        with self._changing:
            self._check_not_over()
            if number in self._coming:
                self._coming[number].end()
            self._incoming.reopen(number)
            part = self._coming[number] = Part(self._incoming, number)
            return part

    def leave(self, part: Part) -> None:
        """Nobody sends that part any more: it is complete, or will have to be sent again."""
        part.end()
        with self._changing:
            if self._coming.get(part.number) is part:
                del self._coming[part.number]

    def seal(self, tags: Sequence[str], sha256: str) -> Sealed:
        """The object, if these are the tags of its parts and it has that sha256; only one thread may ask at a time.

        Raises ConflictError if a part is not here or has another tag, or the object was given out before and is not kept, IntegrityError
        (HashMismatch), after which no part is here, StorageError.
        """
        with self._changing:
            if not self._stored:
                self._check_not_over()
            for number in range(self.parts):
                if number in self._coming or tags[number] != _tag(self._incoming, number):
                    raise _not_here(number)
            if missing := self._incoming.missing():
                raise _not_here(missing[0])
            if sealed := self._stored:
                self._stored = None
                return sealed
            self.is_over = True
        try:
            return self._incoming.seal(sha256=sha256, source="the parts of the upload")
        except BaseException:
            self.is_over = False
            raise

    def _check_not_over(self) -> None:
        if self.is_over:
            raise ConflictError("the upload is being completed", hint="ask for links anew")

    def keep(self, stored: Sealed) -> None:
        """The object that was sealed is in the store; it is given out once more to whoever asks to seal it."""
        self._stored = stored

    def forget(self) -> None:
        """No part is here, if none is on its way."""
        with self._changing:
            self._stored = None
            if not self._coming and not self.is_over:
                with contextlib.suppress(StorageError):  # then it is lost, and gone as well
                    self._incoming.restart()

    def close(self) -> None:
        """Release what is held; parts that are here stay, to go on by key."""
        self._incoming.close()


def _not_here(number: int) -> ConflictError:
    return ConflictError(f"part {number + 1} of the upload is not here", hint="send it again, then complete the upload")


class _Entry:
    def __init__(self, upload: Upload, expires_s: int) -> None:
        self.upload, self.expires_s = upload, expires_s
        self.users = 0


class Uploads:
    """The uploads of one hub by key. Those that nobody is at stay open for a while, so that nothing of them is hashed again."""

    def __init__(self, store: Store, now_s: Callable[[], float], most_idle: int = MOST_IDLE) -> None:
        self._store, self._now_s, self._most_idle = store, now_s, most_idle
        self._changing = threading.Lock()
        self._open: dict[str, _Entry] = {}
        """The one that was left last comes last."""

    @contextlib.contextmanager
    def at(self, plan: Plan) -> Iterator[Upload]:
        """The upload of a plan as long as the `with` lasts, with the parts that are here already. Raises StorageError."""
        with self._changing:
            entry = self._open.get(plan.key)
            if entry is None or entry.upload.is_lost:
                entry = self._begin(plan)
            entry.users += 1
        try:
            yield entry.upload
        finally:
            with self._changing:
                entry.users -= 1
                self._tidy(plan.key, entry)

    def _begin(self, plan: Plan) -> _Entry:
        incoming = self._store.receive_blocks(plan.key, plan.size, plan.part_bytes)
        if incoming is None:
            raise InternalError("the store of a hub takes objects by blocks")
        entry = self._open[plan.key] = _Entry(Upload(incoming), plan.expires_s)
        return entry

    def _tidy(self, key: str, left: _Entry) -> None:
        """Close what is over or empty, drop what nobody can go on with, and close more if too many are open."""
        if not left.users:
            is_current = self._open.get(key) is left
            if is_current:
                del self._open[key]
            if is_current and left.upload.may_go_on:
                self._open[key] = left
            else:
                left.upload.close()
        idle = [(key, entry) for key, entry in self._open.items() if not entry.users]
        too_many = len(idle) - self._most_idle
        for number, (key, entry) in enumerate(idle):
            is_late = entry.expires_s < self._now_s()
            if is_late:
                entry.upload.forget()
            if is_late or number < too_many:
                del self._open[key]
                entry.upload.close()

    def close(self) -> None:
        """Release what is held; parts that are here stay."""
        with self._changing:
            for entry in self._open.values():
                entry.upload.close()
            self._open.clear()
