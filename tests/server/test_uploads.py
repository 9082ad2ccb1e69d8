"""Uploads in parts, without a network: one file for each, the later of two senders of a part counts, and what is left over is bounded."""

import errno
import hashlib
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tenuto.core.errors import ConflictError, IntegrityError, InternalError, StorageError
from tenuto.server.holdings.uploads import Plan, Upload, Uploads
from tenuto.store import blocks
from tenuto.store.local import LocalStore
from tenuto.testing.stores import MemoryStore

PART = 1000
CONTENT = random.Random(11).randbytes(5 * PART + 7)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PLAN = Plan("a" * 32, len(CONTENT), PART, 100)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path))


@pytest.fixture
def uploads(store: LocalStore) -> Iterator[Uploads]:
    made = Uploads(store, now_s=lambda: 50, most_idle=2)
    yield made
    made.close()


def send(upload: Upload, number: int, content: bytes = CONTENT) -> str:
    part = upload.begin(number)
    try:
        for start in range(number * PART, min((number + 1) * PART, len(content)), 300):
            part.write(content[start : min(start + 300, (number + 1) * PART)])
        return part.complete()
    finally:
        upload.leave(part)


def spool(store: LocalStore) -> list[str]:
    return sorted(os.listdir(store.spool))


def test_parts_become_one_file_and_nothing_else_is_left(uploads: Uploads, store: LocalStore) -> None:
    with uploads.at(PLAN) as upload:
        tags = {number: send(upload, number) for number in (3, 5, 0, 1, 4, 2)}
        assert len(set(tags.values())) == 6
        assert spool(store) == [f"blocks-{PLAN.key}"]
        store.publish([upload.seal([tags[number] for number in range(6)], SHA256)])
        with pytest.raises(ConflictError):
            upload.begin(0)
    assert store.read(SHA256) == CONTENT
    assert spool(store) == []


def test_parts_come_at_once(uploads: Uploads, store: LocalStore) -> None:
    def work(number: int) -> str:
        with uploads.at(PLAN) as upload:
            return send(upload, number)

    for _ in range(5):
        with ThreadPoolExecutor(6) as pool:
            tags = list(pool.map(work, range(6)))
        with uploads.at(PLAN) as upload:
            store.publish([upload.seal(tags, SHA256)])
        assert store.read(SHA256) == CONTENT
        store.delete(SHA256)


def test_of_two_that_send_a_part_the_later_one_counts(uploads: Uploads, store: LocalStore) -> None:
    with uploads.at(PLAN) as upload:
        tags = [send(upload, number) for number in range(6)]
        first = upload.begin(2)
        first.write(b"other bytes")
        second = upload.begin(2)
        with pytest.raises(ConflictError):
            first.write(b"more of them")
        with pytest.raises(ConflictError, match="part 3"):
            upload.seal(tags, SHA256)
        second.write(CONTENT[2 * PART : 3 * PART])
        with pytest.raises(ConflictError):
            first.complete()
        upload.leave(first)
        tag = second.complete()
        upload.leave(second)
        with pytest.raises(ConflictError, match="part 3"):
            upload.seal(tags, SHA256)  # the tag of bytes that are here no more
        store.publish([upload.seal([*tags[:2], tag, *tags[3:]], SHA256)])
    assert store.read(SHA256) == CONTENT


def test_wrong_parts_are_forgotten_and_may_be_sent_again(uploads: Uploads, store: LocalStore) -> None:
    with uploads.at(PLAN) as upload:
        tags = [send(upload, number, CONTENT[::-1]) for number in range(6)]
        with pytest.raises(IntegrityError):
            upload.seal(tags, SHA256)
        assert upload.is_empty
        tags = [send(upload, number) for number in range(6)]
        store.publish([upload.seal(tags, SHA256)])
    assert store.read(SHA256) == CONTENT


def test_what_was_sealed_is_given_out_once(uploads: Uploads, store: LocalStore) -> None:
    with uploads.at(PLAN) as upload:
        tags = [send(upload, number) for number in range(6)]
        store.discard(upload.seal(tags, SHA256))
        for _ in range(2):
            with pytest.raises(ConflictError) as caught:
                upload.seal(tags, SHA256)
            assert caught.value.hint == "ask for links anew"
            with pytest.raises(ConflictError):
                upload.begin(0)
    with uploads.at(PLAN) as upload:
        assert upload.is_empty
        tags = [send(upload, number) for number in range(6)]
        store.publish([upload.seal(tags, SHA256)])
    assert store.read(SHA256) == CONTENT


