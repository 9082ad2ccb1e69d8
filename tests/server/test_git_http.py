"""Clone and fetch with the real git, in all versions of the protocol; what the API commits is what git sees."""

import gzip
import io
from pathlib import Path

import httpx2
import pytest

from tenuto.server.git_wire.protocol import Mark, packet
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.git_client import Clone, GitFailed, address, run_git
from tests.server.talk import gone, small

FILES = {
    "a b.txt": b"space",
    "100%/#1.txt": b"percent and hash",
    "ü/é.txt": "naïve".encode(),
    "empty": b"",
    "deep/er/and/deeper": b"x" * 3000,
    "a-b": b"2",
    "a.txt": b"1",
    "a0": b"",
}


@pytest.fixture
def filled(owner: Owner) -> Owner:
    owner.talk.commit(owner.repo, *(small(path, content) for path, content in FILES.items())).raise_for_status()
    owner.talk.post(f"/api/models/{owner.repo}/branch/dev%2Fone", {}).raise_for_status()
    owner.talk.commit(owner.repo, gone("empty"), small("only-here", b"dev"), rev="dev/one").raise_for_status()
    owner.talk.post(f"/api/models/{owner.repo}/tag/main", {"tag": "v1"}).raise_for_status()
    owner.talk.post(f"/api/models/{owner.repo}/tag/dev%2Fone", {"tag": "v2/rc", "message": "noted"}).raise_for_status()
    return owner


@pytest.mark.parametrize("end", ["", ".git"])
@pytest.mark.parametrize("version", [0, 1, 2])
def test_clone(hub: LiveHub, filled: Owner, tmp_path: Path, version: int, end: str) -> None:
    clone = Clone.of(address(hub.url, filled.repo, end=end), tmp_path / "clone", version=version)
    clone.check()
    assert clone.head() == filled.talk.head(filled.repo)
    assert clone.head("origin/dev/one") == filled.talk.head(filled.repo, "dev/one") == clone.head("v2/rc^{commit}")
    assert clone.git("cat-file", "-t", "v2/rc") == "tag"
    assert clone.head("v1") == clone.head()
    for path, content in FILES.items():
        assert (clone.folder / path).read_bytes() == content
    assert clone.git("symbolic-ref", "HEAD") == "refs/heads/main"


def test_ls_remote(hub: LiveHub, filled: Owner, tmp_path: Path) -> None:
    where = address(hub.url, filled.repo)
    listed = {version: run_git(tmp_path, "ls-remote", where, version=version) for version in (0, 1, 2)}
    assert listed[0] == listed[1] == listed[2]
    names = [line.split("\t")[1] for line in listed[2].splitlines()]
    assert names == [
        "HEAD",
        "refs/heads/dev/one",
        "refs/heads/main",
        "refs/tags/v1",
        "refs/tags/v2/rc",
        "refs/tags/v2/rc^{}",
    ]
    assert len(run_git(tmp_path, "ls-remote", where, "refs/heads/main").splitlines()) == 1


def newest_pack(clone: Clone) -> int:
    """How many objects the pack that came last holds."""
    packs = (clone.folder / ".git" / "objects" / "pack").glob("*.pack")
    newest = max(packs, key=lambda path: path.stat().st_mtime_ns)
    return int.from_bytes(newest.read_bytes()[8:12], "big")


@pytest.mark.parametrize("version", [0, 2])
def test_a_fetch_brings_what_is_lacking_and_nothing_else(
    hub: LiveHub, filled: Owner, tmp_path: Path, version: int
) -> None:
    clone = Clone.of(address(hub.url, filled.repo), tmp_path / "clone")
    clone.git("config", "fetch.unpackLimit", "1")
    before = clone.objects()
    for number in range(3):
        filled.talk.commit(filled.repo, small("deep/new", b"new %d" % number)).raise_for_status()
    clone.commit("here, and not on the hub", mine=b"mine")
    clone.git("fetch", "-q", version=version)
    clone.check()
    assert clone.head("origin/main") == filled.talk.head(filled.repo)
    # three commits, each with a root, a folder and a blob
    assert newest_pack(clone) == 12 == len(clone.objects() - before) - 3
    clone.git("fetch", "-q", version=version)
    assert newest_pack(clone) == 12


