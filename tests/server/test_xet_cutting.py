"""What came whole is cut into chunks afterwards: known to clients, stored once, read and kept as long as anybody needs it."""

import dataclasses
import hashlib
import io
import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from tenuto.core.ids import RepoId
from tenuto.server.hub import Limits
from tenuto.server.quota import usage
from tenuto.server.quota.totals import wrong_totals
from tenuto.server.repos.rows import find_repo
from tenuto.server.space.overview import read_overview
from tenuto.server.upkeep.aside import set_aside
from tenuto.server.upkeep.backup import back_up, restore
from tenuto.server.upkeep.check import check_hub
from tenuto.server.upkeep.gc import Collector
from tenuto.server.upkeep.report import CheckReport
from tenuto.server.upkeep.usage import measure
from tenuto.server.xet.cutting import Cutter
from tenuto.store.xet import cutting
from tenuto.store.xet.cutting import Finder, cut_xorb
from tenuto.store.xet.hashes import file_hash, to_text
from tenuto.store.xet.table import Slice, XorbTable
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed, stored
from tests.server.conftest import Owner
from tests.server.talk import Talk, large, small
from tests.store.xet_build import File, Xorb, file_block, make_xorb, shard, xorb_block

CONTENT = random.Random(41).randbytes(1_200_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DAY_S = 24 * 3600


class Cut(NamedTuple):
    """What the chunks of a content must be, and the xorb that they make."""

    name: str
    table: XorbTable
    xorb: Xorb
    file: File


def expect(content: bytes) -> Cut:
    name, table = cut_xorb(io.BytesIO(content), Slice("", len(content), 0), Finder())
    xorb = make_xorb([content[a:b] for a, b in zip(table.raw, table.raw[1:], strict=False)])
    return Cut(name, table, xorb, File([(xorb, 0, table.chunks)]))


WHOLE = expect(CONTENT)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LiveHub]:
    """A hub that cuts from 100 kB on, and only when it is told to."""
    with LiveHub(str(tmp_path / "hub"), limits=Limits(cut_from=100_000, xet_download_from=100_000)) as made:
        made.hub.cutter.stop()
        yield made


@pytest.fixture
def cut(hub: LiveHub) -> Callable[[], int]:
    """Cuts what is listed; how many objects that were."""
    return lambda: Cutter(hub.hub.parts).run()


def put(owner: Owner, content: bytes = CONTENT, path: str = "w.bin") -> str:
    sha256 = owner.talk.put_large(owner.repo, content)
    owner.talk.commit(owner.repo, large(path, sha256, len(content))).raise_for_status()
    return sha256


def bytes_stored(hub: LiveHub) -> int:
    return sum(os.path.getsize(file) for file in stored(hub))


def purge(owner: Owner, sha256: str) -> int:
    """Delete an object for good, and leave the history as it is; the bytes freed."""
    body = {"deletions": {"sha": [sha256], "rewriteHistory": False}}
    return owner.talk.post(f"/api/models/{owner.repo}/lfs-files/batch", body).json()["freedBytes"]


def check(hub: LiveHub) -> CheckReport:
    return check_hub(hub.hub.parts, hub.data_dir)


