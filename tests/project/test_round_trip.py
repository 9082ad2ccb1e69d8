"""From one clone by the hub to another, on real files."""

import os

import pytest

from tenuto.core.errors import NotFoundError
from tenuto.testing.lying_hub import LyingHub
from tests.project.conftest import Scene

LARGE = os.urandom(700_000)


def fill(scene: Scene) -> dict[str, bytes]:
    """Files of all sorts in Ann's `data`; returns them."""
    files = {
        "README.md": b"---\nlicense: cc-by-4.0\n---\n\n# Voices\n",
        "config.json": b'{"rate_hz": 16000}\n',
        "empty.txt": b"",
        "weights/model.safetensors": LARGE,
        "weights/again.safetensors": LARGE,
        "clips/na\u00efve \u97f3.wav": os.urandom(40_000),
        "clips/deep/er/still/one.bin": os.urandom(10),
        "a": b"a",
        "a.b": b"a.b",
        "a0": b"a0",
    }
    for path, content in files.items():
        scene.ann.write(f"data/{path}", content)
    return files


def test_there_and_back(scene: Scene) -> None:
    files = fill(scene)
    tracked = scene.ann.track("data", scene.repo)
    assert scene.ann.state() == {"data": "not pushed"}
    pushed = scene.ann.push()
    [artifact] = pushed.artifacts
    assert len(artifact.steps) == len(files)
    assert artifact.digest == tracked.digest
    assert scene.ann.state() == {"data": "clean"}
    assert scene.on_hub() == files

    ben = scene.clone()
    assert ben.state() == {"data": "missing"}
    assert not (ben.root / "data").exists()
    lock = (ben.root / "tenuto.lock").read_bytes()
    [taken] = ben.pull().artifacts
    assert (taken.commit, taken.digest) == (artifact.commit, artifact.digest)
    assert ben.files("data") == files
    assert ben.state() == {"data": "clean"}
    assert (ben.root / "tenuto.lock").read_bytes() == lock
    assert ben.verify().findings == []


def test_edits_go_to_and_fro(scene: Scene) -> None:
    scene.ann.write("data/x.bin", b"one")
    scene.ann.write("data/notes.txt", "first\n")
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    ben = scene.clone()
    ben.pull()

    scene.ann.write("data/x.bin", b"two!")
    assert [(c.path, c.change) for c in scene.ann.status().artifacts[0].changes or []] == [("x.bin", "modified")]
    [pushed] = scene.ann.push().artifacts
    assert [(step.action.value, step.path, step.size) for step in pushed.steps] == [("upload", "x.bin", 4)]
    scene.ann.commit()
    ben.git("pull", "-q")
    assert ben.state() == {"data": "changed"}
    [pulled] = ben.pull().artifacts
    assert [(step.action.value, step.path) for step in pulled.steps] == [("download", "x.bin")]
    assert pulled.downloaded_bytes == 4
    assert ben.files("data") == scene.ann.files("data")

    ben.write("data/notes.txt", "second\n")
    ben.write("data/more/new.txt", "new\n")
    report = ben.sync()
    assert [step.path for step in report.pulled.artifacts[0].steps] == []
    assert [step.path for step in report.pushed.artifacts[0].steps] == ["more/new.txt", "notes.txt"]
    report = scene.ann.sync()
    assert [step.path for step in report.pulled.artifacts[0].steps] == ["more/new.txt", "notes.txt"]
    assert scene.ann.files("data") == ben.files("data") == scene.on_hub()
    assert scene.ann.lock == ben.lock


def test_a_folder_within_a_repo(scene: Scene) -> None:
    scene.upload("README.md", b"# All my adapters\n")
    scene.upload("loras/other/adapter.bin", b"not ours")
    scene.upload("loras/jazzy", b"a neighbour")
    scene.ann.write("loras/jazz/adapter.safetensors", LARGE)
    scene.ann.write("loras/jazz/.gitattributes", "*.bin -text\n")
    scene.ann.track("loras/jazz", f"{scene.repo}/loras/jazz")
    scene.ann.push()
    assert scene.on_hub() == {
        "README.md": b"# All my adapters\n",
        "loras/other/adapter.bin": b"not ours",
        "loras/jazzy": b"a neighbour",
        "loras/jazz/adapter.safetensors": LARGE,
        "loras/jazz/.gitattributes": b"*.bin -text\n",
    }
    ben = scene.clone()
    ben.pull()
    assert ben.files("loras") == {
        ".gitignore": b"/jazz\n",
        "jazz/.gitattributes": b"*.bin -text\n",
        "jazz/adapter.safetensors": LARGE,
    }
    assert ben.state() == {"loras/jazz": "clean"}


