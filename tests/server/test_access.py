"""The policy, row by row; and no route without it."""

import pytest

from tenuto.core.errors import TenutoError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.absent import Absence
from tenuto.server.access import ANYBODY, Action, Actor, Gate, Repo, Role, Standing, check, may, may_steer
from tenuto.server.routes import make_routes
from tenuto.server.routing import Route

OPEN = Repo(1, RepoId(RepoKind.MODEL, "alice", "open"))
HIDDEN = Repo(2, RepoId(RepoKind.MODEL, "alice", "hidden"), private=True)
ALICE = Actor(1, "alice", role=Role.WRITE, token_id=1)
ALICE_READS = ALICE._replace(role=Role.READ)
BOB = Actor(2, "bob", role=Role.WRITE, token_id=2)
ADMIN = Actor(3, "admin", is_admin=True, role=Role.WRITE, token_id=3)
ADMIN_READS = ADMIN._replace(role=Role.READ)
GATED = OPEN._replace(gate=Gate.MANUAL)
PENDING = GATED._replace(standing=Standing.PENDING)
REJECTED = GATED._replace(standing=Standing.REJECTED)
ACCEPTED = GATED._replace(standing=Standing.ACCEPTED)
HIDDEN_ACCEPTED = HIDDEN._replace(gate=Gate.AUTO, standing=Standing.ACCEPTED)
SEEING = {Action.SEE}
READING = {Action.SEE, Action.READ}
ENGAGING = {Action.ENGAGE}
TALKING = {Action.ENGAGE, Action.DISCUSS}
PROPOSING = {Action.ENGAGE, Action.DISCUSS, Action.PROPOSE}
CHANGING = {Action.CREATE, Action.WRITE, Action.ADMINISTER}


@pytest.mark.parametrize(
    ("actor", "repo", "allowed"),
    [
        (ANYBODY, OPEN, READING),
        (ANYBODY, HIDDEN, set()),
        (BOB, OPEN, READING | PROPOSING),
        (BOB._replace(role=Role.READ), OPEN, READING | ENGAGING),
        (BOB, HIDDEN, set()),
        (ALICE, OPEN, READING | PROPOSING | CHANGING),
        (ALICE, HIDDEN, READING | PROPOSING | CHANGING),
        (ALICE_READS, OPEN, READING | ENGAGING),
        (ALICE_READS, HIDDEN, READING | ENGAGING),
        (ADMIN, HIDDEN, READING | PROPOSING | CHANGING),
        (ADMIN_READS, HIDDEN, READING | ENGAGING),
        (ANYBODY, GATED, SEEING),
        (ANYBODY, ACCEPTED, SEEING),
        (BOB, GATED, SEEING | TALKING),
        (BOB, PENDING, SEEING | TALKING),
        (BOB, REJECTED, SEEING | TALKING),
        (BOB, ACCEPTED, READING | PROPOSING),
        (BOB._replace(role=Role.READ), ACCEPTED, READING | ENGAGING),
        (BOB, HIDDEN_ACCEPTED, set()),
        (ALICE, GATED, READING | PROPOSING | CHANGING),
        (ALICE_READS, REJECTED, READING | ENGAGING),
        (ADMIN, GATED, READING | PROPOSING | CHANGING),
        (ALICE, None, set()),
        (ADMIN, None, set()),
        (ANYBODY, None, set()),
    ],
)
def test_the_policy(actor: Actor, repo: Repo | None, allowed: set[Action]) -> None:
    assert {action for action in READING | PROPOSING | CHANGING if may(actor, action, repo)} == allowed
    assert may(actor, Action.SERVE, repo)
    assert may(actor, Action.BROWSE, repo)
    assert may(actor, Action.IDENTIFY, repo) is actor.is_known


def code_of(actor: Actor, action: Action, repo: Repo | None) -> tuple[str, str]:
    with pytest.raises(TenutoError) as caught:
        check(actor, action, repo)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("action", sorted(set(Action) - {Action.SERVE, Action.BROWSE, Action.IDENTIFY, Action.CREATE}))
@pytest.mark.parametrize("actor", [ANYBODY, BOB])
def test_hidden_and_unknown_are_one_answer(actor: Actor, action: Action) -> None:
    assert code_of(actor, action, HIDDEN) == code_of(actor, action, None)
    assert code_of(actor, action, HIDDEN)[0] == "RepoNotFound"


def test_refusals_say_what_would_help() -> None:
    assert code_of(ANYBODY, Action.WRITE, OPEN)[0] == "NoToken"
    assert code_of(BOB, Action.WRITE, OPEN)[0] == "Forbidden"
    assert code_of(ALICE_READS, Action.WRITE, OPEN) == ("Forbidden", "this token of alice may only read")
    assert code_of(ANYBODY, Action.IDENTIFY, None)[0] == "NoToken"
    assert code_of(ANYBODY, Action.CREATE, OPEN)[0] == "NoToken"
    assert code_of(BOB, Action.CREATE, OPEN)[0] == "Forbidden"


@pytest.mark.parametrize("repo", [GATED, PENDING, REJECTED])
@pytest.mark.parametrize("action", [Action.READ, Action.PROPOSE])
def test_a_gate_says_what_is_missing(repo: Repo, action: Action) -> None:
    code, message = code_of(BOB, action, repo)
    assert code == "GatedRepo"
    assert {GATED: "ask for access", PENDING: "awaiting a review", REJECTED: "rejected"}[repo] in message
    assert code_of(ANYBODY, action, repo)[0] == "GatedRepo"
    assert "authenticated" in code_of(ANYBODY, action, repo)[1]


def test_who_steers_a_discussion() -> None:
    assert may_steer(BOB, OPEN, BOB.user_id)
    assert may_steer(ALICE, OPEN, BOB.user_id)
    assert may_steer(ADMIN, HIDDEN, None)
    assert not may_steer(BOB, OPEN, ALICE.user_id)
    assert not may_steer(BOB, OPEN, None)
    assert not may_steer(ANYBODY, OPEN, 0)
    assert not may_steer(BOB._replace(role=Role.READ), OPEN, BOB.user_id)
    assert not may_steer(BOB, HIDDEN, BOB.user_id), (
        "what was made private is out of reach, also of those who talked about it"
    )


def test_every_route_names_an_action() -> None:
    routes = make_routes()
    assert len(routes) > 30
    assert all(isinstance(route.action, Action) for route in routes)
    with pytest.raises(TypeError, match="must name the action"):
        Route("GET", "/free", None, lambda parts, call: None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Route("GET", "/free", handler=lambda parts, call: None)  # type: ignore[call-arg]


def test_only_what_is_the_same_for_everybody_is_served_unasked() -> None:
    served = [route for route in make_routes() if route.action is Action.SERVE]
    open_routes = {route.pattern for route in served if not isinstance(route.handler, Absence)}
    assert open_routes == {
        "/health",
        "/api/agent-harnesses",
        "/api/telemetry/{topic*}",
        "/v1/telemetry",
        "/api/validate-yaml",
        "/oauth/device",
        "/oauth/token",
        "/oauth/authorize-device",
    }


def test_what_changes_a_repo_needs_more_than_reading() -> None:
    reading_posts = {"paths-info/{rev}", "objects/batch", "git-upload-pack", "pack/{rev}", "lfs-files/duplicate"}
    for route in make_routes():
        if route.method in {"GET", "HEAD"} or route.action is Action.SERVE:
            continue
        if not any(route.pattern.endswith(end) for end in reading_posts):
            assert route.action in PROPOSING | CHANGING, route
