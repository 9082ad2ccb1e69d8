"""A keeper of models and datasets: from a list in a script to a workspace that is planned, fetched, checked and mended."""

import json
import os
import subprocess
from pathlib import Path

import jsonschema
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from tenuto.survey.inventory import schema
from tenuto.testing.live_hub import LiveHub
from tests.cli.conftest import Desk

WEIGHTS = os.urandom(300_000)
SCRIPT = """\
#!/usr/bin/env bash
# what the workspace needs
MODELS=(
  "{owner}/small"
  "{owner}/medium"      # both formats
  "{owner}/encodec"
  "{owner}/gated"
  "{owner}/no-such-model"
  "{owner}/stereo-1" "{owner}/stereo-2" "{owner}/stereo-3"
)
DATASETS=("{owner}/gtzan" "{owner}/maestro" "{owner}/nsynth" "{owner}/fma" "{owner}/musicnet" "{owner}/no-such-set")
for repo in "${{MODELS[@]}}"; do echo "$repo"; done
"""


class Keeper(Desk):
    """A desk, and somebody else who publishes."""

    def __init__(self, folder: Path, hub: LiveHub) -> None:
        super().__init__(folder, hub)
        self.owner = self.person.replace("ann-", "publisher-")
        self.filters[self.owner] = "publisher"
        self.api = HfApi(hub.url, token=hub.user(self.owner))
        self("init")

    def publish(self, name: str, files: dict[str, bytes], *, kind: str = "model", gated: bool = False) -> str:
        """Make or change a repo; returns its address."""
        repo = f"{self.owner}/{name}"
        self.api.create_repo(repo, repo_type=kind, exist_ok=True)
        changes = [CommitOperationAdd(path, content) for path, content in files.items()]
        self.api.create_commit(repo, changes, commit_message="a version", repo_type=kind)
        if gated:
            self.api.update_repo_settings(repo, repo_type=kind, gated="manual")
        return f"hf://{'datasets/' if kind == 'dataset' else ''}{repo}"

    def publish_all(self) -> None:
        """What the script names, but for two that do not exist: 12 repos."""
        card = b"---\nlicense: mit\n---\n# A model\n"
        both = {
            "model.safetensors": WEIGHTS,
            "pytorch_model.bin": WEIGHTS[::-1],
            "config.json": b"{}",
            "README.md": card,
        }
        self.publish("small", {"model.safetensors": WEIGHTS[:200_000], "README.md": card})
        self.publish("medium", both)
        self.publish("encodec", {"state.pt": WEIGHTS[:1000]})
        self.publish("gated", {"model.safetensors": WEIGHTS[5:100_000]}, gated=True)
        self.publish("gtzan", {"data/train.parquet": WEIGHTS[7:50_000]}, kind="dataset")
        self.publish("maestro", {"maestro.py": b"print()", "README.md": card}, kind="dataset")
        for name in ("stereo-1", "stereo-2", "stereo-3"):
            self.publish(name, {"model.safetensors": name.encode() * 900})
        for name in ("nsynth", "fma", "musicnet"):
            self.publish(name, {"train.parquet": name.encode() * 900}, kind="dataset")


@pytest.fixture
def keeper(hub: LiveHub, tmp_path: Path) -> Keeper:
    """A keeper with an empty project."""
    return Keeper(tmp_path, hub)


def test_from_a_list_to_a_workspace_that_stays_whole(keeper: Keeper, hub: LiveHub) -> None:
    keeper.publish_all()
    keeper.write("download.sh", SCRIPT.format(owner=keeper.owner))

    imported = keeper("import-list", "download.sh", "--json").json["artifacts"]
    assert [one["name"] for one in imported] == [
        *("small", "medium", "encodec", "gated", "no-such-model", "stereo-1", "stereo-2", "stereo-3"),
        *("gtzan", "maestro", "nsynth", "fma", "musicnet", "no-such-set"),
    ]

    planned = keeper("plan", "--json")
    assert planned.status == 4  # no access weighs more than not found
    assert {one["name"]: one["code"] for one in planned.json["failures"]} == {
        "gated": "GatedRepo",
        "no-such-model": "RepoNotFound",
        "no-such-set": "RepoNotFound",
    }
    artifacts = {one["name"]: one for one in planned.json["artifacts"]}
    assert artifacts["medium"]["fetch_bytes"] == artifacts["medium"]["bytes"]
    assert artifacts["medium"]["files"] == 3  # not the weights in .bin
    assert "loading script" in artifacts["maestro"]["lacks"][0]
    assert artifacts["small"]["license"] == "mit"
    assert not (keeper.project / "models").exists()

    synced = keeper("sync")
    assert synced.status == 4
    for name in ("gated", "no-such-model", "no-such-set"):
        assert f"error: {name}" in synced.err
    assert (keeper.project / "models/medium/model.safetensors").read_bytes() == WEIGHTS
    assert not (keeper.project / "models/medium/pytorch_model.bin").exists()
    for name in ("models/gated", "models/no-such-model", "datasets/no-such-set"):
        assert not (keeper.project / name).exists(), "a failed id leaves an empty folder"

    assert missing_of(keeper) == {"gated", "no-such-model", "no-such-set"}

    keeper("remove", "gated", "no-such-model", "no-such-set")
    assert keeper("sync").status == 0
    assert keeper("sync", "--check").status == 0
    assert missing_of(keeper) == set()
    assert keeper("verify").status == 0

    check_damage(keeper)
    assert keeper("sync", "--locked", "--check").status == 0
    assert requests_of(keeper, hub, "sync", "--frozen") == 0
    assert requests_of(keeper, hub, "sync") == 11, "one a repo"


