"""Labels, digests and git revisions lead to older versions; a restore loses nothing of one's own."""

import subprocess
from pathlib import Path

import pytest

from tenuto.core.errors import ConflictError, NotFoundError, TenutoError, UsageError
from tenuto.project.pull import Choice, Options, PullReport
from tenuto.project.tags import TagReport, tag, tags, untag
from tenuto.project.versions import pull
from tests.project.conftest import Clone, Scene


class History:
    """Ann's project with three pushed versions of `data`, one git commit each; `digests` are theirs."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.ann = scene, scene.ann
        self.digests: list[str] = []
        for number in (1, 2, 3):
            self.ann.write("data/a.bin", f"version {number}\n" * 5000)
            self.ann.write("data/same.txt", "as ever")
            if number == 2:
                self.ann.write("data/only-2.txt", "two")
            else:
                (self.ann.root / "data" / "only-2.txt").unlink(missing_ok=True)
            if number == 1:
                self.ann.track("data", scene.repo)
            self.ann.push(delete=True)
            self.ann.commit()
            self.ann.git("tag", f"r{number}")
            self.digests.append(self.ann.lock.artifacts["data"].digest)
        assert len(set(self.digests)) == 3

    def version(self, clone: Clone | None = None) -> str:
        """The first line of the file that tells versions apart."""
        return ((clone or self.ann).root / "data" / "a.bin").read_text().partition("\n")[0]


@pytest.fixture
def history(scene: Scene) -> History:
    return History(scene)


def pulled(clone: Clone, *names: str, choice: str = "refuse", dry_run: bool = False) -> PullReport:
    with clone.opened() as workspace:
        return pull(workspace, names, Options(Choice(choice), dry_run=dry_run))


def tagged(clone: Clone, *words: str) -> TagReport:
    with clone.opened() as workspace:
        return tag(workspace, *words)


def pinned(clone: Clone) -> str:
    return clone.lock.artifacts["data"].digest


def test_a_git_revision_brings_back_what_its_lock_named(history: History) -> None:
    report = pulled(history.ann, "data@HEAD~1")
    assert (history.version(), pinned(history.ann)) == ("version 2", history.digests[1])
    assert (history.ann.root / "data" / "only-2.txt").read_text() == "two"
    assert report.artifacts[0].digest == history.digests[1]
    assert history.ann.state() == {"data": "clean"}
    pulled(history.ann, "data@HEAD")
    assert (history.version(), pinned(history.ann)) == ("version 3", history.digests[2])
    assert not (history.ann.root / "data" / "only-2.txt").exists()
    changed = subprocess.run(["git", "status", "--short"], cwd=history.ann.root, capture_output=True, check=True)
    assert changed.stdout == b""


def test_a_clone_without_a_store_gets_it_from_the_hub(history: History) -> None:
    ben = history.scene.clone("ben")
    pulled(ben, "data@r1")
    assert (history.version(ben), pinned(ben)) == ("version 1", history.digests[0])
    assert pinned(history.ann) == history.digests[2]
    assert ben.lock.artifacts["data"] != history.ann.lock.artifacts["data"]


def test_the_second_time_it_comes_from_the_store_and_asks_nobody(history: History) -> None:
    ben = history.scene.clone("ben")
    for version in ("r1", "r3", "r1"):
        pulled(ben, f"data@{version}")
    assert ben.requests == 0


@pytest.mark.parametrize("digits", [8, 12, 64])
def test_a_digest_or_the_beginning_of_one(history: History, digits: int) -> None:
    pulled(history.ann, f"data@{history.digests[0][:digits]}")
    assert (history.version(), pinned(history.ann)) == ("version 1", history.digests[0])


def test_fewer_than_eight_digits_are_no_digest(history: History) -> None:
    with pytest.raises(NotFoundError, match="data has no version"):
        pulled(history.ann, f"data@{history.digests[0][:7]}")
    assert history.version() == "version 3"


def test_a_label_is_set_moved_listed_and_removed(history: History) -> None:
    first = tagged(history.ann, "data", "best")
    assert [(one.label, one.digest, one.before, one.pinned) for one in first.tags] == [
        ("best", history.digests[2], None, True)
    ]
    assert not tagged(history.ann, "data", "best").changed
    moved = tagged(history.ann, "data", "best", "HEAD~1")
    assert (moved.tags[0].digest, moved.tags[0].before) == (history.digests[1], history.digests[2])
    tagged(history.ann, "data", "v1", history.digests[0][:10])
    tagged(history.ann, "data", "also", "v1")
    with history.ann.opened() as workspace:
        listed = {one.label: one.digest for one in tags(workspace).tags}
        assert listed == {"also": history.digests[0], "best": history.digests[1], "v1": history.digests[0]}
        untag(workspace, "data", "also")
        with pytest.raises(NotFoundError, match="data has no label 'also'") as caught:
            untag(workspace, "data", "also")
        assert caught.value.hint == "its labels are: best, v1"
    text = (history.ann.root / "tenuto.lock").read_text()
    assert text.count("[[tag]]") == 2
    assert 'label = "best"' in text


def test_a_label_travels_in_git_and_brings_its_version_back(history: History) -> None:
    tagged(history.ann, "data", "best", "HEAD~1")
    ben = history.scene.clone("ben")
    pulled(ben, "data@best")
    assert (history.version(ben), pinned(ben)) == ("version 2", history.digests[1])
    assert ben.lock.artifacts["data"].files == 3
    assert ben.lock.tags == history.ann.lock.tags
    pulled(ben)
    assert history.version(ben) == "version 2"
    ben.sync()
    assert history.version(ben) == "version 3"
    assert ben.lock.tags == history.ann.lock.tags


def test_labels_outlive_what_is_done_to_the_lock(history: History) -> None:
    tagged(history.ann, "data", "best")
    history.ann.write("data/new.txt", "new")
    history.ann.track("data")
    history.ann.push()
    history.ann.write("other/x", "x")
    history.ann.track("other", history.scene.new_repo("other"))
    assert [tag.digest for tag in history.ann.lock.tags.values()] == [history.digests[2]]


def test_own_changes_are_never_lost(history: History) -> None:
    history.ann.write("data/a.bin", "my own work")
    history.ann.write("data/mine.txt", "mine")
    before = history.ann.files()
    lock = (history.ann.root / "tenuto.lock").read_bytes()
    with pytest.raises(ConflictError) as caught:
        pulled(history.ann, "data@HEAD~1")
    assert caught.value.code == "BothMoved"
    assert history.ann.files() == before
    assert (history.ann.root / "tenuto.lock").read_bytes() == lock
    pulled(history.ann, "data@HEAD~1", choice="theirs")
    assert history.version() == "version 2"
    assert b"my own work" in history.ann.kept()
    assert (history.ann.root / "data" / "mine.txt").read_text() == "mine"


def test_a_dry_run_changes_nothing(history: History) -> None:
    lock = (history.ann.root / "tenuto.lock").read_bytes()
    report = pulled(history.ann, "data@HEAD~1", dry_run=True)
    assert {step.path for step in report.artifacts[0].steps} == {"a.bin", "only-2.txt"}
    assert history.version() == "version 3"
    assert (history.ann.root / "tenuto.lock").read_bytes() == lock


def test_a_version_that_the_folder_holds_already_is_pinned(history: History) -> None:
    pulled(history.ann, "data@HEAD~1")
    history.ann.git("checkout", "-q", "--", "tenuto.lock")
    assert pinned(history.ann) == history.digests[2]
    pulled(history.ann, "data@HEAD~1")
    assert pinned(history.ann) == history.digests[1]


def test_what_was_never_pushed_has_no_label_and_does_not_come_back(history: History) -> None:
    history.ann.write("data/a.bin", "not pushed")
    history.ann.track("data")
    history.ann.commit()
    for words in (("data", "best"), ("data", "best", "HEAD"), ("data", "best", pinned(history.ann))):
        with pytest.raises(NotFoundError, match="was never pushed") as caught:
            tagged(history.ann, *words)
        assert caught.value.code == "ArtifactNotFound"
    with pytest.raises(NotFoundError):
        pulled(history.ann, "data@HEAD")
    assert history.ann.files("data")["a.bin"] == b"not pushed"


@pytest.mark.parametrize("label", ["", "a b", "-x", "x/y", "x@y", "0123456789abcdef", "deadbeef", "x" * 65])
def test_labels_that_cannot_be(history: History, label: str) -> None:
    with pytest.raises(UsageError):
        tagged(history.ann, "data", label)
    assert history.ann.lock.tags == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("data@nothing", "data has no version 'nothing'"),
        ("none@HEAD", "no artifact is named 'none'"),
        ("data@", "data has no version ''"),
        ("data@--all", "data has no version '--all'"),
        ("data@ffffffffffff", "data has no version 'ffffffffffff'"),
    ],
)
def test_versions_that_are_not_there(history: History, name: str, message: str) -> None:
    with pytest.raises(NotFoundError, match=message):
        pulled(history.ann, name)
    assert history.version() == "version 3"


def test_a_version_from_another_repo(history: History) -> None:
    text = (history.ann.root / "tenuto.toml").read_text()
    (history.ann.root / "tenuto.toml").write_text(text.replace(history.scene.repo, history.scene.new_repo("second")))
    with pytest.raises(UsageError, match="is from hf://"):
        pulled(history.ann, "data@HEAD~1")


def test_an_artifact_whose_name_holds_an_at(scene: Scene) -> None:
    scene.ann.write("x@y/a", "a")
    scene.ann.track("x@y", scene.repo)
    scene.ann.push()
    assert pulled(scene.ann, "x@y").artifacts[0].name == "x@y"
    tagged(scene.ann, "x@y", "best")
    assert pulled(scene.ann, "x@y@best").artifacts[0].name == "x@y"


def test_without_git(scene: Scene, tmp_path: Path) -> None:
    scene.ann.write("data/a", "a")
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    digest = pinned(scene.ann)
    tagged(scene.ann, "data", "best")
    scene.ann.write("data/a", "b")
    scene.ann.push()
    subprocess.run(["rm", "-rf", scene.ann.root / ".git"], check=True)
    with pytest.raises(TenutoError):
        pulled(scene.ann, "data@HEAD")
    pulled(scene.ann, "data@best")
    assert pinned(scene.ann) == digest
    assert scene.ann.files("data") == {"a": b"a"}
