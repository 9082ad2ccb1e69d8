"""What a hub says of the space that a repo uses, against the disk itself, once the things are gone."""

import contextlib
import hashlib
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tenuto.core.ids import RepoId
from tenuto.core.space import Overview
from tenuto.server.repos.rows import find_repo
from tenuto.server.space.overview import read_overview
from tenuto.server.upkeep.usage import measure
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed
from tests.server.conftest import Owner
from tests.server.talk import Talk, gone, large, small
from tests.server.test_upkeep_usage import add_more, disk_bytes
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


def add_branches(folder: Path, tokens: dict[str, str]) -> None:
    """Branches, tags and pull requests with what only they need, and with what others need too."""
    with LiveHub(str(folder)) as hub, closing(Talk(hub.url, tokens["ann"])) as ann:
        repo, api = "ann/one", "/api/models/ann/one"
        for branch in ("alone", "mixed"):
            ann.post(f"{api}/branch/{branch}").raise_for_status()
        oid = ann.put_large(repo, noise(7000, 400))
        ann.commit(repo, large("own.bin", oid), small("x/y.txt", b"y" * 600), rev="alone").raise_for_status()
        oid = ann.put_large(repo, noise(5000, 401))
        ann.commit(repo, large("both.bin", oid), rev="mixed").raise_for_status()
        ann.commit(repo, large("elsewhere.bin", oid)).raise_for_status()
        ann.post(f"{api}/tag/mixed", {"tag": "kept", "message": "m"}).raise_for_status()
        ann.commit(repo, small("after.txt", b"z" * 800), rev="mixed").raise_for_status()
        here = Owner("ann", tokens["ann"], ann, repo)
        Cas(here).put_file(CHUNKED)
        committed(here, CHUNKED, "chunked/again.bin")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    made = make_sample(tmp_path_factory.mktemp("sample") / "data")
    add_more(made.folder, made.tokens)
    add_branches(made.folder, made.tokens)
    return made


def overview(folder: Path, repo: str, most: int = 1000) -> Overview:
    with opened(folder) as parts, parts.database.read() as connection:
        found = find_repo(connection, RepoId.parse(repo))
        assert found
        return read_overview(connection, parts.store, found, most, parts.now_ms())


@pytest.mark.parametrize("repo", ["ann/one", "ann/three", "bob/two"])
def test_the_whole_is_what_the_hub_counts(sample: Sample, repo: str) -> None:
    found = overview(sample.folder, repo)
    with opened(sample.folder) as parts:
        (cost,) = (one.cost for one in measure(parts, str(sample.folder)).repos if one.repo == f"hf://{repo}")
    assert (found.held, found.freed) == (cost.stored_bytes, cost.freed_bytes)
    assert found.totals.counted + found.totals.history <= found.held
    assert (found.file_count, found.version_count) == (len(found.files), len(found.versions))
    assert sum(one.size or 0 for one in found.files) == cost.file_bytes
    (main,) = (one for one in found.refs if one.ref == "refs/heads/main")
    assert main.size == cost.file_bytes


def settled(folder: Path, do: Callable[[Talk], object] | None, sample: Sample) -> int:
    """What lies on the disk once something was done, and the wait is over; the trash is empty by then."""
    with LiveHub(str(folder)) as hub, closing(Talk(hub.url, sample.tokens["ann"])) as talk:
        if do:
            do(talk)
        for days in (0, 40, 50):
            collect(hub.hub.parts, str(folder), days)
    return disk_bytes(folder)


@pytest.mark.parametrize("ref", ["side", "alone", "mixed", "v1", "kept"])
def test_deleting_a_branch_or_tag_frees_what_was_said(sample: Sample, tmp_path: Path, ref: str) -> None:
    kind = "tags" if ref in {"v1", "kept"} else "heads"
    word = "tag" if kind == "tags" else "branch"

    def delete(talk: Talk) -> None:
        talk.client.request("DELETE", f"/api/models/ann/one/{word}/{ref}").raise_for_status()

    (space,) = (one for one in overview(sample.folder, "ann/one").refs if one.ref == f"refs/{kind}/{ref}")
    before = settled(copy_sample(sample, tmp_path / "before"), None, sample)
    after = settled(copy_sample(sample, tmp_path / "after"), delete, sample)
    assert before - after == space.freed
    assert (space.freed > 7000) is (ref == "alone")


@pytest.mark.parametrize(
    "content", [WHOLE, TWICE, CHUNKED.content, BOTH.content], ids=["whole", "twice", "cut", "both"]
)
def test_deleting_a_large_file_from_all_versions_frees_what_was_said(
    sample: Sample, tmp_path: Path, content: bytes
) -> None:
    sha256 = hashlib.sha256(content).hexdigest()
    found = overview(sample.folder, "ann/one")
    named = [one for one in found.files if one.path.endswith(f"{sha256[:4]}.bin")]
    assert [one.versions for one in named] == [1]
    folder = copy_sample(sample, tmp_path / "data")
    ((pointer,),) = rows(folder, "SELECT sum(size) FROM git_objects WHERE repo_id = 1 AND lfs_sha256 = ?", sha256)
    with LiveHub(str(folder)) as hub, closing(Talk(hub.url, sample.tokens["ann"])) as talk:
        answer = talk.post("/api/models/ann/one/lfs-files/batch", {"deletions": {"sha": [sha256]}})
        freed = answer.json()["freedBytes"]
    if content == CHUNKED.content:  # it has two names: deleting one frees nothing
        assert (named[0].freed, named[0].returned) == (0, 0)
        assert freed == len(XORB.body)
        return
    assert named[0].freed == freed + pointer
    assert named[0].held >= freed


