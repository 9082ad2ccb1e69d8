"""Many small files travel in few requests, and a pack that goes wrong costs time, never a file."""

import re

import pytest

from tenuto.core.errors import AccessDeniedError, IntegrityError, NotFoundError, UsageError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.core.pack import FILE_LIMIT_BYTES, MEDIA_TYPE, PACK_LIMIT_FILES, frame_head
from tenuto.hub.download import download
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session
from tenuto.store.local import LocalStore
from tenuto.testing.lies import Fault, Lie, ResetConnection, Status, Truncated, WrongBytes
from tests.hub.place import asked, check_whole, noise, sha256_of, spool_files

MANY = {f"clips/{number:03d}.wav": noise(900 + number, number) for number in range(600)}
MANY |= {f"notes/{number}.txt": f"note {number}\n".encode() for number in range(30)}
FEW = dict(list(MANY.items())[::10])
PACK = re.compile(r"/pack").pattern


@pytest.fixture
def filled(place):
    place.put(MANY)
    return place


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path / "store"))


def fetch(place, remote, store):
    return download(remote, place.repo, place.head, place.wanted().values(), store, jobs=4)


def check_all(fetched, store, files=MANY):
    assert {one.wanted.path: one.sha256 for one in fetched} == {path: sha256_of(data) for path, data in files.items()}
    assert check_whole(store) == {sha256_of(data) for data in files.values()}


def test_a_push_sends_small_objects_by_the_pack(place):
    with place.through() as (remote, liar):
        place.send(place.outgoing(MANY), remote=remote)
    assert len(asked(liar, "PUT", "/pack")) == 3
    assert len(liar.requests) < 20
    assert place.read("clips/007.wav") == MANY["clips/007.wav"]


def test_a_pull_fetches_small_files_by_the_pack(filled, store):
    with filled.through() as (remote, liar):
        check_all(fetch(filled, remote, store), store)
    assert len(asked(liar, "POST", "/pack/")) == 3
    assert len(asked(liar, "GET", "/resolve/")) <= 3  # their answers told that the hub speaks packs
    assert spool_files(store.root.removesuffix("/store-v1")) == []


def test_a_hub_that_speaks_no_packs_is_asked_for_none(place, store):
    place.put(FEW)
    lie = Lie("*", "", _Silent(), times=None)
    with place.through(lie) as (remote, liar):
        check_all(fetch(place, remote, store), store, FEW)
        place.send(place.outgoing({f"more/{n}.wav": noise(300, 9000 + n) for n in range(20)}), remote=remote)
    assert asked(liar, "POST", "/pack") == asked(liar, "PUT", "/pack") == []


class _Silent(Fault):
    """Takes the word for packs out of every answer."""

    def bend(self, answer, wait):
        answer.headers.pop("x-tenuto-pack", None)
        return answer


@pytest.mark.parametrize(
    "fault", [WrongBytes(), Truncated(), ResetConnection(), Status(503), Status(500), Status(404)], ids=repr
)
def test_a_pack_that_goes_wrong_costs_no_file(place, store, fault):
    place.put(FEW)
    with place.through(Lie("POST", PACK, fault, times=2)) as (remote, _):
        check_all(fetch(place, remote, store), store, FEW)


@pytest.mark.parametrize("fault", [ResetConnection(), Status(503), Status(404)], ids=repr)
def test_a_pack_that_is_not_taken_costs_no_file(place, fault):
    with place.through(Lie("PUT", PACK, fault, times=5)) as (remote, _):
        place.send(place.outgoing(FEW), remote=remote)
    assert place.wanted().keys() == FEW.keys()


def test_a_file_that_changed_on_its_way_is_named(place):
    files = place.outgoing({f"{number}.wav": noise(500, number) for number in range(20)})
    changed = files[7]
    with open(changed.file, "r+b") as file:
        file.write(b"other")
    with pytest.raises(IntegrityError) as caught:
        place.send(files)
    assert changed.path in caught.value.message
    assert place.wanted() == {}


def send_raw(place, body, size=None):
    place.remote.send_pack(place.repo, lambda: [body], len(body) if size is None else size)


def test_forged_names_leave_nothing(place):
    good, bad = noise(100, 1), noise(100, 2)
    body = frame_head(sha256_of(good), 100) + good + frame_head(sha256_of(bad), 100) + good
    with pytest.raises(IntegrityError) as caught:
        send_raw(place, body)
    assert caught.value.code == "HashMismatch"
    answer = place.remote.lfs_batch(place.repo, [_lfs(good), _lfs(bad)])
    assert all(one.actions for one in answer)  # neither is there


def _lfs(content):
    from tenuto.core.wire import LfsObject

    return LfsObject(sha256_of(content), len(content))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\x01\x00", "BadRequest"),
        (frame_head("../../x", 1) + b"x", "BadRequest"),
        (frame_head("A" * 64, 1) + b"x", "BadRequest"),
        (frame_head("x", 0)[:2] + b"\xff\xff\xff\xff", "TooLarge"),
    ],
)
def test_what_is_no_pack_is_refused(place, body, code):
    with pytest.raises(UsageError) as caught:
        send_raw(place, body)
    assert caught.value.code == code


def test_only_who_may_write_may_send_and_who_may_read_may_fetch(hub, filled):
    stranger = Remote(Session(hub.url, hub.user("stranger-to-packs"), retries=0))
    with stranger.session, pytest.raises(NotFoundError):
        stranger.send_pack(filled.repo, lambda: [b""], 0)
    with Session(hub.url, retries=0) as session:
        address, body = Remote(session).pack_request(filled.repo, "main", ["clips/000.wav"])
        with pytest.raises(NotFoundError):
            session.request("POST", address, body=body, headers={"Content-Type": "application/json"})
    public = RepoId(RepoKind.MODEL, filled.repo.namespace, "public")
    filled.remote.create_repo(public, private=False)
    with Session(hub.url, hub.user("other-user-of-packs"), retries=0) as session, pytest.raises(AccessDeniedError):
        Remote(session).send_pack(public, lambda: [b""], 0)


def test_a_pack_names_files_that_are_there_and_small(filled):
    def ask(*paths):
        address, body = filled.remote.pack_request(filled.repo, "main", paths)
        return filled.remote.session.request("POST", address, body=body, headers={"Content-Type": "application/json"})

    answer = ask("notes/1.txt", "notes/1.txt")
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    assert answer.headers["X-Repo-Commit"] == filled.head
    assert answer.body == 2 * (frame_head("notes/1.txt", 7) + b"note 1\n")
    with pytest.raises(NotFoundError):
        ask("notes/1.txt", "nothing")
    with pytest.raises(NotFoundError):
        ask("notes")
    with pytest.raises(UsageError):
        ask(*["notes/1.txt"] * (PACK_LIMIT_FILES + 1))
    filled.put({"large.bin": noise(FILE_LIMIT_BYTES + 1)})
    with pytest.raises(UsageError):
        ask("large.bin")


def test_an_empty_file_travels_with_the_others(place, store):
    files = {**{f"{number}.txt": b"%d" % number for number in range(20)}, "empty.txt": b"", "empty.wav": b""}
    place.put(files)
    fetched = fetch(place, place.remote, store)
    assert {one.wanted.path for one in fetched} == files.keys()
