"""What the user sees: data on stdout, everything else on stderr. The only door to rich."""

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from tenuto.core.errors import StorageError, TenutoError

_SHOW_AFTER_BYTES = 1


class Printer:
    """One way to print for every command: for people, for machines (`--json`), or only what was asked for (`--quiet`)."""

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        progress: bool = True,
        out: TextIO | None = None,
        err: TextIO | None = None,
    ) -> None:
        self.json = json
        self.quiet = quiet
        # Where a program is started with a stream closed, Python has None for it.
        self._out = out or sys.stdout or io.StringIO()
        self._err = err or sys.stderr or io.StringIO()
        self._progress = progress and not quiet and not json and self._err.isatty()
        self._colour = not os.environ.get("NO_COLOR")

    @property
    def is_watched(self) -> bool:
        """Whether a person sits before a terminal and can be asked."""
        return not self.json and not self.quiet and self._err.isatty() and sys.stdin is not None and sys.stdin.isatty()

    def report(self, report: object, lines: Callable[[], Iterable[str]]) -> None:
        """Print a result: as one JSON document, or as lines for people, or nothing if quiet."""
        if self.json:
            self._write(self._out, _json(report, indent=2))
        elif not self.quiet:
            for line in lines():
                self._write(self._out, line)

    def answer(self, report: object, text: str) -> None:
        """Print a result that is a single value, such as a token: quiet does not silence it."""
        self._write(self._out, _json(report) if self.json else text)

    def serving(self, report: object, lines: Iterable[str]) -> None:
        """Print where a server is, in one line of JSON for machines: a reader waits for that line, not for the end."""
        if self.json:
            self._write(self._out, _json(report))
        else:
            for line in lines:
                self._write(self._out, line)

    def note(self, text: str) -> None:
        """Tell people something beside the result."""
        if not self.quiet and not self.json:
            self._write(self._err, text)

    def once(self, text: str) -> None:
        """Tell people, beside the result, what is shown at no other time: nothing silences it."""
        self._write(self._err, text)

    def error(self, error: TenutoError, hint: str | None = None) -> None:
        """Print a failure: what happened, and what to do; as JSON with its stable code if machines read."""
        hint = hint or error.hint
        if self.json:
            body = {
                "error": {"code": error.code, "message": error.message, "hint": hint, "exit_status": error.exit_status}
            }
            self._write(self._err, _json(body))
            return
        self._write(self._err, f"{self.paint('error:', '1;31')} {error.message}")
        if hint:
            self._write(self._err, f"{self.paint('hint:', '1;36')} {hint}")

    def paint(self, text: str, code: str, *, out: bool = False) -> str:
        """`text` in colour, where a person looks and wants colours."""
        stream = self._out if out else self._err
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and stream.isatty() else text

    @contextlib.contextmanager
    def watch(self, label: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        """Show the progress of long work on a terminal; what it yields is told the bytes done, from any thread."""
        if not self._progress or total_bytes < _SHOW_AFTER_BYTES:
            yield lambda _bytes: None
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        console = Console(file=self._err, no_color=not self._colour)
        with Progress(*columns, console=console, transient=True) as display:
            task = display.add_task(label, total=total_bytes)
            lock = threading.Lock()

            def advance(done_bytes: int) -> None:
                with lock:
                    display.advance(task, done_bytes)

            yield advance

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        data = text.encode(encoding, "backslashreplace").decode(encoding)
        try:
            stream.write(f"{data}\n")
            stream.flush()
        except OSError as error:
            # What is left in the buffer goes nowhere: else Python complains of it at the end.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
            # A reader that has seen enough, as in `| head -1`, is no failure: the work goes on, and its exit status counts.
            if not isinstance(error, BrokenPipeError):
                raise StorageError(f"the output cannot be written: {error.strerror}") from error


def _json(report: object, indent: int = -1) -> str:
    """A report as JSON, in one line unless `indent` says how far to indent."""
    import msgspec  # `--version` and `--help` need none

    return msgspec.json.format(msgspec.json.encode(report), indent=indent).decode()