def test_what_others_need_frees_nothing_but_leaves_the_quota(sample: Sample) -> None:
    found = {one.path: one for one in overview(sample.folder, "ann/one").files}
    twice = next(one for path, one in found.items() if path.startswith("folder/") and one.size == len(TWICE))
    assert (twice.freed < 200, twice.returned) == (True, len(TWICE))
    both = next(one for path, one in found.items() if path.startswith("chunked/") and one.size == len(BOTH.content))
    assert (both.freed < 200, both.returned) == (True, 0)
    assert overview(sample.folder, "bob/two").totals.chunks == len(SHARED.body)


def test_versions_say_what_came_with_them_and_what_is_theirs_alone(tmp_path: Path) -> None:
    with LiveHub(str(tmp_path / "data")) as hub, closing(Talk(hub.url, hub.user("eva"))) as talk:
        talk.create("eva/repo").raise_for_status()
        talk.commit("eva/repo", small("a.txt", b"a" * 1000), small("stays.txt", b"s" * 300)).raise_for_status()
        talk.commit("eva/repo", small("a.txt", b"b" * 2000)).raise_for_status()
        talk.commit("eva/repo", gone("a.txt"), small("copy.txt", b"s" * 300)).raise_for_status()
        answer = talk.get("/api/models/eva/repo/usage").json()
        log = [one["id"] for one in talk.get("/api/models/eva/repo/commits/main").json()]
        pending = talk.put_large("eva/repo", noise(3000, 1))
        later = talk.get("/api/models/eva/repo/usage?limit=1").json()
    versions = {one["commit"]: one for one in answer["versions"]}
    newest, second, first, begin = (versions[oid] for oid in log)
    assert [one["added"] for one in (newest, second, first)] == [0, 2000, 1300]
    assert [one["returned"] for one in (newest, second, first, begin)] == [0, 2000, 1000, 0]
    assert all(one["freed"] >= one["returned"] for one in versions.values())
    files = {one["path"]: one for one in answer["files"]}
    assert [files["a.txt"][key] for key in ("versions", "size", "held", "freed", "returned")] == [
        2,
        None,
        3000,
        3000,
        3000,
    ]
    assert [files["stays.txt"][key] for key in ("size", "held", "freed")] == [300, 300, 0]
    assert (answer["pending"], later["pending"]) == (0, 3000)
    assert later["totals"]["counted"] == answer["totals"]["counted"] + 3000
    assert (len(later["files"]), later["fileCount"], later["versionCount"]) == (1, 4, 4)
    assert len(answer["days"]) == 1
    assert answer["days"][0]["totals"] == answer["totals"]
    assert pending


def test_lists_are_cut_in_the_order_that_is_told_and_say_how_many_there_are(owner: Owner) -> None:
    talk, repo = owner.talk, owner.repo
    for name, size in (("small", 100), ("large", 900), ("same", 0)):
        talk.post(f"/api/models/{repo}/branch/{name}").raise_for_status()
        if size:
            talk.commit(repo, small(f"{name}.txt", name[0].encode() * size), rev=name).raise_for_status()
    found = talk.get(f"/api/models/{repo}/usage").json()
    assert [one["ref"][11:] for one in found["refs"]] == ["large", "small", "main", "same"]
    for name, count in (("files", "fileCount"), ("versions", "versionCount"), ("refs", "refCount")):
        whole = found[name]
        assert len(whole) == found[count] > 2
        assert talk.get(f"/api/models/{repo}/usage?limit=2").json()[name] == whole[:2]
    held = [one["held"] for one in found["files"]]
    gained = [max(one["added"], one["freed"]) for one in found["versions"]]
    assert (held, gained) == (sorted(held, reverse=True), sorted(gained, reverse=True))


def test_few_wait_for_an_overview_and_the_others_are_told(hub: LiveHub, owner: Owner) -> None:
    url = f"/api/models/{owner.repo}/usage"
    with contextlib.ExitStack() as stack:
        stack.enter_context(hub.hub.parts.overviews.turn("a test"))
        with ThreadPoolExecutor(4) as threads:
            asked = [threads.submit(httpx2.get, f"{hub.url}{url}", headers=owner.talk.client.headers) for _ in range(4)]
            (refused,) = wait(asked, return_when=FIRST_COMPLETED).done
            assert refused.result().status_code == 503
            assert owner.talk.get(f"/{owner.repo}/resolve/main/.gitattributes").status_code == 200
            stack.close()
        assert sorted(one.result().status_code for one in asked) == [200, 200, 200, 503]


def test_only_who_administers_the_repo_learns_it(hub: LiveHub, make_owner, speak) -> None:
    owner, stranger = make_owner(), make_owner()
    assert owner.talk.get(f"/api/models/{owner.repo}/usage").status_code == 200
    assert stranger.talk.get(f"/api/models/{owner.repo}/usage").status_code == 403
    assert speak(None).get(f"/api/models/{owner.repo}/usage").status_code == 401
