"""The verbs of a hub against a live one, and what becomes of answers that no hub should give."""

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from tenuto.core import wire
from tenuto.core.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    TenutoError,
    UnavailableError,
    UsageError,
)
from tenuto.core.gitobj import blob_id
from tenuto.core.ids import RepoId
from tenuto.hub.remote import Deleted, Large, Regular, Remote
from tenuto.hub.session import Session
from tenuto.testing.live_hub import LiveHub
from tests.hub.place import HUB_FILE, PAGE_ENTRIES, Place, asked, noise, sha256_of
from tests.hub.scripted import Reply, in_turn, serving

ODD_NAMES = ["a b.txt", "ü/ñ.txt", "100%25.txt", "a#b&d=e.txt", "deep/er/and/deeper.txt", "+plus;semi.txt", "it's.txt"]
NOBODY = RepoId.parse("nobody/nothing")


def code_of(call: Callable[[], object], kind: type[TenutoError]) -> str:
    """The code of the error that the call ends with."""
    with pytest.raises(kind) as caught:
        call()
    return caught.value.code


def visitor(place: Place, token: str | None) -> Remote:
    return Remote(Session(place.remote.endpoint, token))


class TestWhoami:
    def test_says_who(self, place: Place) -> None:
        identity = place.remote.whoami()
        assert (identity.name, identity.type) == (place.repo.namespace, "user")
        assert identity.auth.access_token.role == "write"

    @pytest.mark.parametrize(("token", "code"), [(None, "NoToken"), ("hf_unknown", "BadToken")])
    def test_wants_a_token(self, place: Place, token: str | None, code: str) -> None:
        with (remote := visitor(place, token)).session:
            assert code_of(remote.whoami, AuthenticationError) == code


class TestRepos:
    @pytest.mark.parametrize("kind", ["", "datasets/", "spaces/"])
    @pytest.mark.parametrize("private", [True, False])
    def test_made_and_deleted(self, place: Place, kind: str, private: bool) -> None:
        repo = RepoId.parse(f"{kind}{place.repo.namespace}/new")
        url = place.remote.create_repo(repo, private=private)
        assert url == f"{place.remote.endpoint}/{repo.web_path}"
        info = place.remote.info(repo, "main")
        assert (info.id, info.private) == (repo.full_name, private)
        place.remote.delete_repo(repo)
        assert code_of(lambda: place.remote.info(repo, "main"), NotFoundError) == "RepoNotFound"

    def test_made_twice(self, place: Place) -> None:
        assert code_of(lambda: place.remote.create_repo(place.repo, private=True), ConflictError) == "Exists"

    def test_made_for_somebody_else(self, place: Place, hub: LiveHub) -> None:
        hub.user("somebody-else")
        repo = RepoId.parse("somebody-else/repo")
        assert code_of(lambda: place.remote.create_repo(repo, private=False), AccessDeniedError) == "Forbidden"

    def test_made_with_a_token_that_only_reads(self, place: Place, hub: LiveHub) -> None:
        with (remote := visitor(place, hub.user(place.repo.namespace, role="read"))).session:
            repo = place.repo._replace(name="another")
            assert code_of(lambda: remote.create_repo(repo, private=False), AccessDeniedError) == "Forbidden"
            assert code_of(lambda: remote.delete_repo(place.repo), AccessDeniedError) == "Forbidden"

    def test_deleted_where_there_is_none(self, place: Place) -> None:
        assert code_of(lambda: place.remote.delete_repo(NOBODY), NotFoundError) == "RepoNotFound"


