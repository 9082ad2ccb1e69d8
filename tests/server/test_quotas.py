"""Quotas hold exactly, whoever uploads at the same time and by whatever way; what is refused leaves nothing."""

import hashlib
import importlib
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError

from tenuto.core.ids import RepoId
from tenuto.core.wire import SENDS_CHUNKS
from tenuto.server.content import staging
from tenuto.server.git_wire import landing as git_store
from tenuto.server.hub import Limits
from tenuto.server.quota import Usage, set_quota, usage
from tenuto.server.quota.totals import over_time, wrong_totals
from tenuto.server.repos.rows import find_repo
from tenuto.server.upkeep.check import QUICK, check_hub
from tenuto.testing.live_hub import LiveHub, ProcessHub
from tests.server.cas import Cas, committed
from tests.server.conftest import Owner
from tests.server.git_client import Clone, GitFailed, address
from tests.server.talk import Talk, gone, large, small
from tests.server.test_concurrency import at_once
from tests.server.upkeep_hub import change, collect, make_sample, noise, opened, stored
from tests.store.xet_build import File, make_xorb

KB = 1000


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub(
        limits=Limits(large_file=20 << 20, commit_body=64 << 20, multipart_from=200 * KB, part=50 * KB)
    ) as live:
        yield live


def key_of(hub: LiveHub, repo: str) -> int:
    with hub.hub.parts.database.read() as connection:
        found = find_repo(connection, RepoId.parse(repo))
    assert found
    return found.key


def used(hub: LiveHub, repo: str) -> Usage:
    key = key_of(hub, repo)
    with hub.hub.parts.database.read() as connection:
        assert list(wrong_totals(connection)) == []
        return usage(connection, key)


def allow(hub: LiveHub, repo: str, more_bytes: int | None) -> int:
    """Let a repo hold so many bytes more than it does; how many that are together."""
    allowed = used(hub, repo).counted_bytes + (more_bytes or 0)
    key = key_of(hub, repo)
    with hub.hub.parts.database.write() as connection:
        set_quota(connection, None if more_bytes is None else allowed, repo_key=key)
    return allowed


def allow_account(hub: LiveHub, name: str, allowed_bytes: int) -> None:
    with hub.hub.parts.database.write() as connection:
        user = connection.exec_driver_sql("SELECT id FROM users WHERE name = ?", (name,)).scalar_one()
        set_quota(connection, allowed_bytes, account_id=user)


def is_refused(answer: httpx2.Response) -> bool:
    if answer.headers.get("X-Error-Code") != "QuotaExceeded":
        assert answer.status_code == 200, answer.text
        return False
    assert answer.status_code == 413
    assert "Quota exceeded: " in answer.json()["error"]
    return True


def link(talk: Talk, repo: str, data: bytes) -> str:
    """Leave to upload: nothing is reserved by it."""
    answer = talk.batch(repo, (hashlib.sha256(data).hexdigest(), len(data)))
    return answer.json()["objects"][0]["actions"]["upload"]["href"]


def test_of_many_uploads_at_once_exactly_as_many_succeed_as_fit(hub: LiveHub, owner: Owner) -> None:
    allowed = allow(hub, owner.repo, 7 * 30 * KB + 29_999)
    contents = [noise(30 * KB, 1000 + number) for number in range(20)]
    links = [link(owner.talk, owner.repo, content) for content in contents]
    before = stored(hub.data_dir)["objects"]

    def work(talk: Talk, number: int) -> bool:
        return not is_refused(talk.put(links[number], contents[number]))

    done = at_once(hub, owner.token, 20, work)
    assert done.count(True) == 7
    assert used(hub, owner.repo).counted_bytes == allowed - 29_999
    kept = {hashlib.sha256(contents[number]).hexdigest() for number, is_in in enumerate(done) if is_in}
    assert stored(hub.data_dir)["objects"] - before == kept
    lines = [large(f"{name}.bin", name) for name in kept]
    owner.talk.commit(owner.repo, *lines).raise_for_status()


def test_all_repos_of_an_account_share_its_quota(hub: LiveHub, make_owner) -> None:
    owner = make_owner()
    owner.talk.create(f"{owner.name}/other", kind="dataset").raise_for_status()
    repos = [owner.repo, f"datasets/{owner.name}/other"]
    held = sum(used(hub, f"hf://{repo}").counted_bytes for repo in repos)
    allow_account(hub, owner.name, held + 5 * 20 * KB)
    contents = [noise(20 * KB, 2000 + number) for number in range(16)]

    def batch(number: int) -> str:
        prefix, repo = ("datasets/", f"{owner.name}/other") if number % 2 else ("", owner.repo)
        oid = hashlib.sha256(contents[number]).hexdigest()
        answer = owner.talk.batch(repo, (oid, 20 * KB), prefix=prefix)
        return answer.json()["objects"][0]["actions"]["upload"]["href"]

    links = [batch(number) for number in range(16)]
    done = at_once(hub, owner.token, 16, lambda talk, n: not is_refused(talk.put(links[n], contents[n])))
    assert done.count(True) == 5
    assert sum(used(hub, f"hf://{repo}").counted_bytes for repo in repos) == held + 5 * 20 * KB
    assert owner.talk.create(f"{owner.name}/third").headers["X-Error-Code"] == "QuotaExceeded"