def second_version(cas: Cas) -> File:
    """The content with a new xorb in the middle; only that is sent."""
    new = make_xorb([random.Random(42).randbytes(9000)])
    count = WHOLE.table.chunks
    file = File([(WHOLE.xorb, 0, count // 2), (new, 0, 1), (WHOLE.xorb, count // 2, count)])
    assert cas.put_xorb(new).status_code == 200
    assert cas.put_shard(shard([file_block(file)], [xorb_block(new)]))["type"] == "result"
    return file


def collect(hub: LiveHub, days: float = 31) -> None:
    parts = hub.hub.parts
    Collector(parts, hub.data_dir, keep_s=0).run()
    later = parts.now_ms() + int(days * DAY_S * 1000)
    Collector(dataclasses.replace(parts, now_ms=lambda: later), hub.data_dir, keep_s=0, trash_s=0).run()


class TestCutting:
    def test_the_hub_knows_the_chunks_and_stores_nothing_more(
        self, hub: LiveHub, owner: Owner, cut: Callable[[], int]
    ) -> None:
        put(owner)
        before, cas = stored(hub), Cas(owner)
        first = WHOLE.table.chunk(0)
        assert cas.send("GET", f"v1/chunks/default/{to_text(first)}").status_code == 404
        assert cas.grant(WHOLE.name) == 404
        assert cut() == 1
        assert cas.send("GET", f"v1/chunks/default/{to_text(first)}").status_code == 200
        assert cas.grant(WHOLE.name) == 200
        assert cut() == 0
        assert stored(hub) == before
        assert check(hub).findings == []

    def test_it_is_read_by_chunks_and_plainly(self, hub: LiveHub, owner: Owner, cut: Callable[[], int]) -> None:
        put(owner)
        cut()
        answer = owner.talk.client.head(f"/{owner.repo}/resolve/main/w.bin")
        name = to_text(file_hash(WHOLE.table.hashes, WHOLE.table.lengths))
        assert answer.headers["X-Xet-Hash"] == name
        cas = Cas(owner, right="read")
        for version in (1, 2):
            assert cas.fetch(name, version=version) == CONTENT
            assert cas.fetch(name, "bytes=70000-500000", version).startswith(CONTENT[70000:500001])
        assert owner.talk.read(owner.repo, "w.bin").content == CONTENT

    def test_the_next_version_costs_what_is_new(self, hub: LiveHub, owner: Owner, cut: Callable[[], int]) -> None:
        put(owner)
        cut()
        before = bytes_stored(hub)
        file = second_version(Cas(owner))
        committed(owner, file, "w.bin")
        assert bytes_stored(hub) - before < 10_000
        assert owner.talk.read(owner.repo, "w.bin").content == file.content
        assert owner.talk.read(owner.repo, "w.bin", owner.talk.head(owner.repo)).content == file.content
        assert check(hub).findings == []

    def test_small_ones_and_those_that_came_by_chunks_are_left_alone(
        self, hub: LiveHub, owner: Owner, cut: Callable[[], int]
    ) -> None:
        put(owner, CONTENT[:99_999])
        Cas(owner).put_file(WHOLE.file)
        committed(owner, WHOLE.file, "chunked.bin")
        assert cut() == 0

    def test_a_damaged_object_is_not_cut(self, hub: LiveHub, owner: Owner, cut: Callable[[], int]) -> None:
        put(owner)
        file = hub.hub.parts.store.file(SHA256)  # type: ignore[attr-defined]
        os.chmod(file, 0o644)
        with open(file, "r+b") as opened:
            opened.write(b"x")
        assert cut() == 1
        assert "cutting" in hub.log()
        assert Cas(owner).send("GET", f"v1/chunks/default/{to_text(WHOLE.table.chunk(1))}").status_code == 404
        assert cut() == 0

    def test_a_lost_object_holds_nobody_up(self, hub: LiveHub, owner: Owner, cut: Callable[[], int]) -> None:
        put(owner)
        other = put(owner, CONTENT[1:], "other.bin")
        hub.hub.parts.store.delete(SHA256)
        assert cut() == 2
        assert hub.hub.parts.store.has(other)


class TestInterrupted:
    """The work ends at every place where it looks around, and is taken up by another process."""

    @pytest.fixture(autouse=True)
    def short_xorbs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cutting, "MOST_XORB_BYTES", 400_000)

    @staticmethod
    def run_until(hub: LiveHub, looks: int) -> bool:
        """Whether it came to the end before it looked around that often."""
        left = itertools.count(looks, -1)

        def look() -> bool:
            if next(left) <= 0:
                raise KeyboardInterrupt
            return False

        try:
            Cutter(hub.hub.parts, look).run()
        except KeyboardInterrupt:
            return False
        return True

    @pytest.mark.parametrize("collected", [False, True])
    def test_what_was_done_is_taken_up_and_the_outcome_is_the_same(
        self, hub: LiveHub, owner: Owner, collected: bool
    ) -> None:
        put(owner)
        looks = 0
        while not self.run_until(hub, looks := looks + 1):
            assert Cas(owner).grant(WHOLE.name) == 404
            assert check(hub).findings == []
            if collected:
                collect(hub, days=0)
        assert looks > 2
        with hub.hub.parts.database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM xorbs").scalar() == 4
        name = WHOLE.file.name
        assert Cas(owner, right="read").fetch(name) == CONTENT
        assert check(hub).findings == []


class TestScope:
    def test_another_repo_with_the_same_object_is_told_once_it_is_cut_for_it(
        self, hub: LiveHub, owner: Owner, make_owner: Callable[..., Owner], cut: Callable[[], int]
    ) -> None:
        other = make_owner()
        put(owner)
        cut()
        cas = Cas(other)
        assert cas.grant(WHOLE.name) == 404
        assert cas.send("GET", f"v1/chunks/default/{to_text(WHOLE.table.chunk(0))}").status_code == 404
        put(other)
        assert cas.grant(WHOLE.name) == 404
        assert cut() == 1
        assert cas.grant(WHOLE.name) == 200
        assert cas.fetch(WHOLE.file.name) == CONTENT

    def test_a_copy_to_another_repo_takes_the_chunks_or_the_wish_for_them_along(
        self, hub: LiveHub, owner: Owner, cut: Callable[[], int]
    ) -> None:
        put(owner)
        for name, is_cut in (("early", False), ("late", True)):
            if is_cut:
                cut()
            target = f"{owner.name}/{name}"
            owner.talk.create(target).raise_for_status()
            body = {"target": {"type": "model", "name": target}, "files": [{"sha256": SHA256, "filename": "w.bin"}]}
            owner.talk.post(f"/api/models/{owner.repo}/lfs-files/duplicate", body).raise_for_status()
            cut()
            assert Cas(owner, repo=target).grant(WHOLE.name) == 200


class TestWhoKeepsTheObject:
    def test_it_stays_while_a_later_version_needs_its_bytes(
        self, hub: LiveHub, owner: Owner, cut: Callable[[], int]
    ) -> None:
        put(owner)
        cut()
        file = second_version(Cas(owner))
        committed(owner, file, "w.bin")
        owner.talk.post(f"/api/models/{owner.repo}/super-squash/main", {"message": "one"}).raise_for_status()
        collect(hub)
        assert owner.talk.read(owner.repo, "w.bin").content == file.content
        assert hub.hub.parts.store.has(SHA256)
        assert check(hub).findings == []
        assert measure(hub.hub.parts, hub.data_dir).loose_bytes == 0
        owner.talk.delete(owner.repo).raise_for_status()
        assert measure(hub.hub.parts, hub.data_dir).loose_bytes > len(CONTENT)
        collect(hub)
        assert not hub.hub.parts.store.has(SHA256)

    def test_deleted_for_good_it_goes_with_its_chunks(self, hub: LiveHub, owner: Owner, cut: Callable[[], int]) -> None:
        put(owner)
        cut()
        cas = Cas(owner)
        answer = owner.talk.post(f"/api/models/{owner.repo}/lfs-files/batch", {"deletions": {"sha": [SHA256]}})
        assert answer.json()["freedBytes"] == len(CONTENT)
        assert stored(hub) == set()
        assert Cas(owner).base != cas.base, "clients forget what they remember"
        assert Cas(owner).grant(WHOLE.name) == 404

    def test_deleted_for_good_it_stays_for_a_version_that_needs_all_of_it_and_goes_with_that(
        self, hub: LiveHub, owner: Owner, cut: Callable[[], int]
    ) -> None:
        put(owner)
        cut()
        file = second_version(Cas(owner))
        committed(owner, file, "w.bin")
        assert purge(owner, SHA256) == 0
        assert owner.talk.read(owner.repo, "w.bin").content == file.content
        assert purge(owner, file.sha256) > len(CONTENT)
        assert stored(hub) == set()

    def test_deleted_for_good_it_leaves_nothing_but_what_a_later_version_needs(
        self, hub: LiveHub, owner: Owner, cut: Callable[[], int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cutting, "MOST_XORB_BYTES", 400_000)
        put(owner)
        cut()
        first, new, cas = expect(CONTENT).xorb, make_xorb([random.Random(42).randbytes(9000)]), Cas(owner)
        file = File([(new, 0, 1), (first, 0, len(first.raws))])
        assert cas.put_xorb(new).status_code == 200
        assert cas.put_shard(shard([file_block(file)], [xorb_block(new)]))["type"] == "result"
        committed(owner, file, "w.bin")
        assert owner.talk.read(owner.repo, "w.bin").content == file.content, "its tables are known"
        assert purge(owner, SHA256) == len(CONTENT) - len(first.body)
        assert not hub.hub.parts.store.has(SHA256)
        assert owner.talk.read(owner.repo, "w.bin").content == file.content
        with hub.hub.parts.xorbs.folder.open(first.name) as left:
            assert left.read() == first.body
        assert check(hub).findings == []

    def test_deleted_before_its_turn_came_it_is_not_cut(
        self, hub: LiveHub, owner: Owner, cut: Callable[[], int]
    ) -> None:
        put(owner)
        address = f"/api/models/{owner.repo}/lfs-files/batch"
        owner.talk.post(address, {"deletions": {"sha": [SHA256]}}).raise_for_status()
        assert cut() == 0


class TestDamage:
    @pytest.fixture
    def broken(self, hub: LiveHub, owner: Owner, cut: Callable[[], int]) -> File:
        """A second version that needs the first one, whose object is damaged."""
        put(owner)
        cut()
        file = second_version(Cas(owner))
        committed(owner, file, "w.bin")
        path = hub.hub.parts.store.file(SHA256)  # type: ignore[attr-defined]
        os.chmod(path, 0o644)
        with open(path, "r+b") as opened:
            opened.seek(300_000)
            opened.write(b"damage")
        return file

    def test_no_wrong_byte_is_given_away_and_the_check_names_object_and_users(
        self, hub: LiveHub, owner: Owner, broken: File
    ) -> None:
        with pytest.raises(httpx2.HTTPError):
            owner.talk.read(owner.repo, "w.bin")
        [finding] = check(hub).findings
        assert (finding.fault, finding.kind, finding.name) == ("damaged", "large object", SHA256)
        assert [place.path for place in finding.places] == ["w.bin", "w.bin"]

    def test_sent_again_it_mends_both_versions(self, hub: LiveHub, owner: Owner, broken: File) -> None:
        cas = Cas(owner)
        assert set_aside(hub.hub.parts, hub.data_dir, check(hub).findings) == 1
        assert Cas(owner).base != cas.base
        [finding] = check(hub).findings
        assert (finding.fault, finding.kind, finding.name) == ("missing", "large object", SHA256)
        assert Cas(owner).grant(WHOLE.name) == 404
        assert owner.talk.put_large(owner.repo, CONTENT) == SHA256
        assert check(hub).findings == []
        assert owner.talk.read(owner.repo, "w.bin").content == broken.content

    def test_chunks_sent_again_are_stored_and_mend_the_later_version(
        self, hub: LiveHub, owner: Owner, broken: File
    ) -> None:
        hub.hub.parts.store.delete(SHA256)
        cas = Cas(owner)
        assert cas.put_xorb(WHOLE.xorb).json() == {"was_inserted": False}
        assert owner.talk.read(owner.repo, "w.bin").content == broken.content
        assert check(hub).findings == []


def test_a_backup_holds_the_object_that_slices_need(
    hub: LiveHub, owner: Owner, cut: Callable[[], int], tmp_path: Path
) -> None:
    put(owner)
    cut()
    file = second_version(Cas(owner))
    committed(owner, file, "w.bin")
    owner.talk.post(f"/api/models/{owner.repo}/super-squash/main", {"message": "one"}).raise_for_status()
    collect(hub)
    parts = hub.hub.parts
    report = back_up(parts.database, hub.data_dir, str(tmp_path / "backup"), parts.now_ms())
    assert report.facts.lacking == []
    restored = restore(str(tmp_path / "backup"), str(tmp_path / "again"), parts.now_ms())
    assert restored.restored
    with LiveHub(str(tmp_path / "again")) as again:
        answer = httpx2.get(
            f"{again.url}/{owner.repo}/resolve/main/w.bin",
            headers={"Authorization": f"Bearer {owner.token}"},
            trust_env=False,
        )
        assert answer.content == file.content
        assert check(again).findings == []


def told(owner: Owner, size: int) -> object:
    """What the hub says of the chunks of w.bin to who wants to send that many bytes in its place."""
    wanted = {"files": [{"path": "w.bin", "size": size, "sample": ""}]}
    answer = owner.talk.post(f"/api/models/{owner.repo}/preupload/main", wanted).json()
    return answer["files"][0].get("chunks")


def test_what_a_path_holds_is_told_to_who_wants_to_send_more(
    hub: LiveHub, owner: Owner, cut: Callable[[], int]
) -> None:
    assert told(owner, 1_000_000) is None
    put(owner)
    assert told(owner, 1_000_000) == "soon"
    cut()
    assert told(owner, 1_000_000) == "known"
    assert told(owner, 3 * len(CONTENT)) is None, "chunks of something much smaller help little"
    owner.talk.commit(owner.repo, small("w.bin", b"text")).raise_for_status()
    assert told(owner, 1_000_000) is None


def test_a_hub_cuts_beside_its_requests_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    content = random.Random(43).randbytes(9 << 20)
    with LiveHub(str(tmp_path / "hub")) as hub:
        hub.hub.cutter.stop()
        token = hub.user("ann")
        with closing(Talk(hub.url, token)) as talk:
            talk.create("ann/repo").raise_for_status()
            sha256 = put(Owner("ann", token, talk, "ann/repo"), content)
    with LiveHub(str(tmp_path / "hub")) as hub, closing(Talk(hub.url, token)) as talk:
        owner = Owner("ann", token, talk, "ann/repo")
        deadline = time.monotonic() + 60
        while told(owner, len(content)) != "known" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert Cas(owner).grant(expect(content).name) == 200
        assert sha256 in str(stored(hub)).replace("/", "")


def test_cutting_changes_nothing_of_what_counts(hub: LiveHub, owner: Owner, cut: Callable[[], int]) -> None:
    put(owner)

    def counted() -> tuple[int, int, int]:
        with hub.hub.parts.database.read() as connection:
            repo = find_repo(connection, RepoId.parse(owner.repo))
            assert repo
            assert list(wrong_totals(connection)) == []
            overview = read_overview(connection, hub.hub.parts.store, repo, 10, 0)
            return usage(connection, repo.key).counted_bytes, overview.held, overview.freed

    before = counted()
    assert cut() == 1
    assert counted() == before
