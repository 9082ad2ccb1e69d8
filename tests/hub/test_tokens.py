"""Which token goes where: the table of docs/decisions/0002-which-token-goes-where.md, on real files and real requests."""

import os
import stat
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tenuto.core.errors import AuthenticationError, StorageError
from tenuto.core.settings import PUBLIC_HUB, Settings, resolve
from tenuto.hub.bandwidth import BURST_S
from tenuto.hub.tokens import Connector, Found, connect, find_token, forget_login, save_login
from tests.hub.scripted import Reply, serving

HUB = "https://hub.test:8443"
ENVIRONMENT, HF, LOGIN = "hf_fromEnvironment", "hf_fromHfFile", "hf_fromLogin"
IDENTITY = Reply(200, b'{"name": "ann"}')


class Home:
    """A user's folders, with what settings say in each of their layers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hf_token = folder / "hf" / "token"
        self.logins = folder / "config" / "logins.json"

    def settings(self, origin: str, endpoint: str, environment: Mapping[str, str] | None = None) -> Settings:
        """Settings in which `endpoint` comes from `origin`."""
        where = {"HF_HOME": str(self.folder / "hf"), "TENUTO_CONFIG": str(self.folder / "config")}
        variables = {**where, **(environment or {})}
        layer: dict[str, object] = {"endpoint": endpoint}
        match origin:
            case "flag":
                return resolve(flags=layer, environment=variables)
            case "TENUTO_ENDPOINT" | "HF_ENDPOINT":
                return resolve(environment={**variables, origin: endpoint})
            case "user file":
                return resolve(environment=variables, user_file=layer)
            case "default":
                assert endpoint == PUBLIC_HUB
                return resolve(environment=variables)
            case _:
                return resolve(environment=variables, manifest=layer)

    def write_hf(self, content: bytes = f"{HF}\n".encode()) -> None:
        """As `hf auth login` does."""
        self.hf_token.parent.mkdir(exist_ok=True)
        self.hf_token.write_bytes(content)

    def log_in(self, endpoint: str, token: str = LOGIN) -> None:
        """As `tenuto login --endpoint` does."""
        save_login(self.settings("flag", endpoint), token)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


NAMED_BY_THE_USER = [
    ("flag", HUB),
    ("TENUTO_ENDPOINT", HUB),
    ("HF_ENDPOINT", HUB),
    ("user file", HUB),
    ("default", PUBLIC_HUB),
    ("manifest", PUBLIC_HUB),
]


class TestHubsThatTheUserNamed:
    @pytest.mark.parametrize(("origin", "endpoint"), NAMED_BY_THE_USER)
    @pytest.mark.parametrize(
        "variable", ["TENUTO_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN"]
    )
    def test_get_the_token_of_the_environment(self, home: Home, origin: str, endpoint: str, variable: str) -> None:
        settings = home.settings(origin, endpoint, {variable: ENVIRONMENT})
        assert find_token(settings) == Found(ENVIRONMENT, "environment")

    @pytest.mark.parametrize(("origin", "endpoint"), NAMED_BY_THE_USER)
    def test_get_the_token_of_hf(self, home: Home, origin: str, endpoint: str) -> None:
        home.write_hf()
        assert find_token(home.settings(origin, endpoint)) == Found(HF, "hf")

    @pytest.mark.parametrize(("origin", "endpoint"), NAMED_BY_THE_USER[:4])
    def test_get_the_token_of_a_login(self, home: Home, origin: str, endpoint: str) -> None:
        home.write_hf()
        home.log_in(HUB)
        assert find_token(home.settings(origin, endpoint)) == Found(LOGIN, "tenuto login")

    def test_the_environment_comes_before_logins(self, home: Home) -> None:
        home.write_hf()
        home.log_in(HUB)
        settings = home.settings("flag", HUB, {"HF_TOKEN": ENVIRONMENT})
        assert find_token(settings).token == ENVIRONMENT

    @pytest.mark.parametrize("written", ["  hf_fromEnvironment\n", "hf_fromEnvironment\r\n"])
    def test_the_end_of_a_line_is_no_part_of_a_token(self, home: Home, written: str) -> None:
        settings = home.settings("flag", HUB, {"HF_TOKEN": written})
        assert find_token(settings).token == ENVIRONMENT

    @pytest.mark.parametrize("written", ["", "  \n"])
    def test_an_empty_token_is_none(self, home: Home, written: str) -> None:
        home.write_hf(written.encode())
        assert find_token(home.settings("flag", HUB, {"HF_TOKEN": written})) == Found(None, None)

    def test_there_need_not_be_one(self, home: Home) -> None:
        assert find_token(home.settings("default", PUBLIC_HUB)) == Found(None, None, withheld=False)


class TestHubsThatOnlyAManifestNames:
    def test_do_not_get_the_token_of_the_environment(self, home: Home) -> None:
        settings = home.settings("manifest", HUB, {"HF_TOKEN": ENVIRONMENT})
        assert find_token(settings) == Found(None, None, withheld=True)

    def test_do_not_get_the_token_of_hf(self, home: Home) -> None:
        home.write_hf()
        assert find_token(home.settings("manifest", HUB)) == Found(None, None, withheld=True)

    def test_get_the_token_of_a_login(self, home: Home) -> None:
        home.write_hf()
        home.log_in(HUB)
        settings = home.settings("manifest", HUB, {"HF_TOKEN": ENVIRONMENT})
        assert find_token(settings) == Found(LOGIN, "tenuto login", withheld=False)

    @pytest.mark.parametrize(
        "other",
        ["https://hub.test", "https://hub.test:8444", "http://hub.test:8443", "https://hub.test.evil:8443",
         "https://evil.test:8443", "https://hub.test:8443/sub", PUBLIC_HUB],
    )  # fmt: skip
    def test_do_not_get_the_login_of_another(self, home: Home, other: str) -> None:
        home.log_in(other)
        assert find_token(home.settings("manifest", HUB)).token is None

    @pytest.mark.parametrize(
        "almost", ["http://huggingface.co", "https://huggingface.co:443", "https://huggingface.co.evil.test"]
    )
    def test_the_public_hub_is_exactly_that_one(self, home: Home, almost: str) -> None:
        home.write_hf()
        settings = home.settings("manifest", almost, {"HF_TOKEN": ENVIRONMENT})
        assert find_token(settings).token is None

    def test_nothing_is_withheld_where_there_is_nothing(self, home: Home) -> None:
        assert find_token(home.settings("manifest", HUB)) == Found(None, None, withheld=False)

    def test_no_request_carries_it(self, home: Home) -> None:
        home.write_hf()
        with serving(lambda _seen: IDENTITY) as server:
            hostile = home.settings("manifest", server.url, {"HF_TOKEN": ENVIRONMENT})
            with connect(hostile).session as session:
                session.request("GET", "api/whoami-v2")
            with connect(home.settings("flag", server.url, {"HF_TOKEN": ENVIRONMENT})).session as session:
                session.request("GET", "api/whoami-v2")
            first, second = server.seen
        assert "authorization" not in first.headers
        assert ENVIRONMENT not in repr(first)
        assert HF not in repr(first)
        assert second.headers["authorization"] == f"Bearer {ENVIRONMENT}"


class TestLogins:
    def test_are_for_this_user_alone(self, home: Home) -> None:
        before = os.umask(0)
        try:
            home.log_in(HUB)
            home.log_in(PUBLIC_HUB)
        finally:
            os.umask(before)
        for file in (home.logins, home.hf_token):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    def test_an_open_file_is_closed_by_the_next_login(self, home: Home) -> None:
        home.log_in(HUB)
        home.logins.chmod(0o644)
        home.log_in("https://other.test")
        assert stat.S_IMODE(home.logins.stat().st_mode) == 0o600

    def test_one_a_hub(self, home: Home) -> None:
        home.log_in(HUB, "hf_one")
        home.log_in("http://other.test", "hf_other")
        home.log_in(HUB, "hf_two")
        assert find_token(home.settings("manifest", HUB)).token == "hf_two"
        assert find_token(home.settings("manifest", "http://other.test")).token == "hf_other"

    def test_of_many_at_once_none_is_lost(self, home: Home) -> None:
        hubs = [f"https://hub{number}.test" for number in range(40)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(home.log_in, hubs))
        assert all(find_token(home.settings("manifest", hub)).token == LOGIN for hub in hubs)

    def test_a_folder_that_is_a_file_holds_none(self, home: Home) -> None:
        (home.folder / "config").write_text("")
        assert find_token(home.settings("flag", HUB)).token is None

    def test_the_public_hub_shares_its_token_with_hf(self, home: Home) -> None:
        home.log_in(PUBLIC_HUB)
        assert home.hf_token.read_text().strip() == LOGIN
        assert not home.logins.exists()

    @pytest.mark.parametrize("endpoint", [HUB, PUBLIC_HUB])
    def test_are_forgotten(self, home: Home, endpoint: str) -> None:
        settings = home.settings("flag", endpoint)
        assert forget_login(settings) is False
        home.log_in("https://stays.test", "hf_stays")
        home.log_in(endpoint)
        assert forget_login(settings) is True
        assert find_token(settings).token is None
        assert forget_login(settings) is False
        assert find_token(home.settings("manifest", "https://stays.test")).token == "hf_stays"
        assert LOGIN not in home.logins.read_text()

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'{"a": "\xff"}', b"\xff\xfe{"])
    def test_a_file_that_cannot_be_read(self, home: Home, content: bytes) -> None:
        home.log_in(HUB)
        home.logins.write_bytes(content)
        for call in (find_token, forget_login, lambda settings: save_login(settings, LOGIN)):
            with pytest.raises(StorageError, match=r"logins\.json") as caught:
                call(home.settings("flag", HUB))
            assert (caught.value.exit_status, "login" in (caught.value.hint or "")) == (7, True)
        assert home.logins.read_bytes() == content, "what cannot be read is not replaced"

    def test_a_token_file_that_cannot_be_read(self, home: Home) -> None:
        home.write_hf(b"\xff\xfe\x00hf")
        with pytest.raises(StorageError) as caught:
            find_token(home.settings("flag", HUB))
        assert str(home.hf_token) in caught.value.message

    def test_a_folder_in_their_place(self, home: Home) -> None:
        home.logins.mkdir(parents=True)
        with pytest.raises(StorageError):
            find_token(home.settings("flag", HUB))


class TestWhatSettingsSay:
    def test_conversations_with_two_hubs_share_one_bandwidth(self, home: Home) -> None:
        body = Reply(200, bytes(500_000))
        connector, began_s = Connector(), time.monotonic()
        with serving(lambda _seen: body) as one, serving(lambda _seen: body) as other:
            for server in (one, other):
                remote = connector(home.settings("flag", server.url, {"TENUTO_BANDWIDTH": "1MB/s"}))
                with remote.session as session:
                    session.request("GET", "x")
        assert time.monotonic() - began_s >= 1.0 - 2 * BURST_S

    def test_commits_and_chunks(self, home: Home) -> None:
        variables = {"TENUTO_COMMIT_FILES": "7", "TENUTO_XET": "always"}
        remote = connect(home.settings("flag", HUB, variables))
        assert (remote.commit_files, remote.xet) == (7, "always")
        limited = connect(home.settings("flag", HUB, {**variables, "TENUTO_BANDWIDTH": "1MB/s"}))
        assert limited.xet == "off", "its transfers know no limit"


class TestSecrecy:
    def test_nothing_shows_a_token(self, home: Home) -> None:
        home.log_in(HUB)
        settings = home.settings("flag", HUB, {"HF_TOKEN": ENVIRONMENT})
        found = find_token(settings)
        remote = connect(settings)
        shown = f"{found!r} {found} {settings!r} {settings} {remote!r} {remote.session!r}"
        remote.session.close()
        assert ENVIRONMENT not in shown
        assert LOGIN not in shown
        assert Found(None, None) != found

    def test_nor_does_an_error(self, home: Home) -> None:
        secret = "hf_gut\u00fc"
        with pytest.raises(AuthenticationError) as caught:
            connect(home.settings("flag", HUB, {"HF_TOKEN": secret}))
        assert "hf_gut" not in f"{caught.value!r} {caught.value.message} {caught.value.hint}"
        assert caught.value.exit_status == 3

    def test_nor_does_a_damaged_file(self, home: Home) -> None:
        home.log_in(HUB)
        home.logins.write_text(home.logins.read_text()[:-4])
        with pytest.raises(StorageError) as caught:
            find_token(home.settings("flag", HUB))
        assert LOGIN not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.hint}"
