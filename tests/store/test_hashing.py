"""Many files at once: one outcome each, in order, and a fault of one is no fault of the others."""

import hashlib
import os
from pathlib import Path

import pytest

from tenuto.store import hashing
from tenuto.store.hashing import Hashed, ToHash, hash_files


def write_many(folder: Path, sizes: list[int]) -> list[ToHash]:
    files = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.bin"
        path.write_bytes(os.urandom(size))
        files.append(ToHash(f"name {number}", str(path), size))
    return files


def expected(file: ToHash) -> Hashed:
    data = Path(file.file).read_bytes()
    return Hashed(file.name, hashlib.sha256(data).hexdigest(), len(data))


def test_none() -> None:
    assert hash_files([]) == []


@pytest.mark.parametrize("sizes", [[5], [0, 1, 2], [10] * 600, [3_000_000, 1, 2_000_000, 0, 700_000]], ids=len)
def test_every_file_in_order(tmp_path: Path, sizes: list[int]) -> None:
    files = write_many(tmp_path, sizes)
    told: list[int] = []
    assert hash_files(files, told.append) == [expected(file) for file in files]
    assert sum(told) == sum(sizes)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    files = write_many(tmp_path, [10, 20, 30])
    (tmp_path / "folder").mkdir()
    files[1:1] = [ToHash("missing", str(tmp_path / "missing"), 1), ToHash("folder", str(tmp_path / "folder"), 1)]
    outcomes = hash_files(files)
    assert [outcome.name for outcome in outcomes] == [file.name for file in files]
    assert [outcome.fault is None for outcome in outcomes] == [True, False, False, True, True]
    for outcome, file in zip(outcomes, files, strict=True):
        if outcome.fault:
            assert outcome.fault.code == "LocalFile"
            assert file.file in str(outcome.fault)
            assert outcome.sha256 == ""
        else:
            assert outcome == expected(file)


def test_a_size_that_was_guessed_wrong_does_not_count(tmp_path: Path) -> None:
    (file,) = write_many(tmp_path, [5000])
    for size in (0, 1, 10_000, 1 << 40):
        assert hash_files([file._replace(size=size)]) == [expected(file)]


def test_batches_are_bounded_in_number_and_bytes() -> None:
    small = [ToHash(str(number), "", 1) for number in range(1000)]
    large = [ToHash(str(number), "", hashing.BATCH_BYTES) for number in range(3)]
    batches = list(hashing._batches(small + large))
    assert [file for batch in batches for file in batch] == small + large
    assert max(map(len, batches)) == hashing.BATCH_FILES
    assert [len(batch) for batch in batches[-2:]] == [1, 1]
