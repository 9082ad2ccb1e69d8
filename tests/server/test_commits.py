"""Commits through the API: what they do, what they refuse, and that they are all or nothing."""

import hashlib
import json

import pytest

from tests.server.conftest import Owner
from tests.server.talk import copied, gone, large, small


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.headers.get("X-Error-Code", "")


def test_files_come_and_go(owner: Owner) -> None:
    talk, repo = owner.talk, owner.repo
    first = talk.commit(repo, small("a.txt", b"one"), small("dir/b.txt", b"two"), small("dir/sub/c.txt", b""))
    assert first.status_code == 200
    oid = first.json()["commitOid"]
    assert first.json()["commitUrl"] == f"{talk.client.base_url}/{repo}/commit/{oid}".replace("//user", "/user")
    assert talk.head(repo) == oid
    assert set(talk.listing(repo)) == {".gitattributes", "a.txt", "dir/b.txt", "dir/sub/c.txt"}
    talk.commit(repo, gone("dir/"), gone("a.txt"), small("a.txt", b"again")).raise_for_status()
    assert set(talk.listing(repo)) == {".gitattributes", "a.txt"}
    assert talk.read(repo, "a.txt").content == b"again"
    assert talk.read(repo, "dir/b.txt", oid).content == b"two"


def test_a_large_file_is_committed_by_its_hash(owner: Owner) -> None:
    data = b"weights" * 1000
    oid = owner.talk.put_large(owner.repo, data)
    owner.talk.commit(owner.repo, large("m.bin", oid, len(data)), large("copy.bin", oid)).raise_for_status()
    listing = owner.talk.listing(owner.repo)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n".encode()
    git_id = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()
    assert listing["m.bin"] == {
        "type": "file",
        "path": "m.bin",
        "oid": git_id,
        "size": len(data),
        "lfs": {"oid": oid, "size": len(data), "pointerSize": len(pointer)},
    }
    assert owner.talk.read(owner.repo, "copy.bin").content == data
    assert owner.talk.get(f"/{owner.repo}/raw/main/m.bin").content == pointer


def test_copies_are_made_without_bytes(owner: Owner) -> None:
    talk, repo = owner.talk, owner.repo
    before = talk.commit(repo, small("a", b"old")).json()["commitOid"]
    talk.commit(repo, small("a", b"new"), copied("b", "a"), copied("c", "a", before)).raise_for_status()
    assert [talk.read(repo, name).content for name in "abc"] == [b"new", b"new", b"old"]
    assert code(talk.commit(repo, copied("d", "missing"))) == (404, "EntryNotFound")
    assert code(talk.commit(repo, copied("d", "a", "nowhere"))) == (404, "RevisionNotFound")


def test_a_parent_that_is_not_the_head_is_stale(owner: Owner) -> None:
    talk, repo = owner.talk, owner.repo
    old = talk.head(repo)
    new = talk.commit(repo, small("a", b"1"), parent=old).json()["commitOid"]
    assert code(talk.commit(repo, small("a", b"2"), parent=old)) == (412, "StaleParent")
    assert talk.read(repo, "a").content == b"1"
    assert talk.commit(repo, small("a", b"2"), parent=new[:7]).status_code == 200
    assert code(talk.commit(repo, small("a", b"3"), parent="main")) == (400, "BadRequest")
    assert code(talk.commit(repo, small("a", b"3"), parent=new[:4])) == (400, "BadRequest")


def test_no_change_makes_no_commit(owner: Owner) -> None:
    talk, repo = owner.talk, owner.repo
    head = talk.commit(repo, small("a", b"1")).json()["commitOid"]
    for lines in ([], [small("a", b"1")], [gone("a"), small("a", b"1")]):
        assert talk.commit(repo, *lines).json()["commitOid"] == head
    assert talk.head(repo) == head


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/x",
        "a/../x",
        "a//b",
        "",
        "a/",
        ".",
        ".git/config",
        "x/.git/y",
        ".GIT/x",
        "C:x",
        "a\\b",
        "CON",
        "a\u202e.pt",
        "a\0b",
        "x" * 300,
        ".cache/x",
        "a/.cache/b",
        ".cache",
        "a ",
        "b.",
    ],
)
def test_paths_that_are_not_safe_are_refused(owner: Owner, path: str) -> None:
    head = owner.talk.head(owner.repo)
    for line in (small(path, b"x"), large(path, "a" * 64, 1), copied(path, ".gitattributes"), copied("ok", path)):
        assert code(owner.talk.commit(owner.repo, line)) == (400, "BadPath"), line
    line = {"key": "deletedFile", "value": {"path": path}}
    assert code(owner.talk.commit(owner.repo, line)) == (400, "BadPath")
    assert owner.talk.head(owner.repo) == head


