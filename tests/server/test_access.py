"""The policy, row by row; and no route without it."""

import pytest

from tenuto.core.errors import AccessDeniedError, TenutoError
from tenuto.core.ids import RepoId, RepoKind
from tenuto.server.access import (
    ANYBODY,
    Action,
    Actor,
    Gate,
    Repo,
    Right,
    Role,
    Scope,
    Standing,
    check,
    may,
    may_issue,
    may_steer,
    right_on,
)
from tenuto.server.api.absent import Absence
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
REVOKED = GATED._replace(standing=Standing.REVOKED)
EXPIRED = GATED._replace(standing=Standing.EXPIRED)
OUTDATED = GATED._replace(standing=Standing.OUTDATED)
READER, WRITER, KEEPER = (BOB._replace(rights={"alice": right}) for right in (Right.READ, Right.WRITE, Right.ADMIN))
SERVICE = BOB._replace(name="service", rights={"alice": Right.WRITE}, owner_id=ALICE.user_id)
FINE = ALICE._replace(role=Role.FINE, reads_gated=False)
FINE_BOB = BOB._replace(role=Role.FINE, reads_gated=False)


def scoped(actor: Actor, right: Right, namespace: str = "", repo_key: int = 0) -> Actor:
    return actor._replace(scopes=(Scope(right, namespace, repo_key),))


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
        (BOB, REVOKED, SEEING | TALKING),
        (BOB, EXPIRED, SEEING | TALKING),
        (BOB, OUTDATED, SEEING | TALKING),
        (READER, HIDDEN, READING | PROPOSING),
        (READER, GATED, READING | PROPOSING),
        (READER._replace(role=Role.READ), GATED, READING | ENGAGING),
        (WRITER, HIDDEN, READING | PROPOSING | {Action.CREATE, Action.WRITE}),
        (WRITER._replace(role=Role.READ), HIDDEN, READING | ENGAGING),
        (KEEPER, GATED, READING | PROPOSING | CHANGING),
        (KEEPER._replace(role=Role.SESSION), GATED, READING | PROPOSING | CHANGING),
        (SERVICE, HIDDEN, READING | PROPOSING | {Action.CREATE, Action.WRITE}),
        (SERVICE, Repo(0, RepoId(RepoKind.MODEL, "service", "own")), READING | PROPOSING),
        (FINE, OPEN, READING),
        (FINE, HIDDEN, set()),
        (FINE, GATED, SEEING),
        (scoped(FINE, Right.READ, "alice"), HIDDEN, READING | ENGAGING),
        (scoped(FINE, Right.READ, "bob"), HIDDEN, set()),
        (scoped(FINE, Right.WRITE, "alice"), HIDDEN, READING | PROPOSING | {Action.CREATE, Action.WRITE}),
        (scoped(FINE, Right.ADMIN, repo_key=2), HIDDEN, READING | PROPOSING | CHANGING),
        (scoped(FINE, Right.ADMIN, repo_key=1), HIDDEN, set()),
        (scoped(FINE_BOB, Right.ADMIN, "alice"), HIDDEN, set()),
        (scoped(FINE_BOB, Right.ADMIN, "bob"), ACCEPTED, SEEING),
        (scoped(FINE_BOB, Right.READ, repo_key=1), ACCEPTED, READING | ENGAGING),
        (FINE_BOB._replace(reads_gated=True), ACCEPTED, READING | ENGAGING),
        (FINE_BOB._replace(reads_gated=True), GATED, SEEING | ENGAGING),
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


def test_the_hub_is_governed_by_its_administrators_alone() -> None:
    assert may(ADMIN, Action.GOVERN, None)
    assert may(ADMIN._replace(role=Role.SESSION), Action.GOVERN, None)
    narrow = scoped(ADMIN._replace(role=Role.FINE), Right.ADMIN, "admin")
    for actor in (ANYBODY, ALICE, KEEPER, ADMIN_READS, narrow):
        assert not may(actor, Action.GOVERN, None)
    assert code_of(ANYBODY, Action.GOVERN, None)[0] == "NoToken"
    assert code_of(ALICE, Action.GOVERN, None) == ("Forbidden", "alice has no right to govern here")
    assert "may only read" in code_of(ADMIN_READS, Action.GOVERN, None)[1]
    assert "fine-grained" in code_of(narrow, Action.GOVERN, None)[1]


