"""What a hub says that things cost, against the disk itself: what is there, and what is gone once they are deleted."""

import os
from pathlib import Path

import pytest

from tenuto.server.upkeep.usage import Cost, Usage, measure
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed
from tests.server.conftest import Owner
from tests.server.talk import Talk, gone, large, small
from tests.server.upkeep_hub import (
    BOTH,
    CHUNKED,
    SHARED,
    TWICE,
    WHOLE,
    XORB,
    Sample,
    collect,
    copy_sample,
    make_sample,
    noise,
    opened,
    rows,
)

ANN, THREE, BOB = "hf://ann/one", "hf://ann/three", "hf://bob/two"


def add_more(folder: Path, tokens: dict[str, str]) -> None:
    """A content that two repos of one user hold, a past one, a pending one, and one that is whole here and in chunks there."""
    with LiveHub(str(folder)) as hub:
        ann, bob = (Owner(name, tokens[name], Talk(hub.url, tokens[name]), "") for name in ("ann", "bob"))
        for repo in ("ann/one", "ann/three"):
            oid = ann.talk.put_large(repo, noise(9000, 300))
            ann.talk.commit(repo, large("mine.bin", oid)).raise_for_status()
        oid = ann.talk.put_large("ann/three", noise(4000, 301))
        ann.talk.commit("ann/three", large("past.bin", oid), small("p.txt", b"p" * 700)).raise_for_status()
        ann.talk.commit("ann/three", gone("past.bin"), gone("p.txt")).raise_for_status()
        ann.talk.put_large("ann/three", noise(2000, 302))
        oid = ann.talk.put_large("ann/three", CHUNKED.content)
        ann.talk.commit("ann/three", large("whole.bin", oid)).raise_for_status()
        here = Owner("ann", ann.token, ann.talk, "ann/three")
        Cas(here).put_file(BOTH)
        committed(here, BOTH, "both.bin")
        ann.talk.close()
        bob.talk.close()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    made = make_sample(tmp_path_factory.mktemp("sample") / "data")
    add_more(made.folder, made.tokens)
    return made


def usage(folder: Path) -> Usage:
    with opened(folder) as parts:
        return measure(parts, str(folder))


def disk_bytes(folder: Path) -> int:
    """Bytes of all files in the store, and of all git objects in the database."""
    places = [os.path.join(root, name) for root, _, names in os.walk(folder / "store-v1") for name in names]
    ((git,),) = rows(folder, "SELECT coalesce(sum(length(body)), 0) FROM git_objects")
    return git + sum(os.stat(place).st_size for place in places)


def delete(folder: Path, sample: Sample, repos: list[str]) -> None:
    with LiveHub(str(folder)) as hub:
        for repo in repos:
            user, name = repo.removeprefix("hf://").split("/")
            talk = Talk(hub.url, sample.tokens[user])
            talk.delete(f"{user}/{name}").raise_for_status()
            talk.close()
        collect(hub.hub.parts, str(folder), 0.1)


def test_the_whole_is_what_lies_on_the_disk(sample: Sample) -> None:
    found = usage(sample.folder)
    assert found.total.stored_bytes == found.total.freed_bytes == disk_bytes(sample.folder)
    assert (found.loose_bytes, found.trash_bytes) == (0, 0)
    assert found.total.files == sum(one.cost.files for one in found.repos)
    assert {one.repo for one in found.repos} == {ANN, THREE, BOB}
    assert {(one.user, one.repos) for one in found.users} == {("ann", 2), ("bob", 1)}


@pytest.mark.parametrize("repo", [ANN, THREE, BOB])
def test_deleting_a_repo_frees_what_was_said(sample: Sample, tmp_path: Path, repo: str) -> None:
    folder = copy_sample(sample, tmp_path / "data")
    (cost,) = (one.cost for one in usage(folder).repos if one.repo == repo)
    before = disk_bytes(folder)
    delete(folder, sample, [repo])
    assert before - disk_bytes(folder) == cost.freed_bytes
    left = usage(folder)
    assert left.total.stored_bytes == before - cost.freed_bytes
    assert left.trash_bytes + left.loose_bytes <= cost.freed_bytes


@pytest.mark.parametrize("user", ["ann", "bob"])
def test_deleting_all_of_a_user_frees_what_was_said(sample: Sample, tmp_path: Path, user: str) -> None:
    folder = copy_sample(sample, tmp_path / "data")
    found = usage(folder)
    (cost,) = (one.cost for one in found.users if one.user == user)
    before = disk_bytes(folder)
    delete(folder, sample, [one.repo for one in found.repos if one.user == user])
    assert before - disk_bytes(folder) == cost.freed_bytes


@pytest.mark.parametrize("repo", [ANN, THREE, BOB])
def test_a_repo_alone_costs_what_is_stored_for_it(sample: Sample, tmp_path: Path, repo: str) -> None:
    folder = copy_sample(sample, tmp_path / "data")
    found = {one.repo: one.cost for one in usage(folder).repos}
    delete(folder, sample, [other for other in found if other != repo])
    assert disk_bytes(folder) == found[repo].stored_bytes


def test_the_numbers_of_a_repo_that_is_known_byte_by_byte(sample: Sample) -> None:
    """Written down by hand: what bob holds."""
    (cost,) = (one.cost for one in usage(sample.folder).repos if one.repo == BOB)
    of_bob = "repo_id = (SELECT id FROM repos WHERE name = 'two')"
    ((attributes, git),) = rows(
        sample.folder, f"SELECT max(CASE kind WHEN 'blob' THEN size END), sum(size) FROM git_objects WHERE {of_bob}"
    )
    assert attributes > 1000
    assert cost == Cost(
        files=4,  # .gitattributes, notes.txt, the object, the chunked file
        file_bytes=attributes + 2 + len(TWICE) + len(BOTH.content),
        held_bytes=git + len(TWICE) + len(BOTH.content),
        stored_bytes=git + len(TWICE) + len(SHARED.body),
        freed_bytes=git,  # ann has all of the rest too
    )
    assert len(WHOLE) + len(XORB.body) < usage(sample.folder).total.stored_bytes


def test_the_trash_and_what_nobody_holds_are_told(sample: Sample, tmp_path: Path) -> None:
    folder = copy_sample(sample, tmp_path / "data")
    with opened(folder) as parts:
        parts.store.put(noise(1234, 400))
    assert usage(folder).loose_bytes == 1234
    with opened(folder) as parts:
        collect(parts, str(folder), 0.1)
    found = usage(folder)
    assert (found.loose_bytes, found.trash_bytes) == (0, 1234)


def test_an_empty_hub(tmp_path: Path) -> None:
    found = usage(tmp_path / "new")
    assert (found.repos, found.users, found.total) == ([], [], Cost())
