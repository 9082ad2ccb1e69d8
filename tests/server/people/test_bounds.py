"""What is bounded stays so: no narrow token becomes a wide one, and none shows more than it may see."""

import httpx2
import pytest
from sqlalchemy import insert

from tenuto.core.errors import ConflictError, NotFoundError
from tenuto.server.people.accounts import find_account, set_disabled
from tenuto.server.people.organizations import add_organization
from tenuto.server.people.tokens import MOST_LIVE
from tenuto.server.schema import tokens
from tenuto.server.signin.invitations import InvitationWish, accept, invite, invite_to_reset
from tenuto.server.signin.passwords import hash_of, set_password
from tenuto.testing.live_hub import LiveHub
from tests.server.talk import Talk

PASSWORD = "four words of no song"


def let_in(talk: Talk, token: str) -> httpx2.Response:
    """Somebody sends a token to the page that lets a device in; the answer to the device."""
    codes = talk.client.post("/oauth/device", data={"client_id": "x"}).json()
    origin = str(talk.client.base_url).rstrip("/")
    form = {"user_code": codes["user_code"], "token": token, "decision": "approve"}
    talk.client.post("/oauth/authorize-device", data=form, headers={"Accept": "text/html", "Origin": origin})
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    return talk.client.post(
        "/oauth/token", data={"grant_type": grant, "device_code": codes["device_code"], "client_id": "x"}
    )


def made(talk: Talk, account: str, **wish: object) -> str:
    answer = talk.post(f"/api/accounts/{account}/tokens", {"name": "made", **wish})
    answer.raise_for_status()
    return str(answer.json()["token"])


def test_no_service_and_no_fine_grained_token_lets_a_device_in(hub: LiveHub, speak) -> None:
    eve = speak(hub.user("eve"))
    eve.post("/api/accounts/eve/services", {"name": "eve-machine", "role": "write"}).raise_for_status()
    narrow = [made(eve, "eve-machine", role=role, days=1) for role in ("read", "write")]
    narrow.append(made(eve, "eve", role="fine-grained", scopes=[{"on": "eve", "right": "admin"}]))
    for token in narrow:
        assert let_in(speak(None), token).json()["error"] in {"authorization_pending", "access_denied"}


def test_what_a_device_gets_lasts_no_longer_than_the_token_that_only_reads(hub: LiveHub, speak) -> None:
    fay = speak(hub.user("fay"))
    token = made(fay, "fay", role="read", days=1)
    got = let_in(speak(None), token).json()["access_token"]
    (mine,) = [one for one in hub.hub.list_tokens("fay") if one.name == "device login"]
    assert mine.expires_ms is not None
    assert mine.expires_ms - hub.hub.parts.now_ms() <= 86_400_000
    assert speak(got).get("/api/whoami-v2").status_code == 200


@pytest.mark.parametrize("role", ["read", "write"])
@pytest.mark.parametrize("reads_gated", [False, True])
def test_scopes_on_a_token_that_would_not_heed_them_are_refused(
    hub: LiveHub, speak, role: str, reads_gated: bool
) -> None:
    gil = speak(hub.user(f"gil-{role}-{reads_gated}".lower()))
    name = gil.get("/api/whoami-v2").json()["name"]
    wish = {"role": role, "readsGated": reads_gated, "scopes": [{"on": name, "right": "read"}]}
    assert gil.post(f"/api/accounts/{name}/tokens", wish).status_code == 400


def test_a_narrow_token_lists_what_it_may_see(hub: LiveHub, speak) -> None:
    hal = speak(hub.user("hal"))
    for name in ("one", "secret"):
        hal.create(f"hal/{name}", private=True).raise_for_status()
    narrow = speak(made(hal, "hal", role="fine-grained", scopes=[{"on": "hal/one", "right": "read"}]))
    assert [one["id"] for one in narrow.get("/api/settings/repositories").json()] == ["hal/one"]
    assert len(hal.get("/api/settings/repositories").json()) == 2


def test_pages_of_services_ask_who_may_deal_with_tokens(hub: LiveHub, speak) -> None:
    ida = speak(hub.user("ida"))
    ida.post("/api/organizations", {"name": "ida-club"}).raise_for_status()
    ida.post("/api/accounts/ida-club/services", {"name": "ida-job", "role": "read"}).raise_for_status()
    kept = made(ida, "ida-job", role="read")
    narrow = speak(made(ida, "ida", role="fine-grained", scopes=[{"on": "ida-club", "right": "admin"}]))
    (number,) = [one.id for one in hub.hub.list_tokens("ida-job")]
    page = "/organizations/ida-club/service/ida-job"
    assert ida.get(page).status_code == 200
    assert narrow.get(page).status_code == 403
    assert narrow.client.post(f"{page}/tokens/revoke", data={"token": str(number)}).status_code == 403
    assert speak(kept).get("/api/whoami-v2").status_code == 200


