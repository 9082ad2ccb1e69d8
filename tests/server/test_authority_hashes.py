"""Whoever knows the hash of something that it may not read is answered as if that were nowhere, also through a repo of its own."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from tenuto.core.pack import frame_head
from tenuto.store.xet import hashes
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas, committed, data_link, some_file
from tests.server.conftest import Owner
from tests.server.git_client import Clone, GitFailed, address
from tests.server.talk import copied, large, small
from tests.store.xet_build import File, file_block, shard, xorb_block

SECRET = b"bytes that somebody else may not read" * 4000
OID, UNKNOWN = hashlib.sha256(SECRET).hexdigest(), hashlib.sha256(b"never sent").hexdigest()
SIZE = len(SECRET)


class Case(NamedTuple):
    """Alice has a repo that Bob may not read, with a plain object and one of chunks; Bob may write to a repo of his own."""

    alice: Owner
    bob: Owner
    chunked: File
    is_gated: bool


@pytest.fixture(params=["private", "gated"])
def case(request: pytest.FixtureRequest, make_owner: Callable[..., Owner]) -> Case:
    alice, bob, chunked = make_owner(private=request.param == "private"), make_owner(), some_file()
    alice.talk.put_large(alice.repo, SECRET)
    alice.talk.commit(alice.repo, large("m.bin", OID, SIZE), small("a.txt", b"text")).raise_for_status()
    Cas(alice).put_file(chunked)
    committed(alice, chunked, "chunks.bin")
    if request.param == "gated":
        alice.talk.client.put(f"/api/models/{alice.repo}/settings", json={"gated": "manual"}).raise_for_status()
    return Case(alice, bob, chunked, request.param == "gated")


def told(answer: httpx2.Response, name: str) -> tuple[int, dict[str, str], str]:
    """All that an answer says, but for the name that was asked for and what differs from one request to the next."""
    headers = {key: value for key, value in answer.headers.items() if key not in {"x-request-id", "date"}}
    return answer.status_code, {k: v.replace(name, "*") for k, v in headers.items()}, answer.text.replace(name, "*")


def assert_alike(ask: Callable[[str], httpx2.Response], status: int, known: str = OID, unknown: str = UNKNOWN) -> None:
    """What is asked with a hash of Alice's is answered as with one that nobody has."""
    answers = [told(ask(name), name) for name in (known, unknown)]
    assert answers[0] == answers[1]
    assert answers[0][0] == status, answers[0]


def offers(owner: Owner, *names: str) -> list[dict]:
    answer = owner.talk.batch(owner.repo, *((name, SIZE) for name in names), transfers=("basic", "multipart"))
    return answer.json()["objects"]


def test_a_batch_to_download(case: Case) -> None:
    bob = case.bob
    assert_alike(lambda oid: bob.talk.batch(bob.repo, (oid, SIZE), operation="download"), 200)
    (one,) = bob.talk.batch(bob.repo, (OID, SIZE), operation="download").json()["objects"]
    assert (one["error"]["code"], one.get("actions")) == (404, None)
    answer = bob.talk.batch(case.alice.repo, (OID, SIZE), operation="download")
    assert answer.headers["X-Error-Code"] == ("GatedRepo" if case.is_gated else "RepoNotFound")


def test_a_batch_to_upload_wants_the_bytes(case: Case) -> None:
    known, unknown = offers(case.bob, OID, UNKNOWN)
    assert known["actions"].keys() == unknown["actions"].keys() == {"upload", "verify"}
    assert known["actions"]["upload"]["header"].keys() == unknown["actions"]["upload"]["header"].keys()


def test_verify_and_complete_with_links_to_a_repo_of_ones_own(case: Case) -> None:
    links = {one["oid"]: one["actions"] for one in offers(case.bob, OID, UNKNOWN)}
    assert_alike(lambda oid: case.bob.talk.post(links[oid]["verify"]["href"], {"oid": oid, "size": SIZE}), 404)
    count = len(links[OID]["upload"]["header"]) - 1
    parts = [{"partNumber": number + 1, "etag": f'"{"0" * 64}"'} for number in range(count)]
    assert_alike(lambda oid: case.bob.talk.post(links[oid]["upload"]["href"], {"oid": oid, "parts": parts}), 400)
    assert_alike(lambda oid: case.bob.talk.commit(case.bob.repo, large("x", oid, SIZE)), 400)


