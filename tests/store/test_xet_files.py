"""Xorbs in a folder, and files put together from them: every range is right, every damage is found."""

import contextlib
import os
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import IntegrityError, UsageError
from tenuto.store.disk import BLOCK_BYTES
from tenuto.store.local import LocalStore
from tenuto.store.xet.assemble import ChunkedFile, StoredXorb, plan
from tenuto.store.xet.folder import XorbFolder
from tenuto.store.xet.seals import Seals, is_sealed, seal
from tenuto.store.xet.table import FileTable, XorbTable
from tenuto.store.xet.xorb import XorbReader
from tests.store.xet_build import File, Xorb, make_xorb

RNG = random.Random(3)
XORBS = [
    make_xorb([RNG.randbytes(RNG.randrange(1, 400)) * 3 for _ in range(9)], [0, 1, 2, 0, 1, 2, 2, 1, 0])
    for _ in range(12)
]
PARTS = st.tuples(st.sampled_from(XORBS), st.integers(0, 8), st.integers(1, 9)).map(
    lambda one: (one[0], min(one[1], one[2] - 1), one[2])
)
FILES = st.lists(PARTS, min_size=1, max_size=25).map(File)
TABLES = {xorb.name: xorb.table() for xorb in XORBS}
SEALS = Seals()


def store(folder: XorbFolder, xorb: Xorb) -> XorbTable:
    with folder.receive() as incoming:
        incoming.write(xorb.body)
        table = incoming.seal(xorb.name)
        folder.publish(xorb.name, incoming)
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> XorbFolder:
    made = XorbFolder(str(tmp_path_factory.mktemp("hub") / "store"))
    for xorb in XORBS:
        assert store(made, xorb) == TABLES[xorb.name]
    return made


@given(FILES, st.data())
def test_any_part_of_any_file_is_read(folder: XorbFolder, file: File, data: st.DataObject) -> None:
    content = file.content
    with ChunkedFile(file.table(), TABLES.__getitem__, folder) as reader:
        assert reader.read() == content
        assert reader.read(1) == b""
        for _ in range(4):
            start = data.draw(st.integers(0, len(content) + 3))
            assert reader.seek(start) == start == reader.tell()
            for size in data.draw(st.lists(st.integers(0, 900), max_size=4)):
                assert reader.read(size) == content[start : start + size]
                start = min(start + size, max(start, len(content)))


@given(st.sampled_from(XORBS), st.data())
def test_any_part_of_a_stored_xorb_is_read(folder: XorbFolder, xorb: Xorb, data: st.DataObject) -> None:
    with StoredXorb(xorb.name, xorb.table(), folder, SEALS) as reader:
        assert reader.read() == xorb.body
        for _ in range(3):
            start = data.draw(st.integers(0, len(xorb.body) + 1))
            reader.seek(start)
            for size in data.draw(st.lists(st.integers(0, 700), max_size=4)):
                assert reader.read(size) == xorb.body[start : start + size]
                start = min(start + size, max(start, len(xorb.body)))


def assembled(file: File, start: int, end: int) -> bytes:
    """What a client makes of a plan; checks what clients take for granted."""
    found = plan(file.table(), start, end, TABLES.__getitem__)
    by_name = {xorb.name: xorb for xorb in XORBS}
    for name, spans in found.spans.items():
        for left, right in pairwise(spans):
            assert left.end < right.start
        for span in spans:
            body = by_name[name].body[span.first_byte : span.end_byte]
            assert body == by_name[name].body[TABLES[name].stored[span.start] : TABLES[name].stored[span.end]]
    for part in found.parts:
        assert sum(span.start <= part.start < part.end <= span.end for span in found.spans[part.xorb]) == 1
        assert part.length == len(by_name[part.xorb].part(part.start, part.end))
    raw = b"".join(by_name[part.xorb].part(part.start, part.end) for part in found.parts)
    first, last = found.parts[0], found.parts[-1]
    assert found.skip < len(by_name[first.xorb].raws[first.start])
    assert len(raw) - found.skip - (end - start) < len(by_name[last.xorb].raws[last.end - 1])
    return raw[found.skip : found.skip + end - start]


@given(FILES, st.data())
def test_a_plan_makes_exactly_its_part_of_the_file(file: File, data: st.DataObject) -> None:
    content = file.content
    start = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(start + 1, len(content)))
    assert assembled(file, start, end) == content[start:end]
    assert assembled(file, 0, len(content)) == content


