"""Fault 12: what somebody inside fetched through a cache on the way is given to nobody else."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from tenuto.testing.live_hub import LiveHub
from tests.faults.shared_cache import shared_cache
from tests.server.talk import Talk, large, small
from tests.server.test_policy import CALLERS, World, ask, rows, world

__all__ = ["world"]
SECRET = b"a line for those inside"
LARGE = SECRET * 20_000
ADDRESSES = (
    "/api/whoami-v2",
    "/api/models?author=keeper",
    "/api/models?search=keeper",
    "/api/users/keeper/overview",
    "/api/accounts/keeper/tokens",
    "/api/settings/repositories",
    "/keeper",
    "/settings",
    "/",
    *(
        address.format(repo=repo)
        for repo in ("keeper/private", "keeper/gated")
        for address in (
            "/api/models/{repo}",
            "/api/models/{repo}/tree/main?recursive=true",
            "/api/models/{repo}/commits/main",
            "/api/models/{repo}/refs",
            "/api/models/{repo}/auth-check",
            "/{repo}",
            "/{repo}/blob/main/notes.txt",
            "/{repo}/resolve/main/notes.txt",
            "/{repo}/resolve/main/m.bin",
            "/{repo}/raw/main/notes.txt",
            "/{repo}.git/info/refs?service=git-upload-pack",
        )
    ),
)


class Around(NamedTuple):
    """A hub, the cache before it, who keeps the repos, and a stranger; both ask through the cache."""

    cache: str
    direct: Talk
    keeper: Talk
    stranger: Talk
    nobody: Talk

    def fill(self, repo: str) -> None:
        oid = self.direct.put_large(repo, LARGE)
        line = large("m.bin", oid, len(LARGE))
        self.direct.commit(repo, line, small("notes.txt", SECRET), small("README.md", b"# For all")).raise_for_status()

    def set(self, repo: str, **settings: object) -> None:
        self.direct.client.put(f"/api/models/{repo}/settings", json=settings).raise_for_status()


@pytest.fixture(scope="module")
def around(hub: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Around]:
    token, other = hub.user("keeper"), hub.user("passer-by")
    place: Path = tmp_path_factory.mktemp("nginx")
    with shared_cache(hub.url, place) as cache:
        made = Around(cache, Talk(hub.url, token), Talk(cache, token), Talk(cache, other), Talk(cache, None))
        made.direct.create("keeper/private", private=True).raise_for_status()
        made.direct.create("keeper/gated").raise_for_status()
        for repo in ("keeper/private", "keeper/gated"):
            made.fill(repo)
        made.set("keeper/gated", gated="manual")
        yield made
        for talk in (made.direct, made.keeper, made.stranger, made.nobody):
            talk.close()


def test_the_cache_keeps_what_it_may(around: Around) -> None:
    page = around.nobody.get("/", headers={"Accept": "text/html"}).text
    style = page.split('href="/static/')[1].split('"')[0]
    kept = [around.nobody.get(f"/static/{style}").headers["X-Kept"] for _ in range(2)]
    assert kept == ["MISS", "HIT"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_what_the_keeper_fetched_is_for_the_keeper(hub: LiveHub, around: Around, address: str, accept: str) -> None:
    for _ in range(2):
        assert around.keeper.get(address, headers={"Accept": accept}).status_code == 200
    for talk, token in ((around.stranger, hub.user("passer-by")), (around.nobody, None)):
        got = talk.get(address, headers={"Accept": accept})
        direct = Talk(hub.url, token)
        told = direct.get(address, headers={"Accept": accept, "Host": around.cache.removeprefix("http://")})
        direct.close()
        assert got.headers["X-Kept"] != "HIT"
        assert (got.status_code, got.headers.get("X-Error-Code")) == (
            told.status_code,
            told.headers.get("X-Error-Code"),
        )
        assert SECRET not in got.content


@pytest.mark.parametrize(("word", "value"), [("private", True), ("gated", "auto"), ("gated", "manual")])
def test_what_was_open_when_it_was_fetched_is_not_given_once_it_is_closed(
    around: Around, word: str, value: object
) -> None:
    repo = f"keeper/then-{word}-{value}"
    around.direct.create(repo).raise_for_status()
    around.fill(repo)
    head = around.direct.head(repo)
    oid = hashlib.sha256(LARGE).hexdigest()
    (found,) = around.nobody.batch(repo, (oid, len(LARGE)), operation="download").json()["objects"]
    link = httpx2.URL(found["actions"]["download"]["href"])
    bytes_of = [f"/{repo}/resolve/{head}/m.bin", f"/{repo}/resolve/main/notes.txt", f"/{repo}/raw/{head}/notes.txt"]
    bytes_of += [f"{link.path}?{link.query.decode()}", f"/{repo}.git/info/refs?service=git-upload-pack"]
    for address in bytes_of * 2:
        assert around.nobody.get(address).status_code == 200
    facts = f"/api/models/{repo}/tree/main"
    assert around.nobody.get(facts).status_code == 200
    around.set(repo, **{word: value})
    for address in bytes_of:
        assert around.nobody.get(address).status_code in {401, 404}, address
    assert around.nobody.get(facts).status_code == (404 if word == "private" else 200)


def kept_by_others(answer: httpx2.Response) -> bool:
    """Whether a cache that many share may give the answer to somebody else."""
    rules = {rule.strip() for rule in answer.headers["Cache-Control"].split(",")}
    return not rules & {"private", "no-store", "no-cache"}


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.method} {row.pattern}{row.query}")
def test_no_answer_may_be_kept_for_others(world: World, row) -> None:
    """Of any route, to anybody."""
    for caller in CALLERS if row.method in {"GET", "HEAD"} else ("stranger", "nobody"):
        answer = ask(world, row, "public", caller)
        assert not kept_by_others(answer), caller
        assert {"Authorization", "Cookie"} <= {word.strip() for word in answer.headers["Vary"].split(",")}
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