def test_commits_by_hash_by_pointer_and_by_copy(case: Case) -> None:
    bob, head = case.bob, case.alice.talk.head(case.alice.repo)
    for size in (SIZE, None):
        assert_alike(lambda oid, size=size: bob.talk.commit(bob.repo, large("x", oid, size)), 400)
    assert_alike(lambda oid: bob.talk.commit(bob.repo, small("x", pointer(oid))), 400)
    assert_alike(lambda oid: bob.talk.commit(bob.repo, copied("x", "a.txt", oid)), 404, head, "0" * 40)
    assert_alike(lambda oid: bob.talk.get(f"/api/models/{bob.repo}/revision/{oid}"), 404, head, "0" * 40)
    assert_alike(lambda oid: bob.talk.read(bob.repo, "a.txt", oid), 404, head, "0" * 40)
    assert set(bob.talk.listing(bob.repo)) == {".gitattributes"}


def pointer(oid: str) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {SIZE}\n".encode()


def test_a_push_of_a_pointer(case: Case, hub: LiveHub, tmp_path: Path) -> None:
    off = ("-c", "filter.lfs.clean=", "-c", "filter.lfs.smudge=", "-c", "filter.lfs.required=false")
    reasons = []
    for oid in (OID, UNKNOWN):
        clone = Clone.of(address(hub.url, case.bob.repo, case.bob.token), tmp_path / oid, *off)
        clone.write("x.bin", pointer(oid))
        clone.git(*off, "add", "--all")
        clone.git("commit", "-q", "-m", "a pointer")
        with pytest.raises(GitFailed) as caught:
            clone.git("push", "-q", "--no-verify", "origin", "main")
        reasons.append([line for line in str(caught.value).replace(oid, "*").splitlines() if "rejected" in line])
    assert reasons[0] == reasons[1] != []
    assert set(case.bob.talk.listing(case.bob.repo)) == {".gitattributes"}


def test_questions_for_chunks_xorbs_and_files(case: Case) -> None:
    cas, xorb, name = Cas(case.bob), case.chunked.parts[0][0], case.chunked.name
    chunk, nothing = hashes.to_text(xorb.hashes[:32]), some_file()
    other = nothing.parts[0][0]
    assert_alike(lambda one: cas.send("GET", f"v1/chunks/default/{one}"), 404, chunk, hashes.to_text(other.hashes[:32]))
    for path in ("v1/reconstructions", "v2/reconstructions"):
        assert_alike(lambda one, path=path: cas.send("GET", f"{path}/{one}"), 404, name, nothing.name)
    assert_alike(lambda one: cas.send("POST", f"v1/xorb-grants/default/{one}", b"{}"), 404, xorb.name, other.name)
    for known, unknown in (
        (shard([file_block(case.chunked)]), shard([file_block(nothing)])),
        (shard([], [xorb_block(xorb)]), shard([], [xorb_block(other)])),
    ):
        said = [str(cas.put_shard(known)).replace(xorb.name, "*"), str(cas.put_shard(unknown)).replace(other.name, "*")]
        assert said[0] == said[1]
        assert "'error'" in said[0]
    commit = {case.chunked.sha256: len(case.chunked.content), nothing.sha256: len(case.chunked.content)}
    assert_alike(
        lambda oid: case.bob.talk.commit(case.bob.repo, large("x", oid, commit[oid])),
        400,
        case.chunked.sha256,
        nothing.sha256,
    )


