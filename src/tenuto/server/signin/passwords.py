"""Passwords: kept as argon2id texts, of which no password can be found again. The one door to argon2."""

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, delete, insert, select, update

from tenuto.core.errors import UsageError
from tenuto.server.audit import Deed
from tenuto.server.hub import Limits
from tenuto.server.people.accounts import Account, Kind, end_sessions
from tenuto.server.people.change import Change
from tenuto.server.schema import invitations, passwords

LEAST_LETTERS = 12
MOST_BYTES = 1000
_LEAST_DIFFERENT = 5


@cache
def _hasher(memory_kib: int, rounds: int) -> PasswordHasher:
    return PasswordHasher(time_cost=rounds, memory_cost=memory_kib, parallelism=1)


def _hasher_of(limits: Limits) -> PasswordHasher:
    return _hasher(limits.password_memory_kib, limits.password_rounds)


def check_password(password: str, name: str) -> str:
    """Return `password` if it may be one of the user `name`; raises UsageError (BadRequest), which never tells it."""
    if len(password) < LEAST_LETTERS:
        raise UsageError(
            f"a password has at least {LEAST_LETTERS} characters", hint="four words that do not belong together do"
        )
    if len(password.encode(errors="surrogatepass")) > MOST_BYTES:
        raise UsageError(f"a password has at most {MOST_BYTES} bytes", hint="take the beginning of it")
    if len(set(password)) < _LEAST_DIFFERENT or (name and name.lower() in password.lower()):
        raise UsageError(
            "this password is too easy to guess", hint="take one without your name and without repetitions"
        )
    return password


def hash_of(limits: Limits, password: str, name: str) -> str:
    """What is kept of a password of the user `name`; it takes a while. Raises UsageError (BadRequest) for a weak one."""
    return _hasher_of(limits).hash(check_password(password, name).encode(errors="surrogatepass"))


def set_password(change: Change, limits: Limits, account: Account, password: str) -> None:
    """`password` is the one of the user from now on; its browser sessions end.

    Raises UsageError (BadRequest) for a weak one, and for an account that is no user.
    """
    keep_password(change, account, hash_of(limits, password, account.name))


def keep_password(change: Change, account: Account, text: str, session_id: int = 0) -> None:
    """The password of which `text` is kept is the one of the user from now on; browser sessions end, but that with the id `session_id`.

    Raises UsageError (BadRequest) for an account that is no user.
    """
    if account.kind is not Kind.USER:
        raise UsageError(f"{account.name} is no user; only users have passwords")
    change.connection.execute(delete(passwords).where(passwords.c.user_id == account.id))
    row = {"user_id": account.id, "hash": text, "changed_ms": change.now_ms}
    change.connection.execute(insert(passwords).values(row))
    change.connection.execute(delete(invitations).where(invitations.c.user_id == account.id))  # links made before
    end_sessions(change, account.id, but=session_id)
    change.record(Deed.PASSWORD_SET, account.name)


def find_hash(connection: Connection, user_id: int) -> str | None:
    """What is kept of the password of a user; None if there is none."""
    found: str | None = connection.execute(select(passwords.c.hash).where(passwords.c.user_id == user_id)).scalar()
    return found


def is_right(limits: Limits, kept: str | None, password: str) -> bool:
    """Whether `password` is the one that `kept` was made of. Without one, and for what is too long, the same work is done: the answer is no."""
    hasher, data = _hasher_of(limits), password.encode(errors="surrogatepass")
    if kept is None or len(data) > MOST_BYTES:
        hasher.hash(data[:MOST_BYTES])
        return False
    try:
        return hasher.verify(kept, data)
    except (VerificationError, InvalidHashError):
        return False


def costlier(limits: Limits, kept: str, password: str) -> str:
    """What shall be kept of a right password: made with the work that holds now, which takes a while if it is not the one of `kept`."""
    hasher = _hasher_of(limits)
    return hasher.hash(password.encode(errors="surrogatepass")) if hasher.check_needs_rehash(kept) else kept


def renew(connection: Connection, user_id: int, kept: str, text: str) -> None:
    """`text` is kept of a password in place of `kept`, unless the user has another one meanwhile."""
    if text != kept:
        same = (passwords.c.user_id == user_id) & (passwords.c.hash == kept)
        connection.execute(update(passwords).where(same).values(hash=text))