def test_a_file_and_a_folder_cannot_have_one_name(owner: Owner) -> None:
    talk, repo = owner.talk, owner.repo
    talk.commit(repo, small("d/f", b"1"), small("f", b"2")).raise_for_status()
    assert code(talk.commit(repo, small("d", b"x"))) == (400, "BadPath")
    assert code(talk.commit(repo, small("f/x", b"x"))) == (400, "BadPath")
    assert talk.commit(repo, gone("d/"), small("d", b"x"), gone("f"), small("f/x", b"x")).status_code == 200
    assert set(talk.listing(repo)) == {".gitattributes", "d", "f/x"}


def test_deleting_what_is_not_there_is_said_in_the_words_that_clients_know(owner: Owner) -> None:
    for line in (
        gone("nothing"),
        gone("nothing/"),
        gone(".gitattributes/"),
        {"key": "deletedFile", "value": {"path": "d"}},
    ):
        answer = owner.talk.commit(owner.repo, small("d/x", b"1"), line)
        assert code(answer) == (404, "EntryNotFound")
        assert "A file with this name doesn't exist" in answer.text
    assert set(owner.talk.listing(owner.repo)) == {".gitattributes"}


@pytest.mark.parametrize("oid", ["", "a" * 63, "a" * 65, "A" * 64, "../../" + "a" * 58, "\u0663" * 64, "g" * 64])
def test_hashes_that_are_none_are_refused(owner: Owner, oid: str) -> None:
    assert code(owner.talk.commit(owner.repo, large("x", oid, 1))) == (400, "BadRequest")


def test_a_large_file_must_be_held_with_that_very_size(owner: Owner) -> None:
    oid = owner.talk.put_large(owner.repo, b"12345")
    for line in (
        large("x", "b" * 64, 5),
        large("x", "b" * 64),
        large("x", oid, 4),
        large("x", oid, -1),
        large("x", oid, 2**70),
    ):
        answer = owner.talk.commit(owner.repo, line)
        assert code(answer) == (400, "BadRequest")
    assert "'x'" in owner.talk.commit(owner.repo, large("x", oid, 4)).json()["error"]


def test_a_pointer_sent_as_text_is_a_claim_like_any_other(owner: Owner) -> None:
    text = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 5\n"
    assert code(owner.talk.commit(owner.repo, small("x", text % (b"c" * 64)))) == (400, "BadRequest")
    oid = owner.talk.put_large(owner.repo, b"12345")
    owner.talk.commit(owner.repo, small("x", text % oid.encode())).raise_for_status()
    assert owner.talk.read(owner.repo, "x").content == b"12345"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n",
        b"not json\n",
        b'{"key":"file","value":{"path":"a","content":""}}\n',
        b'{"key":"header","value":{"summary":1}}\n',
        b'{"key":"header","value":{}}\n{"key":"header","value":{}}\n',
        b'{"key":"header","value":{}}\n{"key":"unknown","value":{"path":"a"}}\n',
        b'{"key":"header","value":{}}\n{"key":"file","value":{"path":"a"}}\n',
        b'{"key":"header","value":{}}\n{"key":"file","value":{"path":"a","content":"%%%","encoding":"base64"}}\n',
        b'{"key":"header","value":{}}\n{"key":"file","value":{"path":"a","content":"x","encoding":"rot13"}}\n',
        b'{"key":"header","value":{}}\n{"key":"lfsFile","value":{"path":"a","oid":"'
        + b"a" * 64
        + b'","algo":"md5"}}\n',
        b'{"key":"header","value":{}}\n[]\n',
        b'{"key":"header","value":{"summary":"\xff"}}\n',
        b"[" * 100_000,
    ],
)
def test_bodies_that_do_not_fit_are_bad_requests(owner: Owner, body: bytes) -> None:
    head = owner.talk.head(owner.repo)
    answer = owner.talk.client.post(f"/api/models/{owner.repo}/commit/main", content=body)
    assert code(answer) == (400, "BadRequest")
    assert owner.talk.head(owner.repo) == head


