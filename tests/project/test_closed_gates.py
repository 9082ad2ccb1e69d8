"""A gated repo: each way in which it can be closed is told apart, by whatever asks first, and says what opens it."""

import httpx2
import pytest
from sqlalchemy import update

from tenuto.core.errors import AccessDeniedError
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session
from tenuto.project.preflight import Plan, preflight
from tenuto.server.people.accounts import find_account
from tenuto.server.people.tokens import ScopeWish, TokenWish, make_token
from tenuto.server.schema import access_requests
from tenuto.testing.lies import Lie, Status
from tests.project.outside import PATH, Outside, outside

__all__ = ["outside"]

FILES = {"model.safetensors": b"weights" * 3_000, "config.json": b"{}\n"}
TOKEN_TOO_NARROW = Status(
    403,
    {
        "X-Error-Message": "Please enable access to public gated repositories in your fine-grained token settings "
        "to view this repository."
    },
)


@pytest.fixture
def gated(outside: Outside) -> Outside:
    """The publisher decides who gets in, and nobody has asked."""
    outside.publish(FILES)
    outside.api.update_repo_settings(outside.repo, gated="manual")
    return outside


def ask(gated: Outside) -> str:
    """The keeper asks for access; returns who that is."""
    token = str(gated.keeper.flags["token"])
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx2.post(f"{gated.hub.url}/{gated.repo}/ask-access", json={}, headers=headers).status_code == 303
    with Session(gated.hub.url, token) as session:
        return Remote(session).whoami().name


def decide(gated: Outside, **body: str) -> None:
    """What no stock client has a call for."""
    address = f"{gated.hub.url}/api/models/{gated.repo}/user-access-request/handle"
    headers = {"Authorization": f"Bearer {gated.token}"}
    assert httpx2.post(address, json=body, headers=headers).status_code == 200


def plan(outside: Outside) -> Plan:
    with outside.keeper.opened() as workspace:
        return preflight(workspace)


class TestWhatIsSaid:
    def test_nobody_asked(self, gated: Outside) -> None:
        error = gated.fails(gated.add, "GatedRepo")
        assert "access was not granted to you" in error.message
        assert f"{gated.hub.url}/{gated.repo}" in (error.hint or "")

    def test_without_a_token(self, gated: Outside) -> None:
        gated.keeper.flags["token"] = None
        error = gated.fails(gated.add, "GatedRepo")
        assert "you are not logged in" in error.message
        assert "tenuto login" in (error.hint or "")

    def test_a_request_that_waits(self, gated: Outside) -> None:
        ask(gated)
        error = gated.fails(gated.add, "GatedRepo")
        assert "your request waits" in error.message

    def test_a_request_that_was_rejected(self, gated: Outside) -> None:
        gated.api.reject_access_request(gated.repo, ask(gated), rejection_reason="no")
        error = gated.fails(gated.add, "GatedRepo")
        assert "your request was rejected" in error.message

    def test_access_that_was_taken_back(self, gated: Outside) -> None:
        name = ask(gated)
        gated.api.accept_access_request(gated.repo, name)
        decide(gated, user=name, status="revoked", rejectionReason="the course is over")
        error = gated.fails(gated.add, "GatedRepo")
        assert "your access was taken back by its owner, who says: the course is over" in error.message

    def test_access_that_has_expired(self, gated: Outside) -> None:
        gated.api.accept_access_request(gated.repo, ask(gated))
        with gated.hub.hub.parts.database.write() as connection:
            connection.execute(update(access_requests).values(expires_ms=1))
        error = gated.fails(gated.add, "GatedRepo")
        assert "your access has expired" in error.message
        assert f"tenuto access request {gated.source}" in (error.hint or "")

    def test_terms_that_have_changed(self, gated: Outside) -> None:
        gated.api.accept_access_request(gated.repo, ask(gated))
        gated.publish({"README.md": b"---\nextra_gated_prompt: Be kind.\n---\n"})
        error = gated.fails(gated.add, "GatedRepo")
        assert "its terms have changed since you were let in" in error.message
        assert f"tenuto access request {gated.source}" in (error.hint or "")

    @pytest.mark.parametrize("route", ["/auth-check", "/resolve/|/pack"])
    def test_a_fine_grained_token_without_the_right(self, gated: Outside, route: str) -> None:
        """huggingface.co has a sentence for it and no code; the grant is there all the same."""
        gated.api.accept_access_request(gated.repo, ask(gated))
        with gated.lying(Lie("*", route, TOKEN_TOO_NARROW, times=None)) as liar:
            if route == "/auth-check":
                (gated.keeper.root / "tenuto.toml").write_text(
                    f'[artifacts.theirs]\npath = "{PATH}"\nsource = "{gated.source}"\n'
                )
                (failure,) = plan(gated).failures
                error = failure.error
            else:
                error = gated.fails(gated.add, "TokenTooNarrow")
        assert isinstance(error, AccessDeniedError)
        assert (error.code, error.exit_status) == ("TokenTooNarrow", 4)
        assert error.message.endswith(f"{gated.repo} is gated, and your fine-grained token may not read gated repos")
        assert f"{liar.url}/settings/tokens" in (error.hint or "")

    def test_a_fine_grained_token_of_our_hub(self, gated: Outside) -> None:
        """One that may read what is its owner's, and opens no gates of others."""
        person = ask(gated)
        gated.api.accept_access_request(gated.repo, person)
        with gated.hub.hub.changing() as change:
            wish = TokenWish("fine", "fineGrained", scopes=(ScopeWish(person, "read"),))
            gated.keeper.flags["token"] = make_token(change, find_account(change.connection, person), wish)[1]
        error = gated.fails(gated.add, "TokenTooNarrow")
        assert "your fine-grained token may not read gated repos" in error.message

    def test_a_grant_opens_it(self, gated: Outside) -> None:
        gated.api.accept_access_request(gated.repo, ask(gated))
        gated.add()
        assert gated.files() == FILES