def test_commits_of_small_files_at_once(hub: LiveHub, owner: Owner) -> None:
    allowed = allow(hub, owner.repo, 4 * 10 * KB)

    def work(talk: Talk, number: int) -> bool:
        return not is_refused(talk.commit(owner.repo, small(f"{number}.txt", noise(10 * KB, 3000 + number))))

    done = at_once(hub, owner.token, 12, work)
    assert done.count(True) == 4
    assert used(hub, owner.repo).counted_bytes == allowed
    assert len(owner.talk.listing(owner.repo)) == 5


def test_a_large_commit_that_is_refused_leaves_no_row(
    hub: LiveHub, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "STAGE_BYTES", 100 * KB)
    allow(hub, owner.repo, 380 * KB)
    before = used(hub, owner.repo)
    pieces = [noise(95 * KB, 4000 + number) for number in range(5)]
    lines = [small(f"{number}.dat", piece) for number, piece in enumerate(pieces)]
    assert is_refused(owner.talk.commit(owner.repo, *lines))
    assert used(hub, owner.repo) == before
    assert not is_refused(owner.talk.commit(owner.repo, *lines[:4]))
    assert used(hub, owner.repo).file_bytes == before.file_bytes + 380 * KB
    assert owner.talk.read(owner.repo, "3.dat").content == pieces[3]


def test_pushes_are_told_and_leave_no_row(
    hub: LiveHub, owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_store, "_BATCH_BYTES", 100 * KB)
    clone = Clone.of(address(hub.url, owner.repo, owner.token), tmp_path / "clone")
    allow(hub, owner.repo, 200 * KB)
    before = used(hub, owner.repo)
    clone.commit(**{f"{number}.dat": noise(70 * KB, 5000 + number) for number in range(3)})
    with pytest.raises(GitFailed, match=r"Quota exceeded: .* may hold .* and holds .*; 210 kB more do not fit"):
        clone.git("push", "origin", "main")
    assert used(hub, owner.repo) == before
    allow(hub, owner.repo, 210 * KB)
    clone.git("push", "-q", "origin", "main")
    assert used(hub, owner.repo).counted_bytes == before.counted_bytes + 210 * KB


def test_parts_and_packs_are_held_to_it(hub: LiveHub, owner: Owner) -> None:
    content = noise(300 * KB, 6000)
    oid = hashlib.sha256(content).hexdigest()
    allow(hub, owner.repo, 300 * KB)
    answer = owner.talk.batch(owner.repo, (oid, 300 * KB), transfers=("basic", "multipart")).json()
    upload = answer["objects"][0]["actions"]["upload"]
    parts = {int(number): href for number, href in upload["header"].items() if number.isdigit()}
    tags = []
    for number, href in sorted(parts.items()):
        piece = content[(number - 1) * 50 * KB : number * 50 * KB]
        tags.append({"partNumber": number, "etag": owner.talk.put(href, piece).headers["ETag"]})
    allow(hub, owner.repo, 300 * KB - 1)
    completion = {"oid": oid, "parts": tags}
    assert is_refused(httpx2.post(upload["href"], json=completion, trust_env=False))
    assert is_refused(owner.talk.put(parts[1], content[: 50 * KB]))
    assert oid not in stored(hub.data_dir)["objects"]
    allow(hub, owner.repo, 300 * KB)
    assert not is_refused(httpx2.post(upload["href"], json=completion, trust_env=False))
    assert used(hub, owner.repo).object_bytes == 300 * KB


def test_chunks_count_as_they_are_stored(hub: LiveHub, owner: Owner) -> None:
    xorb = make_xorb([noise(3000 + k, 7000 + k) for k in range(6)])
    file, other = File([(xorb, 0, 6)]), File([(xorb, 1, 3)])
    allowed = allow(hub, owner.repo, len(xorb.body) - 1)
    cas = Cas(owner)
    assert cas.put_xorb(xorb).status_code == 413
    assert xorb.name not in stored(hub.data_dir)["xorbs"]
    allowed = allow(hub, owner.repo, len(xorb.body))
    cas.put_file(file)
    cas.put_file(other)
    committed(owner, file, "file.bin")
    committed(owner, other, "other.bin")
    found = used(hub, owner.repo)
    assert (found.xorb_bytes, found.object_bytes) == (len(xorb.body), 0)
    assert found.counted_bytes <= allowed