def check_damage(keeper: Keeper) -> None:
    """Every damaged file is named, and mended."""
    damage(keeper.project)
    verified = keeper("verify")
    assert verified.status == 5
    for path in (
        "models/small/model.safetensors",
        "models/medium/model.safetensors",
        "datasets/gtzan/data/train.parquet",
    ):
        assert path in verified.out
    assert keeper("repair").status == 0
    assert keeper("verify").status == 0


def missing_of(keeper: Keeper) -> set[str]:
    """What the inventory, which is valid, names as not here; its exit status says the same."""
    inventory = keeper("inventory", "--json")
    document = json.loads(inventory.out)
    jsonschema.Draft202012Validator(json.loads(schema())).validate(document)
    missing = {one["name"] for one in [*document["models"], *document["datasets"]] if one["status"] != "present"}
    assert inventory.status == (1 if missing else 0)
    return missing


def test_a_list_begins_a_project_of_which_git_sees_no_weights(keeper: Keeper) -> None:
    keeper.publish("small", {"model.safetensors": WEIGHTS[:5000]})
    folder = keeper.folder / "elsewhere"
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    (folder / "repos.txt").write_text("nothing of the kind\n")
    assert keeper("import-list", "repos.txt", cwd=folder).status == 2
    assert not (folder / "tenuto.toml").exists()
    (folder / "repos.txt").write_text(f"{keeper.owner}/small\n")
    imported = keeper("import-list", "repos.txt", cwd=folder)
    assert f"Made {folder}/tenuto.toml\n" in imported.out
    assert "Made" not in keeper("import-list", "repos.txt", cwd=folder).out
    assert keeper("sync", cwd=folder).status == 0
    seen = subprocess.run(
        ["git", "status", "--short", "-uall"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert {line[3:] for line in seen.splitlines()} == {
        *("repos.txt", "tenuto.toml", "tenuto.lock", "models/.gitignore")
    }


def damage(project: Path) -> None:
    """Flip a byte, truncate a file, and put a link to nothing in the place of a third."""
    small, medium = (project / "models" / name / "model.safetensors" for name in ("small", "medium"))
    content = bytearray(small.read_bytes())
    content[12_345] ^= 1
    replace(small, bytes(content))
    replace(medium, medium.read_bytes()[:-1])
    parquet = project / "datasets/gtzan/data/train.parquet"
    parquet.unlink()
    parquet.symlink_to("nowhere")


def replace(file: Path, content: bytes) -> None:
    """Write a new file: the old one may be linked with the store."""
    file.unlink()
    file.write_bytes(content)


def requests_of(keeper: Keeper, hub: LiveHub, *arguments: str) -> int:
    """How many requests the hub answered for one run."""
    before = hub.log().count("\n")
    assert keeper(*arguments).status == 0
    return hub.log().count("\n") - before


def test_a_second_sync_asks_once_a_repo_and_a_frozen_one_not_at_all(keeper: Keeper, hub: LiveHub) -> None:
    for name in ("one", "two", "three"):
        keeper("add", keeper.publish(name, {"model.safetensors": WEIGHTS[:5000]}))
    assert requests_of(keeper, hub, "sync") == 3
    assert requests_of(keeper, hub, "sync", "--frozen") == 0
    assert requests_of(keeper, hub, "--offline", "sync") == 0
    assert requests_of(keeper, hub, "pull") == 0
    assert requests_of(keeper, hub, "verify") == 0


def test_a_source_that_moves_on_is_said_and_taken_on_demand_only(keeper: Keeper) -> None:
    address = keeper.publish("small", {"model.safetensors": WEIGHTS[:5000], "config.json": b"{}"})
    keeper("add", address)
    assert keeper("outdated", "--check").status == 0
    keeper.publish("small", {"model.safetensors": WEIGHTS[:6000]})
    file = keeper.project / "models/small/model.safetensors"

    synced = keeper("sync")
    assert synced.status == 0
    assert "is newer; tenuto upgrade small takes it" in synced.out
    assert file.read_bytes() == WEIGHTS[:5000]

    found = keeper("outdated", "--check", "--json")
    assert found.status == 1
    (one,) = found.json["artifacts"]
    assert (one["added"], one["modified"], one["removed"]) == (0, 1, 0)

    assert keeper("upgrade", "small").status == 0
    assert file.read_bytes() == WEIGHTS[:6000]
    assert keeper("outdated", "--check").status == 0


def test_add_takes_what_is_chosen_and_changes_the_choice_at_the_same_commit(keeper: Keeper) -> None:
    files = {"a-Q4_K_M.gguf": b"4" * 900, "a-Q8_0.gguf": b"8" * 900, "config.json": b"{}", "docs/x.md": b"x"}
    address = keeper.publish("quantised", files)
    added = keeper("add", address, "--no-sync")
    assert "several variants (Q4_K_M, Q8_0)" in added.out
    assert keeper("add", address, "--variant", "Q8_0", "--exclude", "docs/").status == 0
    folder = keeper.project / "models/quantised"
    assert sorted(path.name for path in folder.iterdir()) == ["a-Q8_0.gguf", "config.json"]

    keeper.publish("quantised", {"a-Q4_K_M.gguf": b"5" * 900})
    assert keeper("add", address, "--variant", "Q4_K_M", "--include", "*.gguf").status == 0
    assert [path.name for path in folder.iterdir()] == ["a-Q4_K_M.gguf"]
    assert (folder / "a-Q4_K_M.gguf").read_bytes() == b"4" * 900  # as locked before

    refused = keeper("add", address, "--variant", "Q5_K_S")
    assert refused.status == 2
    assert "Q4_K_M, Q8_0" in refused.err
    assert keeper("lock", "--check").status == 0


def test_add_with_another_revision_changes_the_revision(keeper: Keeper) -> None:
    address = keeper.publish("small", {"model.safetensors": WEIGHTS[:700]})
    keeper.api.create_tag(f"{keeper.owner}/small", tag="v1")
    keeper("add", address)
    keeper.publish("small", {"model.safetensors": WEIGHTS[:900]})
    file = keeper.project / "models/small/model.safetensors"
    for source, size in ((f"{address}@main", 900), (f"{address}@v1", 700)):
        assert keeper("add", source).status == 0
        assert [one["name"] for one in keeper("status", "--json").json["artifacts"]] == ["small"]
        assert file.read_bytes() == WEIGHTS[:size]
    assert keeper("add", f"{address}@main", "--name", "latest").status == 0
    assert (keeper.project / "models/latest/model.safetensors").read_bytes() == WEIGHTS[:900]
    assert keeper("add", f"{address}@main", "--name", "small").status == 0
    assert file.read_bytes() == WEIGHTS[:900]
    taken = keeper("add", keeper.publish("other", {"model.safetensors": b"o"}), "--name", "small")
    assert taken.status == 1
    assert "is that of models/small already" in taken.err


def test_a_revision_that_is_changed_in_the_manifest_is_no_conflict(keeper: Keeper) -> None:
    address = keeper.publish("small", {"model.safetensors": WEIGHTS[:700], "config.json": b"{}"})
    keeper.api.create_tag(f"{keeper.owner}/small", tag="v1")
    keeper("add", f"{address}@v1")
    keeper.publish("small", {"model.safetensors": WEIGHTS[:900], "config.json": b'{"v": 2}'})
    manifest = keeper.project / "tenuto.toml"
    manifest.write_text(manifest.read_text().replace("@v1", "@main"))
    assert keeper("sync").status == 0
    assert (keeper.project / "models/small/model.safetensors").read_bytes() == WEIGHTS[:900]
    keeper.write("models/small/config.json", "mine")
    manifest.write_text(manifest.read_text().replace("@main", "@v1"))
    assert keeper("sync").status == 1, "what somebody changed here is"
    assert (keeper.project / "models/small/config.json").read_text() == "mine"


def test_a_sync_says_what_it_left_alone(keeper: Keeper) -> None:
    keeper("add", keeper.publish("small", {"config.json": b"{}"}))
    keeper.write("models/small/config.json", "mine")
    synced = keeper("sync")
    assert synced.status == 0
    assert "1 file of your own changed and left alone; tenuto repair brings the locked files back" in synced.out
    assert (keeper.project / "models/small/config.json").read_text() == "mine"


def test_add_of_one_file_of_a_repo(keeper: Keeper) -> None:
    address = keeper.publish("many", {"loras/jazz.safetensors": WEIGHTS[:700], "loras/rock.safetensors": b"r"})
    assert keeper("add", f"{address}/loras/jazz.safetensors", "--kind", "adapter").status == 0
    assert (keeper.project / "adapters/jazz.safetensors").read_bytes() == WEIGHTS[:700]
    assert keeper("add", f"{address}/loras/rock.safetensors", "--kind", "adapter").status == 0
    assert (keeper.project / "adapters/rock.safetensors").read_bytes() == b"r"
    assert (keeper.project / "adapters/jazz.safetensors").read_bytes() == WEIGHTS[:700]
    renamed = keeper("add", f"{address}/loras/rock.safetensors", "--name", "other", "--path", "adapters/other.bin")
    assert renamed.status == 2
    assert "keeps its name" in renamed.err
    missing = keeper("add", f"{address}/loras/blues.safetensors")
    assert missing.status == 9
    assert "loras/blues.safetensors" in missing.err


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ("https://huggingface.co/facebook/musicgen-small", "hf://facebook/musicgen-small"),
        ("https://huggingface.co/facebook/musicgen-small/", "hf://facebook/musicgen-small"),
        ("https://huggingface.co/datasets/google/MusicCaps/tree/main", "hf://datasets/google/MusicCaps"),
        ("https://hf.co/a/b/tree/v1/sub/folder", "hf://a/b@v1/sub/folder"),
        ("https://huggingface.co/a/b/resolve/main/x/model.bin?download=true", "hf://a/b/x/model.bin"),
        ("{hub}/a/b/blob/main/model.bin", "hf://a/b/model.bin"),
    ],
)
def test_the_address_of_a_page_is_told_from_that_of_a_file(keeper: Keeper, page: str, address: str) -> None:
    refused = keeper("--json", "add", page.format(hub=keeper.environment["HF_ENDPOINT"]))
    assert refused.error["hint"] == f"write {address}"
    assert refused.status == 2


