"""Faults 5, 23 and 24: a hub that sends the wrong thing or nothing, and sources that change under a lock. Blobs stay installable by hash."""

from collections.abc import Callable

import pytest

from tenuto.core.errors import TenutoError
from tenuto.project.pull import Trust
from tenuto.store.local import LocalStore
from tenuto.testing.lies import (
    Fault,
    Gzipped,
    IgnoredRange,
    Lie,
    ResetConnection,
    ShiftedRange,
    Slow,
    Stall,
    Status,
    Truncated,
    WrongBytes,
    WrongEtag,
    captive_portal,
    rate_limited,
    unavailable,
)
from tests.hub.place import check_whole, noise
from tests.project.conftest import Scene
from tests.project.outside import PATH, Outside, outside

__all__ = ["outside"]

WEIGHTS = noise(12_000_000, 1)
FILES = {"model.safetensors": WEIGHTS, "config.json": b"{}\n", "README.md": b"---\nlicense: mit\n---\n"}
BYTES = r"/resolve/|/objects/|/packs?/|/pack|/xet"

LASTING: dict[str, tuple[Fault, set[str]]] = {
    "wrong bytes": (WrongBytes(), {"HashMismatch"}),
    "cut off": (Truncated(), {"NetworkFailure"}),
    "reset at the start": (ResetConnection(-1), {"NetworkFailure"}),
    "compressed": (Gzipped(), {"BadAnswer", "HashMismatch"}),
    "a captive portal": (captive_portal(), {"BadAnswer", "HashMismatch", "SizeMismatch"}),
    "a redirect to nowhere, of another size": (
        Status(302, {"Location": "/nowhere", "X-Linked-Size": "7", "Content-Length": "0"}),
        {"RepoNotFound", "EntryNotFound", "RouteNotFound", "UserNotFound"},
    ),
    "a storm of 503": (unavailable(), {"HubUnavailable"}),
    "429 without a word": (Status(429), {"RateLimited"}),
}
PASSING: dict[str, Fault] = {
    "a shifted range": ShiftedRange(),
    "200 to a range": IgnoredRange(),
    "a wrong etag": WrongEtag(),
    "503": unavailable(),
    "429 with RateLimit": rate_limited(),
    "429 with Retry-After": Status(429, {"Retry-After": "1"}),
    "a reset at 99 %": ResetConnection(int(len(WEIGHTS) * 0.99)),
    "a stall": Stall(30),
}


@pytest.mark.parametrize("name", LASTING)
def test_while_a_fault_lasts_nothing_of_it_is_taken(outside: Outside, name: str) -> None:
    fault, codes = LASTING[name]
    outside.publish(FILES)
    with outside.lying(Lie("*", BYTES, fault, times=None), retries=1), pytest.raises(TenutoError) as caught:
        outside.add()
    assert caught.value.code in codes, caught.value
    assert outside.files() == {}
    check_whole(LocalStore(str(outside.keeper.cache)))
    outside.add()
    assert outside.files() == FILES


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_is_gone_round(outside: Outside, name: str) -> None:
    outside.publish(FILES)
    with outside.lying(Lie("GET", BYTES, PASSING[name]), retries=5, timeout_s=1.0) as liar:
        outside.add()
    assert outside.files() == FILES
    check_whole(LocalStore(str(outside.keeper.cache)))
    assert any(one.fault for one in liar.requests) or name in {"a shifted range", "200 to a range"}


def test_one_byte_a_second_is_no_silence_and_does_not_spoil_the_rest(outside: Outside) -> None:
    """Slow is not dead: the transfer goes on; a person who gives up loses nothing that was complete."""
    outside.publish({"slow.txt": b"slow\n", **FILES})
    with outside.lying(Lie("GET", "slow.txt", Slow(5.0)), retries=0):
        outside.add()
    assert outside.files() == {"slow.txt": b"slow\n", **FILES}


