"""Large files by their chunks: what the hub has of them is not sent again, and the plain way is there whenever that one fails."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.core.errors import IntegrityError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.hub import xet
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session
from tenuto.hub.upload import Upload, upload
from tenuto.testing.lies import Lie, Status
from tenuto.testing.live_hub import LiveHub
from tenuto.testing.lying_hub import LyingHub
from tests.hub.place import Place, asked, noise

pytest.importorskip("hf_xet")

BASE = noise(xet.FROM_BYTES + 1_000_000, 31)
EDITED = BASE[:4_000_000] + noise(5000, 32) + BASE[4_000_000:]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hf_xet remembers of uploads stays with the test."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "hf" / "xet"))


@pytest.fixture
def told() -> list[int]:
    return []


def sent_bytes(liar: LyingHub) -> int:
    return sum(int(one.headers.get("content-length", "0")) for one in liar.requests if one.method in {"PUT", "POST"})


def plainly(liar: LyingHub) -> int:
    """How many requests carried an object the plain way."""
    return len(asked(liar, "PUT", "/lfs/"))


def push(place: Place, remote: Remote, content: bytes, mode: str, path: str = "model.bin") -> None:
    remote.xet = mode
    place.send(place.outgoing({path: content}), remote=remote)
    assert place.read(path) == content


@pytest.fixture
def proxied(place: Place) -> Iterator[tuple[Place, Remote, LyingHub]]:
    with place.through() as (remote, liar):
        yield place, remote, liar


class TestWhatIsSent:
    def test_an_edited_file_costs_what_is_new_in_it(self, proxied: tuple[Place, Remote, LyingHub]) -> None:
        place, remote, liar = proxied
        push(place, remote, BASE, "always")
        assert sent_bytes(liar) > len(BASE)
        liar.requests.clear()
        push(place, remote, EDITED, "always")
        assert sent_bytes(liar) < 500_000
        assert plainly(liar) == 0

    def test_auto_is_for_files_whose_earlier_version_the_hub_has_cut_meanwhile(
        self, proxied: tuple[Place, Remote, LyingHub]
    ) -> None:
        place, remote, liar = proxied
        remote.session.sleep = time.sleep
        push(place, remote, BASE, "auto")
        assert asked(liar, "POST", "/xorbs/") == []
        liar.requests.clear()
        push(place, remote, EDITED, "auto")
        assert plainly(liar) == 0
        assert sent_bytes(liar) < 500_000

    def test_a_file_that_has_little_in_common_with_the_earlier_one_goes_plainly(
        self, proxied: tuple[Place, Remote, LyingHub]
    ) -> None:
        place, remote, liar = proxied
        push(place, remote, BASE[:1_000_000], "auto")
        push(place, remote, BASE, "auto")
        assert asked(liar, "POST", "/xorbs/") == []

    def test_a_hub_that_does_not_come_to_an_end_with_cutting_is_sent_the_whole(self, tmp_path: Path) -> None:
        waits: list[float] = []
        with LiveHub() as hub, Session(hub.url, hub.user("ann"), sleep=waits.append) as session:
            hub.hub.cutter.stop()
            remote = Remote(session)
            place = Place(remote, RepoId(RepoKind.MODEL, "ann", "repo"), "", tmp_path)
            remote.create_repo(place.repo, private=True)
            push(place, remote, BASE, "auto")
            push(place, remote, EDITED, "auto")
            assert "/xorbs/" not in hub.log()
        assert 5 <= sum(waits) < 7

    def test_who_has_no_hf_xet_is_told_what_it_would_spare(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        notices: list[str] = []
        monkeypatch.setattr(xet, "is_installed", lambda: False)
        with place.through() as (remote, liar):
            remote.session.notice = notices.append
            push(place, remote, BASE, "auto")
            assert notices == []
            push(place, remote, EDITED, "auto")
            assert asked(liar, "POST", "/xorbs/") == []
        assert len(notices) == 1
        assert "tenuto[xet]" in notices[0]

    def test_off_is_off_and_small_files_go_plainly(self, proxied: tuple[Place, Remote, LyingHub]) -> None:
        place, remote, liar = proxied
        push(place, remote, BASE, "off")
        push(place, remote, noise(1_000_000, 33), "always", "small.bin")
        assert asked(liar, "GET", "xet-write-token") == []

    def test_progress_comes_to_the_whole(self, place: Place) -> None:
        done: list[int] = []
        place.remote.xet = "always"
        files = place.outgoing({"model.bin": BASE, "other.bin": noise(300_000, 34)})
        upload(place.remote, place.repo, "main", place.head, Upload(files, [], "t"), progress=done.append)
        assert sum(done) == sum(file.size for file in files)


class TestThePlainWayInstead:
    @pytest.mark.parametrize(
        "lie",
        [
            Lie("GET", "/xet-write-token/", Status(404, {"X-Error-Code": "RouteNotFound"}), times=None),
            Lie("GET", "/xet-write-token/", Status(501), times=None),
            Lie("POST", "/xorbs/", Status(403), times=None),
            Lie("POST", "/shards", Status(400), times=None),
        ],
        ids=["no such route", "not supported", "a chunk is refused", "the end is refused"],
    )
    def test_where_chunks_are_not_taken(self, place: Place, lie: Lie, told: list[int]) -> None:
        with place.through(lie) as (remote, liar):
            remote.xet = "always"
            wanted = Upload(place.outgoing({"model.bin": BASE}), [], "t")
            upload(remote, place.repo, "main", place.head, wanted, progress=told.append)
            assert plainly(liar) > 0
        assert place.read("model.bin") == BASE
        assert sum(told) == len(BASE)

    def test_where_hf_xet_is_not_installed(
        self, proxied: tuple[Place, Remote, LyingHub], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place, remote, liar = proxied
        monkeypatch.setattr(xet, "is_installed", lambda: False)
        push(place, remote, BASE, "always")
        assert plainly(liar) > 0

    def test_a_file_that_changed_since_is_named(self, place: Place) -> None:
        place.remote.xet = "always"
        [file] = place.outgoing({"model.bin": BASE})
        with open(file.file, "r+b") as opened:
            opened.seek(-10, os.SEEK_END)
            opened.write(b"0123456789")
        before = place.head
        with pytest.raises(IntegrityError, match=r"model\.bin changed"):
            place.send([file])
        assert place.head == before


class TestNoPlainWay:
    def test_all_goes_by_chunks_where_a_hub_takes_nothing_else(self, place: Place) -> None:
        with place.through(Lie("POST", "/objects/batch", Status(501), times=None)) as (remote, liar):
            remote.xet = "off"
            place.send(place.outgoing({"model.bin": BASE, "small.bin": noise(300_000, 35)}), remote=remote)
            assert plainly(liar) == 0
        assert place.read("small.bin") == noise(300_000, 35)