def test_a_single_file_of_a_repo(scene: Scene) -> None:
    scene.ann.write("weights/model.pt", LARGE)
    scene.ann.write("weights/notes.txt", "kept in git\n")
    scene.ann.track("weights/model.pt", f"{scene.repo}/weights")
    scene.ann.push()
    assert scene.on_hub() == {"weights/model.pt": LARGE}
    scene.upload("weights/other.pt", b"not ours")
    ben = scene.clone()
    ben.pull()
    assert ben.files("weights")["model.pt"] == LARGE
    assert not (ben.root / "weights" / "other.pt").exists()
    ben.write("weights/model.pt", b"trained further")
    ben.sync()
    assert scene.on_hub() == {"weights/model.pt": b"trained further", "weights/other.pt": b"not ours"}


def test_several_artifacts_of_one_repo_are_one_commit(scene: Scene) -> None:
    for name in ("jazz", "rock", "folk"):
        scene.ann.write(f"loras/{name}/adapter.bin", name.encode())
        scene.ann.track(f"loras/{name}", f"{scene.repo}/{name}")
    before = len(scene.commits())
    report = scene.ann.push(title="Three adapters")
    assert len(scene.commits()) == before + 1
    assert {artifact.commit for artifact in report.artifacts} == {scene.commits()[0]}
    assert {locked.commit for locked in scene.ann.lock.artifacts.values()} == {scene.commits()[0]}

    scene.ann.write("loras/rock/adapter.bin", b"more rock")
    report = scene.ann.push()
    changed = {artifact.name: artifact.commit for artifact in report.artifacts if artifact.steps}
    assert changed == {"loras/rock": scene.commits()[0]}
    commits = {name: locked.commit for name, locked in scene.ann.lock.artifacts.items()}
    assert commits["loras/rock"] == scene.commits()[0]
    assert commits["loras/jazz"] == commits["loras/folk"] == scene.commits()[1], "what did not change keeps its commit"

    scene.ann.write("loras/jazz/adapter.bin", b"more jazz")
    scene.ann.write("loras/folk/adapter.bin", b"more folk")
    scene.ann.push("loras/jazz")
    assert scene.on_hub() == {
        "jazz/adapter.bin": b"more jazz",
        "rock/adapter.bin": b"more rock",
        "folk/adapter.bin": b"folk",
    }


def test_artifacts_of_two_repos(scene: Scene) -> None:
    other = scene.new_repo("other", private=True)
    scene.ann.write("a/x", b"x")
    scene.ann.write("b/y", b"y")
    scene.ann.track("a", scene.repo)
    scene.ann.track("b", other)
    scene.ann.push()
    assert (scene.on_hub(), scene.on_hub(other)) == ({"x": b"x"}, {"y": b"y"})
    ben = scene.clone()
    ben.pull("b")
    assert ben.files() == {"b/y": b"y"}
    ben.pull()
    assert ben.files() == {"a/x": b"x", "b/y": b"y"}


def test_a_second_repo_for_the_same_folder_loses_nothing(scene: Scene) -> None:
    scene.ann.write("data/x", b"x")
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    other = scene.new_repo("second")
    scene.ann.track("data", other)
    scene.ann.push()
    assert scene.ann.files() == {"data/x": b"x"}
    assert scene.on_hub(other) == scene.on_hub() == {"x": b"x"}
    scene.upload("y", b"y", scene.repo)
    scene.ann.sync()
    assert scene.ann.files() == {"data/x": b"x"}, "the first repo is nothing to us now"


