"""What a dataset holds, from the names of its files, what they say of themselves, and `metadata.csv` or `metadata.jsonl` beside them."""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tenuto.core.errors import IntegrityError, NotFoundError
from tenuto.inspect.findings import FormatError, Limits
from tenuto.inspect.look import look_at
from tenuto.server.git.objects import CommitFacts, GitReader
from tenuto.server.pages.content import File, Shelf, files_among, first_items
from tenuto.server.pages.pace import paced
from tenuto.server.pages.plots import Histogram, histogram
from tenuto.server.pages.records import CELLS, Record, as_text, records

MOST_FILES = 5000
_MOST_HEARD, _HEARING_S = 200, 0.4
_MOST_CLASSES = 40
_TABLE_BYTES = 2 << 20
_MOST_TABLES = 6
_MOST_FAULTS = 5
_SPLITS = {
    **{name: name for name in ("train", "test")},
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "validation"),
}
_SOUNDS = ("wav", "flac", "mp3", "ogg")
_SAMPLES = (*_SOUNDS, "png", "jpg", "jpeg", "webp", "txt", "npy", "parquet")
_TABLES = ("metadata.csv", "metadata.jsonl")
_LABEL_CHARACTERS = 100
_DURATIONS = ("duration", "duration_s", "length_s", "seconds")
_LABELS = ("label", "class", "category")
_HEADER = Limits(content_bytes=0, steps=2000, items=100, listed=10, findings=5)


class Share(NamedTuple):
    """How much of something there is: of a class, or in a split."""

    name: str
    number: int
    size_bytes: int


class Samples(NamedTuple):
    """What a commit of a dataset holds. `durations` are those of `heard` of `sounds` recordings."""

    splits: list[Share]
    classes: list[Share]
    durations: Histogram | None
    heard: int
    sounds: int
    files: int
    is_all: bool
    faults: list[str]
    """What could not be read."""
    is_whole: bool
    """Whether everything that was looked for is on the hub."""


class _Sample(NamedTuple):
    """A file of a dataset, and where it belongs."""

    file: File
    split: str
    label: str


class _Row(NamedTuple):
    """What a table beside the files says of one of them."""

    label: str
    duration_s: float | None


def read_samples(git: GitReader, shelf: Shelf, commit: CommitFacts) -> Samples:
    """What a commit holds, as far as its first files tell."""
    items, is_all = first_items(git, commit.tree, MOST_FILES)
    files = files_among(git, items)
    look = _Look(shelf)
    rows = list(look.rows([file for file in files.values() if file.name in _TABLES]))
    samples = [_placed(file) for file in files.values() if file.ending in _SAMPLES]
    sounds = [sample.file for sample in samples if sample.file.ending in _SOUNDS]
    told = [row.duration_s for row in rows if row.duration_s is not None]
    durations_s = told or look.durations(_spread(_alike(sounds)))
    labels = [row.label for row in rows if row.label]
    return Samples(
        splits=_shares((one.split, one.file.size) for one in samples if one.split),
        classes=_shares(
            ((label, 0) for label in labels) if labels else ((one.label, one.file.size) for one in samples if one.label)
        ),
        durations=histogram(durations_s) if durations_s else None,
        heard=len(durations_s),
        sounds=max(len(sounds), len(told)),
        files=len(files),
        is_all=is_all,
        faults=look.faults[:_MOST_FAULTS],
        is_whole=look.is_whole,
    )


class _Look:
    """Looks into files, and notes what it cannot read."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.faults: list[str] = []
        self.is_whole = True

    def rows(self, tables: list[File]) -> Iterator[_Row]:
        """What the first tables say."""
        looked_at = tables[:_MOST_TABLES]
        for file in looked_at:
            with self._noted(file):
                if file.size > _TABLE_BYTES:
                    raise FormatError("NotAllChecked", f"it has more than the {_TABLE_BYTES:,} bytes that are read")
        for file, opened in self._shelf.sources([one for one in looked_at if one.size <= _TABLE_BYTES]):
            with self._noted(file), opened as source:
                yield from map(_row, records(file.ending, source.head(_TABLE_BYTES), CELLS // len(looked_at)))
        if len(tables) > _MOST_TABLES:
            self.faults.append(f"of {len(tables):,} tables the first {_MOST_TABLES} were read")

    def durations(self, sounds: list[File]) -> list[float]:
        """How long those recordings are whose headers say so."""
        found = []
        end_s = time.thread_time() + _HEARING_S
        for file, opened in self._shelf.sources(sounds):
            if time.thread_time() > end_s:  # some are made to take long
                break
            with self._noted(file), opened as source:
                value = look_at(paced(source, _HEARING_S / 8), file.name, _HEADER).facts.get("duration_s")
                if isinstance(value, int | float) and 0 < value < 1e7:
                    found.append(float(value))
        return found

    @contextmanager
    def _noted(self, file: File) -> Iterator[None]:
        """What cannot be read within is noted, and left at that."""
        try:
            yield
        except FormatError as error:
            self.faults.append(f"{file.path[:200]}: {error}")
        except (NotFoundError, IntegrityError) as error:
            self.faults.append(error.message)
            self.is_whole = False


def _placed(file: File) -> _Sample:
    """Where a file belongs, by the folders it lies in: `split/class/name`, or `class/name`."""
    folders = file.path.split("/")[:-1]
    split = next((_SPLITS[name.lower()] for name in folders if name.lower() in _SPLITS), "") or _of_shard(file.name)
    rest = [name for name in folders if name.lower() not in _SPLITS and name.lower() not in {"data", "audio", "images"}]
    return _Sample(file, split, rest[-1][:_LABEL_CHARACTERS] if rest and file.ending != "parquet" else "")


def _of_shard(name: str) -> str:
    """The split that the name of a shard begins with: `train-00000-of-00004.parquet`."""
    first = name.partition("-")[0].partition(".")[0].lower()
    return _SPLITS.get(first, "")


def _shares(members: Iterable[tuple[str, int]]) -> list[Share]:
    """The most frequent names first; what is behind the last one shown is put together."""
    found: dict[str, tuple[int, int]] = {}
    for name, size in members:
        count, total = found.get(name, (0, 0))
        found[name] = (count + 1, total + size)
    shares = sorted(
        (Share(name, *values) for name, values in found.items()), key=lambda share: (-share.number, share.name)
    )
    rest = shares[_MOST_CLASSES:]
    if rest:
        more = Share(f"{len(rest)} more", sum(one.number for one in rest), sum(one.size_bytes for one in rest))
        return [*shares[:_MOST_CLASSES], more]
    return shares


def _alike(files: list[File]) -> list[File]:
    """Those in the database or those outside, whichever are more: both are asked for in different ways."""
    small, large = ([one for one in files if bool(one.blob.pointer) is is_large] for is_large in (False, True))
    return max(small, large, key=len)


def _spread(files: list[File]) -> list[File]:
    """At most so many files as are heard, from all over the list."""
    return files[:: max(1, math.ceil(len(files) / _MOST_HEARD))]


def _row(record: Record) -> _Row:
    duration = next((record[key] for key in _DURATIONS if key in record), None)
    label = next((record[key] for key in _LABELS if key in record), None)
    return _Row(as_text(str(label), _LABEL_CHARACTERS) if isinstance(label, str | int) else "", _seconds(duration))


def _seconds(value: object) -> float | None:
    try:
        seconds = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < 1e7 else None
