"""Differences between what is here, what is locked, what was locked, and what the hub has."""

import subprocess

import pytest

from tenuto.core.errors import NotFoundError, TenutoError
from tenuto.project.diff import ArtifactDiff, DiffReport, diff
from tenuto.project.tags import tag
from tests.project.conftest import Clone, Scene

FILES = {"a.txt": b"first\n", "b.bin": bytes(range(256)) * 50, "sub/c.txt": b"third\n"}


@pytest.fixture
def ann(scene: Scene) -> Clone:
    """Ann's project: three files, pushed and committed, tagged `one`."""
    for path, content in FILES.items():
        scene.ann.write(f"data/{path}", content)
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    scene.ann.commit()
    scene.ann.git("tag", "one")
    return scene.ann


def compared(clone: Clone, *revisions: str, name: str | None = "data") -> DiffReport:
    with clone.opened() as workspace:
        return diff(workspace, name, *revisions)


def changes(clone: Clone, *revisions: str) -> dict[str, str]:
    (artifact,) = compared(clone, *revisions).artifacts
    assert [artifact.added, artifact.removed, artifact.modified] == [
        sum(file.change == change for file in artifact.files) for change in ("added", "removed", "modified")
    ]
    return {file.path: file.change for file in artifact.files}


def edit(clone: Clone) -> None:
    clone.write("data/a.txt", b"other!")
    clone.write("data/new.txt", b"new\n")
    (clone.root / "data/sub/c.txt").unlink()


EDITED = {"a.txt": "modified", "new.txt": "added", "sub/c.txt": "removed"}


def test_what_is_here_against_the_lock(ann: Clone) -> None:
    report = compared(ann)
    assert report.same
    assert ann.requests == 0
    edit(ann)
    assert changes(ann) == EDITED
    (artifact,) = compared(ann, name=None).artifacts
    assert (artifact.old.what, artifact.new.what) == ("lock", "folder")
    modified = artifact.files[0]
    assert (modified.path, modified.old_size, modified.new_size) == ("a.txt", 6, 6)
    assert modified.old_sha256 != modified.new_sha256
    assert None not in (modified.old_sha256, modified.new_sha256)


def test_what_is_here_against_a_revision_of_git(ann: Clone) -> None:
    edit(ann)
    ann.track("data")
    assert changes(ann) == {}, "tracked again"
    assert changes(ann, "one") == EDITED
    ann.commit()
    assert changes(ann, "HEAD") == {}
    assert changes(ann, "HEAD~1") == changes(ann, "git:one") == EDITED
    assert ann.requests == 0


def test_two_revisions(ann: Clone) -> None:
    old = ann.lock.artifacts["data"].digest
    edit(ann)
    ann.push(delete=True)
    ann.commit()
    new = ann.lock.artifacts["data"].digest
    assert changes(ann, "one", "HEAD") == EDITED
    assert changes(ann, old, new) == EDITED
    assert changes(ann, "HEAD", "one") == {"a.txt": "modified", "new.txt": "removed", "sub/c.txt": "added"}
    assert changes(ann, "one", f"hub:{ann.lock.artifacts['data'].commit}") == EDITED
    assert changes(ann, "hub:main", "HEAD") == {}


def test_a_branch_tag_or_commit_of_the_hub(scene: Scene, ann: Clone) -> None:
    first = str(ann.lock.artifacts["data"].commit)
    head = scene.upload("a.txt", b"2nd!!\n")
    with scene.stock() as (api, name):
        api.create_tag(name, tag="v2", revision=head, repo_type="dataset")
    assert changes(ann, first) == {}
    assert changes(ann, "hub:main") == changes(ann, "v2") == changes(ann, head) == {"a.txt": "modified"}
    assert changes(ann, first, "v2") == {"a.txt": "modified"}
    (artifact,) = compared(ann, "v2").artifacts
    assert (artifact.old.what, artifact.old.revision, artifact.old.commit) == ("hub", "v2", head)


