"""What was true at the first request and is no longer at the second: links and repeated requests give what the caller may have now.

A link works for whoever holds it: it is as good as a password for one object, for an hour, with the right that its token has at that moment.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import httpx2
import msgspec
import pytest

from tenuto.server.signing import LINK_LIFE_S
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed, data_link, some_file
from tests.server.conftest import Owner
from tests.server.talk import Talk, large, small

BYTES = b"bytes that are public at first " * 5000
OID = hashlib.sha256(BYTES).hexdigest()
GONE, GATED, GOOD = 404, 401, 200


class Links(NamedTuple):
    """What nobody in particular got while the repo was public: addresses that give bytes."""

    owner: Owner
    nobody: Talk
    links: dict[str, tuple[str, dict[str, str]]]

    def statuses(self) -> dict[str, int]:
        return {
            name: httpx2.get(url, headers=headers, trust_env=False, follow_redirects=True).status_code
            for name, (url, headers) in self.links.items()
        }


@pytest.fixture
def links(owner: Owner, hub: LiveHub, speak: Callable[[str | None], Talk]) -> Links:
    chunked, nobody, repo = some_file(), speak(None), owner.repo
    owner.talk.put_large(repo, BYTES)
    owner.talk.commit(repo, large("m.bin", OID, len(BYTES)), small("README.md", b"# public")).raise_for_status()
    Cas(owner).put_file(chunked)
    committed(owner, chunked, "chunks.bin")
    reader = Cas(owner._replace(talk=nobody), right="read")
    (found,) = nobody.batch(repo, (OID, len(BYTES)), operation="download").json()["objects"]
    head, bearer = owner.talk.head(repo), {"Authorization": f"Bearer {reader.token}"}
    return Links(
        owner,
        nobody,
        {
            "lfs": (found["actions"]["download"]["href"], {}),
            "xet data": (data_link(reader, chunked), {}),
            "xet plan": (f"{reader.base}/v2/reconstructions/{chunked.name}", bearer),
            "resolve": (f"{hub.url}/{repo}/resolve/{head}/m.bin", {}),
            "known etag": (f"{hub.url}/{repo}/resolve/{head}/m.bin", {"If-None-Match": f'"{"0" * 64}"'}),
            "raw": (f"{hub.url}/{repo}/raw/{head}/README.md", {}),
        },
    )


def set_to(owner: Owner, **settings: object) -> None:
    owner.talk.client.put(f"/api/models/{owner.repo}/settings", json=settings).raise_for_status()


def remake(owner: Owner) -> None:
    """A repo of the same name, with the same files."""
    owner.talk.delete(owner.repo).raise_for_status()
    owner.talk.create(owner.repo).raise_for_status()
    owner.talk.put_large(owner.repo, BYTES)
    owner.talk.commit(owner.repo, large("m.bin", OID, len(BYTES)), small("README.md", b"# new")).raise_for_status()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda owner: owner.talk.delete(owner.repo).raise_for_status(), GONE),
        (lambda owner: set_to(owner, private=True), GONE),
        (lambda owner: set_to(owner, gated="auto"), GATED),
        (lambda owner: set_to(owner, gated="manual"), GATED),
        (remake, GONE),
    ],
    ids=["deleted", "turned private", "turned gated (auto)", "turned gated (manual)", "deleted and made anew"],
)
def test_what_was_public_between_two_requests(links: Links, change: Callable[[Owner], object], status: int) -> None:
    assert links.statuses() == dict.fromkeys(links.links, GOOD)
    change(links.owner)
    assert links.statuses() == dict.fromkeys(links.links, status)
    for url, headers in links.links.values():
        assert BYTES[:100] not in httpx2.get(url, headers=headers, trust_env=False, follow_redirects=True).content


def test_no_cache_between_may_keep_what_a_link_gave(links: Links) -> None:
    for name, (url, headers) in links.links.items():
        said = httpx2.get(url, headers=headers, trust_env=False, follow_redirects=True).headers["Cache-Control"]
        assert said in {"private, no-cache", "no-store"}, name


def test_a_repo_that_was_moved_keeps_its_links(links: Links) -> None:
    body = {"fromRepo": links.owner.repo, "toRepo": f"{links.owner.repo}-moved", "type": "model"}
    links.owner.talk.post("/api/repos/move", body).raise_for_status()
    assert links.statuses() == dict.fromkeys(links.links, GOOD)
    set_to(links.owner._replace(repo=f"{links.owner.repo}-moved"), private=True)
    assert links.statuses() == dict.fromkeys(links.links, GONE), "nor does the old name tell where it went"


def test_a_link_is_good_for_whoever_holds_it_for_an_hour(
    links: Links, hub: LiveHub, speak: Callable[[str | None], Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = {name: links.links[name][0] for name in ("lfs", "xet data")}
    for url in signed.values():
        assert speak(hub.user()).get(url).status_code == GOOD
        assert httpx2.get(url, trust_env=False).status_code == GOOD
    signer = hub.hub.parts.signer
    claims = signer.read(signed["lfs"].partition("link=")[2], "download", 0)
    assert 0 < claims.expires_s - hub.hub.parts.now_ms() / 1000 <= LINK_LIFE_S
    late = signer.sign(msgspec.structs.replace(claims, expires_s=1))
    old = httpx2.get(f"{signed['lfs'].partition('?')[0]}?link={late}", trust_env=False)
    assert (old.status_code, old.headers["X-Error-Message"]) == (403, "this link has expired")


def sending(owner: Owner, repo: str, size: int) -> dict[str, str]:
    """Links to send an object in one piece and in parts."""
    name = hashlib.sha256(bytes(size)).hexdigest()
    (whole,) = owner.talk.batch(repo, (name, size)).json()["objects"]
    (parts,) = owner.talk.batch(repo, (name, size), transfers=("multipart",)).json()["objects"]
    header = parts["actions"]["upload"]["header"]
    return {"whole": whole["actions"]["upload"]["href"], "part": header["00001"], "size": header["chunk_size"]}


@pytest.mark.parametrize("change", ["token revoked", "repo deleted", "repo made anew"])
def test_a_link_to_send_is_not_replayed_into_what_it_was_not_made_for(owner: Owner, hub: LiveHub, change: str) -> None:
    links, body = sending(owner, owner.repo, 150_000), bytes(150_000)
    if change == "token revoked":
        hub.hub.revoke_token(next(one for one in hub.hub.list_tokens(owner.name)).id)
    else:
        owner.talk.delete(owner.repo).raise_for_status()
        if change == "repo made anew":
            owner.talk.create(owner.repo).raise_for_status()
    expected = 403 if change == "token revoked" else 404
    assert owner.talk.put(links["whole"], body).status_code == expected
    assert owner.talk.put(links["part"], body[: int(links["size"])]).status_code == expected
    if change == "repo made anew":
        assert owner.talk.get(f"/api/models/{owner.repo}/lfs-files").json() == []


def test_a_link_to_send_sends_once_or_the_same(owner: Owner) -> None:
    links, body = sending(owner, owner.repo, 150_000), bytes(150_000)
    assert [owner.talk.put(links["whole"], body).status_code for _ in range(2)] == [200, 200]
    assert owner.talk.put(links["whole"], b"x" * 150_000).status_code == 422
    (one,) = owner.talk.get(f"/api/models/{owner.repo}/lfs-files").json()
    assert one["size"] == 150_000


def test_behind_a_gate_facts_are_told_and_bytes_in_no_form(owner: Owner, hub: LiveHub, speak) -> None:
    talk, repo, secret = owner.talk, owner.repo, b"a line that nobody else may read"
    talk.commit(repo, small("notes.txt", secret), small("README.md", b"---\nlicense: mit\n---\n"))
    api = f"/api/models/{repo}"
    talk.commit(repo, small("notes.txt", secret + b" and more"), rev="main").raise_for_status()
    number = talk.post(f"{api}/discussions", {"title": "A change", "pullRequest": True}).json()["num"]
    talk.commit(repo, small("notes.txt", secret + b" proposed"), rev=f"refs/pr/{number}").raise_for_status()
    set_to(owner, gated="manual")
    head = talk.head(repo)
    facts = ["", "/revision/main", f"/tree/{head}?recursive=true&expand=true", "/commits/main", "/refs"]
    facts += [f"/discussions/{number}", "/discussions"]
    for stranger in (speak(None), speak(hub.user())):
        for path in (*(api + one for one in facts), f"/api/models?search={owner.name}&full=true&cardData=true"):
            answer = stranger.get(path)
            assert answer.status_code == 200, path
            assert secret not in answer.content, path
        assert stranger.client.post(f"{api}/paths-info/main", data={"paths": "notes.txt"}).status_code == 200
        diff = stranger.get(f"{api}/discussions/{number}?diff=1")
        assert secret not in diff.content
        for path in ("notes.txt", "nothing"):
            answer = stranger.read(repo, path)
            assert (answer.headers["X-Error-Code"], secret in answer.content) == ("GatedRepo", False)
    assert secret in talk.get(f"{api}/discussions/{number}?diff=1").content
