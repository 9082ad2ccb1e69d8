"""The recipes of examples/ci do what docs/ci.md says: their commands are carried out, with a store that is kept under the hash of the lock."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tenuto.testing.live_hub import LiveHub
from tests.cli.conftest import PROGRAM, Desk
from tests.cli.test_health import flip

EXAMPLES = Path(__file__).parents[2] / "examples" / "ci"
INSTALL = "pip install tenuto"


class Recipe(NamedTuple):
    """What matters of a job: its commands but for the installation, the variables it sets, and what of the cache is said."""

    commands: Sequence[str]
    variables: Mapping[str, str]
    cached_folder: str
    cache_key: str


def of_github() -> Recipe:
    (job,) = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())["jobs"].values()
    (cache,) = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/cache@")]
    assert "restore-keys" not in cache  # else the store would grow with every lock
    commands = [step["run"] for step in job["steps"] if "run" in step]
    return Recipe(commands, job["env"], cache["path"], cache["key"])


def of_gitlab() -> Recipe:
    (job,) = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text()).values()
    (folder,), (key,) = job["cache"]["paths"], job["cache"]["key"]["files"]
    return Recipe(job["script"], job["variables"], folder.rstrip("/"), key)


RECIPES = {"github": of_github, "gitlab": of_gitlab}


@pytest.fixture(params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """Each of the recipes."""
    found: Recipe = RECIPES[request.param]()
    assert found.commands[0] == INSTALL
    return found._replace(commands=found.commands[1:])


class Runner:
    """A machine of a CI service: fresh, but for the store that it restores."""

    def __init__(self, desk: Desk, recipe: Recipe) -> None:
        self.desk, self.recipe = desk, recipe
        self.kept = desk.folder / "kept"
        programs = desk.folder / "bin"
        programs.mkdir()
        (programs / "tenuto").write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
        (programs / "tenuto").chmod(0o755)
        self.path = f"{programs}:{os.environ['PATH']}"

    def run(self, name: str, before_verify: Any = None) -> list[tuple[str, int]]:
        """Clone, restore the store, and run the commands until one fails; the store is kept if none did."""
        clone = self.desk.clone(name)
        store = clone / self.recipe.cached_folder
        if self.kept.exists():
            shutil.copytree(self.kept, store, symlinks=True)
        variables = {name: self._value(text, clone) for name, text in self.recipe.variables.items()}
        ended = []
        for command in self.recipe.commands:
            if before_verify and command.startswith("tenuto verify"):
                before_verify(clone)
            environment = {**self.desk.environment, **variables, "PATH": self.path}
            done = subprocess.run(["bash", "-e", "-c", command], cwd=clone, env=environment, capture_output=True)
            ended.append((command, done.returncode))
            if done.returncode:
                return ended
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(store, self.kept, symlinks=True)
        return ended

    def _value(self, text: str, clone: Path) -> str:
        """A variable as the service would fill it in."""
        text = text.replace("${{ secrets.HF_TOKEN }}", self.desk.token)
        return text.replace("${{ github.workspace }}", str(clone)).replace("$CI_PROJECT_DIR", str(clone))


@pytest.fixture
def runner(desk: Desk, recipe: Recipe) -> Runner:
    """A service that runs the recipe for a project with weights."""
    desk.write("data/weights.bin", os.urandom(200_000))
    desk.begin()
    return Runner(desk, recipe)


def asked(hub: LiveHub, since: int = 0) -> list[str]:
    """The requests that the hub answered."""
    return hub.log().splitlines()[since:]


def test_the_key_of_the_cache_is_the_hash_of_the_lock(recipe: Recipe) -> None:
    assert "hashFiles('tenuto.lock')" in recipe.cache_key or recipe.cache_key == "tenuto.lock"
    assert recipe.variables["TENUTO_CACHE"].endswith(f"/{recipe.cached_folder}")


def test_a_second_run_with_the_same_lock_downloads_nothing(runner: Runner, hub: LiveHub) -> None:
    before = len(asked(hub))
    assert {status for _, status in runner.run("first")} == {0}
    assert any("/resolve/" in line or "pack" in line for line in asked(hub, before))
    before = len(asked(hub))
    assert {status for _, status in runner.run("second")} == {0}
    assert [line for line in asked(hub, before) if "/resolve/" in line or "pack" in line] == []
    held = sum(file.stat().st_size for file in runner.kept.rglob("objects/*/*"))
    assert 200_000 < held < 220_000
    first, second = (runner.desk.folder / name / "data/weights.bin" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes() == (runner.desk.project / "data/weights.bin").read_bytes()
    assert (runner.desk.folder / "second" / "verify.xml").exists()


def test_a_manifest_that_is_not_locked_fails(runner: Runner) -> None:
    manifest = runner.desk.project / "tenuto.toml"
    manifest.write_text(manifest.read_text() + '[artifacts.m]\npath = "m"\nsource = "hf://a/m"\n')
    assert runner.run("first") == [("tenuto sync --locked", 1)]


def test_a_damaged_file_fails_and_is_in_the_report(runner: Runner) -> None:
    ended = runner.run("first", lambda clone: flip(clone / "data/weights.bin"))
    assert ended[-1] == ("tenuto verify --junit verify.xml", 5)
    assert "data/weights.bin" in (runner.desk.folder / "first" / "verify.xml").read_text()