@pytest.mark.parametrize("name", ["no-such-repo", "secret"])
def test_what_cannot_be_had_leaves_no_trace(keeper: Keeper, name: str) -> None:
    keeper.api.create_repo(f"{keeper.owner}/secret", private=True)
    before = (keeper.project / "tenuto.toml").read_bytes()
    refused = keeper("add", f"hf://{keeper.owner}/{name}", "--json")
    assert refused.status == 9
    assert refused.error["code"] == "RepoNotFound"
    assert (keeper.project / "tenuto.toml").read_bytes() == before
    assert not (keeper.project / "tenuto.lock").exists()
    assert not (keeper.project / "models").exists()


def test_a_gated_repo_says_where_to_ask(keeper: Keeper) -> None:
    address = keeper.publish("gated", {"model.safetensors": WEIGHTS[:900]}, gated=True)
    refused = keeper("add", address)
    assert refused.status == 4
    assert "ask for access at [HUB]/publisher/gated" in str(refused)


def test_the_policy_for_licences(keeper: Keeper) -> None:
    card = "---\nlicense: {}\n---\n"
    free = keeper.publish("free", {"README.md": card.format("apache-2.0").encode(), "a.safetensors": b"a"})
    closed = keeper.publish("closed", {"README.md": card.format("cc-by-nc-4.0").encode(), "a.safetensors": b"a"})
    silent = keeper.publish("silent", {"a.safetensors": b"a"})
    manifest = keeper.project / "tenuto.toml"
    manifest.write_text('[policy]\nlicenses = ["Apache-2.0"]\nunknown_license = "refuse"\n')
    assert keeper("add", free).status == 0
    for address, said in ((closed, "cc-by-nc-4.0"), (silent, "states no licence")):
        refused = keeper("--json", "add", address)
        assert refused.status == 2
        assert refused.error["code"] == "LicenseRefused"
        assert said in str(refused.error["message"])
    assert 'license = "apache-2.0"' in (keeper.project / "tenuto.lock").read_text()
    manifest.write_text(manifest.read_text().replace("Apache-2.0", "MIT"))
    for command in (["sync"], ["sync", "--locked"], ["pull"], ["plan"], ["lock", "--check"]):
        refused = keeper(*command)
        assert (refused.status, "apache-2.0 is not among those" in refused.err) == (2, True), command
    assert keeper("sync", "--frozen").status == 0


