"""The client of gates, on a hub of ours and on hubs that know the stock calls only."""

import pytest

from tenuto.core.errors import NotFoundError, UnavailableError
from tenuto.hub.gates import GateKeeper, Terms
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session
from tenuto.testing.lies import Lie, Status
from tenuto.testing.live_hub import LiveHub
from tests.hub.place import Place
from tests.server.talk import Talk

NO_ROUTE = Status(404, {"X-Error-Message": "Sorry, we can't find the page you are looking for."})


@pytest.fixture
def asked(hub: LiveHub, place: Place) -> list[str]:
    """Three accounts that asked for access to the repo of the place, oldest first."""
    place.remote.change_settings(place.repo, {"gated": "manual", "private": False})
    names = [f"{place.repo.namespace}-guest-{number}" for number in range(3)]
    for name in names:
        talk = Talk(hub.url, hub.user(name))
        talk.client.post(f"/{place.repo.full_name}/ask-access", json={}, follow_redirects=False)
        talk.close()
    return names


def states(place: Place) -> dict[str, str]:
    return {one.name: one.state for one in GateKeeper(place.remote, place.repo).requests("all")}


def test_one_request_decides_about_many(place: Place, asked: list[str]) -> None:
    before = place.remote.session.requests_made
    outcome = GateKeeper(place.remote, place.repo).decide("accepted", [*asked, "nobody-here"], Terms(days=3))
    assert place.remote.session.requests_made == before + 1
    assert (sorted(outcome.done), list(outcome.failed)) == (asked, ["nobody-here"])
    assert set(states(place).values()) == {"accepted"}


@pytest.mark.parametrize("everybody", [True, False])
def test_a_hub_without_that_call_is_asked_one_by_one(place: Place, asked: list[str], everybody: bool) -> None:
    with place.through(Lie("POST", "/handle-many", NO_ROUTE, times=None)) as (remote, _):
        gate, terms = GateKeeper(remote, place.repo), Terms(rejection_reason="full")
        outcome = gate.decide_all("rejected", terms) if everybody else gate.decide("rejected", [*asked, "none"], terms)
    assert (sorted(outcome.done), list(outcome.failed)) == (asked, [] if everybody else ["none"])
    assert states(place) == dict.fromkeys(asked, "rejected")


def test_a_hub_without_a_form_is_for_browsers(place: Place, asked: list[str]) -> None:
    with (
        place.through(Lie("GET", "/access-form", NO_ROUTE, times=None)) as (remote, _),
        pytest.raises(UnavailableError) as caught,
    ):
        GateKeeper(remote, place.repo).gateway()
    assert caught.value.code == "NotSupported"
    assert f"{remote.endpoint}/{place.repo.full_name}" in str(caught.value.hint)


def test_a_repo_that_is_not_there_is_not_a_matter_of_browsers(hub: LiveHub, place: Place) -> None:
    place.remote.delete_repo(place.repo)
    with pytest.raises(NotFoundError) as caught:
        GateKeeper(place.remote, place.repo).gateway()
    assert caught.value.code == "RepoNotFound"
    with place.through(Lie("GET", "/access-form", NO_ROUTE, times=None)) as (remote, _), pytest.raises(NotFoundError):
        GateKeeper(remote, place.repo).gateway()


def test_an_answer_that_is_none(hub: LiveHub, place: Place, asked: list[str]) -> None:
    with (
        place.through(Lie("GET", "/access-form", Status(200, {}), times=None)) as (remote, _),
        pytest.raises(UnavailableError) as caught,
    ):
        GateKeeper(remote, place.repo).gateway()
    assert caught.value.code == "BadAnswer"


def test_requests_in_a_circle(place: Place, asked: list[str]) -> None:
    around = Status(200, {"Link": f'</api/models/{place.repo.full_name}/user-access-request/all>; rel="next"'}, b"[]")
    with (
        place.through(Lie("GET", "/user-access-request/", around, times=None)) as (remote, _),
        pytest.raises(UnavailableError) as caught,
    ):
        list(GateKeeper(remote, place.repo).requests("all"))
    assert caught.value.code == "BadAnswer"


def test_a_hub_that_always_has_more_to_decide(place: Place, asked: list[str]) -> None:
    more = Status(200, {}, b'{"done": [], "more": true}')
    with (
        place.through(Lie("POST", "/handle-many", more, times=None)) as (remote, liar),
        pytest.raises(UnavailableError) as caught,
    ):
        GateKeeper(remote, place.repo).decide_all("accepted", Terms())
    assert caught.value.code == "BadAnswer"
    assert len(liar.requests) == 1


def test_what_a_gate_says_to_whoever_comes(hub: LiveHub, place: Place, asked: list[str]) -> None:
    for token, own in ((None, None), (hub.user(asked[0]), "pending"), (place.token, "none")):
        with Session(hub.url, token) as session:
            found = GateKeeper(Remote(session), place.repo).gateway()
        assert (found.own.state if found.own else None) == own
        assert found.gated == "manual"
