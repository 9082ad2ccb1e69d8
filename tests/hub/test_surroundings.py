"""What the environment says about proxies and certificates, with a real proxy, and a server that an own authority vouches for."""

import base64
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tenuto.core.errors import UnavailableError, UsageError
from tenuto.hub.session import Session
from tests.hub.proxy import proxying
from tests.hub.scripted import OK, in_turn, serving

CANARY = "hf_canaryCanaryCanary"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Authority(NamedTuple):
    """An own authority: the file of its certificate, a folder with it as OpenSSL wants it, and a server for which it vouches."""

    file: str
    folder: str
    server: ssl.SSLContext


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*PROXIES, *CERTIFICATES):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)


def openssl(folder: Path, *arguments: str) -> str:
    """Run openssl in a folder."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl here")
    return subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Made for this file."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another one, as a company has it whose proxy reads along."""
    return make_authority(tmp_path_factory.mktemp("company"))


def make_authority(folder: Path) -> Authority:
    """Keys and certificates, in that folder."""
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl(folder, "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Own authority")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
    signed = (*signed, "-addext", "basicConstraints=CA:FALSE")
    openssl(folder, "req", "-x509", *new_key, *signed, "-keyout", "key", "-out", "pem", "-subj", "/CN=127.0.0.1")
    (folder / "trusted").mkdir()
    hashed = openssl(folder, "x509", "-hash", "-noout", "-in", "ca.pem").strip()
    shutil.copy(folder / "ca.pem", folder / "trusted" / f"{hashed}.0")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem", folder / "key")
    return Authority(str(folder / "ca.pem"), str(folder / "trusted"), context)


@pytest.mark.parametrize(
    ("variable", "is_folder"),
    [
        ("SSL_CERT_FILE", False),
        ("SSL_CERT_DIR", True),
        ("REQUESTS_CA_BUNDLE", False),
        ("REQUESTS_CA_BUNDLE", True),
        ("CURL_CA_BUNDLE", False),
    ],
)
def test_an_own_authority_is_trusted_where_the_environment_names_it(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str, is_folder: bool
) -> None:
    with serving(in_turn([OK]), authority.server) as server:
        with Session(server.url, CANARY) as session, pytest.raises(UnavailableError, match="certificate") as caught:
            session.request("GET", "x")
        assert "SSL_CERT_FILE" in (caught.value.hint or "")
        assert session.requests_made == 1, "to try again would not help"
        assert server.seen == []
        monkeypatch.setenv(variable, authority.folder if is_folder else authority.file)
        with Session(server.url, CANARY, retries=0) as session:
            assert session.request("GET", "x").status == 200


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_certificates_that_cannot_be_read_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "bundle.pem").write_bytes(content)
    monkeypatch.setenv(variable, str(tmp_path / "bundle.pem"))
    with pytest.raises(UsageError, match="certificates that the environment names") as caught:
        Session("https://127.0.0.1:9")
    assert variable in (caught.value.hint or "")


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_https_goes_through_a_tunnel_and_the_proxy_learns_no_token(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", authority.file)
    with serving(in_turn([OK]), authority.server) as server, proxying() as proxy:
        monkeypatch.setenv(variable, f"http://{proxy.place}")
        with Session(server.url, CANARY) as session:
            assert session.request("POST", "x", body=b"secret words").status == 200
        assert proxy.heads == [f"CONNECT {server.url.removeprefix('https://')} HTTP/1.1"]
        assert server.seen[0].headers["authorization"] == f"Bearer {CANARY}"
        assert len(proxy.received) > 200
        for secret in (CANARY.encode(), b"secret words", b"uthorization"):
            assert secret not in proxy.received


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_proxy_that_reads_along_is_believed_where_the_environment_names_its_authority(
    authority: Authority, company: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with serving(in_turn([OK]), authority.server) as server, proxying(disguise=company.server) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.place}")
        for trusted in (None, authority.file):  # nobody, and the hub's own authority: not the one that the proxy has
            if trusted:
                monkeypatch.setenv(variable, trusted)
            with Session(server.url, CANARY) as session, pytest.raises(UnavailableError, match="not trusted") as caught:
                session.request("GET", "x")
            assert caught.value.exit_status == 6
            assert "if a proxy stands between" in (caught.value.hint or "")
        assert server.seen == []
        assert CANARY.encode() not in proxy.received
        monkeypatch.setenv(variable, company.file)
        with Session(server.url, CANARY) as session:
            assert session.request("POST", "x", body=b"words").status == 200
        assert b"words" in proxy.received
        assert server.seen[0].headers["authorization"] == f"Bearer {CANARY}"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_http_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    with serving(in_turn([OK])) as server, proxying() as proxy:
        monkeypatch.setenv(variable, proxy.place)
        with Session(server.url) as session:
            assert session.request("GET", "x?y=1").status == 200
        assert proxy.heads == [f"GET {server.url}/x?y=1 HTTP/1.1"]
        assert len(server.seen) == 1


@pytest.mark.parametrize("spared", ["127.0.0.1", "example.org, 127.0.0.1", "*"])
def test_hosts_that_need_no_proxy(monkeypatch: pytest.MonkeyPatch, spared: str) -> None:
    with serving(in_turn([OK])) as server, proxying() as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://{proxy.place}")
        monkeypatch.setenv("NO_PROXY", spared)
        with Session(server.url) as session:
            assert session.request("GET", "x").status == 200
        assert proxy.heads == []


def test_a_proxy_that_wants_to_know_who_asks(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", authority.file)
    known = f"Basic {base64.b64encode(b'me:password').decode()}"
    with serving(in_turn([OK]), authority.server) as server, proxying(known) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:password@{proxy.place}")
        with Session(server.url, CANARY) as session:
            assert session.request("GET", "x").status == 200
        assert "proxy-authorization" not in server.seen[0].headers
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:wrongword@{proxy.place}")
        with Session(server.url, CANARY) as session, pytest.raises(UnavailableError, match="407") as caught:
            session.request("GET", "x")
        assert "the proxy on the way" in caught.value.message
        assert len(proxy.heads) == 2  # once is enough
        assert "wrongword" not in f"{caught.value!r} {caught.value.hint}"


@pytest.mark.parametrize("place", ["carrier-pigeon://me:password@home", "http://me:password@h:port"])
def test_a_proxy_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", place)
    with pytest.raises(UsageError, match="proxy that the environment names") as caught:
        Session("https://127.0.0.1:9")
    assert "password" not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
