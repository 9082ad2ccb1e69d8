"""Organizations, services and their tokens, from the machine of the hub: who may what, and when that ends."""

import io
from pathlib import Path

import pytest

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.core.ids import RepoId
from tenuto.server.access import Right, Role, Scope
from tenuto.server.audit.reading import entries
from tenuto.server.identity import identify
from tenuto.server.people.accounts import Kind, find_account, list_accounts, set_admin, set_disabled, set_full_name
from tenuto.server.people.organizations import (
    add_organization,
    list_members,
    memberships_of,
    remove_member,
    set_member,
)
from tenuto.server.people.services import add_service, list_services, owner_of, set_service_right
from tenuto.server.people.tokens import ScopeWish, TokenWish, make_token, revoke_token
from tenuto.server.repos.rows import create_repo, find_repo
from tenuto.server.service import Hub

T0 = 1_800_000_000_000


class Clock:
    now_ms = T0

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(tmp_path: Path, clock: Clock):
    with Hub.open(str(tmp_path / "data"), log=io.StringIO(), now_ms=clock) as opened:
        for name in ("ann", "bob", "cat"):
            opened.add_user(name)
        with opened.changing() as change:
            add_organization(change, "acme", find_account(change.connection, "ann"), "Acme, Inc.")
        yield opened


def actor(hub: Hub, token: str):
    with hub.parts.database.read() as connection:
        found = identify(connection, token, hub.parts.now_ms())
    return found.actor if found else None


def account(hub: Hub, name: str):
    with hub.parts.database.read() as connection:
        return find_account(connection, name)


def members(hub: Hub, name: str) -> dict[str, Right]:
    with hub.parts.database.read() as connection:
        return {one.account.name: one.right for one in list_members(connection, find_account(connection, name))}


def test_a_member_has_a_right_in_the_namespace_until_it_leaves(hub: Hub) -> None:
    token = hub.create_token("bob", "write")
    assert actor(hub, token).rights == {}
    for right in (Right.READ, Right.ADMIN, Right.WRITE):
        with hub.changing() as change:
            set_member(change, account(hub, "acme"), account(hub, "bob"), right)
        assert actor(hub, token).rights == {"acme": right}
    with hub.parts.database.read() as connection:
        (one,) = memberships_of(connection, account(hub, "bob").id)
    assert (one.organization.shown_name, one.right) == ("Acme, Inc.", Right.WRITE)
    with hub.changing() as change:
        remove_member(change, account(hub, "acme"), account(hub, "bob"))
    assert actor(hub, token).rights == {}
    with hub.changing() as change, pytest.raises(NotFoundError):
        remove_member(change, account(hub, "acme"), account(hub, "bob"))


def test_the_last_administrator_stays(hub: Hub) -> None:
    acme, ann, bob = account(hub, "acme"), account(hub, "ann"), account(hub, "bob")
    with hub.changing() as change, pytest.raises(ConflictError, match="last one"):
        remove_member(change, acme, ann)
    with hub.changing() as change, pytest.raises(ConflictError, match="last one"):
        set_member(change, acme, ann, Right.READ)
    with hub.changing() as change:
        set_member(change, acme, bob, Right.ADMIN)
        remove_member(change, acme, ann)
    assert members(hub, "acme") == {"bob": Right.ADMIN}


def test_repos_of_an_organization_outlive_who_made_them(hub: Hub) -> None:
    repo = RepoId.parse("acme/model")
    with hub.changing() as change:
        create_repo(change.connection, repo, private=True, now_ms=T0)
        set_member(change, account(hub, "acme"), account(hub, "bob"), Right.ADMIN)
        remove_member(change, account(hub, "acme"), account(hub, "ann"))
        set_disabled(change, account(hub, "ann"), True)
    with hub.parts.database.read() as connection:
        assert find_repo(connection, repo) is not None


