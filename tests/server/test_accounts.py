"""Users and tokens: a token is shown once, kept as a hash, and ends when it is revoked."""

import io
import stat
from pathlib import Path

import pytest

from tenuto.core.errors import ConflictError, NotFoundError, UsageError
from tenuto.server.access import Role
from tenuto.server.identity import digest_of, identify
from tenuto.server.service import Hub


@pytest.fixture
def hub(tmp_path: Path):
    with Hub.open(str(tmp_path / "data"), log=io.StringIO()) as opened:
        yield opened


def actor(hub: Hub, token: str):
    with hub.parts.database.read() as connection:
        found = identify(connection, token, hub.parts.now_ms())
    return found.actor if found else None


def test_the_first_start_makes_an_administrator_once(tmp_path: Path) -> None:
    with Hub.open(str(tmp_path / "data"), log=io.StringIO()) as hub:
        first = hub.first_token
        assert first is not None
        assert first.startswith("hf_")
        assert actor(hub, first)[1:3] == ("admin", True)
    with Hub.open(str(tmp_path / "data"), log=io.StringIO()) as hub:
        assert hub.first_token is None
        assert actor(hub, first).role is Role.WRITE


def test_tokens_lie_nowhere_but_as_a_hash(hub: Hub, tmp_path: Path) -> None:
    hub.add_user("alice")
    tokens = [hub.first_token, hub.create_token("alice", "write"), hub.create_token("alice", "read", "laptop")]
    assert len(set(tokens)) == 3
    hub.close()
    held = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    for token in tokens:
        assert token.encode() not in held
        assert digest_of(token).encode() in held


def test_files_with_secrets_are_for_their_owner_only(hub: Hub, tmp_path: Path) -> None:
    for name in ("hub.sqlite3", "hub.sqlite3-wal", "secret"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_revoked_token_is_unknown(hub: Hub) -> None:
    hub.add_user("alice")
    token = hub.create_token("alice", "read", "laptop")
    (facts,) = hub.list_tokens("alice")
    assert (facts.name, facts.role, facts.user, facts.last_used_ms) == ("laptop", Role.READ, "alice", None)
    assert actor(hub, token).name == "alice"
    assert hub.revoke_token(facts.id)
    assert actor(hub, token) is None
    assert not hub.revoke_token(facts.id)
    assert hub.list_tokens("alice") == []


@pytest.mark.parametrize("token", ["", "hf_", "hf_" + "a" * 43, "ü", "\udc80", "x" * 100_000, "' OR 1=1 --"])
def test_strangers_tokens_are_unknown(hub: Hub, token: str) -> None:
    assert actor(hub, token) is None


@pytest.mark.parametrize(
    "name", ["", "-a", "a--b", "a/b", "..", "a.git", "api", "Datasets", "lfs", "a b", "ü", "x" * 97]
)
def test_names_that_cannot_be_are_refused(hub: Hub, name: str) -> None:
    with pytest.raises(UsageError):
        hub.add_user(name)


def test_names_that_differ_by_case_alone_are_refused(hub: Hub) -> None:
    hub.add_user("Alice")
    with pytest.raises(ConflictError) as caught:
        hub.add_user("alice")
    assert caught.value.code == "Exists"


def test_a_token_needs_a_user_and_a_role(hub: Hub) -> None:
    with pytest.raises(NotFoundError) as caught:
        hub.create_token("nobody", "read")
    assert caught.value.code == "UserNotFound"
    with pytest.raises(UsageError):
        hub.create_token("admin", "owner")
    with pytest.raises(NotFoundError):
        hub.list_tokens("nobody")


def test_two_starts_at_once_share_one_secret(tmp_path: Path) -> None:
    with (
        Hub.open(str(tmp_path / "data"), log=io.StringIO()) as one,
        Hub.open(str(tmp_path / "data"), log=io.StringIO()) as two,
    ):
        assert one.first_token
        assert two.first_token is None
        from tenuto.server.signing import Claims

        link = one.parts.signer.sign(Claims("download", 1, "a" * 64, 1, 0, 2_000_000_000))
        assert two.parts.signer.read(link, "download", 1).repo_key == 1