class TestThePlanOfWhatIsLocked:
    @pytest.fixture
    def locked(self, outside: Outside) -> Outside:
        """It was had once, and is needed again."""
        outside.publish(FILES)
        outside.add()
        for file in (outside.keeper.root / PATH).iterdir():
            file.unlink()
        listing = outside.keeper.lock.artifacts["theirs"].digest
        with outside.keeper.opened() as workspace:
            text = workspace.store.read(listing)
            outside.forget_store()
            workspace.store.put(text)
        return outside

    def test_a_grant_that_is_gone(self, locked: Outside) -> None:
        locked.api.update_repo_settings(locked.repo, gated="manual")
        planned = plan(locked)
        assert [(one.name, one.code, one.exit_status) for one in planned.failures] == [("theirs", "GatedRepo", 4)]
        assert not planned.ready

    def test_a_repo_that_is_gone(self, locked: Outside) -> None:
        locked.api.delete_repo(locked.repo)
        assert [one.code for one in plan(locked).failures] == ["RepoNotFound"]

    def test_one_question_and_not_one_for_what_is_here(self, locked: Outside) -> None:
        with locked.lying() as liar:
            planned = plan(locked)
            assert planned.ready
            assert [asked.path for asked in liar.requests] == [f"/api/models/{locked.repo}/auth-check"]
            assert [one.state for one in planned.artifacts] == ["to fetch"]
        locked.pull()
        locked.api.update_repo_settings(locked.repo, gated="manual")
        with locked.lying() as liar:
            assert [one.state for one in plan(locked).artifacts] == ["here"]
            assert liar.requests == []

    def test_without_a_network_nobody_is_asked(self, locked: Outside) -> None:
        locked.keeper.flags["offline"] = True
        assert [one.state for one in plan(locked).artifacts] == ["to fetch"]

    def test_a_hub_that_does_not_know_the_question(self, locked: Outside) -> None:
        with locked.lying(Lie("GET", "/auth-check", Status(404, body=b"Not Found"), times=None)):
            assert plan(locked).ready


def test_a_gate_with_a_mirror_beside_it_closes_nothing(outside: Outside) -> None:
    outside.publish(FILES)
    first, outside.repo = outside.repo, f"{outside.owner}/mirror"
    outside.publish(FILES)
    outside.repo = first
    outside.api.update_repo_settings(outside.repo, gated="manual")
    (outside.keeper.root / "tenuto.toml").write_text(
        f'[artifacts.theirs]\npath = "{PATH}"\nsource = "{outside.source}"\nmirrors = ["hf://{outside.owner}/mirror"]\n'
    )
    assert plan(outside).ready
    outside.add(mirrors=(f"hf://{outside.owner}/mirror",))
    assert outside.files() == FILES
