"""What the clearing of a store spares: above all what no hub has."""

import shutil
import time

from tenuto.project.cache import clear
from tenuto.project.pull import Options
from tenuto.project.tags import tag
from tenuto.project.versions import pull
from tenuto.store.local import LocalStore
from tests.project.conftest import Clone, Scene

YEAR_DAYS = 366


def cleared(clone: Clone) -> int:
    """Clear the store of a person as it would be in a year; returns how many objects went."""
    in_a_year_s = time.time() + YEAR_DAYS * 86_400
    store = LocalStore(str(clone.cache))
    return clear(store, keep_days=7, trash_days=7, limit_bytes=0, clock=lambda: in_a_year_s).removed.objects


def test_what_was_tracked_and_never_pushed_keeps_its_listing(scene: Scene) -> None:
    scene.ann.write("data/a", "never pushed")
    scene.ann.track("data", scene.repo)
    assert cleared(scene.ann) == 0
    assert scene.ann.state() == {"data": "not pushed"}
    assert scene.ann.verify().findings == []
    scene.ann.push()
    assert scene.on_hub() == {"a": b"never pushed"}


def test_a_change_that_was_tracked_and_not_pushed_keeps_its_listing_and_its_base(scene: Scene) -> None:
    scene.ann.write("data/a", "one")
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    scene.ann.write("data/a", "two")
    scene.ann.track("data")
    assert cleared(scene.ann) == 0
    scene.ann.push()
    assert scene.on_hub() == {"a": b"two"}


def test_a_version_with_a_label_is_spared_whole(scene: Scene) -> None:
    scene.ann.write("data/a", "one")
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    with scene.ann.opened() as workspace:
        tag(workspace, "data", "best")
    ben = scene.clone("ben")
    ben.pull()
    scene.ann.write("data/a", "two")
    scene.ann.push()
    ben.sync()
    assert cleared(ben) == 0
    with ben.opened() as workspace:
        pull(workspace, ["data@best"], Options())
    assert ben.requests == 0
    assert ben.files("data") == {"a": b"one"}


def test_a_version_that_nothing_names_goes(scene: Scene) -> None:
    scene.ann.write("data/a", "one")
    scene.ann.track("data", scene.repo)
    scene.ann.push()
    ben = scene.clone("ben")
    ben.pull()
    scene.ann.write("data/a", "two")
    scene.ann.push()
    ben.sync()
    assert cleared(ben) == 0  # the branch that was cloned still names it
    shutil.rmtree(ben.root / ".git")
    assert cleared(ben) > 0
    assert ben.state() == {"data": "clean"}