def test_large_reads_span_many_chunks(tmp_path: Path) -> None:
    folder = XorbFolder(str(tmp_path))
    xorb = make_xorb([RNG.randbytes(131072) for _ in range(60)])
    store(folder, xorb)
    file = File([(xorb, 0, 60), (xorb, 10, 50)])
    with ChunkedFile(file.table(), lambda _name: xorb.table(), folder) as reader:
        blocks = iter(lambda: reader.read(BLOCK_BYTES), b"")
        assert b"".join(blocks) == file.content


def test_no_more_files_are_open_than_needed(folder: XorbFolder) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with ChunkedFile(File([(x, 0, 9) for x in XORBS * 5]).table(), TABLES.__getitem__, folder) as reader:
        reader.read()
        assert len(os.listdir("/proc/self/fd")) <= before + 9
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[XorbFolder, str]:
    folder = XorbFolder(str(tmp_path))
    store(folder, XORBS[0])
    path = folder.file(XORBS[0].name)
    os.chmod(path, 0o644)
    return folder, path


@given(st.data())
def test_a_flipped_bit_is_found_before_a_byte_of_its_chunk_is_given(
    damaged: tuple[XorbFolder, str], data: st.DataObject
) -> None:
    folder, path = damaged
    xorb = XORBS[0]
    position = data.draw(st.integers(0, len(xorb.body) - 1))
    with open(path, "r+b") as stored:
        stored.seek(position)
        stored.write(bytes([xorb.body[position] ^ 1 << data.draw(st.integers(0, 7))]))
    try:
        file = File([(xorb, 0, 9)])
        with ChunkedFile(file.table(), TABLES.__getitem__, folder) as reader:
            good = b""
            with contextlib.suppress(IntegrityError):
                while more := reader.read(50):
                    good += more
            assert file.content.startswith(good)
        with StoredXorb(xorb.name, xorb.table(), folder, SEALS) as raw, contextlib.suppress(IntegrityError):
            changed = raw.read()
            # Some bits of a frame mean nothing: whoever unpacks these bytes gets what was stored.
            found = XorbReader()
            found.feed(changed)
            assert found.finish(xorb.name) == xorb.table()
    finally:
        with open(path, "r+b") as stored:
            stored.write(xorb.body)


def test_damage_to_what_was_sealed_is_found(damaged: tuple[XorbFolder, str]) -> None:
    folder, path = damaged
    seals, xorb = Seals(), make_xorb([bytes(range(256)) * 90] * 2 + [b"other" * 5000], 1)
    store(folder, xorb)
    table = xorb.table()

    def read() -> bytes:
        with StoredXorb(xorb.name, table, folder, seals) as reader:
            return reader.read()

    assert read() == read() == xorb.body
    known = seals.of(xorb.name, table.chunks)
    parts = [memoryview(xorb.body)[start:end] for start, end in pairwise(table.stored)]
    assert all(is_sealed(known, index, part) for index, part in enumerate(parts))
    for position in (table.stored[1] - 20, table.stored[2] + 9):
        path = folder.file(xorb.name)
        os.chmod(path, 0o644)
        with open(path, "r+b") as stored:
            stored.seek(position)
            stored.write(bytes([xorb.body[position] ^ 1]))
            stored.flush()
            with pytest.raises(IntegrityError, match=f"chunk {0 if position < table.stored[1] else 2} of"):
                read()
            stored.seek(0)
            stored.write(xorb.body)
    assert read() == xorb.body


def test_a_xorb_that_came_anew_in_another_packing_is_sealed_anew(tmp_path: Path) -> None:
    folder, seals = XorbFolder(str(tmp_path)), Seals()
    raws = [b"the same bytes, packed in two ways " * 300] * 3
    for scheme in (1, 2, 1):
        xorb = make_xorb(raws, scheme)
        store(folder, xorb)
        for _ in range(2):
            with StoredXorb(xorb.name, xorb.table(), folder, seals) as reader:
                assert reader.read() == xorb.body


def test_what_is_sealed_is_not_unpacked_again(damaged: tuple[XorbFolder, str]) -> None:
    folder, path = damaged
    xorb, seals = XORBS[0], Seals()
    table = xorb.table()
    start, end = table.stored[1], table.stored[2]
    other = xorb.body[:start] + xorb.body[start : start + 8] + bytes(end - start - 8) + xorb.body[end:]
    with open(path, "r+b") as stored:
        stored.write(other)
    seal(seals.of(xorb.name, table.chunks), 1, memoryview(other)[start:end])
    with StoredXorb(xorb.name, table, folder, seals) as reader:
        assert reader.read() == other


