"""A collection that meets damage, or is killed, leaves a whole hub."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tenuto.server.upkeep.check import check_hub
from tenuto.testing.live_hub import LiveHub
from tests.server.talk import gone
from tests.server.test_upkeep_gc import put, squash
from tests.server.upkeep_hub import collect, make_owner, make_sample, noise, object_file, opened, stored


def test_a_damaged_repo_is_left_alone(tmp_path: Path) -> None:
    folder = make_sample(tmp_path / "data").folder
    with opened(folder) as parts:
        with parts.database.write() as connection:
            connection.exec_driver_sql(
                "DELETE FROM git_objects WHERE kind = 'tree' AND repo_id = (SELECT id FROM repos WHERE name = 'one')"
            )
        for day in (0, 31):
            done = collect(parts, str(folder), day)
            assert [line.partition(":")[0] for line in done.skipped] == ["hf"]
            assert (done.trashed_objects.count, done.trashed_xorbs.count) == (0, 0)


@pytest.mark.parametrize("delay_ms", [3, 15, *(pytest.param(one, marks=pytest.mark.slow) for one in (0, 8, 30))])
def test_a_collection_that_is_killed_leaves_a_whole_hub(tmp_path: Path, delay_ms: int) -> None:
    folder = tmp_path / "data"
    sample = make_sample(folder)
    with LiveHub(str(folder)) as hub:
        ann = make_owner(hub, "killed", "repo")
        for number in range(30):
            put(ann, f"{number}.bin", noise(2000, 50 + number))
        keep = put(ann, "keep.bin", noise(2000, 99))
        ann.talk.commit(ann.repo, *[gone(f"{number}.bin") for number in range(30)]).raise_for_status()
        squash(ann)
        ann.talk.close()
        collect(hub.hub.parts, str(folder))
    script = (
        "import sys\nfrom tests.server.upkeep_hub import collect, opened\n"
        f"with opened({str(folder)!r}) as parts:\n    print('go', flush=True)\n    collect(parts, {str(folder)!r}, 31)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "go\n"
    time.sleep(delay_ms / 1000)
    process.kill()
    process.communicate()
    with opened(folder) as parts:
        assert check_hub(parts, str(folder)).findings == []
        done = collect(parts, str(folder), 31.01)
        assert check_hub(parts, str(folder)).findings == []
        assert done.skipped == []
    assert len([one for one in range(30) if object_file(folder, noise(2000, 50 + one)).exists()]) == 0
    assert keep in stored(folder)["objects"]
    assert sample.tokens