MIRRORED = [WrongBytes(), Status(404), unavailable(), captive_portal(), Truncated()]


@pytest.mark.parametrize("fault", MIRRORED, ids=lambda fault: type(fault).__name__)
def test_a_source_that_lies_is_left_for_the_next(outside: Outside, fault: Fault) -> None:
    """Fault 5: source demoted, next source tried."""
    outside.publish(FILES)
    first, outside.repo = outside.repo, f"{outside.owner}/mirror"
    outside.publish(FILES)
    with outside.lying(Lie("GET", f"/{first}/resolve/", fault, times=None), Lie("*", "pack", Status(404), times=None)):
        outside.add(mirrors=(f"hf://{outside.repo}",))
    assert outside.files() == FILES


class TestSourcesThatChange:
    """Fault 24: the lock says what is wanted; what the source has become is named, and what is here stays."""

    @pytest.fixture
    def locked(self, outside: Outside) -> Outside:
        outside.publish(FILES)
        outside.add()
        return outside

    def check_installable(self, locked: Outside) -> None:
        """What the store has can be laid out without the source."""
        (locked.keeper.root / PATH / "model.safetensors").unlink()
        locked.pull()
        assert locked.files() == FILES

    def move_away(self, locked: Outside) -> None:
        locked.api.move_repo(locked.repo, f"{locked.owner}/elsewhere")

    def squat(self, locked: Outside) -> None:
        locked.api.delete_repo(locked.repo)
        locked.publish({**FILES, "model.safetensors": WEIGHTS[::-1]})

    def force_push(self, locked: Outside) -> None:
        locked.publish({"config.json": b'{"later": 1}\n'})
        locked.api.super_squash_history(locked.repo)

    CHANGES: dict[str, Callable[["TestSourcesThatChange", Outside], object]] = {  # noqa: RUF012
        "deleted": lambda _, locked: locked.api.delete_repo(locked.repo),
        "made anew by a squatter": squat,
        "its history rewritten": force_push,
        "gated": lambda _, locked: locked.api.update_repo_settings(locked.repo, gated="manual"),
        "private": lambda _, locked: locked.api.update_repo_settings(locked.repo, private=True),
    }

    @pytest.mark.parametrize("change", CHANGES)
    def test_what_is_here_stays_and_is_laid_out_again(self, locked: Outside, change: str) -> None:
        self.CHANGES[change](self, locked)
        self.check_installable(locked)
        locked.pull(trust=Trust.LOCKED)
        assert not locked.keeper.verify().findings

    @pytest.mark.parametrize("change", ["deleted", "made anew by a squatter", "gated", "private"])
    def test_on_a_new_machine_it_is_named(self, locked: Outside, change: str) -> None:
        """Never other bytes under the old lock."""
        self.CHANGES[change](self, locked)
        locked.forget_store()
        (locked.keeper.root / PATH / "model.safetensors").unlink()
        codes = {"RepoNotFound", "RevisionNotFound", "GatedRepo", "EntryNotFound", "DigestMismatch"}
        error = locked.fails(lambda: locked.pull(trust=Trust.LOCKED), *codes)
        assert "theirs" in str(error) or locked.repo in str(error)

    @pytest.mark.parametrize("change", ["deleted", "made anew by a squatter", "its history rewritten", "gated"])
    def test_on_a_new_machine_a_mirror_has_it_by_hash(self, outside: Outside, change: str) -> None:
        outside.publish(FILES)
        first, outside.repo = outside.repo, f"{outside.owner}/mirror"
        outside.publish(FILES)
        outside.repo = first
        outside.add(mirrors=(f"hf://{outside.owner}/mirror",))
        listing = outside.keeper.lock.artifacts["theirs"].digest
        text = LocalStore(str(outside.keeper.cache)).read(listing)
        self.CHANGES[change](self, outside)
        outside.forget_store()
        LocalStore(str(outside.keeper.cache)).put(text)
        (outside.keeper.root / PATH / "model.safetensors").unlink()
        outside.pull(trust=Trust.LOCKED)
        assert outside.files() == FILES

    def test_a_renamed_repo_is_found(self, locked: Outside) -> None:
        self.move_away(locked)
        self.check_installable(locked)
        locked.forget_store()
        (locked.keeper.root / PATH / "config.json").unlink()
        locked.pull()
        assert locked.files() == FILES

    def test_a_tag_that_was_moved(self, outside: Outside) -> None:
        outside.publish(FILES)
        outside.api.create_tag(outside.repo, tag="v1")
        outside.add(f"{outside.source}@v1")
        outside.publish({"config.json": b"moved\n"})
        outside.api.delete_tag(outside.repo, tag="v1")
        outside.api.create_tag(outside.repo, tag="v1")
        outside.forget_store()
        (outside.keeper.root / PATH / "config.json").unlink()
        outside.pull(trust=Trust.LOCKED)
        assert outside.files() == FILES
        outside.upgrade()
        assert outside.files()["config.json"] == b"moved\n"

    def test_a_licence_that_changed(self, outside: Outside) -> None:
        manifest = outside.keeper.root / "tenuto.toml"
        manifest.write_text('[policy]\nlicenses = ["MIT"]\nunknown_license = "refuse"\n')
        outside.publish(FILES)
        outside.add()
        outside.publish({"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n", "config.json": b"new\n"})
        error = outside.fails(outside.upgrade, "LicenseRefused")
        assert "cc-by-nc-4.0" in str(error)
        assert outside.files() == FILES