def test_what_did_not_change_costs_next_to_no_request(scene: Scene) -> None:
    for name in ("a", "b"):
        scene.ann.write(f"{name}/x.bin", os.urandom(100))
        scene.ann.write(f"{name}/config.json", "{}\n")
        scene.ann.track(name, f"{scene.repo}/{name}")
    scene.ann.push()
    ben = scene.clone()
    ben.pull()
    for clone in (scene.ann, ben):
        lock = (clone.root / "tenuto.lock").stat()
        clone.pull()
        assert clone.requests == 0
        clone.status()
        assert clone.requests == 0
        clone.push()
        assert clone.requests == 1
        clone.verify()
        assert clone.requests == 0
        clone.sync()
        assert clone.requests == 1
        assert (clone.root / "tenuto.lock").stat().st_ino == lock.st_ino, "not even touched"
    scene.ann.write("a/x.bin", b"changed")
    scene.ann.push()
    scene.ann.push()
    assert scene.ann.requests == 1
    scene.ann.sync()
    assert scene.ann.requests == 1
    moved = ben.sync()
    assert [artifact.in_step for artifact in moved.pulled.artifacts] == [False, False], "the hub moved on"
    again = ben.sync()
    assert ben.requests == 1
    assert [artifact.in_step for artifact in again.pulled.artifacts] == [True, True]
    pinned = {name: (locked.commit, locked.digest) for name, locked in ben.lock.artifacts.items()}
    assert {one.name: (one.commit, one.digest) for one in again.pushed.artifacts} == pinned
    (ben.root / "b" / "link").symlink_to("nothing")
    with pytest.raises(NotFoundError, match="b/link is a symbolic link to nothing"):
        ben.sync()


def test_a_pull_asks_for_one_listing_and_few_packs(scene: Scene) -> None:
    for number in range(30):
        scene.ann.write(f"data/{number % 3}/{number}.bin", str(number % 10).encode() * 5000)
        scene.ann.write(f"data/{number % 3}/{number}.json", f'{{"number": {number}}}\n')
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    with LyingHub(scene.hub.url) as proxy:
        ben = scene.clone(endpoint=proxy.url)
        ben.pull()
        asked = [(request.method, request.path.split("?")[0]) for request in proxy.requests]
    assert "HEAD" not in {method for method, _ in asked}
    assert sum("/tree/" in path for _, path in asked) == 1
    assert sum("/resolve/" in path for _, path in asked) <= 1, "its answer says that the hub speaks packs"
    assert sum("/pack/" in path for _, path in asked) == 1
    assert len(asked) <= 4, "40 contents under 60 names"
    assert ben.files("data") == scene.ann.files("data")


def test_a_push_sends_what_the_repo_lacks_and_no_more(scene: Scene) -> None:
    scene.ann.write("data/one.bin", LARGE)
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    with LyingHub(scene.hub.url) as proxy:
        scene.ann.flags["endpoint"] = proxy.url
        scene.ann.write("data/two.bin", LARGE)
        scene.ann.write("data/three.bin", LARGE[1:])
        scene.ann.push()
        sent = [r for r in proxy.requests if r.method == "PUT"]
        assert [int(r.headers["content-length"]) for r in sent] == [len(LARGE) - 1]
        assert not [r for r in proxy.requests if r.method == "HEAD"]
        assert sum(r.path.split("?")[0].endswith("/commit/main") for r in proxy.requests) == 1
    assert scene.on_hub() == {"one.bin": LARGE, "two.bin": LARGE, "three.bin": LARGE[1:]}


def test_the_disk_is_not_doubled(scene: Scene) -> None:
    scene.ann.write("data/model.bin", LARGE)
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    own = sum(file.stat().st_size for file in scene.ann.cache.rglob("*") if file.is_file())
    assert own < 10_000, "what was made here is not copied into the store"
    ben = scene.clone()
    ben.pull()
    file = ben.root / "data" / "model.bin"
    assert file.stat().st_nlink == 2
    assert not file.stat().st_mode & 0o222, "and cannot be written by accident"
    carol = scene.clone("carol", cache="ben-cache")
    carol.pull()
    assert carol.requests <= 1, "the store has it already"
    assert file.stat().st_nlink == 3
    ben.write("data/model.bin", b"edited")
    assert carol.files("data") == {"model.bin": LARGE}


