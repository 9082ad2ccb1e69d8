"""Which token goes to which hub. See docs/decisions/0002-which-token-goes-where.md.

A token from the environment or from `hf` goes to a hub that the user named; a hub that only a manifest names gets the token of a
`tenuto login` to that very hub, or none: a cloned repository must not be able to collect tokens.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from tenuto.core.errors import StorageError
from tenuto.core.settings import PUBLIC_HUB, Settings, rate_bytes_per_s
from tenuto.hub.bandwidth import Bandwidth
from tenuto.hub.patience import Notice, unheard
from tenuto.hub.remote import Remote
from tenuto.hub.session import Session
from tenuto.store.disk import disk_errors, replace_file

LOGINS_NAME = "logins.json"


class Found(NamedTuple):
    """The token for a hub, where it came from, and whether there is one that was held back because only a manifest names the hub."""

    token: str | None
    source: str | None
    withheld: bool = False

    def __repr__(self) -> str:
        return f"Found(token={'***' if self.token else None}, source={self.source!r}, withheld={self.withheld})"


def find_token(settings: Settings) -> Found:
    """The token to send to `settings.endpoint`. Raises StorageError if a token file is there and cannot be read."""
    login = _logins(settings).get(settings.endpoint)
    given = (settings.token or "").strip()
    if settings.origins["endpoint"] == "manifest" and settings.endpoint != PUBLIC_HUB:
        other = given or _hf_token(settings)
        return Found(login, "tenuto login" if login else None, withheld=bool(other) and not login)
    if given:
        return Found(given, settings.origins["token"])
    if login:
        return Found(login, "tenuto login")
    token = _hf_token(settings)
    return Found(token, "hf" if token else None)


def save_login(settings: Settings, token: str) -> str:
    """Keep a token for `settings.endpoint` where only this user can read it; returns the file.

    For the public hub that is the file of `hf` itself, so that both tools know it.
    """
    if settings.endpoint == PUBLIC_HUB:
        return _write_private(_hf_token_file(settings), f"{token}\n".encode())
    with _alone(_logins_file(settings)):
        return _write_logins(settings, {**_logins(settings), settings.endpoint: token})


def forget_login(settings: Settings) -> bool:
    """Remove the kept token for `settings.endpoint`; whether there was one."""
    if settings.endpoint == PUBLIC_HUB:
        file = _hf_token_file(settings)
        with disk_errors(file):
            found = os.path.exists(file)
            if found:
                os.unlink(file)
        return found
    with _alone(_logins_file(settings)):
        logins = _logins(settings)
        found = logins.pop(settings.endpoint, None) is not None
        if found:
            _write_logins(settings, logins)
        return found


class Connector:
    """Opens conversations, with one hub or many, that share one limit of bandwidth; `notice` hears what is waited for."""

    def __init__(self, notice: Notice = unheard) -> None:
        self._notice = notice
        self._limits: dict[str | None, Bandwidth] = {}

    def __call__(self, settings: Settings) -> Remote:
        """A conversation with the hub that the settings name, with the right token."""
        rate = rate_bytes_per_s(settings.bandwidth)
        return connect(settings, self._notice, self._limits.setdefault(settings.bandwidth, Bandwidth(rate)))


def connect(settings: Settings, notice: Notice = unheard, bandwidth: Bandwidth | None = None) -> Remote:
    """A conversation with the hub that the settings name, with the right token; it has a limit of its own if none is given."""
    session = Session(
        settings.endpoint,
        find_token(settings).token,
        offline=settings.offline,
        timeout_s=settings.timeout_s,
        retries=settings.retries,
        connections=settings.jobs + 2,
        notice=notice,
        bandwidth=bandwidth or Bandwidth(rate_bytes_per_s(settings.bandwidth)),
    )
    # What hf_xet sends goes past our session, and so past a limit.
    return Remote(session, commit_files=settings.commit_files, xet="off" if settings.bandwidth else settings.xet)


def _logins_file(settings: Settings) -> str:
    return os.path.join(os.path.expanduser(settings.config), LOGINS_NAME)


def _hf_token_file(settings: Settings) -> str:
    return os.path.join(os.path.expanduser(settings.hf_home), "token")


def _logins(settings: Settings) -> dict[str, str]:
    file = _logins_file(settings)
    content = _read(file)
    if content is None:
        return {}
    try:
        return msgspec.json.decode(content, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StorageError(f"{file} is not valid", hint="remove it and run `tenuto login` again") from error


def _hf_token(settings: Settings) -> str | None:
    file = _hf_token_file(settings)
    content = _read(file)
    if content is None:
        return None
    try:
        return content.decode("ascii").strip() or None
    except UnicodeDecodeError as error:
        raise StorageError(f"{file} is not valid", hint="remove it and log in again") from error


def _read(file: str) -> bytes | None:
    """What a file holds, None if it is not there; raises StorageError where that cannot be known."""
    with disk_errors(file):
        try:
            with open(file, "rb") as opened:
                return opened.read()
        except (FileNotFoundError, NotADirectoryError):
            return None


@contextlib.contextmanager
def _alone(file: str) -> Iterator[None]:
    """Of several that read a file and write it anew, one at a time does; its folder is there."""
    folder = os.path.dirname(file)
    with disk_errors(folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # not every disk has locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_logins(settings: Settings, logins: dict[str, str]) -> str:
    return _write_private(_logins_file(settings), msgspec.json.format(msgspec.json.encode(logins), indent=2) + b"\n")


def _write_private(file: str, content: bytes) -> str:
    with disk_errors(file):
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
    replace_file(file, content, 0o600)
    return file
