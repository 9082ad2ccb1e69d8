"""What a caller's own function raises, or the store out of turn, comes out as it is, soon, and costs nothing that is whole."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenuto.core.errors import AccessDeniedError, IntegrityError, UnavailableError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.core.pack import FILE_LIMIT_BYTES
from tenuto.hub.download import Wanted, download, download_from
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session
from tenuto.hub.sources import WebSource
from tenuto.hub.upload import Upload, upload
from tenuto.store.local import LocalStore
from tenuto.testing.lies import Answer, Lie, Status
from tenuto.testing.live_hub import LiveHub
from tenuto.testing.stores import FaultyStore, StoreFault
from tests.hub.place import PART_BYTES, Place, check_whole, noise, sha256_of, spool_files
from tests.hub.ranged import honest, small_blocks

__all__ = ["small_blocks"]

MANY = {f"clips/{number:04d}.wav": noise(500 + number, number) for number in range(900)}
SINGLE = {f"{number}.bin": noise(210_000, number) for number in range(6)}
ERRORS = [
    RuntimeError("a bug"),
    MemoryError(),
    KeyboardInterrupt(),
    UnicodeEncodeError("ascii", "é", 0, 1, "no such character"),
    UnavailableError("the caller's own"),
    IntegrityError("the caller's own"),
]
LARGE = noise(1_000_000, 9)


class Heard:
    """A progress that raises `error` at one call, and remembers whether it was called after that."""

    def __init__(self, error: BaseException, at: int) -> None:
        self.error, self.at = error, at
        self.calls = itertools.count(1)
        self.is_called_again = False

    def __call__(self, _size_bytes: int) -> None:
        number = next(self.calls)
        self.is_called_again |= number > self.at + 20  # other threads may have been in it already
        if number == self.at:
            raise self.error


def raised_by(run: Callable[[], object]) -> BaseException:
    """What `run` raises, in a time in which it must end."""
    errors: list[BaseException] = []

    def note() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - it is what is asked for
            errors.append(error)

    thread = threading.Thread(target=note, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it waits for ever"
    assert errors, "nothing was raised"
    assert [one.name for one in threading.enumerate() if one.name.startswith(("download", "upload"))] == []
    return errors[0]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "store"))


@pytest.fixture(scope="module")
def sent(hub: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A repo with many small files and some larger ones, for all tests that only read."""
    token = hub.user("callers")
    with Session(hub.url, token) as session:
        place = Place(
            Remote(session), RepoId(RepoKind.MODEL, "callers", "repo"), token, tmp_path_factory.mktemp("sent")
        )
        place.remote.create_repo(place.repo, private=True)
        place.put(MANY | SINGLE)
        yield place