@pytest.mark.parametrize("link", ["hardlink", "symlink", "copy"])
def test_every_layout_makes_the_same_project(scene: Scene, link: str) -> None:
    scene.ann.write("data/model.bin", LARGE)
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    ben = scene.clone()
    ben.flags["link"] = link
    ben.pull()
    assert (ben.root / "data" / "model.bin").is_symlink() == (link == "symlink")
    assert ben.files("data") == {"model.bin": LARGE}
    assert ben.state() == {"data": "clean"}
    ben.write("data/model.bin", b"edited")
    ben.push()
    assert scene.on_hub() == {"model.bin": b"edited"}


def test_the_same_inputs_write_the_same_lock(scene: Scene) -> None:
    fill(scene)
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    (scene.ann.root / "tenuto.lock").unlink()
    locks = set()
    for name in ("ben", "carol"):
        clone = scene.clone(name)
        clone.pull()
        locks.add((clone.root / "tenuto.lock").read_bytes())
        assert clone.lock.artifacts["data"].license == "cc-by-4.0"
        assert clone.files("data") == scene.ann.files("data")
    assert len(locks) == 1


def test_a_branch_of_a_repo(scene: Scene) -> None:
    scene.upload("x.txt", b"on main\n")
    with scene.stock() as (api, name):
        api.create_branch(name, branch="next", repo_type="dataset")
    scene.ann.write("data/y.txt", "on next\n")
    scene.ann.track("data", f"{scene.repo}@next")
    scene.ann.sync()
    assert scene.ann.files() == {"data/x.txt": b"on main\n", "data/y.txt": b"on next\n"}
    assert scene.on_hub() == {"x.txt": b"on main\n"}
    ben = scene.clone()
    ben.pull()
    assert ben.files() == scene.ann.files()


def test_files_of_a_system_on_the_hub_are_nobodys_content(scene: Scene) -> None:
    scene.upload(".DS_Store", b"from a Mac")
    scene.upload("sub/Thumbs.db", b"from Windows")
    scene.upload("sub/x", b"content")
    scene.ann.write("data/.DS_Store", b"another one")
    scene.ann.track("data", scene.repo)
    scene.ann.sync()
    assert scene.ann.files("data") == {".DS_Store": b"another one", "sub/x": b"content"}
    assert scene.ann.state() == {"data": "clean"}
    scene.ann.push(delete=True)
    assert scene.on_hub() == {".DS_Store": b"from a Mac", "sub/Thumbs.db": b"from Windows", "sub/x": b"content"}


def test_an_artifact_that_was_never_pushed(scene: Scene) -> None:
    scene.ann.write("data/x", b"x")
    scene.ann.track("data", scene.repo)
    assert scene.ann.pull().unpushed == ["data"]
    ben = scene.clone()
    with pytest.raises(NotFoundError, match="has never been pushed") as caught:
        ben.pull()
    assert caught.value.code == "ArtifactNotFound"
    assert scene.ann.requests == ben.requests == 0


def test_a_dry_run_changes_nothing(scene: Scene) -> None:
    scene.ann.write("data/x", b"x")
    scene.ann.track("data", scene.repo)
    before = scene.ann.lock
    report = scene.ann.push(dry_run=True)
    assert [(step.action.value, step.path) for step in report.artifacts[0].steps] == [("upload", "x")]
    assert (scene.on_hub(), scene.ann.lock) == ({}, before)
    scene.ann.push()
    ben = scene.clone()
    pulled = ben.pull(dry_run=True)
    assert [(step.action.value, step.path) for step in pulled.artifacts[0].steps] == [("download", "x")]
    assert ben.files() == {}
    ben.pull()

    scene.upload("x", b"theirs")
    scene.upload("y", b"new there")
    ben.write("data/x", b"mine")
    ben.write("data/z", b"new here")
    both = ben.sync(dry_run=True)
    assert [(step.action.value, step.path) for step in both.pulled.artifacts[0].steps] == [
        ("conflict", "x"),
        ("download", "y"),
    ]
    assert [(step.action.value, step.path) for step in both.pushed.artifacts[0].steps] == [("upload", "z")]
    assert ben.files() == {"data/x": b"mine", "data/z": b"new here"}
    assert scene.on_hub() == {"x": b"theirs", "y": b"new there"}
