"""`tenuto hub quota` and `tenuto repo usage`."""

import shutil

import pytest

from tenuto.server.audit.reading import Wanted, entries
from tenuto.server.quota import set_quota
from tenuto.server.space.targets import find_target
from tenuto.testing.live_hub import LiveHub
from tests.cli.conftest import Desk, Shell
from tests.server.talk import Talk, gone, small
from tests.server.upkeep_hub import Sample, make_sample, opened


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("sample") / "data")


def test_quotas_are_set_and_shown(sample: Sample, shell: Shell) -> None:
    shutil.copytree(sample.folder, shell.project / "hub-data")
    assert shell("hub", "quota", "set", "ann", "50GB").out == "ann may hold 50.0 GB\n"
    assert shell("hub", "quota", "set", "bob/two", "1MiB").out == "hf://bob/two may hold 1.0 MB\n"
    first, second = shell("hub", "quota", "show", "--json").json
    assert (first["name"], first["is_account"], first["allowed_bytes"]) == ("ann", True, 50_000_000_000)
    assert (second["name"], second["is_account"], second["allowed_bytes"]) == ("hf://bob/two", False, 1 << 20)
    assert 0 < second["used_bytes"] < first["used_bytes"]
    with opened(shell.project / "hub-data") as parts, parts.database.read() as connection:
        told = [(one.deed, one.subject, one.facts) for one in entries(connection, Wanted(limit=2))]
    assert told == [
        ("quota.change", "hf://bob/two", {"bytes": 1 << 20}),
        ("quota.change", "ann", {"bytes": 50_000_000_000}),
    ]


@pytest.mark.slow
def test_quotas_are_lifted(sample: Sample, shell: Shell) -> None:
    shutil.copytree(sample.folder, shell.project / "hub-data")
    assert shell("hub", "quota", "show").out == "No limits are set\n"
    shell("hub", "quota", "set", "ann", "50GB")
    assert [line.split()[-1] for line in shell("hub", "quota", "show").out.splitlines()[1:]] == ["ann"]
    assert shell("hub", "quota", "set", "ann", "none").out == "ann may hold any amount\n"
    assert shell("hub", "quota", "show", "--json").json == []
    for target, size, status in (("nobody", "1GB", 9), ("ann/none", "1GB", 9), ("ann", "much", 2)):
        assert shell("hub", "quota", "set", target, size).status == status


@pytest.fixture
def filled(hub: LiveHub, desk: Desk) -> Desk:
    repo = desk.repo.removeprefix("hf://datasets/")
    assert desk("repo", "create", desk.repo).status == 0
    talk = Talk(hub.url, desk.token)
    talk.commit(repo, small("a.bin", b"a" * 50_000), small("b.txt", b"b"), kind="datasets").raise_for_status()
    talk.commit(repo, small("a.bin", b"c" * 40_000), kind="datasets").raise_for_status()
    talk.commit(repo, gone("a.bin"), kind="datasets").raise_for_status()
    talk.post(f"/api/datasets/{repo}/branch/other").raise_for_status()
    talk.close()
    return desk


def test_what_uses_the_space_of_a_repo(filled: Desk) -> None:
    done = filled("repo", "usage", filled.repo)
    assert done.status == 0
    assert "  90.0 kB   90.0 kB   90.0 kB  a.bin  (2 versions, not in main)" in done.out
    assert "refs/heads/main" in done.out
    day = done.out.splitlines()[-1].split()
    assert (day[:2], day[3], len(day)) == (["92.4", "kB"], "kB", 5)
    short = filled("repo", "usage", filled.repo, "--most", "1").out
    assert "(and 2 files more; --most lists more)" in short
    assert "(and 1 ref more; --most lists more)" in short
    found = filled("repo", "usage", filled.repo, "--json").json
    assert (found["files"][0]["path"], found["files"][0]["returned"]) == ("a.bin", 90_000)
    assert found["quotas"] == []


def test_a_push_that_does_not_fit_says_so_and_can_be_repeated(hub: LiveHub, desk: Desk) -> None:
    desk.begin()
    name = desk.repo.removeprefix("hf://")
    with hub.hub.changing() as change:
        repo = find_target(change.connection, name).repo
        assert repo
        set_quota(change.connection, 20_000, repo_key=repo.key)
    desk.write("data/more.bin", bytes(range(256)) * 100)
    done = desk("push")
    assert (done.status, done.err.count("error:")) == (7, 1)
    assert "may hold 20.0 kB and holds " in done.err
    assert "25.6 kB more do not fit" in done.err
    assert "tenuto repo usage" in done.err
    with hub.hub.changing() as change:
        set_quota(change.connection, None, repo_key=repo.key)
    assert desk("push").status == 0


def test_other_hubs_and_repos_that_are_not_there(filled: Desk) -> None:
    assert filled("repo", "usage", "nobody/none").status == 9
