"""`transformers` and `peft` push a tiny model, its tokenizer and an adapter, and load them again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.wire.client import Client, Make, RefusedError
from tests.wire.conftest import Repo

pytestmark = [pytest.mark.wire, pytest.mark.slow]


@pytest.fixture(params=[Make("transformers", True), Make("transformers", False)], ids=str)
def client(request: pytest.FixtureRequest, clients: Callable[[Make], Client]) -> Client:
    return clients(request.param)


@pytest.fixture(params=[False, True], ids=["public", "private"])
def repo(request: pytest.FixtureRequest, make_repo: Callable[..., Repo]) -> Repo:
    return make_repo("model", private=request.param)


def ask(repo: Repo, act: str, **words: object) -> Any:
    return repo.client.do(f"driver_transformers:{act}", repo_id=repo.name, **words)


def test_a_model_its_tokenizer_and_an_adapter(repo: Repo, tmp_path: Path) -> None:
    assert repo.client.do("driver_transformers:version") == "5.23.0"
    sent = ask(repo, "push", folder=str(tmp_path), private=repo.private)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= repo.files()
    assert ask(repo, "load") == pytest.approx(sent)
    assert ask(repo, "load", revision=repo.head) == pytest.approx(sent)
    adapter = Repo(repo.client, f"{repo.name}-adapter", "model", repo.private)
    weight = ask(adapter, "push_adapter", base=repo.name, private=repo.private)
    assert {"adapter_config.json", "adapter_model.safetensors"} <= adapter.files()
    assert ask(adapter, "load_adapter", base=repo.name) == pytest.approx(weight)


def test_a_branch_and_a_proposal(repo: Repo, tmp_path: Path) -> None:
    repo.do("create_branch", branch="dev")
    sent = ask(repo, "push", folder=str(tmp_path), revision="dev")
    assert repo.files() == set()
    assert ask(repo, "load", revision="dev") == pytest.approx(sent)
    ask(repo, "push", folder=str(tmp_path), create_pr=True)
    assert {one["status"] for one in repo.do("get_repo_discussions")} <= {"open", "draft"}
    assert repo.files() == set()


def test_what_is_missing_is_told(repo: Repo) -> None:
    with pytest.raises(RefusedError, match=r"config\.json"):
        ask(repo, "load")
    with pytest.raises(RefusedError, match="not a valid model identifier"):
        ask(Repo(repo.client, f"{repo.name}-gone", "model", False), "load")
