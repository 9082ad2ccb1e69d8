"""What refs lead to stays, whatever happens; what nothing needs goes, not before its time."""

import itertools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tenuto.core.errors import LockedError
from tenuto.core.gitobj import FILE_MODE, TreeItem, blob_id, encode_tree, object_id
from tenuto.server.content import commits, staging
from tenuto.server.git.objects import add_objects, object_row
from tenuto.server.hub import Limits
from tenuto.server.upkeep.check import check_hub
from tenuto.server.upkeep.gc import Collected, Collector
from tenuto.server.upkeep.rows import CLIENTS_REMEMBER_S
from tenuto.server.upkeep.trash import one_at_a_time
from tenuto.store.xet.hashes import to_text
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed, some_xorb
from tests.server.conftest import Owner
from tests.server.talk import copied, gone, large, small
from tests.server.upkeep_hub import DAY_S, collect, later, make_owner, noise, object_file, stored
from tests.store.xet_build import File, file_block, shard, xorb_block

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub(limits=Limits(large_file=1 << 20, multipart_from=1 << 30)) as live:
        yield live


@pytest.fixture
def ann(hub: LiveHub) -> Iterator[Owner]:
    owner = make_owner(hub, f"ann{next(_NUMBERS)}", "repo")
    yield owner
    owner.talk.close()


class Days:
    """Collects garbage as the days go by; every time, what is left is whole."""

    def __init__(self, hub: LiveHub) -> None:
        self._hub, self.day = hub, 0.0

    def gc(self, days: float = 0, **times: float) -> Collected:
        self.day += days
        plan = Collector(later(self._hub.hub.parts, self.day), self._hub.data_dir, **times).plan()
        assert plan.dry_run
        done = collect(self._hub.hub.parts, self._hub.data_dir, self.day, **times)
        assert done.skipped == []
        assert [one.repo for one in done.repos] == [one.repo for one in plan.repos]
        assert (done.trashed_objects, done.trashed_xorbs) == (plan.trashed_objects, plan.trashed_xorbs), "as planned"
        assert check_hub(self._hub.hub.parts, self._hub.data_dir).findings == []
        return done

    def until_gone(self) -> None:
        """All that nothing needs now, and files without rows, are gone."""
        self.gc()
        self.gc(31)
        self.gc(8)


@pytest.fixture(scope="module")
def calendar(hub: LiveHub) -> Days:
    return Days(hub)


@pytest.fixture
def days(calendar: Days) -> Days:
    calendar.until_gone()  # what other tests left
    return calendar


def put(owner: Owner, path: str, content: bytes, rev: str = "main") -> str:
    oid = owner.talk.put_large(owner.repo, content)
    owner.talk.commit(owner.repo, large(path, oid), rev=rev).raise_for_status()
    return oid


def branch(owner: Owner, name: str, start: str = "main") -> None:
    owner.talk.post(f"/api/models/{owner.repo}/branch/{name}", {"startingPoint": start}).raise_for_status()


def drop_branch(owner: Owner, name: str) -> None:
    owner.talk.client.delete(f"/api/models/{owner.repo}/branch/{name}").raise_for_status()


def squash(owner: Owner) -> None:
    owner.talk.post(f"/api/models/{owner.repo}/super-squash/main").raise_for_status()


def status(owner: Owner, path: str, rev: str) -> int:
    return owner.talk.read(owner.repo, path, rev).status_code


def objects_of(hub: LiveHub) -> set[str]:
    return stored(hub.data_dir)["objects"]


