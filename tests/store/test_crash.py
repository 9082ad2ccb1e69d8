"""A process that is killed leaves whole objects and parts to go on from, and nothing else."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tenuto.store.local import LocalStore
from tests.store.crash_child import STEP_OBJECTS, objects, work

CHILD = [sys.executable, str(Path(__file__).with_name("crash_child.py"))]
COUNT = 120
BATCH = 5


def names(wanted: list[bytes]) -> set[str]:
    return {hashlib.sha256(data).hexdigest() for data in wanted}


def check_whole(store: LocalStore, wanted: list[bytes]) -> set[str]:
    """Every visible object hashes to its name and is one that was wanted; returns their names."""
    visible = {found.sha256 for found in store}
    for name in visible:
        store.read(name)
        assert os.stat(store.file(name)).st_mode & 0o777 == 0o444
    assert visible <= names(wanted)
    return visible


def spool_files(store: LocalStore) -> list[str]:
    return os.listdir(store.spool) if os.path.isdir(store.spool) else []


def kill_and_finish(root: Path, kills: int) -> None:
    source = random.Random(kills)
    wanted = list(objects(kills, COUNT))
    store = LocalStore(str(root))
    crashes = 0
    while crashes < kills:
        child = subprocess.Popen([*CHILD, str(root), "run", str(kills), str(COUNT)], stdout=subprocess.PIPE, text=True)
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        time.sleep(source.uniform(0, 0.05))
        child.send_signal(signal.SIGKILL)
        child.wait()
        finished = "done" in child.stdout.read()
        child.stdout.close()
        crashes += not finished
        visible = check_whole(store, wanted)
        if finished:
            assert visible == names(wanted)
            for name in source.sample(sorted(visible), len(visible) // 2):
                store.delete(name)
    assert len(spool_files(store)) <= crashes * (BATCH + 1), "a crash leaves one batch and one open receive at most"
    work(store, wanted)
    assert check_whole(store, wanted) == names(wanted)
    store.sweep(0)
    assert spool_files(store) == []
    assert check_whole(store, wanted) == names(wanted)


def test_killed_at_random_points(tmp_path: Path) -> None:
    kill_and_finish(tmp_path, 8)


@pytest.mark.slow
def test_killed_300_times(tmp_path: Path) -> None:
    kill_and_finish(tmp_path, 300)


def test_killed_before_every_single_file_system_call(tmp_path: Path) -> None:
    answer = subprocess.run([*CHILD, str(tmp_path), "step"], check=True, capture_output=True, text=True)
    calls = int(answer.stdout)
    assert calls > 20, "the scenario has an audited call for each step of receive, seal and publish"
    wanted = list(objects(1, STEP_OBJECTS))
    reached = set()
    for call in range(1, calls + 1):
        store = LocalStore(str(tmp_path / str(call)))
        reached.add(len(check_whole(store, wanted)))
        work(store, wanted)
        assert check_whole(store, wanted) == names(wanted), call
        store.sweep(0)
        assert spool_files(store) == []
        check_whole(store, wanted)
    assert reached == set(range(STEP_OBJECTS + 1)), (
        "the kills fell before, between and after the publishing of each object"
    )


def test_two_processes_take_in_the_same_objects(tmp_path: Path) -> None:
    wanted = list(objects(5, COUNT))
    command = [*CHILD, str(tmp_path), "run", "5", str(COUNT)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for child in children:
        assert child.communicate()[0] == "ready\ndone\n"
        assert child.returncode == 0
    store = LocalStore(str(tmp_path))
    assert check_whole(store, wanted) == names(wanted)
    assert spool_files(store) == []


def test_a_stopped_process_blocks_nobody(tmp_path: Path) -> None:
    """A writer that is stopped keeps its lock; another one takes in the object beside it."""
    wanted = list(objects(6, COUNT))
    command = [*CHILD, str(tmp_path), "run", "6", str(COUNT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        child.stdout.readline()
        time.sleep(0.01)
        child.send_signal(signal.SIGSTOP)
        try:
            work(LocalStore(str(tmp_path)), wanted)
            assert check_whole(LocalStore(str(tmp_path)), wanted) == names(wanted)
        finally:
            child.send_signal(signal.SIGCONT)
        assert child.stdout.read() == "done\n"
    assert check_whole(LocalStore(str(tmp_path)), wanted) == names(wanted)