def test_groups_and_kinds(keeper: Keeper) -> None:
    keeper("add", keeper.publish("m", {"a.safetensors": b"a"}), "--group", "small", "--no-sync")
    keeper("add", keeper.publish("n", {"b.safetensors": b"b"}), "--no-sync")
    keeper("add", keeper.publish("d", {"c.parquet": b"c"}, kind="dataset"), "--group", "small", "--no-sync")
    assert keeper("sync", "--group", "small", "--models").status == 0
    assert sorted(path.name for path in (keeper.project / "models").iterdir()) == [".gitignore", "m"]
    assert not (keeper.project / "datasets/d").exists()
    assert keeper("sync", "--datasets").status == 0
    assert (keeper.project / "datasets/d/c.parquet").exists()
    assert keeper("sync", "--group", "none").status == 9


def test_locked_and_frozen(keeper: Keeper) -> None:
    keeper("add", keeper.publish("m", {"a.safetensors": b"a", "b.json": b"{}"}))
    manifest = keeper.project / "tenuto.toml"
    manifest.write_text(manifest.read_text() + 'include = ["*.json"]\n')
    refused = keeper("sync", "--locked", "--json")
    assert refused.status == 1
    assert refused.error["code"] == "LockOutdated"
    assert keeper("lock", "--check").status == 1
    assert keeper("sync", "--check").status == 1
    assert (keeper.project / "models/m/a.safetensors").exists()
    assert keeper("sync").status == 0
    assert not (keeper.project / "models/m/a.safetensors").exists()
    assert keeper("sync", "--locked").status == 0