class TestWhatNothingNeeds:
    def test_a_dropped_branch_stays_for_a_while_then_goes_over_the_trash(
        self, hub: LiveHub, ann: Owner, days: Days
    ) -> None:
        branch(ann, "side")
        oid = put(ann, "a.bin", noise(5000, 1), "side")
        head = ann.talk.head(ann.repo, "side")
        drop_branch(ann, "side")
        first = days.gc()
        (found,) = first.repos
        assert (found.removed_git, found.removed_objects) == (0, 0)
        assert (found.waiting_git, found.waiting_objects, found.waiting_object_bytes) == (3, 1, 5000)
        assert ann.talk.read(ann.repo, "a.bin", head).content == noise(5000, 1), "who knows the commit still gets it"
        assert days.gc(29).trashed_bytes == 0
        done = days.gc(1.1)
        assert (done.repos[0].removed_git, done.repos[0].removed_objects) == (3, 1)
        assert (done.trashed_objects.count, done.trashed_objects.bytes) == (1, 5000)
        assert oid not in objects_of(hub)
        assert days.gc(6.9).trash.bytes == 5000
        emptied = days.gc(0.2)
        assert (emptied.emptied.count, emptied.emptied.bytes) == (1, 5000)
        assert days.gc().trash.count == 0
        assert not list((Path(hub.data_dir) / "trash").glob("*"))

    def test_a_squash_frees_what_the_past_alone_had(self, hub: LiveHub, ann: Owner, days: Days) -> None:
        old, new = put(ann, "a.bin", noise(4000, 2)), put(ann, "a.bin", noise(4000, 3))
        squash(ann)
        days.until_gone()
        assert objects_of(hub) & {old, new} == {new}
        assert ann.talk.read(ann.repo, "a.bin").content == noise(4000, 3)
        assert len(ann.talk.get(f"/api/models/{ann.repo}/commits/main").json()) == 1

    def test_a_deleted_repo_frees_its_own_and_not_what_others_hold(self, hub: LiveHub, ann: Owner, days: Days) -> None:
        other = make_owner(hub, f"bob{next(_NUMBERS)}", "repo")
        own, shared = put(ann, "a.bin", noise(3000, 4)), put(ann, "b.bin", noise(3000, 5))
        put(other, "b.bin", noise(3000, 5))
        mine, both = File([(some_xorb(), 0, 6)]), File([(some_xorb(), 0, 6)])
        for owner, file in ((ann, mine), (ann, both), (other, both)):
            Cas(owner).put_file(file)
            committed(owner, file)
        ann.talk.delete(ann.repo).raise_for_status()
        done = days.gc(0.1)
        assert done.repos == []
        assert (done.trashed_objects.count, done.trashed_xorbs.count) == (1, 1)
        assert own not in objects_of(hub)
        assert shared in objects_of(hub)
        assert other.talk.read(other.repo, "a.bin").content == both.content
        assert mine.parts[0][0].name not in stored(hub.data_dir)["xorbs"]
        other.talk.close()

    def test_uploads_that_no_commit_followed(self, hub: LiveHub, ann: Owner, days: Days) -> None:
        oid = ann.talk.put_large(ann.repo, noise(2000, 6))
        file = File([(some_xorb(), 0, 6)])
        Cas(ann).put_file(file)
        alone = some_xorb()
        Cas(ann).put_xorb(alone)
        days.gc()
        days.gc(20)
        assert oid in objects_of(hub)
        assert {alone.name, file.parts[0][0].name} <= stored(hub.data_dir)["xorbs"]
        days.gc(11)
        assert oid not in objects_of(hub)
        assert not {alone.name, file.parts[0][0].name} & stored(hub.data_dir)["xorbs"]

    def test_chunks_that_a_file_shares_with_a_dropped_one_stay(self, hub: LiveHub, ann: Owner, days: Days) -> None:
        common, own = some_xorb(), some_xorb()
        kept, dropped = File([(common, 0, 2)]), File([(common, 1, 6), (own, 0, 6)])
        for path, file in (("kept.bin", kept), ("dropped.bin", dropped)):
            Cas(ann).put_file(file)
            committed(ann, file, path)
        ann.talk.commit(ann.repo, gone("dropped.bin")).raise_for_status()
        squash(ann)
        address = Cas(ann).base
        days.until_gone()
        assert stored(hub.data_dir)["xorbs"] & {common.name, own.name} == {common.name}
        assert ann.talk.read(ann.repo, "kept.bin").content == kept.content
        assert Cas(ann).base == address, "no client can refer to what went"

    def test_who_waits_for_less_than_clients_remember_sends_them_to_another_address(
        self, ann: Owner, days: Days
    ) -> None:
        file = File([(some_xorb(), 0, 6)])
        cas = Cas(ann)
        cas.put_file(file)
        assert 2 * DAY_S < CLIENTS_REMEMBER_S
        days.gc(keep_s=2 * DAY_S)
        assert cas.base == Cas(ann).base
        days.gc(2.1, keep_s=2 * DAY_S)
        assert Cas(ann).base != cas.base
        assert cas.put_xorb(file.parts[0][0]).status_code == 409, "the upload under way is told to start again"
        Cas(ann).put_file(file)
        committed(ann, file)
        assert ann.talk.read(ann.repo, "a.bin").content == file.content

    def test_a_file_without_a_row_goes_and_a_fresh_one_does_not(self, hub: LiveHub, days: Days) -> None:
        store = hub.hub.parts.store
        oid = store.put(noise(1000, 7))
        born_s = time.time() + days.day * DAY_S - 1800
        os.utime(object_file(Path(hub.data_dir), noise(1000, 7)), (born_s, born_s))
        assert days.gc().trashed_objects.count == 0, "its row may be on the way"
        assert days.gc(0.1).trashed_objects.count == 1
        assert not store.has(oid)

    def test_what_names_something_that_is_gone_does_not_wait(self, hub: LiveHub, ann: Owner, days: Days) -> None:
        branch(ann, "side")
        ann.talk.commit(ann.repo, small("a/b.txt", b"lost"), small("c.txt", b"kept"), rev="side").raise_for_status()
        drop_branch(ann, "side")
        with hub.hub.parts.database.write() as connection:
            query = "DELETE FROM git_objects WHERE body = ? AND repo_id = (SELECT id FROM repos WHERE namespace = ?)"
            assert connection.exec_driver_sql(query, (b"lost", ann.name)).rowcount == 1
        (found,) = days.gc().repos
        assert (found.removed_git, found.waiting_git) == (3, 1), "commit, root and folder; the other file waits"