class TestLocks:
    """Fault 24: a lock that was edited, merged badly, or comes from the future."""

    HANDS: dict[str, Callable[[str], str]] = {  # noqa: RUF012
        "merge markers": lambda text: f"<<<<<<< ours\n{text}=======\n>>>>>>> theirs\n",
        "a key twice": lambda text: text.replace("files = 3\n", "files = 3\nfiles = 3\n"),
        "a newer version": lambda text: text.replace("version = 1\n", "version = 99\n"),
        "another digest": lambda text: text.replace('digest = "', 'digest = "0')[:-1],
        "no lock at all": lambda text: "not = [a lock",
    }

    @pytest.mark.parametrize("hand", HANDS)
    def test_is_refused_before_anything_is_done(self, outside: Outside, hand: str) -> None:
        outside.publish(FILES)
        outside.add()
        lock = outside.keeper.root / "tenuto.lock"
        lock.write_text(self.HANDS[hand](lock.read_text()))
        requests = len(outside.hub.log())
        for run in (outside.pull, outside.upgrade, outside.add, outside.keeper.push, outside.keeper.verify):
            error = outside.fails(run, "NewerLock" if hand == "a newer version" else "BadLock")
            assert error.exit_status == 2
        assert len(outside.hub.log()) == requests

    def test_another_digest_of_the_same_length_is_never_believed(self, outside: Outside) -> None:
        outside.publish(FILES)
        outside.add()
        digest = outside.keeper.lock.artifacts["theirs"].digest
        lock = outside.keeper.root / "tenuto.lock"
        lock.write_text(lock.read_text().replace(digest, digest[::-1]))
        error = outside.fails(outside.pull, "DigestMismatch")
        assert digest in str(error)
        assert digest[::-1] in str(error)
        assert outside.files() == FILES


def test_a_hub_that_starts_anew_during_a_download_costs_nothing(scene: Scene) -> None:
    """Fault 23: the server stops and comes back while bytes are on their way (see also tests/crash/test_hub_killed.py)."""
    outside = Outside(scene)
    outside.publish(FILES)
    with outside.lying(
        Lie("GET", BYTES, ResetConnection(100_000), times=2), Lie("*", "", unavailable(), times=3, after=3), retries=8
    ):
        outside.add()
    assert outside.files() == FILES
