"""Packs from outside: what git and dulwich write is read, what is broken, huge or forged is refused within bounds and leaves nothing."""

import contextlib
import hashlib
import io
import itertools
import random
import struct
import subprocess
import tempfile
import zlib

import httpx2
import pytest
from dulwich.objects import Blob
from dulwich.pack import PackData, create_delta
from dulwich.pack import apply_delta as dulwich_apply
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from tenuto.core.errors import IntegrityError, TenutoError, UsageError
from tenuto.core.gitobj import FILE_MODE, TREE_MODE, TreeItem, encode_tree, object_id, parse_tree
from tenuto.server.git_wire.delta import apply_delta, tree_delta
from tenuto.server.git_wire.pack import Pack, PackLimits
from tenuto.server.git_wire.protocol import ZERO_ID, Mark, packet
from tenuto.server.git_wire.write import PackWriter
from tenuto.server.schema import git_commits, git_objects
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.git_client import Clone
from tests.server.talk import small

LIMITS = PackLimits(1 << 20, 10_000, 64 << 20)
STREAM = "".join(
    f"commit refs/heads/main\nmark :{n + 1}\ncommitter G <g@e.org> {1_700_000_000 + n} +0000\ndata 2\nc\n"
    + (f"from :{n}\n" if n else "")
    + f"M 644 inline d/f\ndata {len(text)}\n{text}\n"
    for n in range(30)
    for text in ["line\n" * 200 + f"{n}\n" * (n + 1)]
)


def read(data: bytes, outside=lambda oids: {}, limits: PackLimits = LIMITS) -> dict[str, tuple[str, bytes]]:
    """All objects of a pack, as the hub reads them."""
    with tempfile.TemporaryFile() as file, tempfile.TemporaryDirectory() as spool:
        file.write(data)
        with Pack(file, 0, limits, spool) as pack:
            pack.read(outside)
            return {oid: (one.kind, pack.body(oid) if one.is_kept else b"") for oid, one in pack.entries.items()}


def sealed(objects: bytes, count: int) -> bytes:
    """A pack of raw entries, with its header and checksum."""
    body = b"PACK" + struct.pack(">II", 2, count) + objects
    return body + hashlib.sha1(body).digest()


def packed(*objects: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    writer = PackWriter(out.write, len(objects))
    for kind, body in objects:
        writer.add(kind, body)
    writer.finish()
    return out.getvalue()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("history"))
    clone.git("init", "-q")
    clone.git("fast-import", "--quiet", text=STREAM)
    return clone


def packs_of(clone: Clone, *options: str) -> bytes:
    names = clone.git("rev-list", "--objects", "--all")
    command = ["git", "pack-objects", "--stdout", "-q", *options]
    done = subprocess.run(command, cwd=clone.folder, input=names.encode(), capture_output=True, check=True)
    return done.stdout


@pytest.mark.parametrize("options", [["--window=0"], ["--delta-base-offset"], ["--depth=200", "--window=250"]])
def test_packs_of_git(history: Clone, options: list[str]) -> None:
    found = read(packs_of(history, *options))
    assert set(found) == history.objects()
    for oid, (kind, body) in found.items():
        assert object_id(kind, body) == oid


def test_a_thin_pack_builds_on_what_the_repo_has_and_on_nothing_else(history: Clone) -> None:
    command = ["git", "pack-objects", "--stdout", "-q", "--thin", "--revs"]
    done = subprocess.run(command, cwd=history.folder, input=b"main\n^main~3\n", capture_output=True, check=True)
    old = {line.split()[0] for line in history.git("rev-list", "--objects", "main~3").splitlines()}
    here = {oid: one for oid, one in read(packs_of(history)).items() if oid in old}
    found = read(done.stdout, lambda oids: {oid: here[oid] for oid in oids if oid in here})
    assert set(found) == history.objects() - old
    with pytest.raises(IntegrityError, match="neither the pack nor this repo has"):
        read(done.stdout)


objects = st.lists(
    st.tuples(st.just("blob"), st.binary(max_size=3000) | st.binary(min_size=1, max_size=40).map(lambda b: b * 2000)),
    max_size=12,
)