@pytest.mark.parametrize("version", [0, 2])
def test_many_versions_of_a_wide_folder_are_sent_as_differences(
    hub: LiveHub, owner: Owner, tmp_path: Path, version: int
) -> None:
    names = [f"data/{number:04}.txt" for number in range(800)]
    owner.talk.commit(owner.repo, *(small(name, name.encode()) for name in names)).raise_for_status()
    clone = Clone.of(address(hub.url, owner.repo), tmp_path / "first", version=version)
    for number in range(0, 800, 16):
        lines = [small(names[number], b"changed"), gone(names[number + 1]), small(f"data/new{number}", b"new")]
        owner.talk.commit(owner.repo, *lines).raise_for_status()
    clone.git("config", "fetch.unpackLimit", "1")
    clone.git("fetch", "-q", version=version)
    for one in (clone, Clone.of(address(hub.url, owner.repo), tmp_path / "second", version=version)):
        one.check()
        assert one.head("origin/main") == owner.talk.head(owner.repo)
        packs = (one.folder / ".git" / "objects" / "pack").glob("*.pack")
        assert sum(path.stat().st_size for path in packs) < 250_000  # 50 trees of 30 kB each


@pytest.mark.parametrize("version", [0, 2])
def test_shallow_clones(hub: LiveHub, owner: Owner, tmp_path: Path, version: int) -> None:
    for number in range(6):
        owner.talk.commit(owner.repo, small("f", b"%d" % number)).raise_for_status()
    owner.talk.post(f"/api/models/{owner.repo}/tag/main", {"tag": "v1"}).raise_for_status()
    full = Clone.of(address(hub.url, owner.repo), tmp_path / "full")
    clone = Clone.of(address(hub.url, owner.repo), tmp_path / "clone", "--depth", "2", version=version)
    count = lambda: int(clone.git("rev-list", "--count", "origin/main"))  # noqa: E731
    assert count() == 2
    clone.git("fetch", "-q", "--depth", "3", version=version)
    assert count() == 3
    clone.git("fetch", "-q", "--deepen", "1", version=version)
    assert count() == 4
    owner.talk.commit(owner.repo, small("f", b"later")).raise_for_status()
    clone.git("fetch", "-q", version=version)
    assert count() == 5
    clone.check()
    clone.git("fetch", "-q", "--depth", "1", version=version)
    assert count() == 1
    clone.git("fetch", "-q", "--unshallow", version=version)
    assert count() == 8
    clone.check()
    cut = Clone.of(address(hub.url, owner.repo), tmp_path / "cut", "--shallow-exclude", "v1", version=version)
    assert int(cut.git("rev-list", "--count", "HEAD")) == 1
    since = full.git("show", "-s", "--format=%ct", "HEAD")
    late = Clone.of(
        address(hub.url, owner.repo), tmp_path / "late", f"--shallow-since={int(since) - 3600}", version=version
    )
    assert int(late.git("rev-list", "--count", "HEAD")) == 8
    late.check()


@pytest.mark.parametrize("version", [0, 2])
def test_partial_clones_fetch_the_rest_when_they_need_it(
    hub: LiveHub, filled: Owner, tmp_path: Path, version: int
) -> None:
    for what, lacking in (("blob:none", 11), ("blob:limit=1k", 2), ("tree:0", 20)):
        clone = Clone.of(
            address(hub.url, filled.repo), tmp_path / what, f"--filter={what}", "--no-checkout", version=version
        )
        missing = clone.git("rev-list", "--all", "--objects", "--missing=print").count("?")
        assert 0 < missing <= lacking, what
        clone.git("checkout", "-q", "main", version=version)
        for path, content in FILES.items():
            assert (clone.folder / path).read_bytes() == content
    with pytest.raises(GitFailed, match="does not know the filter"):
        Clone.of(address(hub.url, filled.repo), tmp_path / "odd", "--filter=sparse:oid=main:x", version=version)


def test_a_private_repo_asks_for_a_login_and_is_not_there_for_strangers(
    hub: LiveHub, make_owner, tmp_path: Path
) -> None:
    hidden, stranger = make_owner(private=True), make_owner()
    with pytest.raises(GitFailed, match="could not read Username"):
        Clone.of(address(hub.url, hidden.repo), tmp_path / "nobody")
    with pytest.raises(GitFailed, match="not found"):
        Clone.of(address(hub.url, hidden.repo, stranger.token), tmp_path / "stranger")
    with pytest.raises(GitFailed, match="Authentication failed"):
        Clone.of(address(hub.url, hidden.repo, "hf_wrong"), tmp_path / "wrong")
    reader = hub.hub.create_token(hidden.name, "read")
    for token in (reader, hidden.token):
        clone = Clone.of(address(hub.url, hidden.repo, token), tmp_path / token[3:9])
        assert clone.head() == hidden.talk.head(hidden.repo)