class TestInfo:
    def test_a_commit_and_a_branch_are_resolved(self, place: Place) -> None:
        first = place.put({"a.txt": b"1"})
        second = place.put({"a.txt": b"2"})
        assert place.remote.info(place.repo, "main").sha == second
        assert place.remote.info(place.repo, first).sha == first

    def test_a_branch_with_a_slash(self, place: Place) -> None:
        commit = place.put({"a.txt": b"1"})
        body = json.dumps({"startingPoint": commit}).encode()
        place.remote.session.request("POST", f"{place.repo.api_path}/branch/feature%2Fx", body=body)
        assert place.remote.info(place.repo, "feature/x").sha == commit
        assert place.read("a.txt", "feature/x") == b"1"

    def test_the_card(self, place: Place) -> None:
        place.put({"README.md": b"---\nlicense: mit\n---\n# A model\n"})
        assert (place.remote.info(place.repo, "main").card or {})["license"] == "mit"

    @pytest.mark.parametrize("kind", ["", "datasets/", "spaces/"])
    def test_no_names_of_files_are_asked_for(self, kind: str) -> None:
        answer = Reply(200, json.dumps({"id": "a/b", "sha": SHA1}).encode())
        with serving(lambda _seen: answer) as server, Session(server.url) as session:
            assert Remote(session).info(RepoId.parse(f"{kind}a/b"), "main").sha == SHA1
        facts = parse_qs(urlsplit(server.seen[0].path).query)["expand"]
        assert {*facts, "gated"} == {"sha", "private", "cardData", "tags", "gated"}
        assert ("gated" in facts) == (kind != "spaces/")

    def test_what_is_not_there(self, place: Place) -> None:
        remote = place.remote
        assert code_of(lambda: remote.info(NOBODY, "main"), NotFoundError) == "RepoNotFound"
        assert code_of(lambda: remote.info(place.repo, "no-branch"), NotFoundError) == "RevisionNotFound"
        assert code_of(lambda: remote.info(place.repo, "0" * 40), NotFoundError) == "RevisionNotFound"

    def test_a_private_repo_is_not_there_for_others(self, place: Place, hub: LiveHub) -> None:
        for token in (None, hub.user()):
            with (remote := visitor(place, token)).session:
                assert code_of(lambda: remote.info(place.repo, "main"), NotFoundError) == "RepoNotFound"
                assert code_of(lambda: list(remote.tree(place.repo, "main")), NotFoundError) == "RepoNotFound"


class TestTree:
    def test_many_files_come_in_pages(self, place: Place) -> None:
        files = {f"folder{number % 3}/f{number:03d}.txt": b"%d" % number for number in range(3 * PAGE_ENTRIES + 5)}
        commit = place.put(files)
        with place.through() as (remote, liar):
            entries = {entry.path: entry for entry in remote.tree(place.repo, commit)}
            assert len(asked(liar, "GET", "/tree/")) > 3
        assert entries.keys() == {*files, HUB_FILE}
        assert all(entries[path].oid == blob_id(content) for path, content in files.items())

    def test_a_folder_and_a_file(self, place: Place) -> None:
        place.put({"a/one.txt": b"1", "a/b/two.txt": b"2", "ab/three.txt": b"3"})
        paths = [entry.path for entry in place.remote.tree(place.repo, "main", "a")]
        assert sorted(paths) == ["a/b/two.txt", "a/one.txt"]

    def test_large_files_have_their_sha256(self, place: Place) -> None:
        content = noise(5000)
        place.put({"weights.bin": content, "small.txt": b"x"})
        entries = {entry.path: entry for entry in place.remote.tree(place.repo, "main")}
        assert entries["weights.bin"].lfs == wire.LfsInfo(
            sha256_of(content), 5000, entries["weights.bin"].lfs.pointer_size
        )  # type: ignore[union-attr]
        assert entries["small.txt"].lfs is None

    def test_what_is_not_there(self, place: Place) -> None:
        tree = place.remote.tree
        assert code_of(lambda: list(tree(NOBODY, "main")), NotFoundError) == "RepoNotFound"
        assert code_of(lambda: list(tree(place.repo, "no-branch")), NotFoundError) == "RevisionNotFound"
        assert code_of(lambda: list(tree(place.repo, "main", "no/folder")), NotFoundError) == "EntryNotFound"

    def test_odd_names(self, place: Place) -> None:
        commit = place.put({name: name.encode() for name in ODD_NAMES})
        assert {entry.path for entry in place.remote.tree(place.repo, commit)} == {*ODD_NAMES, HUB_FILE}
        for name in ODD_NAMES:
            assert place.read(name, commit) == name.encode()
        assert [entry.path for entry in place.remote.tree(place.repo, commit, "ü")] == ["ü/ñ.txt"]


