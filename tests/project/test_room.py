"""A download that does not fit is refused before its first byte: what is to come, and a reserve of 2 GiB or 15 %, must be free."""

import os

import pytest

from tenuto.core.errors import StorageError
from tenuto.project.preflight import Disk, look_at_disk, preflight
from tenuto.project.workspace import Workspace
from tests.project.outside import Outside, outside
from tests.project.test_faults_of_disks import AS_ROOT, mounted

__all__ = ["outside"]

GIB = 1 << 30
FILES = {"model.safetensors": os.urandom(300_000), "config.json": b"{}\n"}


def test_how_much_is_to_stay_free(workspace: Workspace) -> None:
    """In the folder of the store, or the nearest one above that exists."""
    for fetch_bytes, reserve_bytes in ((0, 2 * GIB), (GIB, 2 * GIB), (100 * GIB, 15 * GIB)):
        disk = look_at_disk(workspace, fetch_bytes)
        assert (disk.fetch_bytes, disk.reserve_bytes) == (fetch_bytes, reserve_bytes)
        assert os.path.isdir(disk.folder)
        assert disk.free_bytes > 0


@pytest.mark.parametrize(
    ("fetch_bytes", "free_bytes", "fits"),
    [(GIB, 3 * GIB, True), (GIB, 3 * GIB - 1, False), (GIB, 0, False), (1 << 20, 0, True), (0, 0, True)],
)
def test_what_fits(fetch_bytes: int, free_bytes: int, fits: bool) -> None:
    """A little is fetched without a look."""
    assert Disk(fetch_bytes, 2 * GIB, free_bytes, "/").fits is fits


@pytest.mark.skipif(not AS_ROOT, reason="only root may mount")
def test_what_does_not_fit_is_planned_as_that_and_not_begun(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenuto.project.preflight.UNNOTED_BYTES", 1_000)
    outside.publish(FILES)
    (outside.keeper.root / "tenuto.toml").write_text(f'[artifacts.m]\npath = "models/m"\nsource = "{outside.source}"\n')
    outside.keeper.cache.mkdir(parents=True)
    with mounted(outside.keeper.cache, "-t", "tmpfs", "-o", "size=100m", "tmpfs"):
        with outside.keeper.opened() as workspace:
            planned = preflight(workspace)
        assert (planned.ready, planned.disk.fits, planned.failures) == (False, False, [])
        assert planned.disk.fetch_bytes == sum(map(len, FILES.values()))
        with outside.lying() as liar, pytest.raises(StorageError) as caught:
            outside.keeper.sync()
        assert (caught.value.code, caught.value.exit_status) == ("DiskFull", 7)
        assert "are to be fetched" in caught.value.message
        assert "TENUTO_CACHE" in (caught.value.hint or "")
        assert [asked.path for asked in liar.requests if "model.safetensors" in asked.path] == []
        assert not (outside.keeper.root / "models/m").exists()
