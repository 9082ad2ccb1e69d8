"""What a check finds damaged is set aside on demand, and mended by whoever sends it again."""

from pathlib import Path

from tenuto.server.upkeep.aside import set_aside
from tenuto.server.upkeep.trash import Trash
from tenuto.testing.live_hub import LiveHub
from tests.server.cas import Cas
from tests.server.conftest import Owner
from tests.server.talk import Talk
from tests.server.upkeep_hub import CHUNKED, WHOLE, XORB, check, flip, make_sample, object_file, opened, xorb_file


def aside(folder: Path) -> int:
    findings = check(folder).findings
    with opened(folder) as parts:
        return set_aside(parts, str(folder), findings)


def test_what_is_damaged_is_asked_for_again_and_mended(tmp_path: Path) -> None:
    sample = make_sample(tmp_path / "data")
    folder = sample.folder
    assert aside(folder) == 0
    flip(object_file(folder, WHOLE), 7)
    flip(xorb_file(folder, XORB.name), 700)
    assert aside(folder) == 2
    assert sum(batch.files for batch in Trash(str(folder)).batches()) == 2
    assert {one.fault for one in check(folder).findings} == {"missing"}
    with LiveHub(str(folder)) as hub:
        ann = Owner("ann", sample.tokens["ann"], Talk(hub.url, sample.tokens["ann"]), "ann/one")
        cas = Cas(ann)
        assert cas.base.endswith("/2"), "a client that remembers its xorbs would not send them"
        assert cas.grant(XORB.name) == 404
        cas.put_file(CHUNKED)
        ann.talk.put_large(ann.repo, WHOLE)
        ann.talk.close()
    assert check(folder).clean


def test_what_was_mended_meanwhile_stays(tmp_path: Path) -> None:
    folder = make_sample(tmp_path / "data").folder
    for file in (object_file(folder, WHOLE), xorb_file(folder, XORB.name)):
        flip(file, 70)
    findings = check(folder).findings
    for file in (object_file(folder, WHOLE), xorb_file(folder, XORB.name)):
        flip(file, 70)
    with opened(folder) as parts:
        assert set_aside(parts, str(folder), findings) == 0
    assert check(folder).clean