class TestUploadVerbs:
    def test_preupload_says_how_and_comes_in_pages(self, place: Place) -> None:
        files = [wire.PreuploadFile(f"f{number}.{'bin' if number % 2 else 'txt'}", 10) for number in range(600)]
        files.append(wire.PreuploadFile("big.txt", 10_000_000))
        with place.through() as (remote, liar):
            answers = remote.preupload(place.repo, "main", files)
            assert len(asked(liar, "POST", "/preupload/")) == 3
        assert answers.keys() == {file.path for file in files}
        assert {answers["f0.txt"].mode, answers["f1.bin"].mode, answers["big.txt"].mode} == {"regular", "lfs"}
        assert answers["big.txt"].mode == "lfs"

    def test_a_batch_comes_in_pages(self, place: Place) -> None:
        place.put({"have.bin": b"have"})
        objects = [wire.LfsObject(sha256_of(b"%d" % number), 10) for number in range(400)]
        objects.append(wire.LfsObject(sha256_of(b"have"), 4))
        with place.through() as (remote, liar):
            answers = {answer.oid: answer for answer in remote.lfs_batch(place.repo, objects)}
            assert len(asked(liar, "POST", "/objects/batch")) == 2
        assert answers[sha256_of(b"have")].actions is None
        assert all((answers[one.oid].actions or {}).keys() == {"upload", "verify"} for one in objects[:-1])

    def test_a_batch_to_download(self, place: Place) -> None:
        content = noise(300)
        place.put({"have.bin": content})
        objects = [wire.LfsObject(sha256_of(content), 300), wire.LfsObject(sha256_of(b"no"), 2)]
        have, lack = place.remote.lfs_batch(place.repo, objects, "download")
        assert have.actions is not None
        assert place.remote.session.request("GET", have.actions["download"].href).body == content
        assert lack.error is not None
        assert lack.error.code == 404

    def test_no_objects_cost_no_request(self, place: Place) -> None:
        before = place.remote.session.requests_made
        assert place.remote.lfs_batch(place.repo, []) == []
        assert place.remote.preupload(place.repo, "main", []) == {}
        assert place.remote.session.requests_made == before


class TestCommit:
    def test_puts_and_deletes(self, place: Place) -> None:
        first = place.put({"old.txt": b"old", "big.bin": b"big"})
        operations = [Regular("new.txt", b"\x00new"), Deleted("old.txt"), Large("copy.bin", sha256_of(b"big"), 3)]
        result = place.remote.commit(place.repo, "main", operations, title="Ünïcode", parent=first)
        assert result.commit == place.head
        assert place.wanted().keys() == {"new.txt", "big.bin", "copy.bin"}
        assert (place.read("new.txt"), place.read("copy.bin")) == (b"\x00new", b"big")

    def test_on_a_head_that_moved(self, place: Place) -> None:
        first = place.head
        second = place.put({"a.txt": b"1"})
        call = lambda: place.remote.commit(place.repo, "main", [Regular("b.txt", b"2")], title="t", parent=first)  # noqa: E731
        assert code_of(call, ConflictError) == "StaleParent"
        assert place.head == second

    def test_of_an_object_that_was_never_sent(self, place: Place) -> None:
        before = place.head
        operation = Large("a.bin", sha256_of(b"never sent"), 10)
        with pytest.raises(TenutoError) as caught:
            place.remote.commit(place.repo, "main", [operation], title="t", parent=before)
        assert not isinstance(caught.value, UnavailableError | IntegrityError)
        assert place.head == before

    @pytest.mark.parametrize("path", ["../x", "a//b", ".git/config", "a/../b"])
    def test_of_a_path_that_no_system_may_write(self, place: Place, path: str) -> None:
        before = place.head
        call = lambda: place.remote.commit(place.repo, "main", [Regular(path, b"x")], title="t", parent=before)  # noqa: E731
        assert code_of(call, UsageError) == "BadPath"
        assert place.head == before

    def test_to_what_is_not_there(self, place: Place) -> None:
        commit = place.remote.commit
        operations = [Regular("a.txt", b"x")]
        head = place.head
        assert (
            code_of(lambda: commit(NOBODY, "main", operations, title="t", parent=head), NotFoundError) == "RepoNotFound"
        )
        call = lambda: commit(place.repo, "no-branch", operations, title="t", parent=head)  # noqa: E731
        assert code_of(call, NotFoundError) == "RevisionNotFound"

    def test_without_a_right(self, place: Place, hub: LiveHub) -> None:
        head = place.head
        for token in (None, hub.user(), hub.user(place.repo.namespace, role="read")):
            with (remote := visitor(place, token)).session, pytest.raises((NotFoundError, AccessDeniedError)):
                remote.commit(place.repo, "main", [Regular("a.txt", b"x")], title="t", parent=head)
        assert place.head == head