def test_users_manage_their_own_accounts_with_a_token_that_is_not_bounded() -> None:
    service = KEEPER._replace(owner_id=1)
    assert [may(actor, Action.MANAGE, None) for actor in (ALICE, ALICE._replace(role=Role.SESSION))] == [True, True]
    for actor in (ANYBODY, ALICE_READS, scoped(FINE, Right.ADMIN, "alice"), service):
        assert not may(actor, Action.MANAGE, None)
    house = Repo(0, RepoId(RepoKind.MODEL, "alice", "any"))
    cases = {
        "one's own": (ALICE, 1, None, True),
        "another person's": (ADMIN, 1, None, False),
        "a service's of one's own": (ALICE, 9, house, True),
        "a service's of an organization": (KEEPER, 9, house, True),
        "a service's, by who only writes": (WRITER, 9, house, False),
        "a service's own": (service, 2, house, False),
        "by a token that reads": (ALICE_READS, 1, None, False),
        "by a token that is bounded": (scoped(FINE, Right.ADMIN, "alice"), 1, None, False),
    }
    for name, (actor, account_id, owner, allowed) in cases.items():
        assert may_issue(actor, account_id, owner) is allowed, name


ABOUT_REPOS = sorted(
    set(Action) - {Action.SERVE, Action.BROWSE, Action.IDENTIFY, Action.CREATE, Action.MANAGE, Action.GOVERN}
)


@pytest.mark.parametrize("action", ABOUT_REPOS)
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


def test_a_token_without_the_scope_is_told_so() -> None:
    assert "fine-grained" in code_of(FINE, Action.WRITE, OPEN)[1]
    assert "fine-grained" not in code_of(FINE_BOB, Action.WRITE, OPEN)[1]
    assert code_of(FINE, Action.WRITE, HIDDEN)[0] == "RepoNotFound"
    assert code_of(FINE_BOB, Action.READ, ACCEPTED)[0] == "GatedRepo"
    assert "not allowed to read gated repos" in code_of(FINE_BOB, Action.READ, ACCEPTED)[1]
    assert "ask for access" in code_of(FINE_BOB, Action.READ, GATED)[1]


def test_no_token_goes_further_than_its_account_and_no_account_further_than_its_token() -> None:
    for right in Right:
        assert right_on(BOB._replace(rights={"alice": right}), HIDDEN) is right
        assert right_on(scoped(FINE, right, "alice"), HIDDEN) is right
        assert right_on(scoped(FINE_BOB, right, "alice"), HIDDEN) is Right.NONE
    assert right_on(scoped(FINE, Right.ADMIN, repo_key=0), Repo(0, HIDDEN.id)) is Right.NONE, (
        "one that is still to be made"
    )
    assert right_on(ANYBODY, OPEN) is Right.NONE


@pytest.mark.parametrize("repo", [GATED, PENDING, REJECTED, REVOKED, EXPIRED, OUTDATED])
@pytest.mark.parametrize("action", [Action.READ, Action.PROPOSE])
def test_a_gate_says_what_is_missing(repo: Repo, action: Action) -> None:
    code, message = code_of(BOB, action, repo)
    assert code == "GatedRepo"
    said = {
        GATED: "ask for access",
        PENDING: "awaiting a review",
        REJECTED: "rejected",
        REVOKED: "taken back",
        EXPIRED: "expired",
        OUTDATED: "terms have changed",
    }
    assert said[repo] in message
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
        "/api/openapi.json",
        "/api/agent-harnesses",
        "/api/telemetry/{topic*}",
        "/v1/telemetry",
        "/api/validate-yaml",
        "/oauth/device",
        "/oauth/token",
        "/static/{file}",
    }


def test_what_changes_a_repo_needs_more_than_reading() -> None:
    reading_posts = {"paths-info/{rev}", "objects/batch", "git-upload-pack", "pack/{rev}", "lfs-files/duplicate"}
    for route in make_routes():
        if route.method in {"GET", "HEAD"} or route.action is Action.SERVE:
            continue
        if route.pattern in {"/login", "/logout", "/join", "/login/elsewhere", "/oauth/authorize-device"}:
            continue  # where people become somebody, or cease to be
        if not any(route.pattern.endswith(end) for end in reading_posts):
            assert route.action in PROPOSING | CHANGING | {Action.MANAGE, Action.GOVERN}, route


def test_a_service_is_not_told_to_use_a_namespace_of_its_own() -> None:
    """It has none."""
    with pytest.raises(AccessDeniedError) as refused:
        check(SERVICE, Action.ADMINISTER, OPEN)
    assert refused.value.hint == "ask the owner"
