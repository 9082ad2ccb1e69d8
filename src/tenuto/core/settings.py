"""Every setting, declared once: flag > environment > .env (tokens only) > manifest > user file > default.

docs/settings.md is generated from this table.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tenuto.core.errors import UsageError
from tenuto.core.human import parse_size

PUBLIC_HUB = "https://huggingface.co"
TOKEN_VARIABLES = ("TENUTO_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")
"""What may hold a token; nothing else of a `.env` is looked at."""


class Setting(NamedTuple):
    """One setting: its key in flags and files, its type, the environment variables that set it (first one wins), default and purpose.

    A number lies between `least` and `most`.
    """

    key: str
    type: type[str | int | float]
    environment: tuple[str, ...]
    default: object
    purpose: str
    least: float = 0
    most: float = 1_000_000_000


SETTINGS = (
    Setting(
        "endpoint", str, ("TENUTO_ENDPOINT", "HF_ENDPOINT"), PUBLIC_HUB, "the hub to talk to; the manifest says `hub`"
    ),
    Setting(
        "token",
        str,
        TOKEN_VARIABLES,
        None,
        "the access token; never sent to a hub that only a manifest names",
    ),
    Setting("hf_home", str, ("HF_HOME",), "~/.cache/huggingface", "where `hf` keeps its token"),
    Setting("cache", str, ("TENUTO_CACHE",), "~/.cache/tenuto", "the folder of the store"),
    Setting(
        "cache_limit",
        str,
        ("TENUTO_CACHE_LIMIT",),
        None,
        "how large the store may get: 50GB; what no project needs goes after a pull, the longest unused first; no limit if not set",
    ),
    Setting(
        "cache_shared",
        str,
        ("TENUTO_CACHE_SHARED",),
        None,
        "the folder of a store that is only read, such as that of a team: what it has is not downloaded",
    ),
    Setting("config", str, ("TENUTO_CONFIG",), "~/.config/tenuto", "the folder of user settings and logins"),
    Setting("offline", bool, ("TENUTO_OFFLINE", "HF_HUB_OFFLINE"), False, "make no request; use what is here"),
    Setting(
        "link", str, ("TENUTO_LINK",), "auto", "how pulled files are laid out: auto, reflink, hardlink, symlink or copy"
    ),
    Setting("jobs", int, ("TENUTO_JOBS",), 8, "transfers at a time", least=1, most=1000),
    Setting(
        "timeout_s",
        float,
        ("TENUTO_TIMEOUT_S",),
        30.0,
        "seconds without a byte after which a transfer has stalled",
        least=0.01,
    ),
    Setting("retries", int, ("TENUTO_RETRIES",), 5, "how often a request is tried again"),
    Setting(
        "bandwidth",
        str,
        ("TENUTO_BANDWIDTH",),
        None,
        "the most that all transfers together may send and receive: 20MB/s, 500kB/s; no limit if not set",
    ),
    Setting(
        "commit_files",
        int,
        ("TENUTO_COMMIT_FILES",),
        1000,
        "the most files of one commit on hubs other than ours; a larger push makes several commits there",
        least=1,
    ),
    Setting(
        "xet",
        str,
        ("TENUTO_XET",),
        "auto",
        "when to send large files by their chunks, with `hf-xet`: auto (where the hub knows the chunks of an earlier version), always, or off",
    ),
    Setting("progress", bool, ("TENUTO_PROGRESS",), True, "progress bars on a terminal"),
    Setting("hub_data", str, ("TENUTO_HUB_DATA",), "./hub-data", "the data folder of `tenuto hub`"),
    Setting("hub_host", str, ("TENUTO_HUB_HOST",), "127.0.0.1", "the address that `tenuto hub serve` listens on"),
    Setting(
        "hub_port",
        int,
        ("TENUTO_HUB_PORT",),
        8010,
        "the port that `tenuto hub serve` listens on; 0 takes a free one",
        most=65535,
    ),
    Setting(
        "hub_requests",
        int,
        ("TENUTO_HUB_REQUESTS",),
        10_000,
        "requests to the API that an account has on `tenuto hub serve` in five minutes, an address a quarter, of bytes each ten times as many; "
        "0: no limit",
    ),
    Setting(
        "hub_sign_up",
        bool,
        ("TENUTO_HUB_SIGN_UP",),
        False,
        "whether whoever comes may make an account on `tenuto hub serve`; else an invitation is needed",
    ),
    Setting(
        "hub_proxies",
        str,
        ("TENUTO_HUB_PROXIES",),
        None,
        "the proxies before the hub, such as 127.0.0.1,10.0.0.0/8: what they say of the client's address and of https is believed",
    ),
)
_ENDPOINT = re.compile(r"https?://[^\s/@?#\\\x00-\x1f\x7f]+(?:/[^\s@?#\\\x00-\x1f\x7f]*)?")
XET_MODES = ("auto", "always", "off")
LINK_MODES = ("auto", "reflink", "hardlink", "symlink", "copy")
_BY_KEY = {setting.key: setting for setting in SETTINGS}
_RATE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?([kMG]?)B/s", re.ASCII)
_THOUSANDS = {"": 1, "k": 1000, "M": 1_000_000, "G": 1_000_000_000}
_BOOLEANS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
    "": False,
}


class Settings(NamedTuple):
    """All settings, resolved; `origins` says for each key whether flag, environment, .env, manifest, user file or default gave it."""

    endpoint: str
    token: str | None
    hf_home: str
    cache: str
    cache_limit: str | None
    cache_shared: str | None
    config: str
    offline: bool
    link: str
    jobs: int
    timeout_s: float
    retries: int
    bandwidth: str | None
    commit_files: int
    xet: str
    progress: bool
    hub_data: str
    hub_host: str
    hub_port: int
    hub_requests: int
    hub_sign_up: bool
    hub_proxies: str | None
    origins: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Settings(endpoint={self.endpoint!r}, token={'***' if self.token else None})"


def resolve(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    manifest: Mapping[str, object] | None = None,
    user_file: Mapping[str, object] | None = None,
    dotenv: Mapping[str, str] | None = None,
) -> Settings:
    """Settle every setting by precedence; a value of None counts as not given. Of `dotenv`, the variables of a `.env`, only the token counts.

    Raises UsageError (BadCommand), which names the source of a value of the wrong type.
    """
    layers = (
        ("flag", dict(flags or {})),
        ("environment", _from_environment(environment or {})),
        (".env", {"token": _from_environment(dotenv or {}).get("token")}),
        ("manifest", dict(manifest or {})),
        ("user file", dict(user_file or {})),
    )
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for setting in SETTINGS:
        origin, value = next(
            ((name, layer[setting.key]) for name, layer in layers if layer.get(setting.key) is not None),
            ("default", setting.default),
        )
        values[setting.key] = _in_range(setting, _coerce(setting, value, origin), origin)
        origins[setting.key] = origin
    values["endpoint"] = check_endpoint(str(values["endpoint"]))
    for key, is_valid in _FORMS.items():
        if not is_valid(values[key]):
            raise _fault(_BY_KEY[key], values[key], origins[key])
    return Settings(origins=origins, **values)  # type: ignore[arg-type]


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for setting in SETTINGS:
        for variable in setting.environment:
            if environment.get(variable):
                found.setdefault(setting.key, environment[variable])
    return found


def _coerce(setting: Setting, value: object, origin: str) -> object:
    if value is None or (isinstance(value, setting.type) and type(value) is not bool) or setting.type is type(value):
        return value
    try:
        if setting.type is bool:
            return _BOOLEANS[str(value).lower()]
        if setting.type in {int, float} and isinstance(value, str | int) and not isinstance(value, bool):
            return setting.type(value)
    except (ValueError, KeyError):
        pass
    raise _fault(setting, value, origin)


def rate_bytes_per_s(text: str | None) -> float | None:
    """Bytes a second of `20MB/s` or `500 kB/s`; None for what is none, and for no text."""
    found = _RATE.fullmatch(text or "")
    return float(found[1]) * _THOUSANDS[found[2]] or None if found else None


_FORMS: Mapping[str, Callable[[object], bool]] = {
    "link": lambda value: value in LINK_MODES,
    "xet": lambda value: value in XET_MODES,
    "bandwidth": lambda value: value is None or rate_bytes_per_s(str(value)) is not None,
    "cache_limit": lambda value: value is None or _is_size(str(value)),
}


def _is_size(text: str) -> bool:
    try:
        return parse_size(text) >= 0
    except UsageError:
        return False


def _in_range(setting: Setting, value: object, origin: str) -> object:
    if setting.type in {int, float} and isinstance(value, int | float) and not setting.least <= value <= setting.most:
        raise _fault(setting, value, origin)
    return value


def _fault(setting: Setting, value: object, origin: str) -> UsageError:
    names = " or ".join(setting.environment) if origin == "environment" else f"`{setting.key}`"
    shown = "what it is" if setting.key == "token" else repr(str(value)[:40])
    return UsageError(f"{names} cannot be {shown} ({origin})", code="BadCommand", hint=setting.purpose)


def check_endpoint(text: str) -> str:
    """Return the endpoint without a trailing slash; raises UsageError (BadAddress) unless it is a plain http(s) URL without credentials."""
    if not _ENDPOINT.fullmatch(text):
        raise UsageError(
            f"{text.rpartition('@')[2]!r} is not the address of a hub",
            code="BadAddress",
            hint="write https://host[:port]",
        )
    return text.rstrip("/")
