"""What people come for, done as they do it: in a real browser, from the start page on."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tenuto.server.people.accounts import find_account
from tenuto.server.signin.passwords import set_password
from tenuto.testing.live_hub import LiveHub
from tests.pages.world import World, tone
from tests.server.conftest import Owner
from tests.server.talk import small

PASSWORD = "four words stand here"
Visit = Callable[..., BrowserContext]


def sign_in(page: Page, hub: LiveHub, name: str) -> None:
    """Give the account a password, and sign in on the page that shows the form."""
    with hub.hub.changing() as change:
        set_password(change, hub.hub.parts.limits, find_account(change.connection, name), PASSWORD)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("has_scripts", [True, False])
def test_somebody_finds_a_model_and_takes_a_file(
    hub: LiveHub, world: World, visit: Visit, has_scripts: bool, tmp_path: Path
) -> None:
    page = visit(java_script_enabled=has_scripts, accept_downloads=True).new_page()
    page.goto(hub.url)
    page.get_by_role("searchbox").fill("listen")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=world.model).click()
    expect(page.get_by_role("heading", name="A listener for birds")).to_be_visible()
    page.get_by_role("link", name="Files", exact=True).click()
    page.get_by_role("link", name="results/").click()
    page.get_by_role("link", name="scores.csv").click()
    expect(page.get_by_role("cell", name="wren")).to_be_visible()
    with page.expect_download() as taken:
        page.get_by_role("link", name="Download").click()
    taken.value.save_as(tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().startswith("bird,precision")


def test_what_is_private_shows_after_signing_in_and_no_longer_after_signing_out(
    hub: LiveHub, make_owner, visit: Visit
) -> None:
    owner = make_owner(private=True)
    page = visit().new_page()
    page.goto(f"{hub.url}/{owner.repo}")
    expect(page.get_by_role("heading", name="There is nothing here that you may see")).to_be_visible()
    page.locator("main").get_by_role("link", name="Sign in").click()
    sign_in(page, hub, owner.name)
    expect(page).to_have_url(f"{hub.url}/{owner.repo}")
    expect(page.get_by_text("private", exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{hub.url}/{owner.repo}")
    expect(page.get_by_role("heading", name="There is nothing here that you may see")).to_be_visible()


def test_an_owner_writes_a_card_looks_at_it_and_saves_it(hub: LiveHub, owner: Owner, visit: Visit) -> None:
    page = visit().new_page()
    page.goto(f"{hub.url}/login?next=/{owner.repo}")
    sign_in(page, hub, owner.name)
    page.get_by_role("link", name="Write a card").click()
    page.get_by_label("Content").fill("---\nlicense: mit\n---\n# Owls\n\n**Quiet** ones.")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("article strong")).to_have_text("Quiet")
    page.get_by_label("What changes").fill("Say what it is")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(f"{hub.url}/{owner.repo}")
    expect(page.get_by_role("heading", name="Owls")).to_be_visible()
    expect(page.locator("dd", has_text="mit")).to_be_visible()
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("link", name="Say what it is")).to_be_visible()


def test_an_owner_uploads_a_recording_and_listens_to_it(hub: LiveHub, owner: Owner, visit: Visit) -> None:
    page = visit().new_page()
    page.goto(f"{hub.url}/login?next=/{owner.repo}/tree/main")
    sign_in(page, hub, owner.name)
    page.get_by_role("link", name="Upload files").click()
    page.get_by_label("Files", exact=True).set_input_files(
        files=[{"name": "dawn.wav", "mimeType": "audio/wav", "buffer": tone(0.5)}]
    )
    page.get_by_label("Folder").fill("sounds")
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("link", name="dawn.wav", exact=True).click()
    expect(page.get_by_text("0.50 s, mono.")).to_be_visible()
    assert owner.talk.client.get(f"/{owner.repo}/resolve/main/sounds/dawn.wav").content == tone(0.5)


def test_a_recording_is_drawn_and_plays_from_where_it_is_pressed(hub: LiveHub, world: World, visit: Visit) -> None:
    page = visit().new_page()
    page.goto(f"{hub.url}/{world.model}/blob/main/sounds/dawn.wav")
    expect(page.get_by_text("1.50 s, mono.")).to_be_visible()
    for name in ("Waveform", "Spectrogram"):
        colours = "canvas => new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"
        assert page.get_by_role("img", name=name).evaluate(colours) > 1, name
    canvas = page.get_by_role("img", name="Waveform")
    width = canvas.evaluate("canvas => canvas.clientWidth")
    canvas.click(position={"x": width / 2, "y": 20})
    assert page.locator("audio").evaluate("audio => audio.currentTime") >= 0.7
    silent = visit(java_script_enabled=False).new_page()
    silent.goto(page.url)
    expect(silent.locator("audio[controls]")).to_be_visible()


def test_two_versions_are_compared(hub: LiveHub, owner: Owner, visit: Visit) -> None:
    owner.talk.commit(owner.repo, small("a.txt", b"one\ntwo\n")).raise_for_status()
    owner.talk.post(f"/api/models/{owner.repo}/branch/next%2Fone", {}).raise_for_status()
    owner.talk.commit(owner.repo, small("a.txt", b"one\nthree\n"), rev="next/one").raise_for_status()
    page = visit().new_page()
    page.goto(f"{hub.url}/{owner.repo}/commits/main")
    page.get_by_role("link", name="Compare versions").click()
    page.get_by_label("From", exact=True).fill("main")
    page.get_by_label("to", exact=True).fill("next/one")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="1 file differs")).to_be_visible()
    expect(page.locator(".add")).to_have_text(["+three"])
    expect(page.locator(".del")).to_have_text(["-two"])


def test_somebody_goes_back_to_how_it_was(hub: LiveHub, world: World, visit: Visit) -> None:
    page = visit().new_page()
    page.goto(f"{hub.url}/{world.model}/commits/main")
    page.get_by_title("The files at this version").nth(1).click()
    page.get_by_role("link", name="listener.py").click()
    expect(page.get_by_text("half of the time")).to_be_visible()
    page.locator("summary").first.click()
    page.get_by_role("link", name="main", exact=True).click()
    expect(page.get_by_text("most of the time")).to_be_visible()


def test_the_keyboard_is_enough(hub: LiveHub, world: World, visit: Visit) -> None:
    page = visit().new_page()
    page.goto(f"{hub.url}/models")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    expect(page.get_by_text("Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Words")).to_be_focused()
    page.keyboard.type("listener")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=world.model).focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{hub.url}/{world.model}")


def test_plots_can_be_read_as_tables(hub: LiveHub, world: World, visit: Visit) -> None:
    page = visit().new_page()
    page.goto(f"{hub.url}/datasets/{world.dataset}")
    page.get_by_role("link", name="Data", exact=True).click()
    page.get_by_text("As a table").nth(1).click()
    expect(page.get_by_role("row", name="wren 9")).to_be_visible()
    page.goto(f"{hub.url}/{world.adapters}")
    page.get_by_role("link", name="jazz").click()
    expect(page.get_by_text("16", exact=True)).to_be_visible()
    page.get_by_role("link", name="How its training went").click()
    expect(page.get_by_role("row", name="eval_loss")).to_be_visible()
    page.get_by_role("link", name="Its files, and how to use it").click()
    page.get_by_role("link", name="Training", exact=True).click()
    page.get_by_label("Folders").get_by_role("link", name="jazz").click()
    expect(page.get_by_role("row", name="eval_loss")).to_be_visible()


def test_a_folder_is_shared_by_a_link_that_stays(hub: LiveHub, world: World, visit: Visit) -> None:
    page = visit().new_page()
    page.goto(f"{hub.url}/{world.adapters}/tree/main/jazz")
    page.get_by_role("link", name="As it is now, for good").click()
    commit = page.url.partition("/tree/")[2].partition("/")[0]
    assert len(commit) == 40
    expect(page.get_by_role("link", name="adapter_model.safetensors")).to_be_visible()
    expect(page.locator("pre", has_text=f"hf://{world.adapters}@{commit}/jazz")).to_be_visible()


def test_no_script_of_a_card_runs_and_nothing_is_fetched_from_elsewhere(
    hub: LiveHub, owner: Owner, visit: Visit
) -> None:
    card = b"<img src='https://elsewhere.invalid/x.png' onerror='document.title=1'><script>document.title=1</script>"
    card += b"[x](javascript:document.title=1)"
    owner.talk.commit(
        owner.repo, small("README.md", card), small("x.html", b"<script>document.title=1</script>")
    ).raise_for_status()
    page, asked, blocked = visit().new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: blocked.append(message.text))
    page.goto(f"{hub.url}/{owner.repo}")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')")
    page.wait_for_load_state("networkidle")
    assert page.title().endswith("Tenuto")
    assert all(url.startswith(hub.url) for url in asked)
    assert any("Content Security Policy" in text for text in blocked)
