"""A hub that misbehaves: never a wrong byte in the store, the right error if it goes on, a good end if it stops."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from tenuto.core.errors import IntegrityError, TenutoError, UnavailableError
from tenuto.core.gitobj import blob_id
from tenuto.hub.download import Wanted, download
from tenuto.store.local import LocalStore
from tenuto.testing.lies import (
    Answer,
    Fault,
    Gzipped,
    IgnoredRange,
    Lie,
    ResetConnection,
    ShiftedRange,
    Stall,
    Status,
    Truncated,
    Wait,
    WrongBytes,
    WrongEtag,
    captive_portal,
    rate_limited,
    unavailable,
)
from tests.cli import program
from tests.hub.place import Place, check_whole, noise, sha256_of

SIZE = 300_000
CONTENT = noise(SIZE)
TEXT = b"a line of text\n" * 500
FLIPPED = WrongBytes()


@dataclass(frozen=True)
class Silent(Fault):
    """The head of the answer, then nothing for `seconds`."""

    seconds: float

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        answer.body = self._waiting(answer.whole(), wait)
        return answer

    def _waiting(self, body: bytes, wait: Wait) -> Iterator[bytes]:
        wait(self.seconds)
        yield body


@dataclass(frozen=True)
class Longer(Fault):
    """The right bytes and some more; their number is announced, or nothing is."""

    announced: bool

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        body = answer.whole() + b"and more"
        if self.announced:
            answer.headers["content-length"] = str(len(body))
        else:
            del answer.headers["content-length"]
            answer.ending = "cut"
        answer.body = [body]
        return answer


@dataclass(frozen=True)
class Shorter(Fault):
    """A part of the bytes, announced as if they were all."""

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        body = answer.whole()[:-1000]
        answer.headers["content-length"] = str(len(body))
        answer.body = [body]
        return answer


@dataclass(frozen=True)
class Unannounced(Fault):
    """The right bytes to half of them, without a length, and a clean end."""

    def bend(self, answer: Answer, wait: Wait) -> Answer:
        body = answer.whole()
        del answer.headers["content-length"]
        answer.body, answer.ending = [body[: len(body) // 2]], "cut"
        return answer


class Case(NamedTuple):
    """A fault, and how a download ends while it lasts: with the code of an error, or well. `held` bytes are there already."""

    fault: Fault
    code: str | None
    held: int = 0
    exit_status: int = 6


CASES = {
    "wrong bytes": Case(FLIPPED, "HashMismatch", exit_status=5),
    "wrong bytes behind held ones": Case(FLIPPED, "HashMismatch", held=1000, exit_status=5),
    "half, then closed": Case(Truncated(), "NetworkFailure"),
    "nothing, then closed": Case(Truncated(0), "NetworkFailure"),
    "a little each time": Case(Truncated(10_000), None),
    "half, then reset": Case(ResetConnection(), "NetworkFailure"),
    "reset before an answer": Case(ResetConnection(-1), "NetworkFailure"),
    "a shifted range": Case(ShiftedRange(), None, held=1000),
    "a range shifted back": Case(ShiftedRange(-1), None, held=1000),
    "an ignored range": Case(IgnoredRange(), None, held=1000),
    "429": Case(rate_limited(), "RateLimited"),
    "429 without a word": Case(Status(429), "RateLimited"),
    "503": Case(unavailable(), "HubUnavailable"),
    "503 with a time": Case(unavailable(3), "HubUnavailable", held=1000),
    "silence": Case(Silent(30), "Stalled"),
    "silence behind held bytes": Case(Silent(30), "Stalled", held=200_000),
    "compressed": Case(Gzipped(), "BadAnswer"),
    "compressed behind held bytes": Case(Gzipped(), "BadAnswer", held=1000),
    "captive portal": Case(captive_portal(), "BadAnswer"),
    "captive portal behind held bytes": Case(captive_portal(), "BadAnswer", held=1000),
    "a page without a word of it": Case(Status(200, {}, b"<html>"), "SizeMismatch", exit_status=5),
    "wrong ETag": Case(WrongEtag(), None),
    "longer": Case(Longer(announced=True), "SizeMismatch", exit_status=5),
    "longer, unannounced": Case(Longer(announced=False), "SizeMismatch", exit_status=5),
    "shorter": Case(Shorter(), "SizeMismatch", exit_status=5),
    "half, unannounced": Case(Unannounced(), "NetworkFailure"),
    "a part, unasked": Case(Status(206, {"Content-Range": f"bytes 0-9/{SIZE}"}, CONTENT[:10]), "BadAnswer"),
    "a part of something else": Case(
        Status(206, {"Content-Range": f"bytes 1000-1009/{SIZE}"}, CONTENT[1000:1010]), "BadAnswer", held=1000
    ),
    "416": Case(Status(416, {"Content-Range": f"bytes */{SIZE}"}), "BadAnswer", held=1000),
    "204": Case(Status(204), "BadAnswer"),
}


def patience_s(fault: Fault) -> float:
    """Seconds until a silence is a stall: short where one is to come, long where a busy machine must not make one."""
    return 0.25 if isinstance(fault, Silent | Stall) else 20.0


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "store"))


@pytest.fixture
def filled(place: Place) -> Place:
    place.put({"weights.bin": CONTENT, "notes.txt": TEXT})
    return place


WEIGHTS = Wanted("weights.bin", SIZE, sha256_of(CONTENT))
NOTES = Wanted("notes.txt", len(TEXT), None, blob_id(TEXT))


def hold(store: LocalStore, held: int) -> None:
    with store.receive(key=WEIGHTS.key) as incoming:
        incoming.write(CONTENT[:held])


class TestFiles:
    @pytest.mark.parametrize("name", CASES)
    def test_while_it_lasts(self, filled: Place, store: LocalStore, name: str) -> None:
        case = CASES[name]
        hold(store, case.held)
        commit = filled.head
        lie = Lie("GET", "/weights.bin", case.fault, times=None)
        with filled.through(lie, timeout_s=patience_s(case.fault)) as (remote, liar):
            if case.code is None:
                download(remote, filled.repo, commit, [WEIGHTS, NOTES], store)
                assert check_whole(store) == {sha256_of(CONTENT), sha256_of(TEXT)}
                return
            with pytest.raises(TenutoError) as caught:
                download(remote, filled.repo, commit, [WEIGHTS], store)
            assert (caught.value.code, caught.value.exit_status) == (case.code, case.exit_status)
            assert caught.value.hint or case.code in {"RateLimited", "HubUnavailable", "BadAnswer"}
            assert check_whole(store) == set()
            liar.lies = []
            download(remote, filled.repo, commit, [WEIGHTS, NOTES], store)
            assert check_whole(store) == {sha256_of(CONTENT), sha256_of(TEXT)}

    @pytest.mark.parametrize("name", CASES)
    def test_that_passes(self, filled: Place, store: LocalStore, name: str) -> None:
        case = CASES[name]
        hold(store, case.held)
        lie = Lie("GET", "/weights.bin", case.fault, times=1)
        with filled.through(lie, timeout_s=patience_s(case.fault)) as (remote, liar):
            download(remote, filled.repo, filled.head, [WEIGHTS, NOTES], store)
            assert [one.fault for one in liar.requests if one.fault] == [case.fault]
        assert check_whole(store) == {sha256_of(CONTENT), sha256_of(TEXT)}

    def test_wrong_bytes_are_named_with_both_hashes_and_the_source(self, filled: Place, store: LocalStore) -> None:
        found: list[str] = []

        @dataclass(frozen=True)
        class Remembered(WrongBytes):
            def bend(self, answer: Answer, wait: Wait) -> Answer:
                bent = b"".join(super().bend(answer, wait).body)
                found.append(hashlib.sha256(bent).hexdigest())
                answer.body = [bent]
                return answer

        with filled.through(Lie("GET", "/weights.bin", Remembered(), times=None)) as (remote, liar):
            with pytest.raises(IntegrityError) as caught:
                download(remote, filled.repo, filled.head, [WEIGHTS], store)
            for part in (sha256_of(CONTENT), found[-1], liar.url, filled.repo.web_path, "weights.bin"):
                assert part in caught.value.message

    def test_wrong_bytes_of_a_file_known_by_git_id(self, filled: Place, store: LocalStore) -> None:
        with filled.through(Lie("GET", "/notes.txt", FLIPPED, times=None)) as (remote, _):
            with pytest.raises(IntegrityError, match=blob_id(TEXT)) as caught:
                download(remote, filled.repo, filled.head, [NOTES], store)
            assert blob_id(bytes([TEXT[0] ^ 1]) + TEXT[1:]) in caught.value.message
        assert check_whole(store) == set()

    def test_a_reset_at_99_percent_costs_the_last_percent(self, filled: Place, store: LocalStore) -> None:
        reset = Lie("GET", "/weights.bin", ResetConnection(SIZE * 99 // 100))
        with filled.through(reset) as (remote, liar):
            download(remote, filled.repo, filled.head, [WEIGHTS], store)
            ranges = [one.headers.get("range") for one in liar.requests if "weights" in one.path]
        assert ranges[0] is None
        assert ranges[1] is not None, "it goes on, it does not begin anew"
        assert check_whole(store) == {sha256_of(CONTENT)}

    def test_the_hub_says_how_long_to_wait(self, filled: Place, store: LocalStore) -> None:
        waits: list[float] = []
        lies = [Lie("GET", "/weights.bin", rate_limited(7)), Lie("GET", "/weights.bin", unavailable(3), after=1)]
        with filled.through(*lies, sleep=waits.append) as (remote, _):
            download(remote, filled.repo, filled.head, [WEIGHTS], store)
        assert waits == [8.0, 4.0]

    def test_a_stall_in_the_middle_is_gone_round(self, filled: Place, store: LocalStore) -> None:
        with filled.through(Lie("GET", "/weights.bin", Stall(30)), timeout_s=patience_s(Stall(30))) as (remote, liar):
            download(remote, filled.repo, filled.head, [WEIGHTS], store)
            assert liar.requests[-1].headers["range"].startswith("bytes=")
        assert check_whole(store) == {sha256_of(CONTENT)}

    def test_one_fault_after_the_other(self, filled: Place, store: LocalStore) -> None:
        faults = [
            rate_limited(),
            Truncated(1000),
            captive_portal(),
            ResetConnection(),
            Gzipped(),
            FLIPPED,
        ]
        lies = [Lie("GET", "/weights.bin", fault, after=number) for number, fault in enumerate(faults)]
        with filled.through(*lies, retries=10) as (remote, liar):
            download(remote, filled.repo, filled.head, [WEIGHTS], store)
            assert [one.fault for one in liar.requests if one.fault] == faults
        assert check_whole(store) == {sha256_of(CONTENT)}


class TestQuestions:
    @pytest.mark.parametrize("fault", [captive_portal(), Gzipped(), Status(200, {}, b"{}")])
    @pytest.mark.parametrize("verb", ["info", "tree", "preupload"])
    def test_an_answer_of_no_hub(self, filled: Place, fault: Fault, verb: str) -> None:
        calls: dict[str, Callable[..., object]] = {
            "info": lambda remote: remote.info(filled.repo, "main"),
            "tree": lambda remote: list(remote.tree(filled.repo, "main")),
            "preupload": lambda remote: remote.preupload(filled.repo, "main", [_small()]),
        }
        with filled.through(Lie("*", "/api/", fault, times=None)) as (remote, _):
            with pytest.raises(UnavailableError) as caught:
                calls[verb](remote)
            assert caught.value.code == "BadAnswer"

    @pytest.mark.parametrize("fault", [rate_limited(), unavailable(), Truncated(), ResetConnection(-1), Silent(30)])
    def test_a_fault_that_passes(self, filled: Place, fault: Fault) -> None:
        with filled.through(Lie("GET", "/api/", fault), timeout_s=patience_s(fault)) as (remote, _):
            assert remote.info(filled.repo, "main").sha == filled.head
            assert len(list(remote.tree(filled.repo, "main"))) == 3


def _small() -> object:
    from tenuto.core.wire import PreuploadFile

    return PreuploadFile("a.txt", 1)


class TestCommandLine:
    """The same through `tenuto pull`, as a user sees it."""

    @pytest.mark.parametrize(
        ("fault", "exit_status"),
        [(FLIPPED, 5), (Longer(announced=False), 5), (unavailable(), 6), (captive_portal(), 6), (Truncated(0), 6)],
    )
    def test_a_failed_pull_changes_nothing(self, place: Place, tmp_path: Path, fault: Fault, exit_status: int) -> None:
        author, reader = tmp_path / "author", tmp_path / "reader"
        (author / "weights").mkdir(parents=True)
        (author / "weights" / "a.bin").write_bytes(noise(50_000, 1))
        (author / "weights" / "b.txt").write_bytes(b"first\n")
        direct = environment(place, place.remote.endpoint, tmp_path / "store-of-author")
        for command in (["init"], ["track", "weights", "--to", str(place.repo)], ["push"]):
            tenuto(author, direct, *command)
        reader.mkdir()
        with place.through() as (_, liar):
            mine = environment(place, liar.url, tmp_path / "store-of-reader")
            copy_words(author, reader)
            tenuto(reader, mine, "pull")
            (author / "weights" / "a.bin").write_bytes(noise(50_000, 2))
            (author / "weights" / "b.txt").write_bytes(b"second\n")
            tenuto(author, direct, "push")
            copy_words(author, reader)
            before = snapshot(reader)
            liar.lies = [Lie("GET", "/a.bin", fault, times=None)]
            failed = run(reader, mine, "pull")
            assert (failed.returncode, failed.stdout) == (exit_status, ""), failed.stderr
            assert place.token not in failed.stderr
            if fault == FLIPPED:
                flipped = bytes([noise(50_000, 2)[0] ^ 1]) + noise(50_000, 2)[1:]
                assert sha256_of(noise(50_000, 2)) in failed.stderr
                assert sha256_of(flipped) in failed.stderr
            assert snapshot(reader) == before
            check_whole(LocalStore(mine["TENUTO_CACHE"]))
            liar.lies = []
            tenuto(reader, mine, "pull")
            tenuto(reader, mine, "verify")
        assert (reader / "weights" / "a.bin").read_bytes() == noise(50_000, 2)
        assert (reader / "weights" / "b.txt").read_bytes() == b"second\n"


def environment(place: Place, endpoint: str, cache: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TENUTO_ENDPOINT": endpoint,
        "TENUTO_CACHE": str(cache),
        "TENUTO_RETRIES": "0",
        "HF_TOKEN": place.token,
    }


def run(project: Path, variables: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(command, *program.run([*command], project, variables))


def tenuto(project: Path, variables: dict[str, str], *command: str) -> None:
    done = run(project, variables, *command)
    assert done.returncode == 0, done.stderr


def copy_words(source: Path, target: Path) -> None:
    """What git would carry over: manifest and lock."""
    for name in ("tenuto.toml", "tenuto.lock"):
        (target / name).write_bytes((source / name).read_bytes())


def snapshot(project: Path) -> dict[str, bytes]:
    """Every file of the project but the program's own state."""
    files = (path for path in project.rglob("*") if path.is_file() and ".tenuto" not in path.parts)
    return {str(path.relative_to(project)): path.read_bytes() for path in files}
