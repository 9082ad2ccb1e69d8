"""Fault 16: the hub asks nothing of what lies inside, however an address is written and wherever a name or an answer leads.

Looked at from below: which addresses the process connects to, whoever asked for it.
"""

import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenuto.core.errors import UnavailableError
from tenuto.server.http import outgoing
from tenuto.server.http.outgoing import fetch
from tests.server.signin.issuer import Issuer

SERVER = Path(outgoing.__file__).parent
TRUSTED = "https://issuer.example:443"
INSIDE = {
    "loopback": "127.0.0.1",
    "another loopback": "127.8.8.8",
    "loopback of IPv6": "::1",
    "a private network": "10.0.0.1",
    "another private network": "172.16.0.1",
    "a home": "192.168.1.1",
    "a private network of IPv6": "fd00::1",
    "what a cloud tells its machines": "169.254.169.254",
    "the same over IPv6": "fd00:ec2::254",
    "the link": "fe80::1",
    "the link of an interface": "fe80::1%1",
    "a site of old": "fec0::1",
    "a carrier": "100.64.0.1",
    "this host": "0.0.0.0",  # an address to refuse
    "this host over IPv6": "::",
    "everybody": "255.255.255.255",
    "a group": "224.0.0.1",
    "a group of IPv6": "ff02::1",
    "loopback in IPv6": "::ffff:127.0.0.1",
    "loopback in IPv6, as of old": "::127.0.0.1",
    "loopback behind a translator": "64:ff9b::127.0.0.1",
    "loopback behind a translator of one's own": "64:ff9b:1::127.0.0.1",
    "loopback by a tunnel": "2002:7f00:1::1",
    "a home by a tunnel": "2002:c0a8:101::1",
}
WRITTEN = [
    "https://localhost/",
    "https://LOCALHOST./",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://0/",
    "https://2852039166/",
    "https://%31%32%37.0.0.1/",
    "https://①②⑦.0.0.1/",
    "https://127。0。0。1/",
    "https://user@127.0.0.1/",
    "https://issuer.example@127.0.0.1/",
    "https://127.0.0.1:443#@issuer.example/",
    "https://127.0.0.1\\@issuer.example/",
    "https://issuer.example:443@127.0.0.1/",
    "http://127.0.0.1/",
    "http://issuer.example/",
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "gopher://127.0.0.1:70/_x",
    "ftp://127.0.0.1/",
    "dict://127.0.0.1:11211/stats",
    "data:text/plain,x",
    "unix:///run/docker.sock",
    "//127.0.0.1/",
    "https:/127.0.0.1/",
    "https:///127.0.0.1/",
    "https://127.0.0.1\r\nHost: x/",
    " https://127.0.0.1/",
]


class Connected(list[str]):
    """The hosts that were connected to. The interpreter tells it of every connection, whichever library makes it, and none leaves this host."""

    is_over = False

    def hear(self, event: str, values: tuple[object, ...]) -> None:
        if event == "socket.connect" and not self.is_over:
            address = values[1]
            self.append(str(address[0] if isinstance(address, tuple) else address))
            if self[-1] != "127.0.0.1":
                raise ConnectionRefusedError("there is no way to it from here")


@pytest.fixture
def connected() -> Iterator[Connected]:
    found = Connected()
    sys.addaudithook(found.hear)
    yield found
    found.is_over = True


@pytest.fixture(scope="module")
def issuers() -> Iterator[tuple[Issuer, Issuer]]:
    """One that is trusted, and one beside it."""
    made = Issuer(), Issuer()
    yield made
    for one in made:
        one.stop()


Name = Callable[..., None]


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Name:
    """Makes the name `rebound.example`: each time that somebody looks it up, the next of these addresses is what it has."""
    known = socket.getaddrinfo

    def make(*turns: list[str]) -> None:
        left = list(turns)

        def look_up(host: str, port: int, *more: object, **named: object) -> list[tuple[object, ...]]:
            if host != "rebound.example":
                return list(known(host, port, *more, **named))  # type: ignore[arg-type]
            addresses = left.pop(0) if len(left) > 1 else left[0]
            return [
                (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (one, port, 0, 0))
                if ":" in one
                else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
                for one in addresses
            ]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return make


