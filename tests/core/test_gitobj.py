"""git objects have the ids and bodies that git gives them. Oracles: `git hash-object`, `git mktree`, `git fsck`, dulwich."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from dulwich.objects import Blob
from dulwich.objects import Commit as DulwichCommit
from dulwich.objects import Tree as DulwichTree
from hypothesis import example, given
from hypothesis import strategies as st

from tenuto.core.errors import IntegrityError
from tenuto.core.gitobj import (
    EMPTY_TREE,
    EXECUTABLE_MODE,
    FILE_MODE,
    LINK_MODE,
    TREE_MODE,
    Commit,
    Pointer,
    TreeItem,
    blob_id,
    encode_tree,
    object_hasher,
    object_id,
    parse_commit,
    parse_pointer,
    parse_tree,
)

EMPTY_BLOB = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
names = st.text(st.characters(codec="utf-8", exclude_characters="/\x00"), min_size=1, max_size=12).filter(
    lambda name: name not in {".", ".."} and name.lower() != ".git"
)
oids = st.binary(min_size=20, max_size=20).map(bytes.hex)
items = st.builds(TreeItem, names, st.sampled_from([FILE_MODE, EXECUTABLE_MODE, LINK_MODE, TREE_MODE]), oids)
trees = st.lists(items, unique_by=lambda item: item.name, max_size=12)
people = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="<>"), min_size=1, max_size=10
)
commits = st.builds(
    Commit,
    oids,
    st.lists(oids, max_size=3).map(tuple),
    people.map(lambda name: f"{name} <{name}@example.test>"),
    st.integers(0, 2**33),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60).map(
        lambda text: text.rstrip("\n") + "\n"
    ),
)


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder: Path = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", folder], check=True)

    def run(*command: str, data: bytes = b"") -> bytes:
        return subprocess.run(["git", "-C", folder, *command], input=data, check=True, capture_output=True).stdout

    return run


@pytest.mark.parametrize("data", [b"", b"hello\n", bytes(range(256)) * 300, b"\xff\xfe", "\u00e9".encode()])
def test_git_hash_object_agrees_on_blobs(git: object, data: bytes) -> None:
    assert git("hash-object", "--stdin", data=data).decode().strip() == blob_id(data)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_dulwich_agrees_on_blobs_also_in_parts(data: bytes, step: int) -> None:
    hasher = object_hasher("blob", len(data))
    for start in range(0, len(data), step):
        hasher.update(data[start : start + step])
    assert hasher.hexdigest() == blob_id(data) == Blob.from_string(data).id.decode()


def test_well_known_ids() -> None:
    assert blob_id(b"") == EMPTY_BLOB
    assert object_id("tree", encode_tree([])) == EMPTY_TREE


def test_git_orders_a_folder_as_if_its_name_ended_in_a_slash(git: object) -> None:
    blob = git("hash-object", "-w", "--stdin", data=b"x").decode().strip()
    tree = git("mktree", data=f"100644 blob {blob}\tf\n".encode()).decode().strip()
    found = [
        *(TreeItem(name, FILE_MODE, blob) for name in ("a", "a-b", "a.b", "a0", "aa", "\u00e9", "z")),
        *(TreeItem(name, TREE_MODE, tree) for name in ("b", "b!", "aa0")),
        TreeItem("b.txt", EXECUTABLE_MODE, blob),
        TreeItem("b0", LINK_MODE, blob),
    ]
    lines = [f"{item.mode:06o} {'tree' if item.is_tree else 'blob'} {item.oid}\t{item.name}\0" for item in found]
    theirs = git("mktree", "-z", data="".join(lines).encode()).decode().strip()
    body = encode_tree(found)
    assert object_id("tree", body) == theirs
    assert git("cat-file", "tree", theirs) == body
    assert git("hash-object", "-t", "tree", "--stdin", data=body).decode().strip() == theirs


@given(trees)
@example(
    [
        TreeItem("a", TREE_MODE, EMPTY_TREE),
        TreeItem("a.b", FILE_MODE, EMPTY_BLOB),
        TreeItem("a0", FILE_MODE, EMPTY_BLOB),
    ]
)
def test_dulwich_agrees_on_trees(found: list[TreeItem]) -> None:
    theirs = DulwichTree()
    for item in found:
        theirs.add(item.name.encode(), item.mode, item.oid.encode())
    body = encode_tree(reversed(found))
    assert body == theirs.as_raw_string()
    assert object_id("tree", body) == theirs.id.decode()
    assert sorted(parse_tree(body)) == sorted(found)
    assert encode_tree(parse_tree(body)) == body


@pytest.mark.parametrize(
    "body",
    [b"x", b"100644 a", b"100644 a\0short", b"abc a\0" + b"x" * 20, b"100644 \xff\0" + b"x" * 20, b"a\0" + b"x" * 20],
)
def test_a_broken_tree(body: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_tree(body)
    assert caught.value.code == "CorruptObject"


@given(commits)
def test_dulwich_agrees_on_commits(commit: Commit) -> None:
    body = commit.encode()
    theirs = DulwichCommit.from_string(body)
    assert theirs.id.decode() == object_id("commit", body)
    assert (theirs.tree.decode(), tuple(parent.decode() for parent in theirs.parents)) == (commit.tree, commit.parents)
    assert (theirs.author.decode(), theirs.author_time, theirs.author_timezone) == (commit.author, commit.time_s, 0)
    assert theirs.message.decode() == commit.message
    assert parse_commit(body) == commit


def test_git_reads_our_commits(git: object) -> None:
    tree = git("mktree", data=b"").decode().strip()
    first = Commit(tree, (), "Ann <ann@example.test>", 1_700_000_000, "First\n\nwith a body")
    oid = git("hash-object", "-t", "commit", "-w", "--stdin", data=first.encode()).decode().strip()
    assert oid == object_id("commit", first.encode())
    second = Commit(tree, (oid,), "Bo\nb\0 <bo@example.test>", 1_700_000_001, "nul \0 and no end\n\n\n")
    oid = git("hash-object", "-t", "commit", "-w", "--stdin", data=second.encode()).decode().strip()
    assert git("log", "--format=%an|%at|%s", oid) == b"Bo b|1700000001|nul  and no end\nAnn|1700000000|First\n"
    git("fsck", "--strict", oid)
    assert first.title == "First"


def test_we_read_commits_of_git(git: object) -> None:
    git("config", "user.name", "Zo\u00eb")
    git("config", "user.email", "zoe@example.test")
    tree = git("mktree", data=b"").decode().strip()
    oid = git("commit-tree", tree, "-m", "Title\n\nBody").decode().strip()
    merge = git("commit-tree", tree, "-p", oid, "-p", oid, "-m", "Merge").decode().strip()
    body = git("cat-file", "commit", merge)
    commit = parse_commit(body)
    assert commit.parents == (oid,), "git drops a parent that stands twice"
    assert (commit.author, commit.message, commit.tree) == ("Zo\u00eb <zoe@example.test>", "Merge\n", tree)
    assert object_id("commit", body) == merge


def test_signatures_and_unknown_headers_are_passed_over() -> None:
    body = (
        f"tree {EMPTY_TREE}\nauthor A <a> 5 +0200\ncommitter B <b> 6 +0000\nencoding latin-1\n"
        "gpgsig -----BEGIN\n tree nonsense\n author X <x> 1 +0000\n -----END\n\nmessage\n\ntree x\n"
    ).encode()
    assert parse_commit(body) == Commit(EMPTY_TREE, (), "A <a>", 5, "message\n\ntree x\n")


@pytest.mark.parametrize(
    "body", [b"", b"tree x\n\nm", b"tree " + b"a" * 40 + b"\nauthor x\n\n", b"author A <a> 1 +0000\n\nm", b"\xff"]
)
def test_a_broken_commit(body: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_commit(body)
    assert caught.value.code == "CorruptObject"


class TestPointers:
    def test_the_canonical_text(self) -> None:
        sha256 = hashlib.sha256(b"x").hexdigest()
        pointer = Pointer(sha256, 12345)
        assert (
            pointer.encode()
            == f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize 12345\n".encode()
        )

    @given(st.binary(min_size=32, max_size=32).map(bytes.hex), st.integers(0, 10**15 - 1))
    def test_round_trip(self, sha256: str, size: int) -> None:
        assert parse_pointer(Pointer(sha256, size).encode()) == Pointer(sha256, size)

    def test_extensions_are_passed_over(self) -> None:
        text = Pointer("a" * 64, 1).encode().replace(b"\noid", b"\next-0-foo sha256:" + b"b" * 64 + b"\noid")
        assert parse_pointer(text) == Pointer("a" * 64, 1)

    @pytest.mark.parametrize(
        "change",
        [
            (b"sha256:aa", b"sha256:AA"),
            (b"sha256", b"md5"),
            (b"spec/v1", b"spec/v2"),
            (b"size 1", b"size -1"),
            (b"size 1", b"size \xd9\xa1"),
            (b"size 1\n", b""),
            (b"size 1", b"size 1 2"),
            (b"\n", b"\r\n"),
            (b"size 1", b"size " + b"9" * 16),
            (b"size 1\n", b"size 1\n" + b"x" * 2000),
        ],
    )
    def test_anything_else_is_a_plain_file(self, change: tuple[bytes, bytes]) -> None:
        text = Pointer("a" * 64, 1).encode()
        assert parse_pointer(text) is not None
        assert parse_pointer(text.replace(*change)) is None

    @given(st.binary(max_size=100))
    def test_any_bytes_can_be_looked_at(self, body: bytes) -> None:
        assert parse_pointer(body) is None