def test_data_links_and_tokens_of_one_repo_for_another(case: Case) -> None:
    own, cas, xorb = some_file(), Cas(case.bob), case.chunked.parts[0][0]
    cas.put_file(own)
    link = data_link(cas, own)
    mine = own.parts[0][0].name
    assert_alike(lambda name: httpx2.get(link.replace(mine, name), trust_env=False), 403, xorb.name, "0" * 64)
    alices = Cas(case.alice)
    alices.token = cas.token
    assert alices.send("GET", f"v1/reconstructions/{case.chunked.name}").status_code == 403
    answer = case.bob.talk.get(f"/api/models/{case.alice.repo}/xet-read-token/main")
    assert answer.headers["X-Error-Code"] == ("GatedRepo" if case.is_gated else "RepoNotFound")


def test_lists_deletions_and_copies_of_large_files(case: Case) -> None:
    bob, files = case.bob, f"/api/models/{case.bob.repo}/lfs-files"
    assert bob.talk.get(files).json() == []
    assert_alike(lambda oid: bob.talk.post(f"{files}/batch", {"deletions": {"sha": [oid]}}), 200)
    assert bob.talk.post(f"{files}/batch", {"deletions": {"sha": [OID]}}).json()["freedBytes"] == 0
    wanted = {"target": {"type": "model", "name": bob.repo}}
    assert_alike(lambda oid: bob.talk.post(f"{files}/duplicate", {**wanted, "files": [{"sha256": oid}]}), 200)
    theirs = f"/api/models/{case.alice.repo}/lfs-files"
    answer = bob.talk.post(f"{theirs}/duplicate", {**wanted, "files": [{"sha256": OID}]})
    assert answer.headers["X-Error-Code"] == ("GatedRepo" if case.is_gated else "RepoNotFound")
    assert bob.talk.get(theirs).status_code == (403 if case.is_gated else 404)
    assert_alike(lambda oid: bob.talk.commit(bob.repo, large("x", oid, SIZE)), 400)
    assert case.alice.talk.read(case.alice.repo, "m.bin").content == SECRET


def test_packs(case: Case) -> None:
    bob, place = case.bob, f"/api/models/{case.bob.repo}/pack"
    for content in (b"", b"other bytes"):
        assert_alike(
            lambda oid, content=content: bob.talk.client.put(place, content=frame_head(oid, len(content)) + content),
            422,
        )
    answer = bob.talk.post(f"/api/models/{case.alice.repo}/pack/main", {"paths": ["m.bin"]})
    assert answer.headers["X-Error-Code"] == ("GatedRepo" if case.is_gated else "RepoNotFound")
    assert SECRET not in answer.content


def test_locks(case: Case) -> None:
    where = "/{}.git/info/lfs/locks"
    made = case.alice.talk.post(where.format(case.alice.repo), {"path": "m.bin"})
    lock = made.json()["lock"]["id"]
    own = where.format(case.bob.repo)
    assert case.bob.talk.get(own, params={"id": lock}).json()["locks"] == []
    for name in (lock, "999999"):
        refused = case.bob.talk.post(f"{own}/{name}/unlock", {"force": True})
        assert (refused.status_code, refused.json()["message"]) == (404, f"there is no lock {name} here")
    assert len(case.alice.talk.get(where.format(case.alice.repo)).json()["locks"]) == 1
    answer = case.bob.talk.get(where.format(case.alice.repo))
    assert answer.status_code == (403 if case.is_gated else 404)


def test_an_etag_that_one_knows_tells_nothing(case: Case) -> None:
    for etag in (OID, UNKNOWN):
        for path in ("m.bin", "a.txt", "nothing"):
            answer = case.bob.talk.read(case.alice.repo, path, headers={"If-None-Match": f'"{etag}"'})
            assert answer.headers["X-Error-Code"] == ("GatedRepo" if case.is_gated else "RepoNotFound")
            assert not {"etag", "x-repo-commit", "x-linked-etag"} & set(answer.headers)


def test_whoever_sends_the_bytes_may_have_them_and_nothing_is_kept_twice(case: Case, hub: LiveHub) -> None:
    store = hub.hub.parts.store
    assert store.has(OID)
    assert case.bob.talk.put_large(case.bob.repo, SECRET) == OID
    case.bob.talk.commit(case.bob.repo, large("x", OID, SIZE)).raise_for_status()
    assert case.bob.talk.read(case.bob.repo, "x").content == SECRET