def test_a_connection_is_heard_of(connected: Connected, issuers: tuple[Issuer, Issuer]) -> None:
    issuer, _ = issuers
    assert fetch(f"{issuer.url}/keys", issuer.url)
    assert connected == ["127.0.0.1"]


@pytest.mark.parametrize("kind", INSIDE)
def test_no_address_inside_is_connected_to(connected: Connected, name: Name, kind: str) -> None:
    """Neither by itself nor as what a name means, alone or beside others."""
    address = INSIDE[kind]
    literal = f"[{address}]" if ":" in address else address
    name([address])
    for url in (f"https://{literal}/", f"https://{literal}:8443/x", "https://rebound.example/"):
        with pytest.raises(UnavailableError) as caught:
            fetch(url, TRUSTED)
        assert caught.value.code == "BadAnswer"
    assert connected == []


@pytest.mark.parametrize("url", WRITTEN)
def test_however_it_is_written(connected: Connected, url: str) -> None:
    with pytest.raises(UnavailableError):
        fetch(url, TRUSTED)
    assert connected == []


@pytest.mark.parametrize(
    "url", ["http://rebound.example/", "https://user:word@rebound.example/", "ftp://rebound.example/"]
)
def test_what_is_outside_is_asked_over_https_alone(connected: Connected, name: Name, url: str) -> None:
    name(["198.51.99.1"])
    with pytest.raises(UnavailableError) as caught:
        fetch(url, TRUSTED)
    assert (caught.value.code, connected) == ("BadAnswer", [])


def test_of_the_addresses_of_a_name_those_inside_are_left_out(connected: Connected, name: Name) -> None:
    name(["127.0.0.1", "10.0.0.1", "2001:db8::1", "::1", "64:ff9b::10.0.0.1"])
    with pytest.raises(UnavailableError):
        fetch("https://rebound.example/", TRUSTED)
    assert connected == []


def test_a_name_that_means_something_else_the_second_time(connected: Connected, name: Name) -> None:
    """DNS rebinding: what was looked at is what is connected to, and there is no second look-up between."""
    outside = "198.51.99.1"
    name([outside], ["127.0.0.1"])
    with pytest.raises(UnavailableError):
        fetch("https://rebound.example/", TRUSTED)
    assert connected == [outside]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["inside", "file:///etc/passwd", "gopher://127.0.0.1/", "//127.0.0.1/"])
def test_an_answer_leads_nowhere(
    connected: Connected, issuers: tuple[Issuer, Issuer], status: int, target: str
) -> None:
    """Not even that of the issuer that is trusted: redirects are not followed."""
    issuer, other = issuers
    place = f"{other.url}/keys" if target == "inside" else target
    issuer.faults = {"/moved": (status, {"Location": place}, b"{}")}
    with pytest.raises(UnavailableError) as caught:
        fetch(f"{issuer.url}/moved", issuer.url)
    assert caught.value.code == "BadAnswer"
    assert other.asked == []
    assert connected == ["127.0.0.1"], "once"


ASKING = re.compile(
    r"\b(?:create_connection|HTTPS?Connection|urlopen|open_connection|connect_ex|sock_connect)\("
    r"|^\s*(?:from|import) (?:httpx2|httpcore2|urllib\.request|requests|aiohttp|ftplib|smtplib|http\.client)\b",
    re.MULTILINE,
)


def test_nothing_else_on_the_hub_asks_others() -> None:
    assert {file.name for file in SERVER.rglob("*.py") if ASKING.search(file.read_text())} == {"outgoing.py"}


def test_proxies_of_the_environment_are_not_taken_for_a_way_inside(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would look names up themselves, past what is looked at here."""
    for variable in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with pytest.raises(UnavailableError):
        fetch("https://127.0.0.1/", TRUSTED)
    assert connected == []
