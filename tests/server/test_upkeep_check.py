"""A whole hub is clean; whatever is broken is named, with the places where it is used."""

import hashlib
from pathlib import Path

import pytest

from tenuto.core.gitobj import parse_tree
from tenuto.server.upkeep.report import CheckReport, Depth
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas
from tests.server.conftest import Owner
from tests.server.talk import Talk
from tests.server.upkeep_hub import (
    BOTH,
    CHUNKED,
    SHARED,
    TWICE,
    WHOLE,
    XORB,
    Sample,
    change,
    check,
    copy_sample,
    flip,
    make_sample,
    object_file,
    rewrite,
    rows,
    xorb_file,
)

QUICK = Depth(0.0)
ANN, BOB = "hf://ann/one", "hf://bob/two"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("sample") / "data")


@pytest.fixture
def folder(sample: Sample, tmp_path: Path) -> Path:
    return copy_sample(sample, tmp_path / "data")


def named(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def found(report: CheckReport) -> set[tuple[str, str, str]]:
    assert report.clean is not bool(report.findings)
    return {(one.fault, one.kind, one.name) for one in report.findings}


def where(report: CheckReport, name: str) -> set[str]:
    return {str(place) for one in report.findings if one.name == name for place in one.places}


def oid_of(folder: Path, path: str, repo: str = "one") -> str:
    """The id of the file or folder that the head of `main` has under a path."""
    query = (
        "SELECT c.tree_oid, c.repo_id FROM git_refs r JOIN git_commits c ON c.repo_id = r.repo_id AND c.oid = r.commit_oid "
        "JOIN repos ON repos.id = r.repo_id WHERE r.name = 'refs/heads/main' AND repos.name = ?"
    )
    ((oid, key),) = rows(folder, query, repo)
    for segment in path.split("/"):
        ((body,),) = rows(folder, "SELECT body FROM git_objects WHERE repo_id = ? AND oid = ?", key, oid)
        oid = {item.name: item.oid for item in parse_tree(body)}[segment]
    return oid


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_whole_hub_is_clean(folder: Path, share: float) -> None:
    report = check(folder, Depth(share, seed=3))
    assert (report.clean, report.findings) == (True, [])
    counts = report.counts
    assert (counts.repos, counts.refs, counts.large_objects, counts.chunked_files, counts.xorbs) == (3, 5, 4, 3, 2)
    stored = len(WHOLE) + len(TWICE) + len(XORB.body) + len(SHARED.body) + len(CHUNKED.content) + len(BOTH.content)
    if share == 1:
        assert counts.bytes_read > stored
    else:
        assert counts.bytes_read < stored
        assert share or counts.bytes_read == 0


def test_a_missing_object_is_named_with_all_its_places(folder: Path) -> None:
    object_file(folder, TWICE).unlink()
    for depth in (QUICK, Depth(1.0)):
        report = check(folder, depth)
        assert found(report) == {("missing", "large object", named(TWICE))}
        path = f"main/folder/{named(TWICE)[:4]}.bin"
        assert where(report, named(TWICE)) == {f"{ANN}@{path}", f"{BOB}@{path}"}
        assert report.findings[0].repos == [ANN, BOB]


def test_a_missing_object_and_a_missing_xorb_are_mended_by_sending_them_again(folder: Path, sample: Sample) -> None:
    object_file(folder, TWICE).unlink()
    xorb_file(folder, XORB.name).unlink()
    with LiveHub(str(folder)) as hub:
        owner = Owner("ann", sample.tokens["ann"], Talk(hub.url, sample.tokens["ann"]), "ann/one")
        owner.talk.put_large("ann/one", TWICE)
        assert Cas(owner).grant(XORB.name) == 404
        Cas(owner).put_file(CHUNKED)
        owner.talk.close()
    assert check(folder).findings == []


def test_an_object_that_lies_in_the_trash_is_found_there(folder: Path) -> None:
    lost = object_file(folder, TWICE)
    trash = folder / "trash" / "1700000000000" / "objects" / lost.parent.name
    trash.mkdir(parents=True)
    lost.rename(trash / lost.name)
    (finding,) = check(folder, QUICK).findings
    assert finding.detail.endswith(f"{trash / lost.name} has it")


def test_a_flipped_byte_in_an_object(folder: Path) -> None:
    flip(object_file(folder, WHOLE), 777)
    assert check(folder, QUICK).clean, "no byte was read"
    report = check(folder)
    assert found(report) == {("damaged", "large object", named(WHOLE))}
    assert where(report, named(WHOLE)) == {f"{ANN}@main/folder/{named(WHOLE)[:4]}.bin"}
    seen = [check(folder, Depth(0.4, seed)).clean for seed in range(12)]
    assert set(seen) == {True, False}, "a sample takes it at times"


def test_an_object_that_is_cut_short(folder: Path) -> None:
    rewrite(object_file(folder, WHOLE), WHOLE[:-1])
    assert found(check(folder, QUICK)) == {("wrong row", "large object", named(WHOLE))}


@pytest.mark.parametrize("at", [3, 9, 5000, len(SHARED.body) - 1], ids=["head", "first byte", "middle", "end"])
def test_a_flipped_byte_in_a_xorb(folder: Path, at: int) -> None:
    flip(xorb_file(folder, SHARED.name), at)
    assert check(folder, QUICK).clean
    report = check(folder)
    assert found(report) == {("damaged", "xorb", SHARED.name)}
    both, chunked = f"main/chunked/{BOTH.sha256[:4]}.bin", f"main/chunked/{CHUNKED.sha256[:4]}.bin"
    assert where(report, SHARED.name) == {f"{ANN}@{both}", f"{ANN}@{chunked}", f"{BOB}@{both}"}


def test_a_missing_and_a_short_xorb(folder: Path) -> None:
    xorb_file(folder, XORB.name).unlink()
    rewrite(xorb_file(folder, SHARED.name), SHARED.body[:-5])
    report = check(folder, QUICK)
    assert found(report) == {("missing", "xorb", XORB.name), ("damaged", "xorb", SHARED.name)}
    assert where(report, XORB.name) == {f"{ANN}@main/chunked/{CHUNKED.sha256[:4]}.bin"}


def test_a_missing_blob(folder: Path) -> None:
    oid = oid_of(folder, "notes.txt")
    change(folder, "DELETE FROM git_objects WHERE oid = ? AND repo_id = (SELECT id FROM repos WHERE name = 'one')", oid)
    report = check(folder, QUICK)
    assert found(report) == {("missing", "blob", oid)}
    assert where(report, oid) == {f"{ANN}@main/notes.txt"}


def test_a_damaged_blob(folder: Path) -> None:
    oid = oid_of(folder, "deep/er/a.txt", "three")
    change(folder, "UPDATE git_objects SET body = ? WHERE oid = ?", b"a" * 2999 + b"b", oid)
    assert check(folder, QUICK).clean
    report = check(folder)
    assert found(report) == {("damaged", "blob", oid)}
    assert where(report, oid) == {"hf://ann/three@main/deep/er/a.txt"}


def test_a_blob_whose_row_says_another_size(folder: Path) -> None:
    oid = oid_of(folder, "deep/er/a.txt", "three")
    change(folder, "UPDATE git_objects SET size = 2999 WHERE oid = ?", oid)
    assert found(check(folder, QUICK)) == {("wrong row", "blob", oid)}


def test_a_pointer_whose_row_points_elsewhere(folder: Path) -> None:
    oid = oid_of(folder, f"folder/{named(WHOLE)[:4]}.bin")
    change(folder, "UPDATE git_objects SET lfs_sha256 = ?, lfs_size = ? WHERE oid = ?", named(TWICE), len(TWICE), oid)
    assert found(check(folder)) == {("wrong row", "blob", oid)}


def test_a_tree_that_names_what_is_missing_or_is_missing_or_damaged(folder: Path) -> None:
    oid = oid_of(folder, "deep/er", "three")
    change(folder, "UPDATE git_objects SET body = CAST(x'01' || substr(body, 2) AS BLOB) WHERE oid = ?", oid)
    assert found(check(folder, QUICK)) == {("damaged", "tree", oid)}
    change(folder, "DELETE FROM git_objects WHERE oid = ?", oid)
    report = check(folder, QUICK)
    assert found(report) == {("missing", "tree", oid)}
    assert where(report, oid) == {"hf://ann/three@main/deep/er"}


def test_a_dangling_ref(folder: Path) -> None:
    change(
        folder, "UPDATE git_refs SET target_oid = ?, commit_oid = ? WHERE name = 'refs/heads/side'", *["ab" * 20] * 2
    )
    report = check(folder, QUICK)
    assert found(report) == {("dangling", "ref", "refs/heads/side"), ("missing", "commit", "ab" * 20)}
    assert {tuple(one.repos) for one in report.findings} == {(ANN,)}


def test_a_ref_whose_tag_leads_to_another_commit(folder: Path) -> None:
    change(
        folder,
        "UPDATE git_refs SET commit_oid = (SELECT commit_oid FROM git_refs WHERE name = 'refs/heads/side') "
        "WHERE name = 'refs/tags/v1'",
    )
    assert found(check(folder, QUICK)) == {("dangling", "ref", "refs/tags/v1")}


def test_a_missing_parent_and_wrong_facts_of_a_commit(folder: Path) -> None:
    ((key, head, parent),) = rows(
        folder,
        "SELECT c.repo_id, c.oid, c.parent_oid FROM git_refs r JOIN git_commits c ON c.repo_id = r.repo_id AND "
        "c.oid = r.commit_oid WHERE r.name = 'refs/heads/side'",
    )
    change(folder, "UPDATE git_commits SET tree_oid = ? WHERE repo_id = ? AND oid = ?", "cd" * 20, key, head)
    assert found(check(folder, QUICK)) == {("wrong row", "commit", head)}
    change(folder, "DELETE FROM git_commits WHERE repo_id = ? AND oid = ?", key, head)
    assert ("missing", "commit", head) in found(check(folder, QUICK))
    change(folder, "DELETE FROM git_objects WHERE repo_id = ? AND oid = ?", key, parent)
    assert ("missing", "commit", parent) in found(check(folder, QUICK))


def test_rows_of_large_objects(folder: Path) -> None:
    of_bob = "repo_id = (SELECT id FROM repos WHERE name = 'two')"
    change(folder, f"UPDATE lfs_objects SET size = size + 1 WHERE {of_bob} AND sha256 = ?", named(TWICE))
    report = check(folder, QUICK)
    assert found(report) == {("wrong row", "large object", named(TWICE))}
    assert {repo for one in report.findings for repo in one.repos} == {BOB}
    change(folder, f"DELETE FROM lfs_objects WHERE {of_bob} AND sha256 = ?", named(TWICE))
    report = check(folder, QUICK)
    assert found(report) == {("missing", "large object", named(TWICE))}
    assert where(report, named(TWICE)) == {f"{BOB}@main/folder/{named(TWICE)[:4]}.bin"}


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE xet_files SET size = size + 1 WHERE hash = :file", "chunked file"),
        ("UPDATE xet_files SET terms = substr(terms, 1, length(terms) - 1) WHERE hash = :file", "chunked file"),
        ("UPDATE xet_files SET terms = CAST(substr(terms, 1, length(terms) - 4) || x'01000000' AS BLOB) WHERE hash = :file", "chunked file"),
        ("DELETE FROM xet_files WHERE hash = :file", "large object"),
        ("DELETE FROM repo_xorbs WHERE hash = :xorb", "chunked file"),
        ("DELETE FROM xorbs WHERE hash = :xorb", "xorb"),
        ("UPDATE xorbs SET stored_bytes = 7 WHERE hash = :xorb", "xorb"),
        ("UPDATE xorbs SET chunks = CAST(x'01' || substr(chunks, 2) AS BLOB) WHERE hash = :xorb", "xorb"),
        ("UPDATE xorbs SET chunks = x'00' WHERE hash = :xorb", "xorb"),
    ],
)  # fmt: skip
def test_rows_of_chunks(folder: Path, statement: str, kind: str) -> None:
    values = {":file": CHUNKED.name, ":xorb": XORB.name}
    (mark,) = (mark for mark in values if mark in statement)
    change(folder, statement.replace(mark, "?"), values[mark])
    report = check(folder, QUICK)
    assert kind in {one.kind for one in report.findings}
    at = f"{ANN}@main/chunked/{CHUNKED.sha256[:4]}.bin"
    assert at in {str(place) for one in report.findings for place in one.places}
    others = {repo for one in report.findings for repo in one.repos}
    assert others == {ANN} or "DELETE FROM xorbs" in statement


def test_a_chunked_file_whose_row_has_another_sha256(folder: Path) -> None:
    change(folder, "UPDATE xet_files SET sha256 = ? WHERE hash = ?", named(WHOLE), CHUNKED.name)
    assert ("damaged", "chunked file", CHUNKED.name) in found(check(folder))


def test_a_damaged_page_of_the_database(folder: Path) -> None:
    file = folder / "hub.sqlite3"
    ((page, size),) = rows(
        folder,
        "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE type = 'index' AND "
        "tbl_name = 'xet_files' AND sql IS NOT NULL",
    )
    content = bytearray(file.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    file.write_bytes(content)
    report = check(folder)
    assert not report.clean
    assert {one.kind for one in report.findings} == {"database"}


def test_what_was_deleted_for_good_is_no_damage(folder: Path, sample: Sample) -> None:
    with LiveHub(str(folder)) as hub:
        talk = Talk(hub.url, sample.tokens["ann"])
        body = {"deletions": {"sha": [named(WHOLE), CHUNKED.sha256], "rewriteHistory": False}}
        talk.post("/api/models/ann/one/lfs-files/batch", body).raise_for_status()
        talk.close()
    assert check(folder).findings == []
