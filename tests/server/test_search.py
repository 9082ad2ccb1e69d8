"""Repos are found by what they are, by those who may see them, page by page; likes, users, and one's own repos."""

import os
import shutil
import subprocess
import sys

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import gone, small

pytestmark = pytest.mark.wire
MODEL = b"""---
license: mit
library_name: transformers
pipeline_tag: text-generation
language: [en, de]
tags: [audio, Lo-Fi]
datasets: [ns/data]
---
"""
DATASET = b"""---
license: apache-2.0
language: en
task_categories: [audio-classification]
size_categories: 1K<n<10K
---
"""


@pytest.fixture
def api(owner: Owner, stock) -> HfApi:
    """Three models and a dataset: `alpha` with a card, `beta` without one and gated, `gamma` private with the card of alpha."""
    talk, name = owner.talk, owner.name
    for repo, private in (("alpha", False), ("beta", False), ("gamma", True)):
        talk.create(f"{name}/{repo}", private=private).raise_for_status()
    talk.create(f"{name}/data", kind="dataset").raise_for_status()
    for repo in ("alpha", "gamma"):
        talk.commit(f"{name}/{repo}", small("README.md", MODEL)).raise_for_status()
    talk.commit(f"{name}/data", small("README.md", DATASET), kind="datasets").raise_for_status()
    api = stock(owner.token)
    api.update_repo_settings(f"{name}/beta", gated="auto")
    return api


def names(found) -> list[str]:
    return [one.id.partition("/")[2] for one in found]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({}, {"repo", "alpha", "beta", "gamma"}),
        ({"filter": "audio"}, {"alpha", "gamma"}),
        ({"filter": ["audio", "Lo-Fi"]}, {"alpha", "gamma"}),
        ({"filter": ["audio", "other"]}, set()),
        ({"filter": "audi"}, set()),
        ({"filter": "transformers"}, {"alpha", "gamma"}),
        ({"filter": "license:mit"}, {"alpha", "gamma"}),
        ({"filter": "en"}, {"alpha", "gamma"}),
        ({"filter": "language:de"}, {"alpha", "gamma"}),
        ({"trained_dataset": "ns/data"}, {"alpha", "gamma"}),
        ({"pipeline_tag": "text-generation"}, {"alpha", "gamma"}),
        ({"pipeline_tag": "audio"}, set()),
        ({"search": "ALPH"}, {"alpha"}),
        ({"search": "%"}, set()),
        ({"search": "_"}, set()),
        ({"gated": True}, {"beta"}),
        ({"gated": False}, {"repo", "alpha", "gamma"}),
        ({"gated": False, "search": "a", "filter": "audio", "sort": "likes"}, {"alpha", "gamma"}),
    ],
)
def test_models_are_found_by_what_they_are(
    api: HfApi, owner: Owner, hub: LiveHub, stock, question: dict, expected: set
):
    assert set(names(api.list_models(author=owner.name, **question))) == expected
    for other in (stock(False), stock(hub.user())):
        assert set(names(other.list_models(author=owner.name, **question))) == expected - {"gamma"}
    assert set(names(stock(hub.admin_token).list_models(author=owner.name, **question))) == expected


def test_datasets_and_spaces(api: HfApi, owner: Owner) -> None:
    for question in (
        {"language": "en"},
        {"task_categories": "audio-classification"},
        {"size_categories": "1K<n<10K"},
        {"dataset_name": "dat"},
        {"dataset_name": "dat", "search": owner.name},
        {"filter": "license:apache-2.0", "gated": False},
    ):
        assert names(api.list_datasets(author=owner.name, **question)) == ["data"], question
    assert names(api.list_datasets(author=owner.name, language="fr")) == []
    assert names(api.list_spaces(author=owner.name)) == []