def test_own_changes_of_what_others_publish_stay_and_are_not_pushed(keeper: Keeper) -> None:
    keeper("add", keeper.publish("m", {"a.safetensors": b"a", "b.json": b"{}"}))
    replace(keeper.project / "models/m/b.json", b"mine")
    assert "tenuto repair brings the locked files back" in keeper("pull").out
    assert (keeper.project / "models/m/b.json").read_bytes() == b"mine"
    assert keeper("push").status == 0
    refused = keeper("push", "m")
    assert refused.status == 2
    assert "is not pushed" in refused.err
    assert keeper("repair").status == 0
    assert (keeper.project / "models/m/b.json").read_bytes() == b"{}"


def test_removed_files_go_to_the_trash_on_demand(keeper: Keeper) -> None:
    keeper("add", keeper.publish("m", {"a.safetensors": b"a"}))
    keeper("add", keeper.publish("n", {"b.safetensors": b"b"}))
    assert keeper("remove", "m").status == 0
    assert (keeper.project / "models/m/a.safetensors").exists()
    removed = keeper("remove", "n", "--files", "--json").json["artifacts"]
    assert (Path(removed[0]["trash"]) / "models/n/b.safetensors").read_bytes() == b"b"
    assert not (keeper.project / "models/n/b.safetensors").exists()
    assert (keeper.project / "tenuto.lock").read_text().count("[[artifact]]") == 0
    assert "/n" not in (keeper.project / "models/.gitignore").read_text()


def test_no_token_goes_to_a_hub_that_only_an_artifact_names(keeper: Keeper, hub: LiveHub, tmp_path: Path) -> None:
    address = keeper.publish("m", {"a.safetensors": b"a"})
    with LiveHub() as other:
        publisher = HfApi(other.url, token=other.user(keeper.owner))
        publisher.create_repo(f"{keeper.owner}/m")
        publisher.upload_file(path_or_fileobj=b"other", path_in_repo="a.safetensors", repo_id=f"{keeper.owner}/m")
        keeper.filters[other.url] = "[OTHER]"
        assert keeper("add", address, "--name", "there", "--hub", other.url).status == 0
        assert (keeper.project / "models/there/a.safetensors").read_bytes() == b"other"
        assert keeper.person not in other.log()
        publisher.update_repo_settings(f"{keeper.owner}/m", private=True)
        (keeper.project / "models/there/a.safetensors").unlink()
        refused = keeper("pull", TENUTO_CACHE=str(tmp_path / "empty"))
        assert refused.status == 9
