"""Several sources of the same content: tried in order, by hash; one that fails comes last from then on, and is named with what it did."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenuto.core.errors import IntegrityError, NotFoundError, StorageError, TenutoError, UnavailableError
from tenuto.core.gitobj import blob_id
from tenuto.core.ids import RepoId
from tenuto.hub.download import Wanted, download, download_from
from tenuto.hub.session import Session
from tenuto.hub.sources import RepoSource, WebSource
from tenuto.store.local import LocalStore
from tenuto.testing.lies import Lie, Status, WrongBytes
from tenuto.testing.stores import FaultyStore, StoreFault
from tests.hub.place import Place, asked, check_whole, noise, sha256_of
from tests.hub.ranged import asked_bytes, honest, part_of, small_blocks
from tests.hub.scripted import Reply, Seen, Server, free_port, serving

__all__ = ["small_blocks"]

CANARY = "hf_canaryCanaryCanary"
CONTENT = noise(50_000, 4)
FILE = Wanted("a.bin", len(CONTENT), sha256_of(CONTENT))
LARGE = noise(1_000_000, 5)
LARGE_FILE = Wanted("large.bin", len(LARGE), sha256_of(LARGE))

FAILURES: dict[str, tuple[Callable[[Seen], Reply], str]] = {
    "404": (lambda _seen: Reply(404), "404"),
    "403": (lambda _seen: Reply(403), "403"),
    "401": (lambda _seen: Reply(401), "401"),
    "500": (lambda _seen: Reply(500), "500"),
    "wrong bytes": (lambda seen: part_of(bytes(len(CONTENT)), seen), "have the sha256"),
    "another size": (lambda seen: part_of(CONTENT[1:], seen), "49999 bytes"),
    "a web page": (lambda _seen: Reply(200, b"<p>", {"Content-Type": "text/html"}), "web page"),
}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "store"))


@pytest.fixture
def session() -> Iterator[Session]:
    with Session("http://127.0.0.1:9", CANARY, retries=1, sleep=lambda _seconds: None) as made:
        yield made


@contextlib.contextmanager
def places(*answers: Callable[[Seen], Reply]) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(serving(answer)) for answer in answers]


def good(seen: Seen) -> Reply:
    return part_of(CONTENT, seen)


class TestOrder:
    def test_the_first_one_that_is_good_is_all_that_is_asked(self, session: Session, store: LocalStore) -> None:
        with places(good, good) as servers:
            download_from([WebSource(session, f"{server.url}/x") for server in servers], [FILE], store)
            assert [len(server.seen) for server in servers] == [1, 0]

    @pytest.mark.parametrize("how", FAILURES)
    def test_after_one_that_fails_comes_the_next(self, session: Session, store: LocalStore, how: str) -> None:
        with places(FAILURES[how][0], good) as servers:
            done: list[int] = []
            sources = [WebSource(session, f"{server.url}/x") for server in servers]
            download_from(sources, [FILE], store, progress=done.append)
            assert len(servers[1].seen) == 1
            assert sum(done) == len(CONTENT)
        assert check_whole(store) == {FILE.sha256}

    def test_a_place_where_nobody_listens(self, session: Session, store: LocalStore) -> None:
        with honest(CONTENT) as server:
            sources = [WebSource(session, f"http://127.0.0.1:{free_port()}/x"), WebSource(session, f"{server.url}/x")]
            download_from(sources, [FILE], store)
        assert check_whole(store) == {FILE.sha256}

    def test_one_that_failed_comes_last_for_all_that_follow(self, session: Session, store: LocalStore) -> None:
        files = {f"{number}.bin": noise(1000, number) for number in range(20)}

        def answer(seen: Seen) -> Reply:
            return part_of(files[seen.path.rpartition("/")[2]], seen)

        wanted = [Wanted(path, 1000, sha256_of(content)) for path, content in files.items()]
        with places(lambda _seen: Reply(404), answer) as servers:
            sources = [WebSource(session, f"{server.url}/folder/") for server in servers]
            download_from(sources, wanted, store, jobs=1)
            assert [len(server.seen) for server in servers] == [1, 20]

    def test_it_is_still_asked_for_what_nobody_else_has(self, session: Session, store: LocalStore) -> None:
        first = Wanted("first.bin", 5, sha256_of(b"first"))

        def only(path: str, content: bytes) -> Callable[[Seen], Reply]:
            return lambda seen: part_of(content, seen) if seen.path == path else Reply(404)

        with places(only("/first.bin", b"first"), only("/a.bin", CONTENT)) as servers:
            sources = [WebSource(session, f"{server.url}/") for server in servers]
            download_from(sources, [FILE, first], store, jobs=1)
        assert check_whole(store) == {FILE.sha256, first.sha256}

    def test_what_one_sent_before_it_failed_is_not_asked_of_the_next(self, session: Session, store: LocalStore) -> None:
        with places(lambda seen: part_of(CONTENT, seen)._replace(cut_at=30_000), good) as servers:
            servers[0].answer = lambda seen: (
                Reply(404) if "range" in seen.headers else part_of(CONTENT, seen)._replace(cut_at=30_000)
            )
            download_from([WebSource(session, f"{server.url}/x") for server in servers], [FILE], store)
            assert 0 < asked_bytes(servers[1], len(CONTENT)) < len(CONTENT)

    @pytest.mark.usefixtures("small_blocks")
    def test_nor_are_the_blocks_of_a_large_file(self, session: Session, store: LocalStore) -> None:
        def half(seen: Seen) -> Reply:
            start = int(seen.headers["range"].removeprefix("bytes=").partition("-")[0])
            return part_of(LARGE, seen) if start < len(LARGE) // 2 else Reply(404)

        with places(half, lambda seen: part_of(LARGE, seen)) as servers:
            download_from([WebSource(session, f"{server.url}/x") for server in servers], [LARGE_FILE], store)
            assert 0 < asked_bytes(servers[1], len(LARGE)) < len(LARGE) * 3 // 4
        assert check_whole(store) == {LARGE_FILE.sha256}


class TestErrors:
    def test_each_source_is_named_with_what_it_did(self, session: Session, store: LocalStore) -> None:
        with places(*(answer for answer, _ in FAILURES.values())) as servers:
            sources = [WebSource(session, f"{server.url}/x?signature=secret") for server in servers]
            with pytest.raises(NotFoundError) as caught:
                download_from(sources, [FILE], store)
            for server, (_, told) in zip(servers, FAILURES.values(), strict=True):
                assert f"{server.url}/x: " in caught.value.message
                assert told in caught.value.message
        assert "a.bin" in caught.value.message
        assert "secret" not in caught.value.message
        assert check_whole(store) == set()

    def test_a_single_source_speaks_for_itself(self, session: Session, store: LocalStore) -> None:
        with (
            places(FAILURES["wrong bytes"][0]) as servers,
            pytest.raises(IntegrityError, match=r"^bytes from") as caught,
        ):
            download_from([WebSource(session, f"{servers[0].url}/x")], [FILE], store)
        assert caught.value.code == "HashMismatch"

    def test_a_full_disk_is_no_fault_of_a_source(self, session: Session, store: LocalStore) -> None:
        full = StorageError("no room left", code="DiskFull")
        faulty = FaultyStore(store, [StoreFault("write", full, times=1000)])
        with places(good, good) as servers:
            with pytest.raises(StorageError):
                download_from([WebSource(session, f"{server.url}/x") for server in servers], [FILE], faulty)
            assert servers[1].seen == []


class TestTokens:
    def test_no_web_source_ever_sees_one(self, session: Session, store: LocalStore) -> None:
        with honest(CONTENT) as server:
            download_from([WebSource(session, f"{server.url}/x")], [FILE], store)
            assert CANARY not in repr(server.seen)

    def test_a_mirror_on_another_hub_gets_its_own(self, place: Place, store: LocalStore) -> None:
        place.put({"a.bin": CONTENT})
        with serving(lambda _seen: Reply(404)) as first, Session(first.url, CANARY) as its_own:
            from tenuto.hub.remote import Remote

            mirror = RepoSource(place.remote, place.repo, "main")
            download(Remote(its_own), place.repo, "0" * 40, [FILE], store, mirrors=[mirror])
            assert {seen.headers["authorization"] for seen in first.seen} == {f"Bearer {CANARY}"}
        assert check_whole(store) == {FILE.sha256}


class TestRepos:
    def test_another_repo_at_another_path(self, place: Place, store: LocalStore) -> None:
        place.put({"a.bin": CONTENT})
        copy = RepoId(place.repo.kind, place.repo.namespace, "copy")
        place.remote.create_repo(copy, private=True)
        mirror = Place(place.remote, copy, place.token, place.folder / "copy")
        mirror.put({"moved/b.bin": CONTENT})
        source = RepoSource(place.remote, copy, "main", lambda _wanted: "moved/b.bin")
        wrong = Lie("GET", "/repo/resolve/", WrongBytes(), times=None)
        with place.through(wrong) as (remote, liar):
            from dataclasses import replace

            download(remote, place.repo, place.head, [FILE], store, mirrors=[replace(source, remote=remote)])
            assert len(asked(liar, "GET", "/copy/resolve/main/moved/b.bin")) == 1
        assert check_whole(store) == {FILE.sha256}

    def test_small_files_by_git_id_come_from_a_mirror_by_the_pack(self, place: Place, store: LocalStore) -> None:
        files = {f"{number}.txt": b"%d\n" % number for number in range(100)}
        place.put(files)
        wanted = [Wanted(path, len(content), None, blob_id(content)) for path, content in files.items()]
        gone = RepoId(place.repo.kind, place.repo.namespace, "gone")
        with place.through() as (remote, liar):
            mirror = RepoSource(remote, place.repo, "main")
            download(remote, gone, place.head, wanted, store, mirrors=[mirror], jobs=2)
            assert len(liar.requests) < 20
        assert check_whole(store) == {sha256_of(content) for content in files.values()}

    def test_every_source_fails(self, place: Place, store: LocalStore) -> None:
        place.put({"a.bin": CONTENT})
        with place.through(Lie("GET", "/resolve/", Status(503), times=None)) as (remote, liar):
            with pytest.raises(UnavailableError) as caught:
                download(
                    remote, place.repo, place.head, [FILE], store, mirrors=[WebSource(remote.session, f"{liar.url}/no")]
                )
            assert isinstance(caught.value, TenutoError)
            assert f"{liar.url}/{place.repo.web_path}: " in caught.value.message
            assert f"{liar.url}/no: " in caught.value.message