class TestWhatIsNeededAgain:
    @pytest.mark.parametrize("deed", ["batch", "upload", "commit", "branch"])
    def test_it_stays(self, hub: LiveHub, ann: Owner, days: Days, deed: str) -> None:
        branch(ann, "side")
        content = noise(2500, 8)
        oid = put(ann, "a.bin", content, "side")
        head = ann.talk.head(ann.repo, "side")
        drop_branch(ann, "side")
        days.gc()
        if deed == "batch":
            assert "actions" not in ann.talk.batch(ann.repo, (oid, 2500)).json()["objects"][0]
        elif deed == "upload":
            with hub.hub.parts.store.receive() as incoming:
                incoming.write(content)
                sealed = incoming.seal()
            with hub.hub.parts.database.read() as connection:
                key = connection.exec_driver_sql("SELECT id FROM repos WHERE namespace = ?", (ann.name,)).scalar_one()
            hub.hub.parts.publisher.publish(key, sealed, hub.hub.parts.now_ms())
        elif deed == "commit":
            ann.talk.commit(ann.repo, large("a.bin", oid)).raise_for_status()
        else:
            branch(ann, "again", head)
        days.gc(31)
        days.gc(8)
        assert oid in objects_of(hub)
        if deed in {"batch", "upload"}:
            ann.talk.commit(ann.repo, large("late.bin", oid)).raise_for_status()
            assert ann.talk.read(ann.repo, "late.bin").content == content
        elif deed == "branch":
            assert ann.talk.read(ann.repo, "a.bin", "again").content == content

    def test_a_branch_that_came_back_and_went_again_waits_anew(self, ann: Owner, days: Days) -> None:
        branch(ann, "side")
        put(ann, "a.bin", noise(2500, 9), "side")
        head = ann.talk.head(ann.repo, "side")
        drop_branch(ann, "side")
        days.gc()
        branch(ann, "side", head)
        drop_branch(ann, "side")
        days.gc(31)
        assert status(ann, "a.bin", head) == 200
        days.gc(31)
        assert status(ann, "a.bin", head) == 404

    def test_what_waits_is_whole_though_a_part_of_it_has_waited_for_longer(
        self, hub: LiveHub, ann: Owner, days: Days
    ) -> None:
        oid = ann.talk.put_large(ann.repo, noise(2500, 12))
        file = File([(some_xorb(), 0, 6)])
        told = File([(some_xorb(), 0, 6)])
        for one in (file, told):
            Cas(ann).put_file(one)
        branch(ann, "older")
        ann.talk.commit(ann.repo, small("s.txt", b"of the older branch"), rev="older").raise_for_status()
        older = ann.talk.head(ann.repo, "older")
        drop_branch(ann, "older")
        days.gc()
        branch(ann, "side")
        lines = [large("a.bin", oid), large("b.bin", file.sha256), copied("c.txt", "s.txt", older)]
        ann.talk.commit(ann.repo, *lines, rev="side").raise_for_status()
        head = ann.talk.head(ann.repo, "side")
        drop_branch(ann, "side")
        days.gc(20)
        ann.talk.batch(ann.repo, (told.sha256, len(told.content)))
        assert days.gc(11).repos[0].removed_git == 2, "the older commit and its tree; its file is needed by what waits"
        for path, content in (("a.bin", noise(2500, 12)), ("b.bin", file.content), ("c.txt", b"of the older branch")):
            assert ann.talk.read(ann.repo, path, head).content == content
        ann.talk.commit(ann.repo, large("told.bin", told.sha256)).raise_for_status()
        assert ann.talk.read(ann.repo, "told.bin").content == told.content

    def test_chunks_that_clients_are_told_of_stay(self, hub: LiveHub, ann: Owner, days: Days) -> None:
        cas, asked, told, listed, left = Cas(ann), some_xorb(), some_xorb(), some_xorb(), some_xorb()
        for xorb in (asked, told, listed, left):
            cas.put_file(File([(xorb, 0, 6)]))
        days.gc()
        assert cas.grant(asked.name) == 200
        first = to_text(told.hashes_of(0, 1))
        assert cas.send("GET", f"v1/chunks/default/{first}").status_code == 200
        cas.put_shard(shard([file_block(File([(listed, 0, 6)]))], [xorb_block(listed)]))
        days.gc(31)
        names = {asked.name, told.name, listed.name, left.name}
        assert stored(hub.data_dir)["xorbs"] & names == {asked.name, told.name, listed.name}
        late = File([(asked, 0, 6), (told, 0, 6), (listed, 0, 6)])
        assert cas.put_shard(shard([file_block(late)]))["type"] == "result"
        committed(ann, late)
        assert ann.talk.read(ann.repo, "a.bin").content == late.content

    def test_a_copy_of_a_collected_revision_is_refused_though_the_hub_remembers_it(
        self, ann: Owner, days: Days
    ) -> None:
        branch(ann, "side")
        put(ann, "a.bin", noise(2500, 10), "side")
        ann.talk.commit(ann.repo, small("small.txt", b"small"), rev="side").raise_for_status()
        head = ann.talk.head(ann.repo, "side")
        ann.talk.listing(ann.repo, head)  # it is in the memory of the process now
        drop_branch(ann, "side")
        days.until_gone()
        ann.talk.listing(ann.repo, "main")
        for path in ("a.bin", "small.txt"):
            assert ann.talk.commit(ann.repo, copied("b", path, head)).status_code == 404
        assert ann.talk.post(f"/api/models/{ann.repo}/branch/x", {"startingPoint": head}).status_code == 404
        assert ann.talk.post(f"/api/models/{ann.repo}/tag/{head}", {"tag": "x"}).status_code == 404
        days.gc()