def test_uploads_are_refused_before_they_begin(hub: LiveHub, owner: Owner) -> None:
    allow(hub, owner.repo, 50 * KB)
    base = f"/api/models/{owner.repo}"
    oids = [(f"{number:064x}", 20 * KB) for number in range(3)]
    assert not is_refused(owner.talk.batch(owner.repo, *oids[:2]))
    assert is_refused(owner.talk.batch(owner.repo, *oids))
    assert not is_refused(owner.talk.batch(owner.repo, *oids, transfers=("basic", "multipart", "xet")))
    edited = ("e" * 64, 9 << 20)
    assert is_refused(owner.talk.batch(owner.repo, edited))
    owner.talk.client.headers[SENDS_CHUNKS] = "1"
    assert not is_refused(owner.talk.batch(owner.repo, edited))
    assert is_refused(owner.talk.batch(owner.repo, *oids))
    del owner.talk.client.headers[SENDS_CHUNKS]
    files = [{"path": f"{number}.txt", "sample": "", "size": 20 * KB} for number in range(3)]
    assert not is_refused(owner.talk.post(f"{base}/preupload/main", {"files": files[:2]}))
    refused = owner.talk.post(f"{base}/preupload/main", {"files": files})
    assert is_refused(refused)
    assert "60.0 kB more do not fit" in refused.json()["error"]
    assert "tenuto repo usage" in refused.text
    href = link(owner.talk, owner.repo, noise(40 * KB, 1))
    allow(hub, owner.repo, 30 * KB)
    assert is_refused(owner.talk.put(href, noise(40 * KB, 1)))


def test_whoever_has_too_much_can_still_delete(hub: LiveHub, owner: Owner) -> None:
    oid = owner.talk.put_large(owner.repo, noise(90 * KB, 8000))
    owner.talk.commit(owner.repo, large("big.bin", oid), small("a.txt", b"a" * KB)).raise_for_status()
    allow(hub, owner.repo, -50 * KB)
    talk, base = owner.talk, f"/api/models/{owner.repo}"
    assert is_refused(talk.commit(owner.repo, small("b.txt", b"b")))
    assert not is_refused(talk.commit(owner.repo, small("c.txt", b"a" * KB)))
    assert not is_refused(talk.commit(owner.repo, gone("a.txt")))
    assert not is_refused(talk.post(f"{base}/branch/side"))
    assert talk.post(f"{base}/lfs-files/batch", {"deletions": {"sha": [oid]}}).json()["freedBytes"] == 90 * KB
    assert not is_refused(talk.commit(owner.repo, small("b.txt", b"b")))
    assert used(hub, owner.repo).object_bytes == 0


def test_a_copy_and_a_move_are_held_to_the_quota_of_their_target(hub: LiveHub, make_owner) -> None:
    owner, other = make_owner(), make_owner()
    oid = owner.talk.put_large(owner.repo, noise(40 * KB, 9000))
    owner.talk.commit(owner.repo, large("a.bin", oid)).raise_for_status()
    owner.talk.create(f"{owner.name}/second").raise_for_status()
    allow(hub, f"{owner.name}/second", 40 * KB - 1)
    body = {"target": {"name": f"{owner.name}/second", "type": "model"}, "files": [{"sha256": oid}]}
    assert is_refused(owner.talk.post(f"/api/models/{owner.repo}/lfs-files/duplicate", body))
    allow(hub, f"{owner.name}/second", 40 * KB)
    assert not is_refused(owner.talk.post(f"/api/models/{owner.repo}/lfs-files/duplicate", body))
    allow_account(hub, other.name, used(hub, other.repo).counted_bytes + 40 * KB)
    with closing(Talk(hub.url, hub.admin_token)) as admin:
        names = {"fromRepo": owner.repo, "toRepo": f"{other.name}/moved", "type": "model"}
        assert is_refused(admin.post("/api/repos/move", names))
        assert owner.talk.get(f"/api/models/{owner.repo}").json()["id"] == owner.repo
        allow_account(hub, other.name, used(hub, other.repo).counted_bytes + 60 * KB)
        assert not is_refused(admin.post("/api/repos/move", names))


def test_stock_clients_show_what_the_hub_says(hub: LiveHub, owner: Owner, stock) -> None:
    allow(hub, owner.repo, 10 * KB)
    api = stock(owner.token)
    for path, size in (("a.txt", 20 * KB), ("a.bin", 20 * KB)):
        with pytest.raises(HfHubHTTPError, match=r"Quota exceeded: .*; 20\.0 kB more do not fit"):
            api.create_commit(owner.repo, [CommitOperationAdd(path, noise(size, 1))], commit_message="too much")