@given(objects)
def test_what_is_written_is_what_git_and_dulwich_read(made: list[tuple[str, bytes]]) -> None:
    data = packed(*made)
    assert read(data) == {object_id(*one): one for one in made}
    theirs = PackData.from_file(io.BytesIO(data), object_format=Blob().object_format, size=len(data))
    theirs.check()
    assert len(theirs) == len(made)
    theirs.close()


@given(st.binary(max_size=2000), st.binary(max_size=300), st.randoms(use_true_random=False))
def test_differences_are_those_of_dulwich(base: bytes, new: bytes, chance: random.Random) -> None:
    pieces = [base[i : i + 50] for i in range(0, len(base), 50)] + [new]
    chance.shuffle(pieces)
    target = b"".join(pieces)
    assert apply_delta(base, b"".join(create_delta(base, target))) == target


names = st.sets(st.text("abcdefgh.-0", min_size=1, max_size=12), max_size=60)


@given(names, names, st.integers(1, 255))
def test_differences_of_trees(before: set[str], after: set[str], seed: int) -> None:
    def tree(items: set[str]) -> bytes:
        return encode_tree(
            TreeItem(name, TREE_MODE if len(name) % 3 == 0 else FILE_MODE, hashlib.sha1(name.encode()).hexdigest())
            for name in items
        )

    old, new = tree(before), tree(after | set(sorted(before)[: len(before) * seed // 256]))
    delta = tree_delta(old, new)
    assert apply_delta(old, delta) == new
    assert b"".join(dulwich_apply(old, delta)) == new
    assert parse_tree(new) == parse_tree(apply_delta(old, delta))


@given(st.binary(max_size=60), st.binary(max_size=120))
def test_any_bytes_as_a_difference_are_refused_or_bounded(base: bytes, delta: bytes) -> None:
    with contextlib.suppress(IntegrityError):
        assert len(apply_delta(base, delta)) < 1 << 24


@given(st.data())
def test_a_pack_with_some_bytes_changed_is_refused(data: st.DataObject) -> None:
    whole = packed(("blob", b"one"), ("blob", b"two" * 500), ("tree", b""))
    kind = data.draw(st.sampled_from(["flip", "cut", "add", "drop"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = {
        "flip": whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
        "cut": whole[:at],
        "add": whole[:at] + data.draw(st.binary(min_size=1, max_size=9)) + whole[at:],
        "drop": whole[:at] + whole[at + 1 :],
    }[kind]
    if broken != whole:
        with pytest.raises(TenutoError):
            read(broken)


@given(st.binary(max_size=400), st.integers(0, 40))
def test_any_bytes_under_a_good_checksum_are_refused_or_read(body: bytes, count: int) -> None:
    try:
        found = read(sealed(body, count))
    except TenutoError:
        return
    assert all(object_id(*one) == oid for oid, one in found.items())


def head(number: int, size: int) -> bytes:
    out = bytearray()
    byte, size = number << 4 | size & 15, size >> 4
    while size:
        out.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    out.append(byte)
    return bytes(out)


def entry(number: int, body: bytes, extra: bytes = b"", size: int | None = None) -> bytes:
    return head(number, len(body) if size is None else size) + extra + zlib.compress(body)


def delta(base: int, size: int, instructions: bytes) -> bytes:
    def coded(number: int) -> bytes:
        out = b""
        while number > 0x7F:
            out += bytes([number & 0x7F | 0x80])
            number >>= 7
        return out + bytes([number])

    return coded(base) + coded(size) + instructions


A = hashlib.sha1(b"blob 1\0a").digest()


@pytest.mark.parametrize(
    ("pack", "reason"),
    [
        (sealed(entry(3, b"abc", size=2), 1), "another size"),
        (sealed(entry(3, b"abc", size=4), 1), "another size"),
        (sealed(entry(3, b"x" * 99_000, size=98_000), 1), "another size"),
        (sealed(entry(3, b"x" * 99_000, size=99_001), 1), "another size"),
        (sealed(entry(3, b"abc"), 2), "ends in the middle"),
        (sealed(entry(3, b"abc") + b"more", 1), "bytes follow"),
        (sealed(entry(0, b"abc"), 1), "unknown type"),
        (sealed(entry(5, b"abc"), 1), "unknown type"),
        (sealed(head(3, 3) + b"no zlib at all", 1), "cannot be inflated"),
        (sealed(b"\xff" * 30, 1), "no believable size"),
        (sealed(entry(6, delta(1, 1, b"\1b"), b"\x7f"), 1), "builds on nothing"),
        (sealed(entry(6, delta(1, 1, b"\1b"), b"\0"), 1), "builds on nothing"),
        (sealed(entry(7, delta(1, 1, b"\1b"), A), 1), "neither the pack nor this repo has"),
        (sealed(entry(3, b"a") + entry(7, delta(1, 1, b"\0"), A), 2), "does not fit its base"),
        (sealed(entry(3, b"a") + entry(7, delta(2, 1, b"\1b"), A), 2), "does not fit its base"),
        (sealed(entry(3, b"a") + entry(7, delta(1, 9, b"\1b"), A), 2), "does not fit its base"),
        (sealed(entry(3, b"a") + entry(7, delta(1, 9, b"\x91\0\2"), A), 2), "does not fit its base"),
        (sealed(entry(3, b"a") + entry(7, delta(1, 2 << 20, b"\x90\1"), A), 2), "above the limit of 1048576"),
        (sealed(entry(3, b"a") * 3, 10_001), "10001 objects"),
        (b"", "does not begin as a pack"),
        (b"PACK" + struct.pack(">II", 4, 0) + b"x" * 20, "does not begin as a pack"),
        (sealed(b"", 0)[:-1] + b"!", "checksum"),
    ],
)
def test_faults(pack: bytes, reason: str) -> None:
    with pytest.raises(TenutoError, match=reason):
        read(pack)


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 400_000), st.booleans()), min_size=1, max_size=4),
    st.randoms(),
)
def test_long_streams_end_where_they_end(made: list[tuple[int, int, bool]], chance: random.Random) -> None:
    bodies = [bytes([byte]) * size if even else chance.randbytes(size) for byte, size, even in made]
    found = read(packed(*(("blob", body) for body in bodies)))
    assert found == {object_id("blob", body): ("blob", body) for body in bodies}


def test_objects_that_are_too_large_are_named_and_not_kept() -> None:
    body = bytes(5 << 20)
    assert read(packed(("blob", body))) == {object_id("blob", body): ("blob", b"")}


def test_bombs_cost_no_more_than_the_limit() -> None:
    plain = sealed(entry(3, bytes(30 << 20)) * 3, 3)
    assert len(plain) < 100_000
    with pytest.raises(UsageError, match="more than 67108864 bytes when unpacked"):
        read(plain)
    base = bytes(1 << 20)
    name = bytes.fromhex(object_id("blob", base))
    copies = b"\xc0\x10"  # all of it
    made = b"".join(entry(7, delta(1 << 20, 1 << 20, copies), name) for _ in range(100))
    with pytest.raises(UsageError, match="when unpacked"):
        read(sealed(entry(3, base) + made, 101))


def test_a_chain_has_an_end() -> None:
    bodies = [b"%06d" % number for number in range(4200)]
    links = [
        entry(7, delta(6, 6, b"\6" + new), bytes.fromhex(object_id("blob", old)))
        for old, new in itertools.pairwise(bodies)
    ]
    with pytest.raises(UsageError, match="chain of more than 4095"):
        read(sealed(entry(3, bodies[0]) + b"".join(links), 4200))
    assert len(read(sealed(entry(3, bodies[0]) + b"".join(links[:4000]), 4001))) == 4001


def push(hub: LiveHub, owner: Owner, pack: bytes, new: str, ref: str = "refs/heads/new", old: str = ZERO_ID) -> str:
    body = packet(f"{old} {new} {ref}\0report-status") + Mark.FLUSH.value + pack
    answer = httpx2.post(
        f"{hub.url}/{owner.repo}/git-receive-pack",
        content=body,
        headers={"Content-Type": "application/x-git-receive-pack-request"},
        auth=("any", owner.token),
        trust_env=False,
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return answer.text


def rows(hub: LiveHub) -> tuple[int, int]:
    with hub.hub.parts.database.read() as connection:
        return tuple(
            int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in (git_objects, git_commits)
        )


def commit_of(
    tree: str, *parents: str, who: str = "A <a@b>", time: str = "1700000000 +0000", rest: str = "\nhi\n"
) -> bytes:
    lines = [f"tree {tree}", *(f"parent {one}" for one in parents), f"author {who} {time}", f"committer {who} {time}"]
    return ("\n".join(lines) + "\n" + rest).encode()


BLOB = object_id("blob", b"a")
GOOD_TREE = b"100644 a\0" + bytes.fromhex(BLOB)


def whole(tree: bytes = GOOD_TREE, commit: bytes | None = None, *more: tuple[str, bytes]) -> tuple[bytes, str]:
    made = commit or commit_of(object_id("tree", tree))
    pack = packed(("blob", b"a"), ("tree", tree), ("commit", made), *more)
    return pack, object_id("commit", made)


def test_a_pack_by_hand_is_taken(hub: LiveHub, owner: Owner) -> None:
    pack, oid = whole()
    assert "ok refs/heads/new" in push(hub, owner, pack, oid)
    assert owner.talk.head(owner.repo, "new") == oid


raw = bytes.fromhex(BLOB)


@pytest.mark.parametrize(
    "tree",
    [
        b"100644 b\0" + raw + b"100644 a\0" + raw,
        b"100644 a\0" + raw + b"100644 a\0" + raw,
        b"100644 a\0" + raw + b"40000 a\0" + bytes.fromhex(object_id("tree", b"")),
        b"0100644 a\0" + raw,
        b"100664 a\0" + raw,
        b"040000 a\0" + bytes.fromhex(object_id("tree", b"")),
        b"100644 a\0" + raw[:-1],
        b"100644 \0" + raw,
        b"100644 a/b\0" + raw,
        b"100644 ..\0" + raw,
        b"100644 .git\0" + raw,
        b"100644 .GIT\0" + raw,
        b"100644 \xff\0" + raw,
        b"100644 a\xe2\x80\x8b\0" + raw,
        b"40000 a\0" + raw,
        b"100644 a\0" + bytes.fromhex(object_id("tree", b"")),
        b"100644 a\0" + b"\1" * 20,
        b"40000 a\0" + b"\1" * 20,
        b"garbage",
    ],
)
def test_trees_that_git_would_not_write_are_refused(hub: LiveHub, owner: Owner, tree: bytes) -> None:
    before = rows(hub)
    pack, oid = whole(tree, None, ("tree", b""))
    assert "ng refs/heads/new" in push(hub, owner, pack, oid)
    assert rows(hub) == before


@pytest.mark.parametrize(
    "commit",
    [
        commit_of(object_id("tree", GOOD_TREE), who="A a@b"),
        commit_of(object_id("tree", GOOD_TREE), who="A <a@b"),
        commit_of(object_id("tree", GOOD_TREE), who="<a@b>"),
        commit_of(object_id("tree", GOOD_TREE), time="0123 +0000"),
        commit_of(object_id("tree", GOOD_TREE), time="-5 +0000"),
        commit_of(object_id("tree", GOOD_TREE), time="999999999999 +0000"),
        commit_of(object_id("tree", GOOD_TREE), time="9999999999999999999999 +0000"),
        commit_of(object_id("tree", GOOD_TREE), rest="\nnul\0\n"),
        commit_of(object_id("tree", GOOD_TREE), "b" * 40),
        commit_of(object_id("tree", GOOD_TREE), BLOB),
        commit_of(BLOB),
        commit_of("c" * 40),
        b"tree " + object_id("tree", GOOD_TREE).encode() + b"\n\nno author\n",
        b"",
    ],
)
def test_commits_that_git_would_not_write_are_refused(hub: LiveHub, owner: Owner, commit: bytes) -> None:
    before = rows(hub)
    pack, oid = whole(GOOD_TREE, commit)
    if not commit:
        pack, oid = packed(("commit", b"")), object_id("commit", b"")
    assert "ng refs/heads/new" in push(hub, owner, pack, oid)
    assert rows(hub) == before


@given(st.data())
def test_mutated_packs_by_the_wire_leave_nothing(hub: LiveHub, owner: Owner, data: st.DataObject) -> None:
    pack, oid = whole()
    at = data.draw(st.integers(0, len(pack) - 1))
    broken = bytearray(pack)
    broken[at] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        broken[-20:] = hashlib.sha1(broken[:-20]).digest()
    before = rows(hub)
    answer = push(hub, owner, bytes(broken), oid, "refs/heads/fuzz")
    if "ok refs/heads/fuzz" in answer:  # the change was in how the bytes are packed, not in the bytes
        assert owner.talk.head(owner.repo, "fuzz") == oid
        owner.talk.client.delete(f"/api/models/{owner.repo}/branch/fuzz").raise_for_status()
    else:
        assert rows(hub) == before


def test_a_pack_builds_on_nothing_of_another_repo(hub: LiveHub, make_owner) -> None:
    hidden, thief = make_owner(private=True), make_owner()
    secret = b"a secret text, long enough to be guessed by nobody"
    hidden.talk.commit(hidden.repo, small("s", secret)).raise_for_status()
    blob, head_oid = object_id("blob", secret), hidden.talk.head(hidden.repo)
    tree = b"100644 s\0" + bytes.fromhex(blob)
    pack, oid = whole(tree)
    assert f"neither the pack nor this repo has the blob {blob}" in push(hub, thief, pack, oid)
    assert "neither the pack nor this repo has" in push(hub, thief, sealed(b"", 0), head_oid)
    copy_all = delta(len(secret), len(secret), b"\x90" + bytes([len(secret)]))
    thin = sealed(entry(7, copy_all, bytes.fromhex(blob)), 1)
    assert "unpack the pack cannot be read" in push(hub, thief, thin, oid)


def test_a_tree_that_lists_for_ever_is_refused(hub: LiveHub, owner: Owner) -> None:
    """Ten times ten times … the same folder: a few hundred bytes, ten billion paths."""
    trees = [GOOD_TREE]
    for _ in range(10):
        below = bytes.fromhex(object_id("tree", trees[-1]))
        trees.append(b"".join(b"40000 %d\0" % number + below for number in range(10)))
    commit = commit_of(object_id("tree", trees[-1]))
    pack = packed(("blob", b"a"), *(("tree", tree) for tree in trees), ("commit", commit))
    assert "has more than 1000000 files" in push(hub, owner, pack, object_id("commit", commit))
    # in several steps, each built on what the hub has
    for depth in range(1, 7):
        commit = commit_of(object_id("tree", trees[depth - 1]))
        pack = packed(("blob", b"a"), *(("tree", tree) for tree in trees[:depth]), ("commit", commit))
        assert f"ok refs/heads/b{depth}" in push(hub, owner, pack, object_id("commit", commit), f"refs/heads/b{depth}")
    commit = commit_of(object_id("tree", trees[8]))
    pack = packed(("tree", trees[7]), ("tree", trees[8]), ("tree", trees[6]), ("commit", commit))
    assert "has more than 1000000 files" in push(hub, owner, pack, object_id("commit", commit))


def test_only_what_a_ref_leads_to_is_kept(hub: LiveHub, owner: Owner) -> None:
    pack, oid = whole(GOOD_TREE, None, ("blob", b"junk"), ("tag", b"not a tag at all"))
    before = rows(hub)
    assert "ok refs/heads/new" in push(hub, owner, pack, oid)
    assert rows(hub) == (before[0] + 3, before[1] + 1)


def test_requests_that_are_no_push(hub: LiveHub, owner: Owner) -> None:
    def send(body: bytes) -> httpx2.Response:
        return httpx2.post(
            f"{hub.url}/{owner.repo}/git-receive-pack",
            content=body,
            headers={"Content-Type": "application/x-git-receive-pack-request"},
            auth=("any", owner.token),
            trust_env=False,
        )

    assert (send(b"0000").status_code, send(b"0000").content) == (200, b"")
    assert send(b"00").status_code == 400
    assert send(packet("no ids here")).status_code == 400
    twice = packet(f"{ZERO_ID} {'a' * 40} refs/heads/x")
    assert send(twice + twice + b"0000").status_code == 400
    assert b"ng refs/heads/x" in send(packet(f"{ZERO_ID} {'a' * 40} refs/heads/x\0report-status") + b"0000").content
