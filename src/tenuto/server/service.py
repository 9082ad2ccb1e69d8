"""A hub as a whole: open its folder, serve it, stop it."""

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self, TextIO

from tenuto.server.accounts import has_users
from tenuto.server.app import App
from tenuto.server.audit import command_line
from tenuto.server.db import Database
from tenuto.server.git.objects import GitCache
from tenuto.server.holdings.publisher import Publisher
from tenuto.server.holdings.uploads import Uploads
from tenuto.server.holdings.xorbs import Xorbs
from tenuto.server.http.rates import Windows
from tenuto.server.http.serving import Service
from tenuto.server.http.traffic import Traffic
from tenuto.server.hub import Limits, Parts
from tenuto.server.log import Log
from tenuto.server.migrate import migrate
from tenuto.server.people.accounts import Kind, add_account, find_account
from tenuto.server.people.change import Change, changing
from tenuto.server.people.tokens import TokenFacts, TokenWish, list_tokens, make_token, revoke_token
from tenuto.server.signin.elsewhere import PROVIDER_FILE, is_open_to_others, read_provider
from tenuto.server.signing import Signer, load_secret
from tenuto.server.upkeep.ended import Sweeper
from tenuto.server.xet.cutting import Cutter
from tenuto.store.disk import disk_errors
from tenuto.store.local import LocalStore
from tenuto.store.xet.folder import XorbFolder

ADMINISTRATOR = "admin"
THREADS = 16
LEFT_OVER_S = 24 * 3600


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Hub:
    """A hub that is open: one folder with its database, secret, and store. Close it, or use it as a context manager."""

    def __init__(self, parts: Parts, first_token: str | None) -> None:
        self.parts = parts
        self.first_token = first_token
        """The token of the administrator, if it was made just now; it is shown nowhere else."""
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hub")
        self.app = Traffic(App(parts, self._threads))
        self.cutter = Cutter(parts, lambda: self.app.is_busy)
        self.sweeper = Sweeper(parts)

    @classmethod
    def open(
        cls,
        data_dir: str,
        *,
        limits: Limits | None = None,
        log: TextIO | None = None,
        now_ms: Callable[[], int] = _now_ms,
    ) -> Self:
        """Open the hub in a folder, which is made if it is not there; its tables are brought up to date.

        The log goes to `log`, else to standard error. Raises StorageError (DiskFull, LocalFile).
        """
        data_dir, limits = os.path.abspath(os.path.expanduser(data_dir)), limits or Limits()
        spool = os.path.join(data_dir, "spool")
        file = os.path.join(data_dir, "hub.sqlite3")
        with disk_errors(data_dir):
            os.makedirs(data_dir, mode=0o700, exist_ok=True)
            os.makedirs(spool, mode=0o700, exist_ok=True)
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            secret = load_secret(os.path.join(data_dir, "secret"))
        database = Database(f"sqlite:///{file}", connections=THREADS)
        store = LocalStore(data_dir)
        migrate(database)
        store.sweep(LEFT_OVER_S)
        _sweep_spool(spool, time.time() - LEFT_OVER_S)
        parts = Parts(
            database=database,
            store=store,
            publisher=Publisher(database, store, limits.cut_from),
            uploads=Uploads(store, now_s=lambda: now_ms() / 1000),
            xorbs=Xorbs(database, XorbFolder(store.root, store)),
            signer=Signer(secret),
            cache=GitCache(),
            log=Log(log or sys.stderr),
            now_ms=now_ms,
            spool=spool,
            limits=limits,
            windows=Windows(limits.requests_window_s),
            provider=read_provider(os.path.join(data_dir, PROVIDER_FILE)),
        )
        return cls(parts, _first_token(parts))

    def changing(self) -> AbstractContextManager[Change]:
        """What is changed inside is done by the command line of this machine, and told to the audit log as such."""
        return changing(self.parts, command_line())

    def add_user(self, name: str, admin: bool = False) -> None:
        """Add a user. Raises UsageError (BadAddress), ConflictError (Exists)."""
        with self.changing() as change:
            add_account(change, name, Kind.USER, is_admin=admin, settled=True)

    def create_token(self, account: str, role: str, name: str = "") -> str:
        """A new token, which is shown here only. Raises NotFoundError (UserNotFound), UsageError (BadRequest)."""
        with self.changing() as change:
            return make_token(change, find_account(change.connection, account), TokenWish(name=name, role=role))[1]

    def list_tokens(self, account: str) -> list[TokenFacts]:
        """The good tokens of an account. Raises NotFoundError (UserNotFound)."""
        with self.parts.database.read() as connection:
            return list_tokens(connection, find_account(connection, account), self.parts.now_ms())

    def revoke_token(self, token_id: int) -> bool:
        """Make a token useless; whether it was good until now."""
        with self.changing() as change:
            return revoke_token(change, None, token_id)

    def close(self) -> None:
        """Wait for what is running, then close database and threads."""
        self.cutter.stop()
        self.sweeper.stop()
        self._threads.shutdown()
        self.parts.uploads.close()
        self.parts.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _first_token(parts: Parts) -> str | None:
    with changing(parts, command_line()) as change:
        if has_users(change.connection):
            return None
        made = add_account(change, ADMINISTRATOR, Kind.USER, is_admin=True)
        return make_token(change, made, TokenWish(name="first start", role="write"))[1]


def _sweep_spool(spool: str, before_s: float) -> None:
    """Remove parts of uploads that nobody completed, which earlier versions took in as files of their own."""
    for folder in os.scandir(spool):
        if folder.is_dir(follow_symlinks=False) and folder.stat().st_mtime < before_s:
            for name in os.listdir(folder.path):
                os.unlink(os.path.join(folder.path, name))
            os.rmdir(folder.path)


def _warn(parts: Parts) -> None:
    """The log says what whoever runs the hub should change."""
    file = os.path.join(os.path.dirname(parts.spool), PROVIDER_FILE)
    if is_open_to_others(file):
        message = f"{file} can be read by others than its owner, and holds a secret: run `chmod 600` on it"
        parts.log.write("warning", parts.now_ms(), message=message)


def serve(hub: Hub, host: str, port: int, on_ready: Callable[[str], None] | None = None, *, proxies: str = "") -> None:
    """Serve `hub` until SIGTERM or SIGINT, then let running requests end. Port 0 takes a free one; `on_ready` gets the base URL.

    `proxies` are believed when they say for whom they ask.

    Raises UsageError (BadCommand) if the address cannot be listened on.
    """
    service = Service(hub.app, hub.parts.log, host, port, proxies)
    _warn(hub.parts)
    hub.cutter.start()
    hub.sweeper.start()
    service.run(on_ready)