def test_each_day_on_which_something_changed_is_noted(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    sample = make_sample(folder)
    with opened(folder) as parts, parts.database.read() as connection:
        keys = connection.exec_driver_sql("SELECT id FROM repos ORDER BY id").scalars().all()
        for key in keys:
            (day,) = over_time(connection, key)[0]
            assert day.number == parts.now_ms() // 86_400_000
            assert day.usage.counted_bytes == usage(connection, key).counted_bytes > 1000
    with LiveHub(str(folder)) as hub, closing(Talk(hub.url, sample.tokens["ann"])) as talk:
        talk.client.request("DELETE", "/api/models/ann/one/branch/side").raise_for_status()
        collect(hub.hub.parts, str(folder))
        collect(hub.hub.parts, str(folder), 40)
        with hub.hub.parts.database.read() as connection:
            first, later = over_time(connection, key_of(hub, "ann/one"))[0]
            assert later.number - first.number == 40
            assert later.usage == usage(connection, key_of(hub, "ann/one"))
            assert later.usage.file_bytes < first.usage.file_bytes


def test_totals_are_right_whatever_was_done_and_a_check_says_if_not(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    sample = make_sample(folder)
    with LiveHub(str(folder)) as hub, closing(Talk(hub.url, sample.tokens["ann"])) as talk:
        sha256 = next(iter(stored(folder)["objects"]))
        talk.post("/api/models/ann/one/lfs-files/batch", {"deletions": {"sha": [sha256]}}).raise_for_status()
        talk.post("/api/models/ann/one/super-squash/main", {}).raise_for_status()
        collect(hub.hub.parts, str(folder))
        collect(hub.hub.parts, str(folder), 40)
        talk.delete("ann/three").raise_for_status()
        with hub.hub.parts.database.read() as connection:
            assert list(wrong_totals(connection)) == []
            assert connection.exec_driver_sql("SELECT count(*) FROM repo_usage").scalar() == 2
    change(folder, "UPDATE repo_usage SET object_bytes = object_bytes + 1 WHERE repo_id = 1")
    with opened(folder) as parts:
        (finding,) = check_hub(parts, str(folder), QUICK).findings
        assert (finding.fault, finding.kind, finding.name) == ("wrong row", "usage", "hf://ann/one")


@pytest.mark.parametrize("rounds", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_a_hub_that_is_killed_has_counted_right_and_let_in_no_more_than_fits(tmp_path: Path, rounds: int) -> None:
    data = tmp_path / "data"
    with ProcessHub(str(data)) as hub:
        token = hub.user("kim")
        with closing(Talk(hub.url, token)) as talk:
            talk.create("kim/repo").raise_for_status()
        with opened(data) as parts, parts.database.write() as connection:
            set_quota(connection, 400 * KB, repo_key=1)
        for number in range(rounds):
            if number:
                hub.start()
            upload_until_killed(hub, token, 100_000 * number)
            with opened(data) as parts, parts.database.read() as connection:
                assert list(wrong_totals(connection)) == []
                assert 0 < usage(connection, 1).counted_bytes <= 400 * KB


def upload_until_killed(hub: ProcessHub, token: str, seed: int) -> None:
    begun = threading.Event()

    def work(number: int) -> None:
        with closing(Talk(hub.url, token)) as talk, suppress(httpx2.HTTPError, KeyError):
            for turn in range(100):
                content = noise(9 * KB, seed + 1000 * number + turn)
                if turn % 2:
                    talk.commit("kim/repo", small(f"{number}-{turn}.txt", content))
                else:
                    talk.put_large("kim/repo", content)
                begun.set()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    hub.kill()
    for thread in threads:
        thread.join()


def test_what_an_older_hub_holds_is_counted_when_it_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    make_sample(folder)
    with opened(folder) as parts:
        with parts.database.read() as connection:
            before = [usage(connection, key) for key in (1, 2, 3)]
        with parts.database.write() as connection:
            triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'usage_%'"
            for name in connection.exec_driver_sql(triggers).scalars().all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
            for table in ("repo_usage", "usage_days", "repo_quotas", "account_quotas"):
                connection.exec_driver_sql(f"DROP TABLE {table}")
            migration: Any = importlib.import_module("tenuto.server.migrations.versions.v0010_usage")
            with Operations.context(MigrationContext.configure(connection)):
                migration.upgrade()
            assert [usage(connection, key) for key in (1, 2, 3)] == before
            assert all(one.counted_bytes > 0 for one in before)
            assert list(wrong_totals(connection)) == []