def test_only_users_are_members_and_only_users_and_organizations_have_services(hub: Hub) -> None:
    with hub.changing() as change:
        bot = add_service(change, "bot", account(hub, "acme"), Right.WRITE)
    for what in (bot, account(hub, "acme")):
        with hub.changing() as change, pytest.raises(UsageError):
            set_member(change, account(hub, "acme"), what, Right.READ)
        with hub.changing() as change, pytest.raises(UsageError):
            set_admin(change, what, True)
    with hub.changing() as change, pytest.raises(UsageError):
        add_service(change, "botling", bot, Right.READ)


def test_a_service_has_its_right_and_nothing_of_the_memberships_of_its_owner(hub: Hub) -> None:
    with hub.changing() as change:
        for name, owner in (("of-acme", "acme"), ("of-ann", "ann")):
            add_service(change, name, account(hub, owner), Right.WRITE)
    first, second = (hub.create_token(name, "write") for name in ("of-acme", "of-ann"))
    assert actor(hub, first).rights == {"acme": Right.WRITE}
    assert actor(hub, second).rights == {"ann": Right.WRITE}
    assert actor(hub, second).owner_id == account(hub, "ann").id
    with hub.changing() as change:
        set_service_right(change, account(hub, "of-acme"), Right.READ)
    assert actor(hub, first).rights == {"acme": Right.READ}
    with hub.parts.database.read() as connection:
        found = {one.account.name: owner_of(connection, one.account).name for one in list_services(connection)}
        assert [one.account.name for one in list_services(connection, find_account(connection, "ann"))] == ["of-ann"]
    assert found == {"of-acme": "acme", "of-ann": "ann"}


@pytest.mark.parametrize("closed", ["ann", "of-ann"])
def test_a_disabled_account_has_no_good_token_and_neither_have_its_services(hub: Hub, closed: str) -> None:
    with hub.changing() as change:
        add_service(change, "of-ann", account(hub, "ann"), Right.WRITE)
    token = hub.create_token("of-ann", "write")
    with hub.changing() as change:
        set_disabled(change, account(hub, closed), True)
    assert actor(hub, token) is None
    with pytest.raises(ConflictError):
        hub.add_user(closed.upper())
    with hub.changing() as change:
        set_disabled(change, account(hub, closed), False)
    assert actor(hub, token).name == "of-ann"


def test_a_disabled_organization_gives_its_members_nothing(hub: Hub) -> None:
    token = hub.create_token("ann", "write")
    with hub.changing() as change:
        set_disabled(change, account(hub, "acme"), True)
    assert actor(hub, token).rights == {}


def test_somebody_always_administers_the_hub(hub: Hub) -> None:
    for change_it in (
        lambda change, who: set_disabled(change, who, True),
        lambda change, who: set_admin(change, who, False),
    ):
        with hub.changing() as change, pytest.raises(ConflictError, match="last one"):
            change_it(change, account(hub, "admin"))
    with hub.changing() as change:
        set_admin(change, account(hub, "bob"), True)
        set_disabled(change, account(hub, "admin"), True)
    with hub.changing() as change, pytest.raises(ConflictError):
        set_disabled(change, account(hub, "bob"), True)


def test_names_are_unique_over_all_kinds(hub: Hub) -> None:
    for name in ("ANN", "acme", "Acme"):
        with hub.changing() as change, pytest.raises(ConflictError):
            add_organization(change, name, account(hub, "ann"))
        with hub.changing() as change, pytest.raises(ConflictError):
            add_service(change, name, account(hub, "ann"), Right.READ)
        with pytest.raises(ConflictError):
            hub.add_user(name)
    with hub.parts.database.read() as connection:
        assert [one.name for one in list_accounts(connection, Kind.ORGANIZATION)] == ["acme"]
        with pytest.raises(NotFoundError):
            find_account(connection, "acme", Kind.USER)


@pytest.mark.parametrize("full_name", ["x" * 101, "two\nlines", "a\x00b", "\u202eevil"])
def test_a_full_name_is_one_short_line(hub: Hub, full_name: str) -> None:
    with hub.changing() as change, pytest.raises(UsageError):
        set_full_name(change, account(hub, "ann"), full_name)


