"""Where the project is, who works on it, and what becomes of a manifest or lock that is not as it should be."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tenuto.core.errors import ConflictError, LockedError, NotFoundError, StorageError, UsageError
from tenuto.core.listing import Entry, Listing
from tenuto.core.lockfile import Locked
from tenuto.core.settings import Settings, resolve
from tenuto.project.workspace import Workspace, create, find_root
from tests.project.conftest import Open, no_hub

MANIFEST = """\
[artifacts.voices]
path = "data/voices"
repo = "hf://datasets/ann/voices"
kind = "dataset"

[artifacts.model]
path = "model.pt"
repo = "hf://ann/model"
file = true
"""
HOLD = """\
import sys
from tenuto.core.settings import resolve
from tenuto.project.workspace import Workspace
workspace = Workspace(sys.argv[-1], resolve(), lambda settings: None)
sys.argv = {argv!r}
with workspace.exclusive():
    print("held", flush=True)
    sys.stdin.read()
"""


def entry(name: str, digest: str = "d" * 64, source: str = "hf://datasets/ann/voices") -> Locked:
    return Locked(name=name, path="data/voices", kind="dataset", source=source, digest=digest, files=1, bytes=1)


def write(root: Path, manifest: str = MANIFEST, lock: str | None = None) -> None:
    (root / "tenuto.toml").write_text(manifest, encoding="utf-8")
    if lock is not None:
        (root / "tenuto.lock").write_text(lock, encoding="utf-8")


def test_the_project_is_found_upwards(root: Path) -> None:
    deep = root / "a" / "b"
    deep.mkdir(parents=True)
    assert find_root(str(deep)) == find_root(str(root)) == str(root)
    create(str(root / "a"))
    assert find_root(str(deep)) == str(root / "a")


def test_no_project_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no tenuto\.toml in") as caught:
        find_root(str(tmp_path))
    assert (caught.value.code, caught.value.hint) == ("ProjectNotFound", "run `tenuto init` first")


def test_a_folder_of_that_name_is_no_manifest(root: Path) -> None:
    (root / "a" / "tenuto.toml").mkdir(parents=True)
    assert find_root(str(root / "a")) == str(root)


def test_the_manifest_names_the_hub(root: Path) -> None:
    write(root, '[project]\nhub = "https://hub.example"\n')

    def settings_of(manifest: object) -> Settings:
        assert isinstance(manifest, dict)
        return resolve(manifest=manifest)

    with Workspace.find(str(root), settings_of, no_hub) as workspace:
        assert (workspace.settings.endpoint, workspace.settings.origins["endpoint"]) == (
            "https://hub.example",
            "manifest",
        )


@pytest.mark.parametrize("hub", [None, "http://127.0.0.1:8010/"])
def test_a_new_project_has_a_manifest_that_can_be_read(tmp_path: Path, hub: str | None) -> None:
    path = create(str(tmp_path / "new"), hub)
    with Workspace(str(tmp_path / "new"), resolve(), no_hub) as workspace:
        assert path == str(tmp_path / "new" / "tenuto.toml")
        assert workspace.manifest.project.hub == (hub and "http://127.0.0.1:8010")
    with pytest.raises(ConflictError) as caught:
        create(str(tmp_path / "new"))
    assert caught.value.code == "Exists"


def test_a_hub_that_is_no_address_makes_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        create(str(tmp_path), "not an address")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("manifest", "what"),
    [
        ("nonsense", "is not valid"),
        ("[artifacts.x]\npath = 1\n", "path"),
        ('[artifacts.x]\npath = "x"\n', "repo"),
        ('[artifacts.x]\npath = "x"\nrepo = "hf://ann/x"\ntypo = 1\n', "typo"),
        ('[artifacts.x]\npath = "../x"\nrepo = "hf://ann/x"\n', r"\.\./x"),
        ('[artifacts.x]\npath = "x"\nrepo = "https://x"\n', "https://x"),
        ('[artifacts.x]\npath = "x"\nrepo = "hf://ann/x"\nkind = "toy"\n', "toy"),
        (MANIFEST + '[artifacts.inner]\npath = "data/voices/x"\nrepo = "hf://ann/x"\n', "share data/voices/x"),
        (MANIFEST + '[artifacts.twin]\npath = "Data/Voices"\nrepo = "hf://ann/x"\n', "on some systems"),
        (MANIFEST + '[artifacts.inner]\npath = "data/VOICES/x"\nrepo = "hf://ann/x"\n', "on some systems"),
        (MANIFEST + MANIFEST, "is not valid"),
    ],
)
def test_a_manifest_that_is_wrong_says_where(root: Path, opened: Open, manifest: str, what: str) -> None:
    write(root, manifest)
    with pytest.raises(UsageError, match=what) as caught:
        opened()
    assert caught.value.code == "BadManifest"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("lock", "hint"),
    [
        ("nonsense", "restore it from git"),
        ("<<<<<<< ours\nversion = 1\n=======\nversion = 1\n>>>>>>> theirs\n", "keep one side, then run `tenuto sync`"),
        ("version = 1\n[[artifact]]\nname = 1\n", "restore it from git"),
    ],
)
def test_a_lock_that_is_wrong_says_what_to_do(root: Path, opened: Open, lock: str, hint: str) -> None:
    write(root, lock=lock)
    with pytest.raises(UsageError, match=r"tenuto\.lock is not valid") as caught:
        opened()
    assert (caught.value.code, caught.value.hint) == ("BadLock", hint)


def test_a_lock_of_a_newer_program_says_so(root: Path, opened: Open) -> None:
    write(root, lock="version = 2\n")
    with pytest.raises(UsageError, match=r"has version 2, this program reads version 1") as caught:
        opened()
    assert (caught.value.code, caught.value.hint) == ("NewerLock", "use a newer tenuto")


@pytest.mark.parametrize(("name", "code"), [("tenuto.toml", "BadManifest"), ("tenuto.lock", "BadLock")])
def test_files_that_are_no_text_are_named(root: Path, opened: Open, name: str, code: str) -> None:
    (root / name).write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=name) as caught:
        opened()
    assert caught.value.code == code


def test_a_manifest_that_cannot_be_read_is_a_fault_of_the_disk(root: Path, opened: Open) -> None:
    (root / "tenuto.lock").mkdir()
    with pytest.raises(StorageError, match=r"tenuto\.lock"):
        opened()


def test_artifacts_are_chosen_by_name_or_path(root: Path, opened: Open) -> None:
    write(root)
    workspace = opened()
    assert list(workspace.chosen(())) == ["voices", "model"]
    for text in ("voices", "data/voices", "data/voices/", "./data/voices"):
        assert list(workspace.chosen([text])) == ["voices"]
    with pytest.raises(NotFoundError, match="no artifact is named 'data'") as caught:
        workspace.chosen(["voices", "data"])
    assert (caught.value.code, caught.value.hint) == ("ArtifactNotFound", "the manifest has: model, voices")


def test_the_state_is_hidden_from_git(root: Path, workspace: Workspace) -> None:
    workspace.state.files("x")
    assert (root / ".tenuto" / ".gitignore").read_text() == "*\n"
    subprocess.run(["git", "init", "-q", root], check=True)
    shown = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=root, check=True, capture_output=True, text=True
    )
    assert shown.stdout == "?? tenuto.toml\n"


def test_a_manifest_that_would_be_wrong_is_not_written(root: Path, workspace: Workspace) -> None:
    before = (root / "tenuto.toml").read_bytes()
    with pytest.raises(UsageError):
        workspace.write_manifest("nonsense")
    assert (root / "tenuto.toml").read_bytes() == before


def test_a_lock_that_would_not_change_is_not_touched(root: Path, opened: Open) -> None:
    write(root)
    workspace = opened()
    workspace.write_lock(entry("voices"))
    before = (root / "tenuto.lock").stat()
    workspace.write_lock(entry("voices"))
    assert (root / "tenuto.lock").stat().st_ino == before.st_ino
    assert opened().lock.artifacts == {"voices": entry("voices")}


def test_the_lock_forgets_what_the_manifest_has_no_more(root: Path, opened: Open) -> None:
    write(root)
    workspace = opened()
    workspace.write_lock(entry("voices"), entry("model", source="hf://ann/model"))
    write(root, MANIFEST[: MANIFEST.index("[artifacts.model]")])
    workspace = opened()
    workspace.write_lock()
    assert list(opened().lock.artifacts) == ["voices"]


def test_a_lock_for_another_repo_is_not_the_locked_one(root: Path, opened: Open) -> None:
    write(root)
    opened().write_lock(entry("voices"), entry("model", source="hf://bob/model"))
    workspace = opened()
    assert workspace.locked("voices") == entry("voices")
    assert workspace.locked("model") is None


def test_a_base_is_good_for_one_hub_and_repo(root: Path, opened: Open) -> None:
    write(root)
    first = opened()
    digest = first.store.put(Listing([Entry("x", "a" * 64, 1)]).text)
    first.set_base("voices", digest, "c" * 40)
    assert list(opened().base_listing("voices")) == ["x"]
    assert opened(endpoint="http://127.0.0.1:10").base("voices") is None
    write(root, MANIFEST.replace("ann/voices", "ann/others"))
    assert opened().base("voices") is None
    assert list(opened().base_listing("voices")) == []


def test_a_damaged_listing_is_thrown_out(workspace: Workspace) -> None:
    digest = workspace.store.put(Listing([Entry("x", "a" * 64, 1)]).text)
    os.chmod(workspace.store.file(digest), 0o644)
    Path(workspace.store.file(digest)).write_bytes(b"damaged")
    assert workspace.listing(digest) is None
    assert not workspace.store.has(digest)


def test_an_object_that_is_no_listing_is_not_thrown_out(workspace: Workspace) -> None:
    digest = workspace.store.put(b"the weights of a model")
    assert workspace.listing(digest) is None
    assert workspace.store.has(digest)


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["/usr/bin/tenuto", "--root", "/x", "push", "secret-word"], "tenuto push"),
        (["/lib/tenuto/__main__.py", "pull"], "tenuto pull"),
        (["/home/ann/train.py", "secret-word", "hf_secret"], "train.py"),
        ([""], "python"),
    ],
)
def test_a_second_process_is_told_who_is_at_work(root: Path, workspace: Workspace, argv: list[str], named: str) -> None:
    program = HOLD.format(argv=argv)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(LockedError, match=f"process {other.pid} on .* \\({named}\\) is at work") as caught,
            workspace.exclusive(),
        ):
            pass
        assert (caught.value.exit_status, caught.value.code) == (8, "Locked")
        assert "secret" not in (root / ".tenuto" / "lock").read_text()
        other.communicate()
    with workspace.exclusive():
        holder = json.loads((root / ".tenuto" / "lock").read_text())
        assert holder["pid"] == os.getpid()


def test_a_process_that_was_killed_holds_nothing(root: Path, workspace: Workspace) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD.format(argv=["tenuto"]), str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        other.kill()
        other.wait()
        with workspace.exclusive():
            pass


def test_what_the_other_one_wrote_is_read_before_the_work_begins(root: Path, opened: Open) -> None:
    write(root)
    late = opened()
    with opened() as first, first.exclusive():
        first.write_lock(entry("voices"))
        first.write_manifest(first.manifest_text + '[artifacts.more]\npath = "more"\nrepo = "hf://ann/more"\n')
    with late.exclusive():
        late.write_lock(entry("model", source="hf://ann/model"))
        assert list(late.manifest.artifacts) == ["voices", "model", "more"]
    assert sorted(opened().lock.artifacts) == ["model", "voices"]


def test_one_may_wait_for_the_other(root: Path, opened: Open) -> None:
    first, second, order = opened(), opened(), []

    def work() -> None:
        with second.exclusive(wait=True):
            order.append("second")

    thread = threading.Thread(target=work)
    with first.exclusive():
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_damaged_note_of_the_holder_is_no_obstacle(root: Path, opened: Open) -> None:
    with opened().exclusive():
        (root / ".tenuto" / "lock").write_bytes(b"\xff{")
        with pytest.raises(LockedError, match="another process is at work"), opened().exclusive():
            pass


def test_each_trash_is_a_folder_of_its_own(workspace: Workspace) -> None:
    folders = {workspace.trash() for _ in range(20)} | {workspace.trash("quarantine")}
    assert len(folders) == 21
    assert all(os.path.isdir(folder) for folder in folders)
