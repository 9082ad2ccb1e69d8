"""Escapes that stand for no text (half surrogates, NUL) break no page, neither that of their repo nor those of all."""

import pytest

from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}
HALF = "\\ud800"


@pytest.mark.parametrize("line", ['tags: ["half {}"]', '"{}": x', 'license: "{}"', 'extra_gated_prompt: "{}"'])
@pytest.mark.parametrize("escape", [HALF, "\\0"])
def test_a_card_with_it_breaks_nothing(owner: Owner, speak, line: str, escape: str) -> None:
    card = "---\n" + line.format(escape) + "\n---\n# A card\n"
    owner.talk.commit(owner.repo, small("README.md", card.encode())).raise_for_status()
    anybody = speak(None)
    assert owner.repo in anybody.get(f"/models?author={owner.name}", headers=HTML).text
    assert anybody.get("/", headers=HTML).status_code == 200
    assert [one["id"] for one in anybody.get(f"/api/models?author={owner.name}&full=true").json()] == [owner.repo]
    assert "A card" in anybody.get(f"/{owner.repo}", headers=HTML).text
