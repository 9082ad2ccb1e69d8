"""What every handler needs, handed in once: database, store, secret, limits, clock, log."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tenuto.server.db import Database
from tenuto.server.git.objects import GitCache
from tenuto.server.holdings.publisher import Publisher
from tenuto.server.holdings.uploads import Uploads
from tenuto.server.holdings.xorbs import Xorbs
from tenuto.server.http.rates import Attempts, Windows
from tenuto.server.log import Log
from tenuto.server.remembered import Remembered
from tenuto.server.signing import Signer
from tenuto.server.turns import Turns
from tenuto.store.base import Store

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a hub refuses, and where it switches from one way to the other. Sizes in bytes."""

    large_file: int = 10 * MIB
    """Files above that are large objects, whatever their name."""
    commit_body: int = 256 * MIB
    commit_paths: int = 200_000
    multipart_from: int = 256 * MIB
    """Uploads above that are sent in parts, if the client can: over several connections, and after a failure only a part again."""
    part: int = 32 * MIB
    object: int = 1 << 40
    xet_download_from: int = 64 * MIB
    """Clients are told to download files of chunks by Xet from this size on; smaller ones arrive sooner without."""
    cut_from: int = 8 * MIB
    """Whole objects from this size on are cut into chunks, so that their next version need not be sent as a whole."""
    page_entries: int = 1000
    request_stall_s: float = 120.0
    request_least_rate: int = 4096
    """Bytes a second that a body must bring on average, beside the time for which it may stall."""
    push_body: int = 1024 * MIB
    push_objects: int = 500_000
    push_unpacked: int = 8192 * MIB
    """What a push may make the hub unpack, counting what differences build on anew for each of them."""
    tree_files: int = 1_000_000
    device_poll_s: int = 5
    """How often a device that waits for its login may ask."""
    session_life_s: int = 14 * 24 * 3600
    sign_up: bool = False
    """Whether whoever comes may make an account."""
    password_memory_kib: int = 19_456
    """With `password_rounds` what one look at a password costs (argon2id, RFC 9106)."""
    password_rounds: int = 2
    requests: int = 0
    """How many requests to the API an account has in a window, an address a quarter; of bytes each ten times as many. 0: no limit."""
    requests_window_s: int = 300


@dataclass(frozen=True)
class Provider:
    """Another issuer of identities, by which people sign in (OpenID Connect), and what this hub is called there."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str = "another account"
    """What people call it."""
    new_accounts: bool = True
    """Whether whoever it knows may make an account here; else only accounts that are there sign in by it."""


@dataclass(frozen=True)
class Parts:
    """The working parts of a hub. `now_ms` is the time since 1970 UTC."""

    database: Database
    store: Store
    publisher: Publisher
    uploads: Uploads
    xorbs: Xorbs
    signer: Signer
    cache: GitCache
    log: Log
    now_ms: Callable[[], int]
    spool: str
    """A folder for bodies on their way in."""
    limits: Limits = Limits()
    windows: Windows = field(default_factory=Windows)
    attempts: Attempts = field(default_factory=Attempts)
    provider: Provider | None = None
    remembered: Remembered = field(default_factory=Remembered)
    overviews: Turns = field(default_factory=Turns)
