"""`datasets` pushes, loads and streams: tables in several configurations, files as they lie in a repo, folders of sound."""

import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenuto.testing.samples import dataset_folder
from tests.wire.client import Client, Make, RefusedError
from tests.wire.conftest import Repo
from tests.wire.content import write

pytestmark = pytest.mark.wire
FIRST = {"id": list(range(500)), "text": [f"Zeile {n} ä" for n in range(500)]}
SECOND = {"id": [1, 2, 3], "score": [0.5, 0.25, 0.125]}


@pytest.fixture(params=[Make("datasets", True), Make("datasets", False)], ids=str)
def client(request: pytest.FixtureRequest, clients: Callable[[Make], Client]) -> Client:
    return clients(request.param)


@pytest.fixture(params=[False, True], ids=["public", "private"])
def repo(request: pytest.FixtureRequest, make_repo: Callable[..., Repo]) -> Repo:
    return make_repo("dataset", private=request.param)


def ask(repo: Repo, act: str, **words: object) -> Any:
    return repo.client.do(f"driver_datasets:{act}", repo_id=repo.name, **words)


def rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def test_two_configurations_are_pushed_loaded_and_streamed(repo: Repo) -> None:
    assert repo.client.do("driver_datasets:version") == "5.2.0"
    ask(repo, "push", rows=FIRST, config_name="first", private=repo.private)
    ask(repo, "push", rows=SECOND, config_name="second", private=repo.private)
    assert set(ask(repo, "configs")) == {"first", "second"}
    for streaming in (False, True):
        assert ask(repo, "load", config="first", split="train", streaming=streaming) == rows(FIRST)
        assert ask(repo, "load", config="second", split="train", streaming=streaming) == rows(SECOND)


def test_a_push_replaces_what_was_pushed_before(repo: Repo) -> None:
    ask(repo, "push", rows=FIRST, num_shards=3)
    first = repo.head
    ask(repo, "push", rows={"id": [7], "text": ["new"]})
    assert ask(repo, "load", split="train") == [{"id": 7, "text": "new"}]
    assert ask(repo, "load", split="train", revision=first) == rows(FIRST)
    ask(repo, "push", rows=FIRST, split="test")
    assert ask(repo, "load", split="test[:2]") == rows(FIRST)[:2]


@pytest.mark.parametrize("streaming", [False, True])
def test_files_as_they_lie(repo: Repo, tmp_path: Path, streaming: bool) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows(FIRST))
    table = "id,score\n" + "".join(f"{row['id']},{row['score']}\n" for row in rows(SECOND))
    folder = write(tmp_path, {"data/train.jsonl": lines.encode(), "odd name/50% #1.csv": table.encode()})
    repo.do("upload_folder", folder_path=str(folder))
    more = {"split": "train", "streaming": streaming}
    assert ask(repo, "load", data_files="data/*.jsonl", **more) == rows(FIRST)
    assert ask(repo, "load", data_dir="data", **more) == rows(FIRST)


def test_a_folder_of_sound(repo: Repo, tmp_path: Path) -> None:
    folder = Path(dataset_folder(str(tmp_path / "sounds"), clips=5, seconds=0.25))
    repo.do("upload_folder", folder_path=str(folder))
    pushed = Repo(repo.client, f"{repo.name}-pushed", "dataset", repo.private)
    ask(pushed, "push_sounds", folder=str(folder), private=repo.private)
    expected = []
    for line in (folder / "data" / "train" / "metadata.csv").read_text().splitlines()[1:]:
        name, label = line.split(",")
        with wave.open(str(folder / "data" / "train" / name)) as file:
            expected.append([label, file.getframerate(), file.getnframes()])
    for place in (repo, pushed):
        for streaming in (False, True):
            assert ask(place, "sounds", split="train", streaming=streaming) == expected
    (table,) = (name for name in pushed.files() if name.endswith(".parquet"))
    page = pushed.page(f"blob/main/{table}")
    assert all(f"<td>{label}</td>" in page for label, _, _ in expected)
    assert page.count(".wav, 8.0 kB</td>") == len(expected)


def test_what_may_not_be_read_does_not_exist(make_repo: Callable[..., Repo]) -> None:
    repo = make_repo("dataset", private=True)
    ask(repo, "push", rows=SECOND, private=True)
    for words in ({"token": False}, {"config": "never"}, {"revision": "nope"}):
        with pytest.raises(RefusedError) as caught:
            ask(repo, "load", split="train", **words)
        assert {"DatasetNotFoundError", "ValueError"} & set(caught.value.classes)


def test_a_gated_dataset_says_that_one_may_ask(make_repo: Callable[..., Repo], hub: Any) -> None:
    repo = make_repo("dataset")
    ask(repo, "push", rows=SECOND)
    repo.do("update_repo_settings", gated="manual")
    for token, text in ((False, "authenticated"), (hub.user(), "ask for access")):
        with pytest.raises(RefusedError, match=text) as caught:
            ask(repo, "load", split="train", token=token)
        assert "DatasetNotFoundError" in caught.value.classes