class TestDownload:
    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    @pytest.mark.parametrize("at", [1, 600])
    def test_by_packs(self, sent: Place, store: LocalStore, error: BaseException, at: int) -> None:
        heard = Heard(error, at)
        wanted = [one for one in sent.wanted().values() if one.path in MANY]

        def run() -> None:
            download(sent.remote, sent.repo, sent.head, wanted, store, jobs=4, progress=heard)

        assert raised_by(run) is error
        assert not heard.is_called_again
        held = check_whole(store)
        assert at // 2 <= len(held) < len(MANY)
        assert [name for name in spool_files(Path(store.root).parent) if not name.startswith("part-")] == []

    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    def test_one_by_one(self, sent: Place, store: LocalStore, error: BaseException) -> None:
        wanted = [one for one in sent.wanted().values() if one.path in SINGLE]
        heard = Heard(error, 4)

        def run() -> None:
            download(sent.remote, sent.repo, sent.head, wanted, store, jobs=1, progress=heard)

        assert raised_by(run) is error
        assert not heard.is_called_again
        assert 1 <= len(check_whole(store)) < len(SINGLE)

    @pytest.mark.usefixtures("small_blocks")
    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    @pytest.mark.parametrize("at", [1, 2, 15])
    def test_by_blocks(self, store: LocalStore, error: BaseException, at: int) -> None:
        heard, wanted = Heard(error, at), Wanted("large.bin", len(LARGE), sha256_of(LARGE))
        with honest(LARGE) as server, Session(server.url) as session:
            source = WebSource(session, f"{server.url}/file")
            assert raised_by(lambda: download_from([source, source], [wanted], store, progress=heard)) is error
            assert not heard.is_called_again
            assert check_whole(store) == set()
            download_from([source], [wanted], store)
        assert check_whole(store) == {sha256_of(LARGE)}

    @pytest.mark.usefixtures("small_blocks")
    @pytest.mark.parametrize(
        ("way", "call"),
        [("blocks", "complete"), *itertools.product(["packs", "blocks"], ["receive", "write", "seal", "publish"])],
    )
    def test_a_store_out_of_memory(self, sent: Place, store: LocalStore, way: str, call: str) -> None:
        error = MemoryError()
        faulty = FaultyStore(store, [StoreFault(call, error, at=1 if call == "publish" else 4)])
        paths = SINGLE if way == "blocks" else list(MANY)[:100]
        wanted = [one for one in sent.wanted().values() if one.path in paths]

        def run() -> None:
            download(sent.remote, sent.repo, sent.head, wanted, faulty, jobs=4)

        assert raised_by(run) is error
        download(sent.remote, sent.repo, sent.head, wanted, store)
        assert len(check_whole(store)) == len(wanted)


class TestUpload:
    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    @pytest.mark.parametrize(
        ("files", "at"),
        [
            ({f"{number}.wav": noise(900, number) for number in range(30)}, 1),
            ({f"{number}.bin": noise(210_000, 50 + number) for number in range(4)}, 2),
            ({"long.bin": noise(4 * PART_BYTES + 1, 7)}, 1),
            ({"long.bin": noise(4 * PART_BYTES + 1, 7)}, 3),
        ],
        ids=["packs", "one by one", "first part", "third part"],
    )
    def test_in_the_middle(self, place: Place, error: BaseException, files: dict[str, bytes], at: int) -> None:
        heard, before = Heard(error, at), place.head
        outgoing = place.outgoing(files)

        def run() -> None:
            upload(place.remote, place.repo, "main", before, Upload(outgoing, [], "a title"), jobs=4, progress=heard)

        assert raised_by(run) is error
        assert not heard.is_called_again
        assert place.head == before, "there is no commit"

    @pytest.mark.parametrize(
        ("waiting", "files", "refused"),
        [
            (("POST", "/lfs/complete/"), {"long.bin": noise(4 * PART_BYTES + 1, 7)}, noise(900, 8)),
            (
                ("PUT", "/pack"),
                {f"{number}.wav": noise(900, number) for number in range(30)},
                noise(FILE_LIMIT_BYTES + 1, 8),
            ),
        ],
        ids=["the end of parts", "a pack"],
    )
    def test_one_failure_waits_for_no_hub(
        self, place: Place, waiting: tuple[str, str], files: dict[str, bytes], refused: bytes
    ) -> None:
        """While one request waits for as long as the hub asks it to, another one fails for good."""
        waits = threading.Event()

        class Asks(Status):
            def instead(self) -> Answer:
                waits.set()
                return super().instead()

        class Refuses(Status):
            def instead(self) -> Answer:
                assert waits.wait(10)
                return super().instead()

        before, outgoing = place.head, place.outgoing({**files, "refused.bin": refused})
        lies = [
            Lie(*waiting, Asks(503, {"Retry-After": "60"}), times=None),
            Lie("PUT", sha256_of(refused), Refuses(403, {"X-Error-Code": "Forbidden"})),
        ]
        with place.through(*lies, sleep=time.sleep) as (remote, _):
            wanted = Upload(outgoing, [], "a title")
            error = raised_by(lambda: upload(remote, place.repo, "main", before, wanted, jobs=4))
        assert isinstance(error, AccessDeniedError)
        assert place.head == before