def test_sizes_have_limits(owner: Owner) -> None:
    talk, repo = owner.talk, owner.repo
    assert code(talk.commit(repo, small("big", b"x" * (1 << 20) + b"x"))) == (413, "TooLarge")
    assert code(talk.commit(repo, small("big", b"x" * (3 << 20)))) == (413, "TooLarge")
    many = [gone(f"f{number}") for number in range(25_001)]
    assert code(talk.commit(repo, *many)) == (413, "TooLarge")
    header = {"key": "header", "value": {"summary": "x" * 70_000}}
    assert code(talk.client.post(f"/api/models/{repo}/commit/main", content=json.dumps(header))) == (413, "TooLarge")

    def flood():
        for _ in range(40):
            yield b" " * (1 << 20)

    assert code(talk.client.post(f"/api/models/{repo}/commit/main", content=flood())) == (413, "TooLarge")
    assert set(talk.listing(repo)) == {".gitattributes"}


def test_many_small_files_are_staged_and_committed_together(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenuto.server.content.staging.STAGE_BYTES", 10_000)
    lines = [small(f"d{number % 7}/f{number}", b"%d" % number * 50) for number in range(300)]
    owner.talk.commit(owner.repo, *lines).raise_for_status()
    assert len(owner.talk.listing(owner.repo)) == 301
    assert owner.talk.read(owner.repo, "d4/f298").content == b"298" * 50
    assert code(
        owner.talk.commit(owner.repo, *[small(f"z{n}", b"%d" % n * 100) for n in range(300)], gone("none"))
    ) == (404, "EntryNotFound")
    assert len(owner.talk.listing(owner.repo)) == 301


def test_only_branches_take_commits(owner: Owner) -> None:
    talk, repo = owner.talk, owner.repo
    head = talk.head(repo)
    talk.post(f"/api/models/{repo}/tag/main", {"tag": "v1"}).raise_for_status()
    talk.post(f"/api/models/{repo}/branch/feat%2Fone", {}).raise_for_status()
    assert code(talk.commit(repo, small("a", b""), rev="nowhere")) == (404, "RevisionNotFound")
    assert code(talk.commit(repo, small("a", b""), rev="v1")) == (400, "BadRequest")
    assert code(talk.commit(repo, small("a", b""), rev=head)) == (400, "BadRequest")
    assert talk.commit(repo, small("a", b""), rev="feat/one").status_code == 200
    assert talk.commit(repo, small("b", b""), rev="refs/heads/feat/one").status_code == 200
    assert talk.head(repo) == head
    assert set(talk.listing(repo, "feat/one")) == {".gitattributes", "a", "b"}


def test_names_of_every_kind(owner: Owner) -> None:
    names = [
        "a b",
        "x#y",
        "50%",
        "%2F",
        "é/ü",
        "日本語.txt",
        "a+b&c=d",
        "e\u0301",
        "\U0001f3b5.wav",
        "-dash",
        "~tilde",
        "a/b/c/d/e/f/g/h/i/j",
    ]
    owner.talk.commit(owner.repo, *[small(name, name.encode()) for name in names]).raise_for_status()
    assert set(owner.talk.listing(owner.repo)) == {".gitattributes", *names}
    for name in names:
        answer = owner.talk.read(owner.repo, name)
        assert answer.content == name.encode(), name
        assert "filename*=UTF-8''" in answer.headers["Content-Disposition"]


def test_the_message_is_kept(owner: Owner) -> None:
    header = {"key": "header", "value": {"summary": "Title é", "description": "More\nlines"}}
    body = "\n".join(map(json.dumps, (header, small("a", b"1"))))
    owner.talk.client.post(f"/api/models/{owner.repo}/commit/main", content=body).raise_for_status()
    newest = owner.talk.get(f"/api/models/{owner.repo}/commits/main").json()[0]
    assert (newest["title"], newest["message"], newest["authors"]) == ("Title é", "More\nlines", [{"user": owner.name}])