def test_what_is_kept_is_given_out_again(uploads: Uploads, store: LocalStore) -> None:
    with uploads.at(PLAN) as upload:
        tags = [send(upload, number) for number in range(6)]
        sealed = upload.seal(tags, SHA256)
        upload.keep(sealed)
    with uploads.at(PLAN) as upload:
        assert upload.is_stored
        with pytest.raises(ConflictError, match="part 1"):
            upload.seal(["00001-77", *tags[1:]], SHA256)
        assert upload.seal(tags, SHA256) == sealed
        with pytest.raises(ConflictError):
            upload.seal(tags, SHA256)
    with uploads.at(PLAN) as upload:
        assert (upload.is_stored, upload.is_empty) == (False, True)
    store.discard(sealed)


def test_parts_that_the_disk_lost_are_sent_again_to_a_new_file(
    uploads: Uploads, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(descriptor: int) -> None:
        os.pwrite(descriptor, bytes(2 * PART), 0)
        raise OSError(errno.EIO, "Input/output error")

    with uploads.at(PLAN) as before:
        tags = [send(before, number) for number in range(6)]
        with monkeypatch.context() as patch:
            patch.setattr(blocks, "_sync", sync)
            with pytest.raises(StorageError):
                send(before, 5)
        with uploads.at(PLAN) as upload:
            again = send(upload, 5)
            for sender in (before, upload):
                with pytest.raises(ConflictError, match="part 1"):
                    sender.seal([*tags[:5], again], SHA256)
    open_files = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.exists()]
    assert not [file for file in open_files if file.endswith(" (deleted)") and store.spool in file]
    with uploads.at(PLAN) as upload:
        tags = [send(upload, number) for number in range(6)]
        store.publish([upload.seal(tags, SHA256)])
    assert store.read(SHA256) == CONTENT
    assert spool(store) == []


def test_two_uploads_of_one_object_do_not_meet(uploads: Uploads, store: LocalStore) -> None:
    with uploads.at(PLAN) as one, uploads.at(PLAN._replace(key="b" * 32)) as other:
        for number in range(6):
            send(one, number, bytes(len(CONTENT)))
        tags = [send(other, number) for number in range(6)]
        store.publish([other.seal(tags, SHA256)])
    assert store.read(SHA256) == CONTENT


def test_it_goes_on_where_an_earlier_process_ended(uploads: Uploads, store: LocalStore) -> None:
    with uploads.at(PLAN) as upload:
        tags = [send(upload, number) for number in range(4)]
        half = upload.begin(4)
        half.write(b"half of it")
        upload.leave(half)
    uploads.close()
    later = Uploads(store, now_s=lambda: 50)
    with later.at(PLAN) as upload:
        with pytest.raises(ConflictError, match="part 5"):
            upload.seal([*tags, tags[3], tags[3]], SHA256)
        tags += [send(upload, number) for number in (4, 5)]
        store.publish([upload.seal(tags, SHA256)])
    assert store.read(SHA256) == CONTENT


def test_nothing_is_left_of_what_never_had_a_part(uploads: Uploads, store: LocalStore) -> None:
    with uploads.at(PLAN) as upload:
        part = upload.begin(1)
        part.write(b"half of it")
        upload.leave(part)
    assert spool(store) == []


def test_few_stay_open_and_all_go_on(uploads: Uploads, store: LocalStore) -> None:
    plans = [PLAN._replace(key=f"{number:032x}") for number in range(6)]
    tags = {}
    for plan in plans:
        with uploads.at(plan) as upload:
            tags[plan] = [send(upload, number) for number in range(5)]
    open_files = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.exists()]
    assert len([file for file in open_files if file.startswith(store.spool)]) == 2
    for plan in plans:
        with uploads.at(plan) as upload:
            store.publish([upload.seal([*tags[plan], send(upload, 5)], SHA256)])
    assert spool(store) == []


def test_what_nobody_can_go_on_with_is_dropped(store: LocalStore) -> None:
    now_s = [50.0]
    uploads = Uploads(store, now_s=lambda: now_s[0])
    for name, end_s in (("a", 100), ("b", 300)):
        with uploads.at(PLAN._replace(key=name * 32, expires_s=end_s)) as upload:
            send(upload, 0)
    now_s[0] = 200
    with uploads.at(PLAN._replace(key="c" * 32, expires_s=300)) as upload:
        send(upload, 0)
    assert spool(store) == ["blocks-" + "b" * 32, "blocks-" + "c" * 32]
    uploads.close()


def test_a_store_must_take_blocks() -> None:
    with pytest.raises(InternalError), Uploads(MemoryStore(), now_s=lambda: 0).at(PLAN):
        pass