def test_small_files_of_a_hub_are_told_apart_without_those_that_are_here(scene: Scene, ann: Clone) -> None:
    scene.upload("a.txt", b"2nd!!\n")
    ben = scene.clone()
    old = ben.lock.artifacts["data"].digest
    assert changes(ben) == {"a.txt": "removed", "b.bin": "removed", "sub/c.txt": "removed"}
    assert changes(ben, old, "hub:main") == {"a.txt": "modified"}
    assert changes(ben, "one", "HEAD") == {}


def test_an_older_lock_is_fetched_where_the_store_lacks_its_listing(scene: Scene, ann: Clone) -> None:
    edit(ann)
    ann.push(delete=True)
    ben = scene.clone()
    ben.pull()
    assert changes(ben, "one") == EDITED
    ben.flags["offline"] = True
    assert changes(ben, "one") == EDITED, "it is in the store now"


def test_a_label_and_some_digits_of_a_digest(scene: Scene, ann: Clone) -> None:
    """What `tenuto pull NAME@VERSION` takes is understood here too."""
    first = ann.lock.artifacts["data"]
    with ann.opened() as workspace:
        tag(workspace, "data", "best")
    edit(ann)
    ann.push(delete=True)
    assert changes(ann, "best") == changes(ann, first.digest[:8]) == changes(ann, first.digest) == EDITED
    (artifact,) = compared(ann, "best", "hub:main").artifacts
    assert (artifact.old.what, artifact.old.revision, artifact.old.commit) == ("label", "best", first.commit)
    assert artifact.old.digest == first.digest
    ann.git("tag", "best")  # git has no lock with that change yet
    assert changes(ann, "best") == EDITED, "a label goes first"
    ben = scene.clone()
    (ben.root / "tenuto.lock").write_bytes((ann.root / "tenuto.lock").read_bytes())
    assert changes(ben, "best", "hub:main") == EDITED, "its listing is fetched where the store lacks it"


@pytest.mark.parametrize(
    ("revision", "code"),
    [
        ("git:nothing", "RevisionNotFound"),
        ("hub:nothing", "RevisionNotFound"),
        ("nothing", "RevisionNotFound"),
        ("0" * 64, "ObjectNotFound"),
        ("0" * 40, "RevisionNotFound"),
        ("bare", "EntryNotFound"),
        ("--all", "RevisionNotFound"),
    ],
)
def test_what_is_no_revision(ann: Clone, revision: str, code: str) -> None:
    tree = subprocess.run(
        ["git", "mktree"], cwd=ann.root, input="", capture_output=True, text=True, check=True
    ).stdout.strip()
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    commit = subprocess.run(
        ["git", *who, "commit-tree", tree, "-m", "empty"], cwd=ann.root, capture_output=True, text=True, check=True
    ).stdout.strip()
    ann.git("tag", "bare", commit)
    with pytest.raises(TenutoError) as caught:
        compared(ann, revision)
    assert caught.value.code == code


def test_an_artifact_that_the_older_lock_does_not_have(scene: Scene, ann: Clone) -> None:
    ann.write("more/x.txt", b"x")
    ann.track("more", scene.new_repo("more"))
    with pytest.raises(NotFoundError, match="the lock at one does not have more") as caught:
        compared(ann, "one", name="more")
    assert "hub:one" in str(caught.value.hint)


def test_a_project_without_git(scene: Scene, ann: Clone) -> None:
    (ann.root / ".git").rename(scene.folder / "no-git")
    assert changes(ann, "main") == {}, "then it is the hub's"


def test_several_artifacts(scene: Scene, ann: Clone) -> None:
    ann.write("one.txt", b"1")
    ann.track("one.txt", scene.new_repo("one"))
    ann.write("one.txt", b"2")
    found: list[ArtifactDiff] = compared(ann, name=None).artifacts
    assert [(one.name, one.modified) for one in found] == [("data", 0), ("one.txt", 1)]