def test_seals_are_forgotten_when_they_are_too_many() -> None:
    seals, stored = Seals(most_chunks=10), memoryview(b"stored")
    for name in "abc":
        seal(seals.of(name, 4), 3, stored)
    assert [is_sealed(seals.of(name, 4), 3, stored) for name in "cba"] == [True, True, False]
    assert not is_sealed(seals.of("b", 4), 2, stored)
    assert len(seals.of("large", 1000)) == 32_000


@pytest.mark.parametrize("change", ["cut", "missing", "zeroed"])
def test_damage_is_named(damaged: tuple[XorbFolder, str], change: str) -> None:
    folder, path = damaged
    if change == "missing":
        os.unlink(path)
    else:
        with open(path, "r+b") as stored:
            stored.truncate(len(XORBS[0].body) - 1) if change == "cut" else stored.write(bytes(400))
    with (
        ChunkedFile(File([(XORBS[0], 0, 9)]).table(), TABLES.__getitem__, folder) as reader,
        pytest.raises(IntegrityError, match=XORBS[0].name),
    ):
        reader.read()


def spool(root: Path) -> list[str]:
    return os.listdir(root / "spool")


def test_nothing_is_left_of_what_was_refused(tmp_path: Path) -> None:
    folder = XorbFolder(str(tmp_path))
    with pytest.raises(UsageError), folder.receive() as incoming:
        incoming.write(XORBS[0].body + b"trailing bytes")
    with folder.receive() as incoming:
        incoming.write(XORBS[0].body)
        with pytest.raises(IntegrityError):
            incoming.seal(XORBS[1].name)
    with folder.receive() as incoming:
        incoming.write(XORBS[0].body)
        incoming.seal(XORBS[0].name)
    assert (spool(tmp_path), list(folder)) == ([], [])


def test_a_stored_xorb_is_read_only_and_listed(tmp_path: Path) -> None:
    folder = XorbFolder(str(tmp_path))
    for xorb in XORBS[:3]:
        store(folder, xorb)
    assert list(folder) == sorted((xorb.name, len(xorb.body)) for xorb in XORBS[:3])
    assert os.stat(folder.file(XORBS[0].name)).st_mode & 0o777 == 0o444
    with folder.open(XORBS[0].name) as file:
        assert file.read() == XORBS[0].body
    assert folder.delete(XORBS[0].name) == len(XORBS[0].body)
    assert folder.delete(XORBS[0].name) == 0
    assert [folder.has(xorb.name) for xorb in XORBS[:3]] == [False, True, True]


def test_a_footer_is_not_kept(tmp_path: Path) -> None:
    folder = XorbFolder(str(tmp_path))
    with folder.receive() as incoming:
        incoming.write(XORBS[0].body + b"XETBLOB\1" + b"f" * 90)
        incoming.seal(XORBS[0].name)
        folder.publish(XORBS[0].name, incoming)
    assert list(folder) == [(XORBS[0].name, len(XORBS[0].body))]


def test_a_store_beside_it_sweeps_what_a_killed_process_left(tmp_path: Path) -> None:
    objects = LocalStore(str(tmp_path))
    folder = XorbFolder(objects.root)
    running = folder.receive()
    running.write(XORBS[0].body)
    abandoned = os.path.join(objects.root, "spool", "xorb-0123456789abcdef")
    Path(abandoned).write_bytes(b"half a xorb")
    assert objects.sweep(-1) == len(b"half a xorb")
    assert [os.path.join(objects.root, "spool", name) for name in os.listdir(f"{objects.root}/spool")] == [running.path]
    running.close()


@pytest.mark.parametrize("name", ["../" + "a" * 61, "A" * 64, ""])
def test_no_path_is_made_of_what_is_no_hash(folder: XorbFolder, name: str) -> None:
    for act in (folder.file, folder.has, folder.open, folder.delete):
        with pytest.raises(UsageError):
            act(name)


def test_an_empty_file_has_no_terms(folder: XorbFolder) -> None:
    with ChunkedFile(FileTable.of([]), TABLES.__getitem__, folder) as reader:
        assert (reader.read(), reader.seek(5), reader.read(1)) == (b"", 5, b"")
