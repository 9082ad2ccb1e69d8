"""A permit: known as long as nobody changed anything, read anew when somebody did, and over when its right is."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from tenuto.core.errors import AccessDeniedError, AuthenticationError, NotFoundError, TenutoError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.access import ANYBODY, Action, Gate
from tenuto.server.http.exchange import Call
from tenuto.server.identity import Identity, identify
from tenuto.server.permit import Permit, check_again, read_facts, remember
from tenuto.server.repos.rows import create_repo, delete_repo, set_gate, set_private
from tenuto.server.schema import access_requests, users
from tenuto.server.service import Hub


class Scene:
    """A gated repo of Ann's, and Ben, who was let in until a certain time."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.parts = hub, hub.parts
        self.now_ms = 1_000_000
        object.__setattr__(self.parts, "now_ms", lambda: self.now_ms)
        for name in ("ann", "ben"):
            hub.add_user(name)
        token = hub.create_token("ben", "read", "laptop")
        with self.parts.database.write() as connection:
            self.actor = identify(connection, token, self.now_ms).actor
            repo = create_repo(connection, RepoId(RepoKind.MODEL, "ann", "m"), private=False, now_ms=self.now_ms)
            set_gate(connection, repo.key, Gate.MANUAL)
            row = {"repo_id": repo.key, "user_id": self.actor.user_id, "status": "accepted", "fields": "{}"}
            connection.execute(insert(access_requests).values(**row, created_ms=1, expires_ms=2_000_000))
            self.repo = repo._replace(gate=Gate.MANUAL)
        self.call = Call("GET", {}, "", {}, "")
        self.call.actor, self.call.repo = self.actor, self.repo

    def permit(self, action: Action = Action.READ) -> Permit:
        return Permit(self.parts, self.call, action)

    def change(self, what: Callable) -> None:
        with self.parts.database.write() as connection:
            what(connection)

    def set_request(self, **values: object) -> None:
        self.change(lambda connection: connection.execute(update(access_requests).values(**values)))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Hub.open(str(tmp_path / "data"), log=io.StringIO()) as hub:
        yield Scene(hub)


def test_it_is_known_until_somebody_commits(scene: Scene) -> None:
    permit = scene.permit()
    assert not permit.is_known()
    permit.check()
    assert permit.is_known()
    scene.set_request(reason="something that changes nothing for Ben")
    assert not permit.is_known()
    permit.check()
    assert permit.is_known()


def test_what_was_read_for_the_admission_is_known_to_it(scene: Scene) -> None:
    known = scene.parts.database.known()
    with scene.parts.database.read() as connection:
        facts = read_facts(connection, Identity(scene.actor), scene.repo, scene.now_ms)
    remember(known, facts, scene.repo)
    assert scene.permit().is_known()
    assert not scene.permit(Action.WRITE).is_known(), "what is known is a fact, and no leave for everything"


def test_it_ends_by_the_clock_alone(scene: Scene) -> None:
    permit = scene.permit()
    permit.check()
    scene.now_ms = 1_999_999
    assert permit.is_known()
    scene.now_ms = 2_000_000
    assert not permit.is_known()
    with pytest.raises(AccessDeniedError, match="expired"):
        permit.check()


ENDS: dict[str, tuple[Callable[[Scene], object], type[TenutoError]]] = {
    "revoked": (lambda scene: scene.set_request(status="revoked"), AccessDeniedError),
    "private": (lambda scene: scene.change(lambda db: set_private(db, scene.repo.key, True)), NotFoundError),
    "deleted": (lambda scene: scene.change(lambda db: delete_repo(db, scene.repo.key)), NotFoundError),
    "token": (lambda scene: scene.hub.revoke_token(scene.actor.token_id), AuthenticationError),
    "account": (
        lambda scene: scene.change(
            lambda db: db.execute(update(users).where(users.c.name == "ben").values(disabled_ms=1))
        ),
        AuthenticationError,
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_with_whatever_it_rests_on(scene: Scene, end: str) -> None:
    permit = scene.permit()
    permit.check()
    what, error = ENDS[end]
    what(scene)
    assert not permit.is_known()
    with pytest.raises(error):
        permit.check()
    with scene.parts.database.write() as connection, pytest.raises(error):
        check_again(scene.parts, connection, scene.call, Action.READ)


def test_nobody_has_one_as_long_as_the_repo_is_open(scene: Scene) -> None:
    scene.call.actor = ANYBODY
    permit = scene.permit()
    with pytest.raises(AccessDeniedError):
        permit.check()
    scene.change(lambda db: set_gate(db, scene.repo.key, Gate.OPEN))
    permit.check()
    assert permit.is_known()
    scene.change(lambda db: set_gate(db, scene.repo.key, Gate.AUTO))
    assert not permit.is_known()