SHA1, SHA256 = "a" * 40, "b" * 64


def file_entry(**changes: object) -> dict[str, object]:
    return {"type": "file", "path": "a.bin", "oid": SHA1, "size": 3, **changes}


class TestAnswersOfNoHub:
    @pytest.mark.parametrize(
        "body", [b"", b"<!doctype html><p>Hello", b"[1]", b'{"id": 7}', b'"\xff"', b'{"id": "\xff"}', b"[" * 100_000]
    )
    def test_cannot_be_read(self, place: Place, body: bytes) -> None:
        with serving(in_turn([Reply(200, body)])) as server, Session(server.url) as session:
            remote = Remote(session)
            for call in (
                lambda: remote.info(place.repo, "main"),
                lambda: list(remote.tree(place.repo, "main")),
                lambda: remote.preupload(place.repo, "main", [wire.PreuploadFile("a", 1)]),
                lambda: remote.lfs_batch(place.repo, [wire.LfsObject(SHA256, 1)]),
                lambda: remote.commit(place.repo, "main", [], title="t", parent=SHA1),
                remote.whoami,
            ):
                assert code_of(call, UnavailableError) == "BadAnswer"

    @pytest.mark.parametrize(
        "entry",
        [
            file_entry(oid="../../etc/passwd"),
            file_entry(oid=SHA1.upper()),
            file_entry(size=-1),
            file_entry(lfs={"oid": "../" * 20, "size": 3}),
            file_entry(lfs={"oid": SHA256[:-1], "size": 3}),
            file_entry(lfs={"oid": SHA256, "size": -3}),
            file_entry(size=1 << 70),
            file_entry(type="symlink"),
        ],
    )
    def test_no_hash_and_no_size(self, place: Place, entry: dict[str, object]) -> None:
        with serving(in_turn([Reply(200, json.dumps([entry]).encode())])) as server, Session(server.url) as session:
            assert code_of(lambda: list(Remote(session).tree(place.repo, "main")), UnavailableError) == "BadAnswer"

    @pytest.mark.parametrize("sha", [None, "", "main", SHA256, SHA1.upper()])
    def test_no_commit(self, place: Place, sha: str | None) -> None:
        body = json.dumps({"id": "a/b", "sha": sha, "commitOid": sha, "commitUrl": ""}).encode()
        with serving(in_turn([Reply(200, body)])) as server, Session(server.url) as session:
            remote = Remote(session)
            assert code_of(lambda: remote.info(place.repo, "main"), UnavailableError) == "BadAnswer"
            call = lambda: remote.commit(place.repo, "main", [], title="t", parent=SHA1)  # noqa: E731
            assert code_of(call, UnavailableError) == "BadAnswer"

    def test_pages_in_a_circle(self, place: Place) -> None:
        page = json.dumps([file_entry()]).encode()
        link = {"Link": '</api/models/x?cursor=1>; rel="next"'}
        with serving(in_turn([Reply(200, page, link)])) as server, Session(server.url) as session:
            assert code_of(lambda: list(Remote(session).tree(place.repo, "main")), UnavailableError) == "BadAnswer"
            assert len(server.seen) == 2

    def test_a_page_elsewhere_gets_no_token(self, place: Place) -> None:
        page = json.dumps([file_entry()]).encode()
        with serving(in_turn([Reply(200, page)])) as other:
            link = {"Link": f'<{other.url}/page2>; rel="next"'}
            with serving(in_turn([Reply(200, page, link)])) as server, Session(server.url, place.token) as session:
                assert len(list(Remote(session).tree(place.repo, "main"))) == 2
            assert place.token not in repr(other.seen)
