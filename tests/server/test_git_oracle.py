"""What the hub keeps in rows is a git repository: git and dulwich read it and find nothing wrong."""

import hashlib
import subprocess
import zlib
from pathlib import Path

from dulwich.repo import Repo as DulwichRepo
from sqlalchemy import select

from tenuto.core.ids import RepoId
from tenuto.server.repos.rows import find_repo
from tenuto.server.schema import git_objects, git_refs
from tenuto.testing.live_hub import LiveHub
from tests.server.conftest import Owner
from tests.server.talk import copied, gone, large, small


def export(hub: LiveHub, repo: str, folder: Path) -> Path:
    """The rows of a repo as a bare repository of loose objects."""
    subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True)
    with hub.hub.parts.database.read() as connection:
        found = find_repo(connection, RepoId.parse(repo))
        assert found is not None
        columns = (git_objects.c.oid, git_objects.c.kind, git_objects.c.size, git_objects.c.body)
        for oid, kind, size, body in connection.execute(select(*columns).where(git_objects.c.repo_id == found.key)):
            assert size == len(body)
            place = folder / "objects" / oid[:2]
            place.mkdir(exist_ok=True)
            (place / oid[2:]).write_bytes(zlib.compress(f"{kind} {size}\0".encode() + body))
        for name, target in connection.execute(
            select(git_refs.c.name, git_refs.c.target_oid).where(git_refs.c.repo_id == found.key)
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(target + "\n")
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    return folder


def git(folder: Path, *command: str) -> str:
    return subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True, text=True).stdout


def make_history(owner: Owner) -> dict[str, bytes]:
    talk, repo = owner.talk, owner.repo
    data = b"large" * 500
    oid = talk.put_large(repo, data)
    talk.commit(
        repo, small("README.md", b"# hi\n"), large("m.bin", oid, len(data)), small("a/b/c.txt", b"c")
    ).raise_for_status()
    # names whose order in a tree differs from plain string order
    talk.commit(repo, small("a.txt", b"1"), small("a-b", b"2"), small("a0", b""), small("ü/é", b"3")).raise_for_status()
    talk.post(f"/api/models/{repo}/branch/dev", {}).raise_for_status()
    talk.commit(repo, gone("a/"), copied("m2.bin", "m.bin"), rev="dev").raise_for_status()
    talk.post(f"/api/models/{repo}/tag/main", {"tag": "v1"}).raise_for_status()
    talk.post(f"/api/models/{repo}/tag/dev", {"tag": "v2/rc", "message": "a note\nof two lines"}).raise_for_status()
    return {"README.md": b"# hi\n", "a/b/c.txt": b"c", "a.txt": b"1", "a-b": b"2", "a0": b"", "ü/é": b"3"}


def test_git_finds_nothing_wrong(hub: LiveHub, owner: Owner, tmp_path: Path) -> None:
    files = make_history(owner)
    bare = export(hub, owner.repo, tmp_path / "bare.git")
    assert git(bare, "fsck", "--strict", "--full", "--no-dangling") == ""
    assert git(bare, "rev-parse", "main").strip() == owner.talk.head(owner.repo)
    assert git(bare, "rev-list", "--count", "main").strip() == "3"
    assert git(bare, "cat-file", "-t", "v2/rc").strip() == "tag"
    assert git(bare, "rev-parse", "v2/rc^{commit}").strip() == owner.talk.head(owner.repo, "v2/rc")
    for path, content in files.items():
        assert git(bare, "cat-file", "blob", f"main:{path}").encode() == content
    listed = git(bare, "-c", "core.quotePath=false", "ls-tree", "-r", "-t", "main").splitlines()
    ours = owner.talk.get(f"/api/models/{owner.repo}/tree/main?recursive=true").json()
    assert [(one["path"], one["oid"]) for one in ours] == [
        (line.partition("\t")[2], line.split()[2]) for line in listed
    ]


def test_dulwich_agrees(hub: LiveHub, owner: Owner, tmp_path: Path) -> None:
    make_history(owner)
    with DulwichRepo(str(export(hub, owner.repo, tmp_path / "bare.git"))) as repo:
        count = 0
        for oid in repo.object_store:
            found = repo.object_store[oid]
            found.check()
            header = b"%s %d\0" % (found.type_name, found.raw_length())
            assert hashlib.sha1(header + found.as_raw_string()).hexdigest() == oid.decode()
            count += 1
        assert count > 15


def test_blob_ids_are_those_of_hash_object(owner: Owner) -> None:
    for content in (b"", b"hello\n", bytes(range(256)) * 40):
        owner.talk.commit(owner.repo, small("f", content)).raise_for_status()
        expected = subprocess.run(["git", "hash-object", "--stdin"], input=content, capture_output=True, check=True)
        listed = owner.talk.listing(owner.repo)["f"]
        assert listed["oid"] == expected.stdout.decode().strip()
        assert owner.talk.read(owner.repo, "f").headers["ETag"] == f'"{listed["oid"]}"'