def test_what_git_is_told_without_a_right(hub: LiveHub, make_owner) -> None:
    hidden, public, stranger = make_owner(private=True), make_owner(), make_owner()

    def ask(repo: str, service: str, token: str | None = None) -> httpx2.Response:
        auth = ("any", token) if token else None
        return httpx2.get(f"{hub.url}/{repo}/info/refs?service=git-{service}", auth=auth, trust_env=False)

    for repo, service in ((hidden.repo, "upload-pack"), (hidden.repo, "receive-pack"), (public.repo, "receive-pack")):
        answer = ask(repo, service)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert answer.headers["Content-Type"].startswith("text/plain")
    assert ask("no/such", "upload-pack").status_code == 401  # like one that is private
    assert ask(hidden.repo, "upload-pack", stranger.token).status_code == 404
    assert ask(hidden.repo, "receive-pack", stranger.token).status_code == 404
    assert ask(public.repo, "receive-pack", stranger.token).status_code == 403
    assert ask(public.repo, "receive-pack", hub.hub.create_token(public.name, "read")).status_code == 403
    assert ask(public.repo, "upload-pack").status_code == 200
    assert ask(public.repo, "receive-pack", public.token).status_code == 200
    assert httpx2.get(f"{hub.url}/{public.repo}/info/refs", trust_env=False).status_code == 403
    body = {"content": b"0000", "headers": {"Content-Type": "application/x-git-receive-pack-request"}}
    for repo, token, status in ((public.repo, None, 401), (hidden.repo, None, 401), (hidden.repo, stranger.token, 404)):
        auth = ("any", token) if token else None
        answer = httpx2.post(f"{hub.url}/{repo}/git-receive-pack", auth=auth, trust_env=False, **body)
        assert answer.status_code == status


def test_datasets_lie_under_their_prefix(hub: LiveHub, owner: Owner, tmp_path: Path) -> None:
    owner.talk.create(f"{owner.name}/data", kind="dataset").raise_for_status()
    owner.talk.commit(f"{owner.name}/data", small("x.csv", b"1,2"), kind="datasets").raise_for_status()
    clone = Clone.of(address(hub.url, f"datasets/{owner.name}/data"), tmp_path / "clone")
    assert (clone.folder / "x.csv").read_bytes() == b"1,2"
    with pytest.raises(GitFailed):
        Clone.of(address(hub.url, f"{owner.name}/data"), tmp_path / "no")


V2 = {"Git-Protocol": "version=2", "Content-Type": "application/x-git-upload-pack-request"}
LIST = packet("command=ls-refs") + Mark.DELIMITER.value + packet("peel") + packet("symrefs") + Mark.FLUSH.value


def post(hub: LiveHub, repo: str, body, **headers: str) -> httpx2.Response:
    return httpx2.post(f"{hub.url}/{repo}/git-upload-pack", content=body, headers={**V2, **headers}, trust_env=False)


def test_bodies_come_zipped_and_in_chunks(hub: LiveHub, owner: Owner) -> None:
    plain = post(hub, owner.repo, LIST)
    assert plain.status_code == 200
    assert plain.content.startswith(b"0050" + owner.talk.head(owner.repo).encode() + b" HEAD symref-target:")
    zipped = gzip.compress(LIST)
    assert post(hub, owner.repo, zipped, **{"Content-Encoding": "gzip"}).content == plain.content
    assert post(hub, owner.repo, io.BytesIO(zipped), **{"Content-Encoding": "x-gzip"}).content == plain.content
    pieces = (LIST[start : start + 7] for start in range(0, len(LIST), 7))
    chunked = post(hub, owner.repo, pieces)
    assert chunked.request.headers["Transfer-Encoding"] == "chunked"
    assert chunked.content == plain.content