def test_a_list_follows_every_change_of_a_card(api: HfApi, owner: Owner) -> None:
    repo = f"{owner.name}/alpha"
    assert names(api.list_models(author=owner.name, filter="audio", search="alpha")) == ["alpha"]
    owner.talk.commit(repo, small("README.md", b"---\ntags: [new]\n---\n")).raise_for_status()
    assert names(api.list_models(author=owner.name, filter="audio", search="alpha")) == []
    assert names(api.list_models(author=owner.name, filter="new")) == ["alpha"]
    owner.talk.commit(repo, gone("README.md")).raise_for_status()
    assert names(api.list_models(author=owner.name, filter="new")) == []
    owner.talk.commit(repo, small("README.md", b"---\n[\n---\n")).raise_for_status()
    assert "alpha" in names(api.list_models(author=owner.name))
    api.move_repo(repo, f"{owner.name}/omega")
    assert names(api.list_models(author=owner.name, search="omega")) == ["omega"]
    api.delete_repo(f"{owner.name}/omega")
    assert names(api.list_models(author=owner.name, search="omega")) == []


def test_what_a_list_says(api: HfApi, owner: Owner) -> None:
    (found,) = api.list_models(author=owner.name, search="alpha")
    assert (found.author, found.private, found.gated, found.disabled) == (owner.name, False, False, False)
    assert (found.pipeline_tag, found.library_name) == ("text-generation", "transformers")
    assert (found.siblings, found.card_data) == (None, None)
    assert found.tags == [
        "audio",
        "Lo-Fi",
        "transformers",
        "text-generation",
        "en",
        "de",
        "dataset:ns/data",
        "license:mit",
    ]
    assert found.tags == api.model_info(found.id).tags
    assert found.sha == api.model_info(found.id).sha
    assert found.last_modified
    (full,) = api.list_models(author=owner.name, search="alpha", full=True)
    assert [one.rfilename for one in full.siblings] == [".gitattributes", "README.md"]
    (card,) = api.list_models(author=owner.name, search="alpha", cardData=True)
    assert card.card_data.license == "mit"
    (chosen,) = api.list_models(author=owner.name, search="alpha", expand=["likes", "tags", "usedStorage"])
    assert (chosen.likes, chosen.used_storage, chosen.sha, chosen.author) == (0, 0, None, None)
    info = owner.talk.get(f"/api/models/{found.id}?expand=likes&expand=xetEnabled").json()
    assert info.keys() == {"_id", "id", "likes", "xetEnabled"}


@pytest.mark.parametrize("sort", ["lastModified", "createdAt", "likes", "downloads", "trendingScore", None])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_are_the_whole(api: HfApi, owner: Owner, sort: str | None, limit: int) -> None:
    question = {"author": owner.name, "limit": str(limit), **({"sort": sort} if sort else {})}
    answer, found, sizes = owner.talk.get("/api/models", params=question), [], []
    while True:
        found += [one["id"] for one in answer.json()]
        sizes.append(len(answer.json()))
        if "next" not in answer.links:
            break
        answer = owner.talk.get(answer.links["next"]["url"])
    assert sorted(found) == sorted(f"{owner.name}/{one}" for one in ("alpha", "beta", "gamma", "repo"))
    assert all(size == limit for size in sizes[:-1])
    assert len(list(api.list_models(author=owner.name, limit=2))) == 2


def test_sorted_by_likes_and_time(api: HfApi, owner: Owner, hub: LiveHub, speak) -> None:
    for liked, count in (("beta", 2), ("alpha", 1)):
        for number in range(count):
            speak(hub.user(f"fan{number}")).post(f"/api/models/{owner.name}/{liked}/like").raise_for_status()
    assert names(api.list_models(author=owner.name, sort="likes"))[:2] == ["beta", "alpha"]
    assert names(api.list_models(author=owner.name, sort="created_at")) == ["gamma", "beta", "alpha", "repo"]
    owner.talk.commit(owner.repo, small("x", b"")).raise_for_status()
    assert names(api.list_models(author=owner.name))[0] == "repo"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("sort=x", 400),
        ("cursor=x", 400),
        ("cursor=1", 400),
        ("cursor=1:2:3", 400),
        ("limit=0", 400),
        ("num_parameters=min:1B", 501),
        ("inference=warm", 501),
        ("&".join(["filter=x"] * 50), 413),
        ("limit=1000000000", 200),
        ("cursor=0:0", 200),
        ("search=%00&filter=%00&author=%00", 200),
    ],
)
def test_questions_that_are_wrong(owner: Owner, query: str, status: int) -> None:
    assert owner.talk.get(f"/api/models?{query}").status_code == status


