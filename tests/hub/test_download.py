"""Downloads from a live hub: each content once, in parallel, on from where an earlier one stopped, and verified."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tenuto.core.errors import IntegrityError, NotFoundError, StorageError, UnavailableError
from tenuto.core.gitobj import blob_id
from tenuto.hub import download as download_module
from tenuto.hub.download import Fetched, Wanted, download
from tenuto.hub.remote import Remote
from tenuto.store.local import LocalStore
from tenuto.testing.lies import Lie, Slow, Stall, Status, WrongBytes, unavailable
from tenuto.testing.stores import FaultyStore, MemoryStore, StoreFault
from tests.hub.place import Place, asked, check_whole, noise, sha256_of, spool_files

LARGE = noise(300_000)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "store"))


def fetch(
    place: Place, remote: Remote, wanted: Iterable[Wanted], store: LocalStore, **options: object
) -> list[Fetched]:
    return download(remote, place.repo, place.head, wanted, store, **options)  # type: ignore[arg-type]


def hold(store: LocalStore, wanted: Wanted, content: bytes) -> None:
    """What a download that was interrupted after `content` has left."""
    with store.receive(key=wanted.key, git_size=None if wanted.sha256 else wanted.size) as incoming:
        incoming.write(content)


class TestWhatIsFetched:
    def test_everything_under_its_sha256(self, place: Place, store: LocalStore) -> None:
        files = {"config.json": b"{}", "weights.bin": LARGE, "a/b/c.txt": b"deep", "empty.txt": b""}
        place.put(files)
        wanted = place.wanted()
        fetched = fetch(place, place.remote, wanted.values(), store)
        assert {one.wanted.path: one.sha256 for one in fetched} == {
            path: sha256_of(content) for path, content in files.items()
        }
        assert check_whole(store) == {sha256_of(content) for content in files.values()}
        assert spool_files(store.root + "/..") == []

    def test_nothing_costs_nothing(self, place: Place, store: LocalStore) -> None:
        commit, before = place.head, place.remote.session.requests_made
        assert download(place.remote, place.repo, commit, [], store) == []
        assert place.remote.session.requests_made == before

    def test_many_small_files_in_parallel(self, place: Place, store: LocalStore) -> None:
        files = {f"{number % 10}/{number}.txt": b"%d\n" % number for number in range(400)}
        place.put(files)
        threads: set[str] = set()
        wanted = place.wanted().values()
        fetched = fetch(
            place, place.remote, wanted, store, jobs=4, progress=lambda _: threads.add(threading.current_thread().name)
        )
        assert len(fetched) == 400
        assert check_whole(store) == {sha256_of(content) for content in files.values()}
        assert len(threads) > 1

    def test_equal_contents_once(self, place: Place, store: LocalStore) -> None:
        files = {f"{number}.bin": LARGE for number in range(5)} | {f"{number}.txt": b"same" for number in range(5)}
        place.put(files)
        with place.through() as (remote, liar):
            fetched = fetch(place, remote, place.wanted().values(), store)
            assert len(asked(liar, "GET", "/resolve/")) == 2
        assert {one.wanted.path: one.sha256 for one in fetched} == {
            path: sha256_of(content) for path, content in files.items()
        }

    @pytest.mark.parametrize("known_by", ["sha256", "git id"])
    def test_an_empty_file_costs_no_request(self, place: Place, store: LocalStore, known_by: str) -> None:
        place.put({"empty.txt": b""})
        ids = (sha256_of(b""), None) if known_by == "sha256" else (None, blob_id(b""))
        wanted = Wanted("empty.txt", 0, *ids)
        with place.through() as (remote, liar):
            assert fetch(place, remote, [wanted], store)[0].sha256 == sha256_of(b"")
            assert asked(liar, "GET", "/resolve/") == []
        assert check_whole(store) == {sha256_of(b"")}

    def test_git_ids_are_verified(self, place: Place, store: LocalStore) -> None:
        place.put({"a.txt": b"hello\n"})
        right, wrong = blob_id(b"hello\n"), blob_id(b"other\n")
        assert fetch(place, place.remote, [Wanted("a.txt", 6, None, right)], store)[0].sha256 == sha256_of(b"hello\n")
        store.delete(sha256_of(b"hello\n"))
        with pytest.raises(IntegrityError) as caught:
            fetch(place, place.remote, [Wanted("a.txt", 6, None, wrong)], store)
        assert caught.value.code == "HashMismatch"
        assert right in caught.value.message
        assert wrong in caught.value.message
        assert check_whole(store) == set()

    def test_the_commit_that_is_asked_for(self, place: Place, store: LocalStore) -> None:
        first = place.put({"a.bin": b"first"})
        wanted = place.wanted(first).values()
        place.put({"a.bin": b"second"})
        assert download(place.remote, place.repo, first, wanted, store)[0].sha256 == sha256_of(b"first")

    @pytest.mark.parametrize("size", [len(LARGE) - 1, len(LARGE) + 1, 1])
    def test_a_size_that_is_not_so(self, place: Place, store: LocalStore, size: int) -> None:
        place.put({"a.bin": LARGE})
        with pytest.raises(IntegrityError) as caught:
            fetch(place, place.remote, [Wanted("a.bin", size, sha256_of(LARGE))], store)
        assert caught.value.code == "SizeMismatch"
        assert str(size) in caught.value.message
        assert str(len(LARGE)) in caught.value.message
        assert check_whole(store) == set()

    def test_publishes_in_batches(self, place: Place, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(download_module, "BATCH_FILES", 7)
        files = {f"{number}.txt": b"%d" % number for number in range(30)}
        place.put(files)
        batches: list[int] = []

        class Counting(LocalStore):
            def publish(self, sealed: Iterable) -> None:  # type: ignore[type-arg]
                batch = list(sealed)
                batches.append(len(batch))
                super().publish(batch)

        counting = Counting(str(Path(store.root).parent))
        fetch(place, place.remote, place.wanted().values(), counting)
        assert batches == [7, 7, 7, 7, 2]
        assert len(check_whole(store)) == 30


class TestGoingOn:
    @pytest.mark.parametrize("held", [1, 150_000, len(LARGE) - 1])
    def test_asks_for_the_rest_alone(self, place: Place, store: LocalStore, held: int) -> None:
        place.put({"a.bin": LARGE})
        wanted = place.wanted()["a.bin"]
        hold(store, wanted, LARGE[:held])
        done: list[int] = []
        with place.through() as (remote, liar):
            fetch(place, remote, [wanted], store, progress=done.append)
            ranges = [one.headers.get("range") for one in liar.requests if "/resolve/" in one.path]
            assert ranges == [f"bytes={held}-"]
        assert done[0] == held
        assert sum(done) == len(LARGE)
        assert check_whole(store) == {sha256_of(LARGE)}

    def test_of_a_file_known_by_git_id(self, place: Place, store: LocalStore) -> None:
        content = b"a line of text\n" * 1000
        place.put({"a.txt": content})
        wanted = place.wanted()["a.txt"]
        assert wanted.sha256 is None
        hold(store, wanted, content[:100])
        with place.through() as (remote, liar):
            assert fetch(place, remote, [wanted], store)[0].sha256 == sha256_of(content)
            assert [one.headers.get("range") for one in liar.requests if "/resolve/" in one.path] == ["bytes=100-"]

    def test_with_everything_here_asks_for_nothing(self, place: Place, store: LocalStore) -> None:
        place.put({"a.bin": LARGE})
        wanted = place.wanted()["a.bin"]
        hold(store, wanted, LARGE)
        with place.through() as (remote, liar):
            fetch(place, remote, [wanted], store)
            assert asked(liar, "GET", "/resolve/") == []
        assert check_whole(store) == {sha256_of(LARGE)}

    @pytest.mark.parametrize(
        "held",
        [b"\0" * 100, LARGE[:999] + b"\0", b"\0" * len(LARGE), LARGE + b"more"],
        ids=["start", "end", "all", "longer"],
    )
    def test_from_wrong_bytes_begins_anew(self, place: Place, store: LocalStore, held: bytes) -> None:
        place.put({"a.bin": LARGE})
        wanted = place.wanted()["a.bin"]
        hold(store, wanted, held)
        done: list[int] = []
        with place.through() as (remote, liar):
            fetch(place, remote, [wanted], store, progress=done.append)
            assert liar.requests[-1].headers.get("range") is None
        assert check_whole(store) == {sha256_of(LARGE)}
        assert sum(done) == len(LARGE)

    def test_an_answer_of_no_use_costs_nothing_of_what_is_held(self, place: Place, store: LocalStore) -> None:
        place.put({"a.bin": LARGE})
        wanted = place.wanted()["a.bin"]
        hold(store, wanted, LARGE[:200_000])
        page = Status(200, {"content-type": "text/html"}, b"<p>Log in</p>")
        for useless in (page, unavailable(), Status(404), Status(200, {}, b"short")):
            lie = Lie("GET", "/resolve/", useless, times=None)
            with place.through(lie) as (remote, _), pytest.raises((UnavailableError, NotFoundError, IntegrityError)):
                fetch(place, remote, [wanted], store)
        with place.through() as (remote, liar):
            fetch(place, remote, [wanted], store)
            assert liar.requests[-1].headers["range"] == "bytes=200000-"


class TestFailures:
    @pytest.mark.parametrize("jobs", [1, 2, 8])
    def test_the_first_one_ends_a_long_queue(self, place: Place, store: LocalStore, jobs: int) -> None:
        files = {f"{number}.txt": b"%d" % number for number in range(60)}
        place.put(files)
        wanted = [*place.wanted().values(), Wanted("missing.txt", 1000, sha256_of(b"missing"))]
        ended: list[BaseException] = []

        def run() -> None:
            with pytest.raises(NotFoundError) as caught:
                fetch(place, place.remote, wanted, store, jobs=jobs)
            ended.append(caught.value)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(10)
        assert ended, "it waits for ever"
        assert check_whole(store) <= {sha256_of(content) for content in files.values()}

    def test_what_was_complete_is_kept(self, place: Place, store: LocalStore) -> None:
        place.put({"good.bin": LARGE, "bad.bin": noise(10, 1)})
        with (
            place.through(Lie("GET", "/bad.bin", WrongBytes(), times=None)) as (remote, _),
            pytest.raises(IntegrityError),
        ):
            fetch(place, remote, place.wanted().values(), store, jobs=1)
        assert check_whole(store) == {sha256_of(LARGE)}

    def test_one_failure_stops_what_is_under_way_and_waits_for_no_hub(self, place: Place, store: LocalStore) -> None:
        place.put({"slow.bin": LARGE, "later.bin": noise(200_000, 2), "gone.bin": noise(100_000, 3)})
        lies = [
            Lie("GET", "/slow.bin", Slow(bytes_per_s=20), times=None),
            Lie("GET", "/later.bin", unavailable(retry_after_s=60), times=None),
            Lie("GET", "/gone.bin", Status(404)),
        ]
        started = time.monotonic()
        with place.through(*lies, sleep=time.sleep) as (remote, _), pytest.raises(NotFoundError):
            fetch(place, remote, place.wanted().values(), store, jobs=3)
        assert time.monotonic() - started < 10
        assert check_whole(store) == set()

    def test_and_the_next_call_goes_on(self, place: Place, store: LocalStore) -> None:
        place.put({"a.bin": LARGE})
        wanted = place.wanted().values()
        with place.through(Lie("GET", "/a.bin", Stall(30), times=None), timeout_s=0.1, retries=0) as (remote, _):
            with pytest.raises(UnavailableError) as caught:
                fetch(place, remote, wanted, store)
            assert caught.value.code == "Stalled"
        with place.through() as (remote, liar):
            fetch(place, remote, wanted, store)
            assert liar.requests[-1].headers["range"].startswith("bytes=")
        assert check_whole(store) == {sha256_of(LARGE)}

    def test_a_full_disk(self, place: Place) -> None:
        place.put({"a.bin": LARGE, "b.bin": noise(10_000, 1)})
        full = StorageError("no room left", code="DiskFull")
        store = FaultyStore(MemoryStore(), [StoreFault("write", full, at=2, times=1000)])
        with pytest.raises(StorageError) as caught:
            download(place.remote, place.repo, place.head, place.wanted().values(), store, jobs=1)
        assert caught.value.code == "DiskFull"
        store.script.clear()
        download(place.remote, place.repo, place.head, place.wanted().values(), store)
        assert check_whole(store) == {sha256_of(LARGE), sha256_of(noise(10_000, 1))}

    def test_no_repo(self, place: Place, store: LocalStore) -> None:
        place.put({"a.bin": LARGE})
        wanted, commit = place.wanted().values(), place.head
        place.remote.delete_repo(place.repo)
        with pytest.raises(NotFoundError) as caught:
            download(place.remote, place.repo, commit, wanted, store)
        assert caught.value.code == "RepoNotFound"


class TestTogether:
    def test_two_at_once_into_one_store(self, place: Place, store: LocalStore) -> None:
        files = {f"{number}.bin": noise(20_000, number) for number in range(30)}
        place.put(files)
        wanted = list(place.wanted().values())
        with ThreadPoolExecutor(3) as pool:
            tasks = [pool.submit(fetch, place, place.remote, wanted, store, jobs=3) for _ in range(3)]
            counts = Counter(len(task.result(timeout=60)) for task in tasks)
        assert counts == {30: 3}
        assert check_whole(store) == {sha256_of(content) for content in files.values()}
        assert spool_files(Path(store.root).parent) == []