def test_a_link_for_a_new_password_ends_with_the_password_and_the_account(hub: LiveHub) -> None:
    hub.user("joe")
    limits = hub.hub.parts.limits
    with hub.hub.changing() as change:
        joe = find_account(change.connection, "joe")
        first = invite_to_reset(change, joe)
        set_password(change, limits, joe, PASSWORD)
    with hub.hub.changing() as change, pytest.raises(NotFoundError):
        accept(change, first, "", hash_of(limits, PASSWORD, "joe"))
    with hub.hub.changing() as change:
        second = invite_to_reset(change, joe)
        set_disabled(change, joe, True)
        third = invite_to_reset(change, joe)
    for link in (second, third):
        with hub.hub.changing() as change, pytest.raises(NotFoundError):
            accept(change, link, "", hash_of(limits, PASSWORD, "joe"))


def test_nobody_is_invited_to_a_name_that_is_taken(hub: LiveHub) -> None:
    hub.user("kim")
    with hub.hub.changing() as change, pytest.raises(ConflictError):
        invite(change, InvitationWish(name="Kim"))


def test_tokens_that_expired_leave_room_for_others(hub: LiveHub, speak) -> None:
    lea = speak(hub.user("lea"))
    with hub.hub.parts.database.write() as connection:
        user_id = find_account(connection, "lea").id
        row = {"user_id": user_id, "role": "read", "name": "job", "created_ms": 0, "expires_ms": 1}
        connection.execute(insert(tokens), [{**row, "digest": f"{number:064x}"} for number in range(MOST_LIVE)])
    assert made(lea, "lea", role="read")


def test_nobody_takes_all_names(hub: LiveHub, speak, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenuto.server.people.organizations.MOST_ADMINISTERED", 2)
    monkeypatch.setattr("tenuto.server.people.services.MOST_SERVICES", 2)
    pia, admin = speak(hub.user("pia")), speak(hub.admin_token)

    def organization(number: int) -> int:
        return pia.post("/api/organizations", {"name": f"pia-club-{number}"}).status_code

    def service(number: int, owner: str = "pia") -> int:
        return pia.post(f"/api/accounts/{owner}/services", {"name": f"{owner}-bot-{number}"}).status_code

    assert [organization(number) for number in range(3)] == [200, 200, 400]
    assert [service(number) for number in range(3)] == [200, 200, 400]
    assert service(0, "pia-club-0") == 200, "others have room of their own"
    with hub.hub.changing() as change:
        add_organization(change, "pia-club-settled", find_account(change.connection, "pia"), settled=True)
    assert admin.get("/api/organizations/pia-club-settled/members").status_code == 200


def test_who_is_disabled_administers_no_organization(hub: LiveHub, speak) -> None:
    mia = speak(hub.user("mia"))
    hub.user("ned")
    mia.post("/api/organizations", {"name": "mia-club"}).raise_for_status()
    assert mia.client.put("/api/organizations/mia-club/members/ned", json={"role": "admin"}).status_code == 200
    with hub.hub.changing() as change:
        set_disabled(change, find_account(change.connection, "ned"), True)
    assert mia.post("/api/organizations/mia-club/leave", {}).status_code == 409


class TestAServiceThatTheHubDisabled:
    @pytest.fixture
    def owner(self, hub: LiveHub, speak) -> Talk:
        token = hub.user()
        talk = speak(token)
        self.name = talk.get("/api/whoami-v2").json()["name"]
        self.bot = f"{self.name}-bot"
        talk.post(f"/api/accounts/{self.name}/services", {"name": self.bot, "role": "write"}).raise_for_status()
        return talk

    def switch(self, talk: Talk, is_disabled: bool) -> int:
        place = f"/api/accounts/{self.name}/services/{self.bot}"
        return talk.client.put(place, json={"disabled": is_disabled}).status_code

    def is_good(self, speak, token: str) -> bool:
        return speak(token).get("/api/whoami-v2").status_code == 200

    def test_is_not_enabled_by_its_owner(self, owner: Talk, hub: LiveHub, speak) -> None:
        token, admin = made(owner, self.bot, role="write"), speak(hub.admin_token)
        hold = {"disabled": True}
        admin.client.put(f"/api/hub/accounts/{self.bot}", json=hold).raise_for_status()
        assert not self.is_good(speak, token)
        page = f"/settings/service/{self.bot}"
        shown = owner.client.get(page, headers={"Accept": "text/html"}).text
        assert "only they enable it again" in shown
        assert "Enable it" not in shown
        assert owner.client.post(f"{page}/change", data={"deed": "enable"}).status_code == 403
        assert self.switch(owner, True) == 200, "which changes nothing"
        assert self.switch(owner, False) == 403
        assert not self.is_good(speak, token)
        admin.client.put(f"/api/hub/accounts/{self.bot}", json={"disabled": False}).raise_for_status()
        assert self.is_good(speak, token)

    def test_is_its_owners_again_once_it_was_enabled(self, owner: Talk, hub: LiveHub, speak) -> None:
        token, admin = made(owner, self.bot, role="write"), speak(hub.admin_token)
        for is_disabled in (True, False):
            admin.client.put(f"/api/hub/accounts/{self.bot}", json={"disabled": is_disabled}).raise_for_status()
        assert [self.switch(owner, True), self.switch(owner, False)] == [200, 200]
        assert self.is_good(speak, token)

    def test_stays_so_though_its_owner_was_first(self, owner: Talk, hub: LiveHub, speak) -> None:
        assert self.switch(owner, True) == 200
        speak(hub.admin_token).client.put(f"/api/hub/accounts/{self.bot}", json={"disabled": True}).raise_for_status()
        assert self.switch(owner, False) == 403
