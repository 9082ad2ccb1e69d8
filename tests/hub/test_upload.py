"""Uploads to a live hub: only what it lacks, one commit, and none at all if anything is not as it was."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest

from tenuto.core import wire
from tenuto.core.errors import ConflictError, IntegrityError, NotFoundError, StorageError, TenutoError, UnavailableError
from tenuto.core.gitobj import blob_id
from tenuto.hub import objects as objects_module
from tenuto.hub import upload as upload_module
from tenuto.hub.remote import Regular, Remote
from tenuto.hub.session import Session
from tenuto.hub.upload import Outgoing, Upload, upload
from tenuto.testing.lies import Answer, Fault, Lie, ResetConnection, Wait, WrongEtag, rate_limited, unavailable
from tenuto.testing.live_hub import LiveHub
from tests.hub.place import PART_BYTES, Place, asked, noise, sha256_of
from tests.hub.scripted import OK, Reply, Seen, serving

LARGE = noise(150_000)
PARTED = noise(4 * PART_BYTES + 12_345, seed=1)


def send(
    place: Place,
    remote: Remote,
    files: list[Outgoing],
    parent: str | None = None,
    progress: Callable[[int], None] = lambda _bytes: None,
    jobs: int = 4,
) -> str:
    wanted = Upload(files, [], "a title")
    return upload(remote, place.repo, "main", parent or place.head, wanted, jobs=jobs, progress=progress).commit


class TestWhatIsSent:
    def test_small_and_large_files_arrive_in_one_commit(self, place: Place) -> None:
        files = {
            "config.json": b'{"a": 1}',
            "weights.bin": LARGE,
            "deep/er/clip.wav": noise(3000),
            "notes.txt": b"hello",
        }
        before = place.head
        done = place.send(place.outgoing(files))
        assert done.commit == place.head != before
        assert {path: place.read(path) for path in files} == files
        history = json.loads(place.remote.session.request("GET", f"{place.repo.api_path}/commits/main").body)
        assert [one["id"] for one in history[:2]] == [done.commit, before]
        assert history[0]["title"] == "a title"

    def test_the_git_ids_of_what_went_inside_the_commit(self, place: Place) -> None:
        files = {"a.txt": b"hello\n", "b.bin": LARGE}
        done = place.send(place.outgoing(files))
        assert list(done.git_ids) == [(blob_id(b"hello\n"), sha256_of(b"hello\n"))]

    def test_what_the_hub_has_is_not_sent_again(self, place: Place) -> None:
        place.put({"one.bin": LARGE})
        with place.through() as (remote, liar):
            send(place, remote, place.outgoing({"two.bin": LARGE}))
            assert asked(liar, "PUT", "") == []
        assert place.read("two.bin") == LARGE

    def test_equal_contents_are_sent_once(self, place: Place) -> None:
        with place.through() as (remote, liar):
            send(place, remote, place.outgoing({f"{number}.bin": LARGE for number in range(5)}))
            assert len(asked(liar, "PUT", "/lfs/upload/")) == 1
        assert place.read("4.bin") == LARGE

    def test_empty_files(self, place: Place) -> None:
        place.put({"empty.bin": b"", "empty.txt": b""})
        assert {wanted.size for wanted in place.wanted().values()} == {0}
        assert place.read("empty.bin") == b""

    def test_deletions_alone(self, place: Place) -> None:
        place.put({"a.txt": b"1", "b.bin": LARGE, "c.txt": b"3"})
        with place.through() as (remote, liar):
            place.send([], remote=remote, deleted=["a.txt", "b.bin"])
            assert asked(liar, "POST", "/lfs/") == []
        assert place.wanted().keys() == {"c.txt"}

    def test_many_files(self, place: Place) -> None:
        files = {f"{number % 7}/{number:04d}.{'bin' if number % 2 else 'txt'}": b"%d" % number for number in range(400)}
        commit = place.put(files)
        assert place.wanted(commit).keys() == files.keys()

    def test_progress_comes_to_the_whole(self, place: Place) -> None:
        files = {"a.txt": b"hello", "b.bin": LARGE, "parted.bin": PARTED}
        done: list[int] = []
        lie = Lie("PUT", "/lfs/", ResetConnection(-1))
        with place.through(lie) as (remote, _):
            send(place, remote, place.outgoing(files), progress=done.append)
        assert sum(done) == sum(map(len, files.values()))


@dataclass(frozen=True)
class LosesParts(Fault):
    """The hub is as if it had been killed, and what is in its spool had been swept away."""

    hub: LiveHub

    def forward(self, headers: dict[str, str]) -> dict[str, str]:
        parts = self.hub.hub.parts
        parts.uploads.close()
        for name in os.listdir(parts.store.spool):
            os.unlink(os.path.join(parts.store.spool, name))
        return headers


class TestParts:
    def test_a_long_file_is_sent_in_parts(self, place: Place) -> None:
        with place.through() as (remote, liar):
            send(place, remote, place.outgoing({"long.bin": PARTED, "short.bin": LARGE}))
            assert len(asked(liar, "PUT", "/lfs/part/")) == 5 + 2
            assert len(asked(liar, "POST", "/lfs/complete/")) == 2
            assert asked(liar, "PUT", "/lfs/upload/") == []
        assert place.read("long.bin") == PARTED
        assert place.read("short.bin") == LARGE

    def test_parts_travel_together(self, place: Place) -> None:
        """The first part waits until another one has come."""
        others = threading.Event()

        @dataclass(frozen=True)
        class Waits(Fault):
            def forward(self, headers: dict[str, str]) -> dict[str, str]:
                assert others.wait(10)
                return headers

        @dataclass(frozen=True)
        class Comes(Fault):
            def forward(self, headers: dict[str, str]) -> dict[str, str]:
                others.set()
                return headers

        lies = [Lie("PUT", "/lfs/part/", Waits()), Lie("PUT", "/lfs/part/", Comes(), after=1, times=None)]
        with place.through(*lies) as (remote, _):
            send(place, remote, place.outgoing({"long.bin": PARTED}))
        assert place.read("long.bin") == PARTED

    def test_of_an_exact_multiple(self, place: Place) -> None:
        content = noise(5 * PART_BYTES)
        with place.through() as (remote, liar):
            send(place, remote, place.outgoing({"long.bin": content}))
            assert len(asked(liar, "PUT", "/lfs/part/")) == 5
        assert place.read("long.bin") == content

    @pytest.mark.parametrize("fault", [ResetConnection(-1), unavailable(), rate_limited()])
    def test_a_part_that_fails_is_sent_again(self, place: Place, fault: ResetConnection) -> None:
        with place.through(Lie("PUT", "/lfs/part/", fault, after=2)) as (remote, liar):
            send(place, remote, place.outgoing({"long.bin": PARTED}))
            assert len(asked(liar, "PUT", "/lfs/part/")) == 6
        assert place.read("long.bin") == PARTED

    def test_an_answer_that_is_lost_at_the_end(self, place: Place) -> None:
        with place.through(Lie("POST", "/lfs/complete/", ResetConnection(-1))) as (remote, _):
            send(place, remote, place.outgoing({"long.bin": PARTED}))
        assert place.read("long.bin") == PARTED

    def test_parts_that_the_hub_lost_are_sent_again(self, place: Place, hub: LiveHub) -> None:
        done: list[int] = []
        with place.through(Lie("POST", "/lfs/complete/", LosesParts(hub))) as (remote, liar):
            send(place, remote, place.outgoing({"long.bin": PARTED}), progress=done.append)
            assert len(asked(liar, "PUT", "/lfs/part/")) == 10
        assert place.read("long.bin") == PARTED
        assert sum(done) == len(PARTED)

    def test_a_hub_that_loses_them_each_time_is_not_tried_for_ever(self, place: Place, hub: LiveHub) -> None:
        with place.through(Lie("POST", "/lfs/complete/", LosesParts(hub), times=None)) as (remote, liar):
            with pytest.raises(ConflictError, match="part 1"):
                send(place, remote, place.outgoing({"long.bin": PARTED}))
            assert len(asked(liar, "PUT", "/lfs/part/")) == 10


class TestVerify:
    def test_is_not_asked_of_a_hub_that_has_named_the_bytes(self, place: Place) -> None:
        with place.through() as (remote, liar):
            send(place, remote, place.outgoing({"a.bin": LARGE}))
            assert asked(liar, "POST", "/lfs/verify/") == []

    def test_is_asked_of_one_that_has_not(self, place: Place) -> None:
        with place.through(Lie("PUT", "/lfs/upload/", WrongEtag())) as (remote, liar):
            send(place, remote, place.outgoing({"a.bin": LARGE}))
            assert len(asked(liar, "POST", "/lfs/verify/")) == 1


@dataclass(frozen=True)
class Foreign(Fault):
    """The hub is not ours: nothing says that it speaks packs."""

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        answer.headers.pop("x-tenuto-pack", None)
        return answer


class TestSeveralCommits:
    FILES: ClassVar = {f"{number:02d}.txt": b"%d" % number for number in range(9)} | {"z.bin": LARGE}

    def test_ours_takes_all_in_one(self, place: Place) -> None:
        with place.through() as (remote, liar):
            remote.commit_files = 4
            send(place, remote, place.outgoing(self.FILES))
            assert len(asked(liar, "POST", "/commit/")) == 1

    def test_another_one_gets_parts_with_what_is_taken_away_last(self, place: Place) -> None:
        place.put({"old.txt": b"old"})
        with place.through(Lie("*", "", Foreign(), times=None)) as (remote, liar):
            remote.commit_files = 4
            done = place.send(place.outgoing(self.FILES), remote=remote, deleted=["old.txt"])
            assert len(asked(liar, "POST", "/commit/")) == 3
        assert done.commit == place.head
        assert len(done.git_ids) == 9
        assert place.wanted().keys() == self.FILES.keys()
        history = json.loads(place.remote.session.request("GET", f"{place.repo.api_path}/commits/main").body)
        assert [one["title"] for one in history[:3]] == [f"a title (part {number} of 3)" for number in (3, 2, 1)]
        assert place.read("old.txt", history[1]["id"]) == b"old"

    def test_a_commit_holds_so_many_bytes_at_the_most(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upload_module, "COMMIT_BYTES", 3)
        with place.through(Lie("*", "", Foreign(), times=None)) as (remote, liar):
            place.send(place.outgoing(self.FILES), remote=remote)
            assert len(asked(liar, "POST", "/commit/")) == 3
        assert place.wanted().keys() == self.FILES.keys()

    def test_what_a_failure_left_out_is_sent_by_the_next_push(self, place: Place) -> None:
        lies = [Lie("POST", "/commit/", ResetConnection(-1), after=1), Lie("*", "", Foreign(), times=None)]
        with place.through(*lies) as (remote, _):
            remote.commit_files = 4
            with pytest.raises(UnavailableError):
                send(place, remote, place.outgoing(self.FILES))
            assert len(place.wanted()) == 8, "the second commit was made, its answer was lost"
            place.send(place.outgoing(self.FILES), remote=remote)
        assert place.wanted().keys() == self.FILES.keys()


class TestFilesThatChange:
    """No commit is made of a file that is not what it was when it was looked at."""

    @pytest.mark.parametrize("name", ["small.txt", "large.bin", "parted.bin"])
    @pytest.mark.parametrize("change", ["other bytes", "shorter", "longer", "empty"])
    def test_before_it_is_sent(self, place: Place, name: str, change: str) -> None:
        content = {"small.txt": b"hello", "large.bin": LARGE, "parted.bin": PARTED}[name]
        file = place.outgoing({name: content})[0]
        with open(file.file, "r+b") as opened:
            if change == "other bytes":
                opened.write(bytes([content[0] ^ 1]))
            elif change == "longer":
                opened.write(bytes([content[0] ^ 1]))
                opened.seek(0, os.SEEK_END)
                opened.write(b"more")
            else:
                opened.truncate(0 if change == "empty" else len(content) - 1)
        before = place.head
        with pytest.raises(IntegrityError, match=f"{name} changed") as caught:
            send(place, place.remote, [file])
        assert (caught.value.code, caught.value.exit_status) == ("HashMismatch", 5)
        assert place.head == before

    @pytest.mark.parametrize("size", [3 << 20, len(PARTED)], ids=["in one piece", "in parts"])
    def test_while_it_is_sent(self, place: Place, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(objects_module, "BLOCK_BYTES", 50_000)
        name = "weights.bin" if size == len(PARTED) else "weights.txt"
        file = place.outgoing({name: noise(size, 2)})[0]
        changed: list[int] = []

        def change(sent_bytes: int) -> None:
            if not changed:
                changed.append(sent_bytes)
                with open(file.file, "r+b") as opened:
                    opened.seek(-10, os.SEEK_END)
                    opened.write(b"0123456789")

        before = place.head
        with pytest.raises(IntegrityError, match="changed while it was being sent"):
            send(place, place.remote, [file], progress=change)
        assert changed == [50_000]
        assert place.head == before

    def test_and_grows_behind_what_was_looked_at(self, place: Place) -> None:
        file = place.outgoing({"log.bin": LARGE})[0]
        with open(file.file, "ab") as opened:
            opened.write(b"a line more")
        send(place, place.remote, [file])
        assert place.read("log.bin") == LARGE

    @pytest.mark.parametrize("name", ["small.txt", "large.bin"])
    def test_and_is_gone(self, place: Place, name: str) -> None:
        file = place.outgoing({name: LARGE[:1000]})[0]
        os.unlink(file.file)
        before = place.head
        with pytest.raises(StorageError):
            send(place, place.remote, [file])
        assert place.head == before


class TestHeadsThatMove:
    def test_the_other_commit_stays(self, place: Place) -> None:
        before = place.head
        theirs = place.put({"theirs.txt": b"theirs"})
        with pytest.raises(ConflictError) as caught:
            send(place, place.remote, place.outgoing({"ours.bin": LARGE}), parent=before)
        assert (caught.value.code, caught.value.exit_status) == ("StaleParent", 1)
        assert place.head == theirs

    def test_between_objects_and_commit(self, place: Place) -> None:
        before = place.head
        theirs: list[str] = []

        def move(_bytes: int) -> None:
            if not theirs:
                result = place.remote.commit(place.repo, "main", [Regular("t.txt", b"t")], title="t", parent=before)
                theirs.append(result.commit)

        with pytest.raises(ConflictError) as caught:
            send(place, place.remote, place.outgoing({"ours.bin": LARGE}), parent=before, progress=move)
        assert caught.value.code == "StaleParent"
        assert [place.head] == theirs

    def test_a_commit_whose_answer_is_lost_is_not_sent_twice(self, place: Place) -> None:
        before = place.head
        with place.through(Lie("POST", "/commit/", ResetConnection(-1))) as (remote, liar):
            with pytest.raises(UnavailableError):
                send(place, remote, place.outgoing({"a.txt": b"1"}))
            assert len(asked(liar, "POST", "/commit/")) == 1
        assert place.head != before
        assert place.read("a.txt") == b"1"

    def test_a_commit_that_was_refused_is_sent_again(self, place: Place) -> None:
        with place.through(Lie("POST", "/commit/", rate_limited())) as (remote, liar):
            send(place, remote, place.outgoing({"a.txt": b"1"}))
            assert len(asked(liar, "POST", "/commit/")) == 2


class TestFailures:
    @pytest.mark.parametrize("step", ["/preupload/", "/objects/batch", "/lfs/upload/", "/lfs/verify/", "/commit/"])
    def test_no_commit_is_made_where_a_step_fails(self, place: Place, step: str) -> None:
        before = place.head
        with place.through(Lie("*", step, unavailable(), times=None)) as (remote, _):
            with pytest.raises(UnavailableError) as caught:
                send(place, remote, place.outgoing({"a.txt": b"1", "b.bin": PARTED if "verify" in step else LARGE}))
            assert caught.value.code == "HubUnavailable"
        assert place.head == before

    @pytest.mark.parametrize("step", ["/preupload/", "/objects/batch", "/lfs/upload/", "/lfs/verify/"])
    @pytest.mark.parametrize("fault", [unavailable(), rate_limited(), ResetConnection(-1), ResetConnection(0)])
    def test_what_passes_is_waited_for(self, place: Place, step: str, fault: ResetConnection) -> None:
        content = PARTED if "verify" in step else LARGE
        with place.through(Lie("*", step, fault)) as (remote, liar):
            files = place.outgoing({"a.txt": b"1", "b.bin": content})
            try:
                send(place, remote, files)
            except UnavailableError:  # the connection was reset behind a whole answer, and the commit went out on it:
                assert isinstance(fault, ResetConnection)  # that is not tried again unasked
                send(place, remote, files)
            assert any(one.fault for one in liar.requests)
        assert place.read("b.bin") == content

    def test_no_repo(self, place: Place) -> None:
        place.remote.delete_repo(place.repo)
        with pytest.raises(NotFoundError) as caught:
            send(place, place.remote, place.outgoing({"a.txt": b"1"}), parent="0" * 40)
        assert caught.value.code == "RepoNotFound"

    def test_one_failure_ends_the_others(self, place: Place) -> None:
        files = place.outgoing({f"{number}.bin": noise(10_000, number) for number in range(40)})
        os.unlink(files[0].file)
        files[0] = files[0]._replace(file=files[1].file)  # the wrong bytes under a right name: the hub refuses them
        with place.through() as (remote, liar):
            with pytest.raises(IntegrityError):
                send(place, remote, files, jobs=1)
            assert len(asked(liar, "PUT", "/lfs/upload/")) <= 3


def batch_answer(**action: object) -> bytes:
    upload_action = {"href": "http://127.0.0.1:9/x", **action}
    one = {"oid": sha256_of(LARGE), "size": len(LARGE), "actions": {"upload": upload_action}}
    return json.dumps({"transfer": "basic", "objects": [one]}).encode()


class TestAnswersOfNoHub:
    @pytest.mark.parametrize(
        "batch",
        [
            b'{"objects": []}',
            json.dumps({"objects": [{"oid": "0" * 64, "size": 3}]}).encode(),
            json.dumps(
                {"objects": [{"oid": sha256_of(LARGE), "size": 1, "error": {"code": 422, "message": "no room"}}]}
            ).encode(),
            batch_answer(header={"chunk_size": "many"}),
            batch_answer(header={"chunk_size": "0", "00001": "http://127.0.0.1:9/x"}),
            batch_answer(header={"chunk_size": "-5", "00001": "http://127.0.0.1:9/x"}),
            batch_answer(header={"chunk_size": "100000", "00001": "http://127.0.0.1:9/x"}),
            batch_answer(
                header={"chunk_size": "100000", "00002": "http://127.0.0.1:9/x", "00003": "http://127.0.0.1:9/x"}
            ),
        ],
    )
    def test_to_a_batch(self, place: Place, batch: bytes) -> None:
        def answer(seen: Seen) -> Reply:
            if "preupload" in seen.path:
                mode = wire.PreuploadAnswer("b.bin", "lfs")
                return Reply(200, json.dumps({"files": [{"path": mode.path, "uploadMode": mode.mode}]}).encode())
            return Reply(200, batch)

        with serving(answer) as server, Session(server.url, retries=0) as session:
            with pytest.raises(UnavailableError) as caught:
                send(place, Remote(session), place.outgoing({"b.bin": LARGE}), parent="0" * 40)
            assert caught.value.code == "BadAnswer"
            assert not any("/commit/" in seen.path for seen in server.seen)

    def test_no_word_about_a_file(self, place: Place) -> None:
        with serving(lambda _seen: OK._replace(body=b'{"files": []}')) as server, Session(server.url) as session:
            with pytest.raises(TenutoError) as caught:
                send(place, Remote(session), place.outgoing({"b.bin": LARGE}), parent="0" * 40)
            assert caught.value.code == "BadAnswer"