def test_likes(owner: Owner, make_owner, hub: LiveHub, stock, speak) -> None:
    hidden, fan = make_owner(private=True), hub.user("fan")
    api, talk = stock(fan), speak(fan)
    for _ in range(2):
        talk.post(f"/api/models/{owner.repo}/like").raise_for_status()
    hidden.talk.post(f"/api/models/{hidden.repo}/like").raise_for_status()
    assert talk.post(f"/api/models/{hidden.repo}/like").status_code == 404
    assert speak(None).post(f"/api/models/{owner.repo}/like").status_code == 401
    assert [one.username for one in api.list_repo_likers(owner.repo)] == ["fan"]
    assert api.model_info(owner.repo).likes == 1
    assert api.list_liked_repos("fan").models == [owner.repo]
    assert api.list_liked_repos(hidden.name).total == 0, "what is hidden is not told by those who like it"
    assert stock(hidden.token).list_liked_repos().models == [hidden.repo]
    api.unlike(owner.repo)
    api.unlike(owner.repo)
    assert list(api.list_repo_likers(owner.repo)) == []
    with pytest.raises(RepositoryNotFoundError):
        api.unlike(hidden.repo)
    for number in range(5):
        speak(hub.user(f"liker{number}")).post(f"/api/models/{owner.repo}/like").raise_for_status()
    first = talk.get(f"/api/models/{owner.repo}/likers?limit=3")
    second = talk.get(first.links["next"]["url"])
    assert [one["user"] for one in first.json() + second.json()] == [f"liker{number}" for number in range(5)]


def test_overviews(api: HfApi, owner: Owner, hub: LiveHub, stock) -> None:
    mine = api.get_user_overview(owner.name)
    assert (mine.username, mine.user_type, mine.num_models, mine.num_datasets) == (owner.name, "user", 4, 1)
    assert stock(False).get_user_overview(owner.name).num_models == 3
    admin = stock(hub.admin_token)
    admin.create_repo("acme/open")
    admin.create_repo("acme/closed", private=True)
    admin.create_repo("secret/closed", private=True)
    assert stock(False).get_organization_overview("acme").num_models == 1
    assert admin.get_organization_overview("acme").num_models == 2
    for name in ("nobody", "secret", owner.name):
        with pytest.raises(HfHubHTTPError) as caught:
            stock(False).get_organization_overview(name)
        assert caught.value.response.status_code == 404
    with pytest.raises(HfHubHTTPError):
        api.get_user_overview("nobody")


def test_own_repos(api: HfApi, owner: Owner, hub: LiveHub, stock, tmp_path) -> None:
    owner.talk.put_large(f"{owner.name}/beta", b"x" * 100_000)
    found = {one.id.partition("/")[2]: one for one in api.list_user_repos()}
    assert set(found) == {"repo", "alpha", "beta", "gamma", "data"}
    assert (found["gamma"].visibility, found["data"].type) == ("private", "dataset")
    assert found["beta"].storage > 100_000
    assert 99 < sum(one.storage_percent for one in found.values()) < 101
    assert {one.id for one in api.list_user_repos(owner.name)} == {one.id for one in found.values()}
    with pytest.raises(HfHubHTTPError):
        list(stock(hub.user()).list_user_repos(owner.name))
    hf = shutil.which("hf", path=os.path.dirname(sys.executable))
    assert hf
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": owner.token, "HF_HOME": str(tmp_path)}
    listed = subprocess.run([hf, "repos", "ls"], env=environment, capture_output=True, text=True, check=True)
    assert all(one.id in listed.stdout for one in found.values())