def test_bodies_that_are_bombs_or_broken_are_refused(hub: LiveHub, owner: Owner) -> None:
    bomb = gzip.compress(b"0" * (64 << 20))
    answer = post(hub, owner.repo, bomb, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (413, "TooLarge")
    assert post(hub, owner.repo, b"not zipped", **{"Content-Encoding": "gzip"}).status_code == 400
    assert post(hub, owner.repo, gzip.compress(LIST)[:-9], **{"Content-Encoding": "gzip"}).status_code == 422
    assert post(hub, owner.repo, LIST, **{"Content-Encoding": "br"}).status_code == 400
    assert post(hub, owner.repo, LIST, **{"Content-Type": "text/plain"}).status_code == 400


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"zzzz", "not made of whole git packets"),
        (b"00ff0", "not made of whole git packets"),
        (packet("command=shutdown") + Mark.FLUSH.value, "does not know the command"),
        (packet("command=fetch") + Mark.DELIMITER.value + packet("want xyz") + Mark.FLUSH.value, "not a git id"),
        (packet("command=fetch") + Mark.DELIMITER.value + packet("deepen -1") + Mark.FLUSH.value, "whole number"),
        (packet("command=fetch") + Mark.DELIMITER.value + packet("want " + "a" * 40) + Mark.FLUSH.value, "not our ref"),
        (packet("command=ls-refs") + packet("object-format=sha256") + Mark.FLUSH.value, "sha1"),
    ],
)
def test_requests_that_make_no_sense_are_told_so_in_the_words_of_git(
    hub: LiveHub, owner: Owner, body: bytes, said: str
) -> None:
    answer = post(hub, owner.repo, body)
    assert answer.status_code == 200
    assert answer.content[4:].startswith(b"ERR ")
    assert said in answer.text


def test_objects_of_another_repo_cannot_be_wanted(hub: LiveHub, make_owner) -> None:
    hidden, stranger = make_owner(private=True), make_owner()
    hidden.talk.commit(hidden.repo, small("secret", b"the secret")).raise_for_status()
    for oid in (hidden.talk.head(hidden.repo), hidden.talk.listing(hidden.repo)["secret"]["oid"]):
        body = (
            packet("command=fetch") + Mark.DELIMITER.value + packet(f"want {oid}") + packet("done") + Mark.FLUSH.value
        )
        assert b"not our ref" in post(hub, stranger.repo, body).content
        assert (
            b"PACK"
            in httpx2.post(
                f"{hub.url}/{hidden.repo}/git-upload-pack",
                content=body,
                headers=V2,
                auth=("u", hidden.token),
                trust_env=False,
            ).content
        )


def test_a_gate_stands_before_git_as_well(hub: LiveHub, owner: Owner, make_owner, tmp_path: Path) -> None:
    owner.talk.client.put(f"/api/models/{owner.repo}/settings", json={"gated": "auto"}).raise_for_status()
    reader = make_owner()
    with pytest.raises(GitFailed, match="could not read Username"):
        Clone.of(address(hub.url, owner.repo), tmp_path / "nobody")
    where = address(hub.url, owner.repo, reader.token)
    with pytest.raises(GitFailed, match="is restricted"):
        Clone.of(where, tmp_path / "before")
    assert reader.talk.post(f"/{owner.repo}/ask-access").status_code == 303
    Clone.of(where, tmp_path / "after").check()
    Clone.of(address(hub.url, owner.repo, owner.token), tmp_path / "owner")


def test_a_moved_repo_is_found_by_its_old_name(hub: LiveHub, filled: Owner, tmp_path: Path) -> None:
    clone = Clone.of(address(hub.url, filled.repo, filled.token), tmp_path / "clone")
    new = f"{filled.name}/moved"
    move = {"fromRepo": filled.repo, "toRepo": new, "type": "model"}
    filled.talk.post("/api/repos/move", move).raise_for_status()
    Clone.of(address(hub.url, filled.repo, end=".git"), tmp_path / "other").check()
    filled.talk.commit(new, small("later", b"1")).raise_for_status()
    clone.git("pull", "-q", "origin", "main")
    clone.commit(mine=b"m")
    clone.git("push", "-q", "origin", "main")
    assert filled.talk.head(new) == clone.head()


def test_pull_requests_are_fetched_and_their_merges_have_two_parents(
    hub: LiveHub, owner: Owner, stock, tmp_path: Path
) -> None:
    api = stock(owner.token)
    made = api.upload_file(path_or_fileobj=b"new", path_in_repo="new.txt", repo_id=owner.repo, create_pr=True)
    clone = Clone.of(address(hub.url, owner.repo), tmp_path / "clone")
    clone.git("fetch", "-q", "origin", "refs/pr/1:pr1")
    assert clone.head("pr1") == made.oid
    owner.talk.commit(owner.repo, small("other", b"o")).raise_for_status()
    api.merge_pull_request(owner.repo, 1)
    clone.git("pull", "-q", "--ff-only", "origin", "main")
    clone.check()
    assert clone.head() == owner.talk.head(owner.repo)
    assert len(clone.git("rev-list", "--parents", "-1", "HEAD").split()) == 3
    assert made.oid in clone.git("rev-list", "HEAD").split()
