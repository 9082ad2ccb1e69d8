"""What is looked for is found, and where nothing is, the page says where it looked."""

from tests.pages.world import World, adapter_config, tone, trainer_state
from tests.server.conftest import Owner
from tests.server.talk import small

HTML = {"Accept": "text/html"}


def test_a_search_that_finds_nothing_says_what_was_searched_and_offers_the_tag(world: World, speak) -> None:
    talk = speak(None)
    page = talk.get("/models?search=birds", headers=HTML).text
    assert "in names only" in page
    assert 'href="/models?filter=birds"' in page
    assert f'href="/{world.model}"' in talk.get("/models?filter=birds", headers=HTML).text


def test_training_leads_to_the_folders_that_have_a_log(owner: Owner) -> None:
    files = [small("run1/trainer_state.json", trainer_state()), small("run2/adapter_config.json", adapter_config())]
    owner.talk.commit(owner.repo, *files).raise_for_status()
    top = owner.talk.get(f"/{owner.repo}/insights", headers=HTML).text
    assert "No log of a training" not in top
    assert "One folder has the log of a training" in top
    assert top.count(f'/{owner.repo}/insights?path=run1"') == 2
    assert top.count(f'/{owner.repo}/insights?path=run2"') == 1
    beside = owner.talk.get(f"/{owner.repo}/insights?path=run2", headers=HTML).text
    assert "No log of a training" in beside


def test_a_recording_is_described_in_words_with_units(owner: Owner) -> None:
    owner.talk.commit(owner.repo, small("a.wav", tone(1.5))).raise_for_status()
    page = owner.talk.get(f"/{owner.repo}/blob/main/a.wav", headers=HTML).text
    for word, value in (("Sample rate", "8,000 Hz"), ("Duration", "1.5 s"), ("Bits per sample", "16")):
        assert f"<dt>{word}</dt><dd>{value}</dd>" in page
    assert 'data-rate="8000"' in page


def test_a_repo_is_made_with_its_gate(owner: Owner) -> None:
    for gate, told in (("", False), ("auto", "auto"), ("manual", "manual")):
        form = {"kind": "dataset", "owner": owner.name, "name": f"gate{gate}", "gate": gate}
        answer = owner.talk.client.post("/new", data=form, headers=HTML, follow_redirects=False)
        assert answer.status_code == 303
        assert owner.talk.get(f"/api/datasets/{owner.name}/gate{gate}").json()["gated"] == told
    wrong = {"kind": "dataset", "owner": owner.name, "name": "x", "gate": "ajar"}
    assert owner.talk.client.post("/new", data=wrong, headers=HTML, follow_redirects=False).status_code == 400