class TestWhileTheHubServes:
    def test_commits_uploads_and_branches_that_race_with_collections_lose_nothing(
        self, hub: LiveHub, days: Days
    ) -> None:
        """Everything waits for no time at all, so that every collection takes all that it may take."""
        stop = threading.Event()

        def collecting() -> int:
            for turn in itertools.count():
                if stop.is_set():
                    return turn
                days.day += 1  # what the last turn listed is ripe
                collect(hub.hub.parts, hub.data_dir, days.day, keep_s=3600, trash_s=0)
            raise AssertionError

        def working(number: int) -> list[tuple[str, str, bytes]]:
            owner = make_owner(hub, f"racer{next(_NUMBERS)}", "repo")
            kept = []
            for turn in range(12):
                content = noise(2000, 1000 * number + turn % 4)  # the same again and again, dropped in between
                for attempt in itertools.count():
                    try:
                        put(owner, f"f{turn}.bin", content)
                        owner.talk.commit(owner.repo, small(f"s{turn}", content[:100])).raise_for_status()
                        break
                    except httpx2.HTTPStatusError as error:
                        # Told that its upload was collected, a client sends it again; that is no loss.
                        if error.response.status_code not in {400, 503} or attempt > 20:
                            raise
                if turn % 3 == 2:
                    owner.talk.commit(owner.repo, gone(f"f{turn}.bin")).raise_for_status()
                    squash(owner)
                else:
                    kept.append((f"f{turn}.bin", f"s{turn}", content))
            assert all(owner.talk.read(owner.repo, path).content == content for path, _, content in kept)
            assert all(owner.talk.read(owner.repo, path).content == content[:100] for _, path, content in kept)
            owner.talk.close()
            return kept

        with ThreadPoolExecutor(5) as pool:
            collector = pool.submit(collecting)
            workers = [pool.submit(working, number) for number in range(4)]
            try:
                assert all(worker.result() for worker in workers)
            finally:
                stop.set()
            assert collector.result() > 3
        assert check_hub(hub.hub.parts, hub.data_dir).findings == []

    @pytest.mark.parametrize("deed", ["branch", "copy"])
    def test_what_comes_back_between_the_plan_and_the_deed_is_seen(
        self, hub: LiveHub, ann: Owner, days: Days, deed: str
    ) -> None:
        branch(ann, "side")
        ann.talk.commit(ann.repo, small("s.txt", noise(300, 13)), rev="side").raise_for_status()
        oid = put(ann, "a.bin", noise(2500, 11), "side")
        head = ann.talk.head(ann.repo, "side")
        drop_branch(ann, "side")
        days.gc()

        class Late(Collector):
            """Somebody else acts just before the rows are judged for good."""

            def _settle(self, litter) -> None:
                if deed == "branch":
                    branch(ann, "late", head)
                else:
                    branch(ann, "late")
                    lines = [copied(f"x/{path}", path, head) for path in ("a.bin", "s.txt")]
                    ann.talk.commit(ann.repo, *lines, rev="late").raise_for_status()
                super()._settle(litter)

        done = Late(later(hub.hub.parts, days.day + 31), hub.data_dir).run()
        assert (done.repos[0].removed_objects, done.trashed_objects.count) == (1, 0), "planned, not done"
        folder = "x/" if deed == "copy" else ""
        assert ann.talk.read(ann.repo, f"{folder}a.bin", "late").content == noise(2500, 11)
        assert ann.talk.read(ann.repo, f"{folder}s.txt", "late").content == noise(300, 13)
        assert oid in objects_of(hub)

    def test_rows_of_a_push_that_is_not_at_its_end_keep_what_they_name(
        self, hub: LiveHub, ann: Owner, days: Days
    ) -> None:
        branch(ann, "side")
        ann.talk.commit(ann.repo, small("s.txt", noise(300, 14)), rev="side").raise_for_status()
        drop_branch(ann, "side")
        days.gc()
        database, blob = hub.hub.parts.database, blob_id(noise(300, 14))
        with database.read() as connection:
            query = "SELECT id FROM repos WHERE namespace = ?"
            key = connection.exec_driver_sql(query, (ann.name,)).scalar_one()

        class Late(Collector):
            def _settle(self, litter) -> None:
                body = encode_tree([TreeItem("pushed.txt", FILE_MODE, blob)])
                with database.write() as connection:
                    add_objects(database, connection, [object_row(key, "tree", object_id("tree", body), body)])
                super()._settle(litter)

        Late(later(hub.hub.parts, days.day + 31), hub.data_dir).run()
        with database.read() as connection:
            query = "SELECT kind FROM git_objects WHERE repo_id = ? AND oid = ?"
            assert connection.exec_driver_sql(query, (key, blob)).scalar() == "blob"

    def test_a_large_commit_relies_on_rows_that_were_listed_before(
        self, hub: LiveHub, ann: Owner, days: Days, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its files are rows before its last transaction begins; a collection in between leaves them alone."""
        branch(ann, "side")
        for number in range(3):
            ann.talk.commit(ann.repo, small(f"{number}", noise(500, 20 + number)), rev="side").raise_for_status()
        drop_branch(ann, "side")
        days.gc()
        read, days.day = commits.CommitReader.read, days.day + 31

        def late(*arguments):
            read(*arguments)
            collect(hub.hub.parts, hub.data_dir, days.day)

        monkeypatch.setattr(staging, "STAGE_BYTES", 1)
        monkeypatch.setattr(commits.CommitReader, "read", late)
        lines = [small(f"{number}", noise(500, 20 + number)) for number in range(3)]
        ann.talk.commit(ann.repo, *lines).raise_for_status()
        monkeypatch.undo()
        for number in range(3):
            assert ann.talk.read(ann.repo, f"{number}").content == noise(500, 20 + number)
        days.gc()

    def test_one_at_a_time(self, hub: LiveHub) -> None:
        with one_at_a_time(hub.data_dir), pytest.raises(LockedError):
            collect(hub.hub.parts, hub.data_dir)