def test_a_fine_grained_token_is_good_for_its_scopes(hub: Hub) -> None:
    with hub.changing() as change:
        repo = create_repo(change.connection, RepoId.parse("datasets/ann/birds"), private=True, now_ms=T0)
        wish = TokenWish(
            name=" ci \n job ",
            role="fineGrained",
            scopes=(ScopeWish("acme", "write"), ScopeWish("datasets/ann/birds", "read")),
        )
        _, token = make_token(change, account(hub, "ann"), wish)
    found = actor(hub, token)
    assert (found.role, found.token_name, found.reads_gated) == (Role.FINE, "ci job", False)
    assert set(found.scopes) == {Scope(Right.WRITE, "acme"), Scope(Right.READ, repo_key=repo.key)}
    (facts,) = hub.list_tokens("ann")
    assert [tuple(one) for one in facts.scopes] == [("acme", "write"), ("datasets/ann/birds", "read")]


@pytest.mark.parametrize(
    "wish",
    [
        TokenWish(role="fineGrained"),
        TokenWish(role="write", scopes=(ScopeWish("acme", "read"),)),
        TokenWish(role="fineGrained", scopes=(ScopeWish("acme", "own"),)),
        TokenWish(role="fineGrained", scopes=(ScopeWish("acme", "none"),)),
        TokenWish(role="session"),
        TokenWish(role="fine"),
        TokenWish(role="king"),
        TokenWish(days=0),
        TokenWish(days=-1),
        TokenWish(days=10**6),
        TokenWish(days=float("nan")),
        TokenWish(role="fineGrained", scopes=(ScopeWish("acme", "read"),) * 101),
    ],
)
def test_wishes_that_make_no_token(hub: Hub, wish: TokenWish) -> None:
    with hub.changing() as change, pytest.raises(UsageError):
        make_token(change, account(hub, "ann"), wish)
    assert hub.list_tokens("ann") == []


def test_organizations_have_no_tokens(hub: Hub) -> None:
    with hub.changing() as change, pytest.raises(UsageError, match="no tokens"):
        make_token(change, account(hub, "acme"), TokenWish(role="write"))


@pytest.mark.parametrize("place", ["nobody", "ann/none", "datasets/ann/none"])
def test_a_scope_on_what_is_not_there_is_refused(hub: Hub, place: str) -> None:
    with hub.changing() as change, pytest.raises(NotFoundError):
        make_token(change, account(hub, "ann"), TokenWish(role="fineGrained", scopes=(ScopeWish(place, "read"),)))


def test_a_token_ends_when_it_expires(hub: Hub, clock: Clock) -> None:
    with hub.changing() as change:
        _, token = make_token(change, account(hub, "ann"), TokenWish(role="write", days=0.5))
    clock.now_ms = T0 + 12 * 3600 * 1000 - 1
    assert actor(hub, token).name == "ann"
    clock.now_ms += 1
    assert actor(hub, token) is None
    assert hub.list_tokens("ann") == []


def test_a_token_is_revoked_by_its_own_account_alone(hub: Hub) -> None:
    token = hub.create_token("ann", "write")
    (facts,) = hub.list_tokens("ann")
    with hub.changing() as change:
        assert not revoke_token(change, account(hub, "bob"), facts.id)
        assert revoke_token(change, account(hub, "ann"), facts.id)
        assert not revoke_token(change, account(hub, "ann"), facts.id)
    assert actor(hub, token) is None


def test_the_audit_log_tells_of_all_of_it_and_holds_no_token(hub: Hub) -> None:
    with hub.changing() as change:
        add_service(change, "bot", account(hub, "acme"), Right.WRITE)
        set_member(change, account(hub, "acme"), account(hub, "bob"), Right.READ)
        remove_member(change, account(hub, "acme"), account(hub, "bob"))
        set_disabled(change, account(hub, "cat"), True)
    token = hub.create_token("bot", "write", "ci")
    hub.revoke_token(hub.list_tokens("bot")[0].id)
    with hub.parts.database.read() as connection:
        found = list(entries(connection))
    assert [one.deed for one in found[-7:]] == [
        "service.add",
        "service.change",
        "member.set",
        "member.remove",
        "user.change",
        "token.create",
        "token.revoke",
    ]
    assert token not in str(found)
