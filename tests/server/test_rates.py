"""How often somebody may ask: counted in windows, told in headers, and never a matter of somebody else's requests."""

from collections.abc import Iterator

import pytest

from tenuto.server.http.rates import Attempts, Patience, Windows, network_of
from tenuto.server.hub import Limits
from tenuto.server.routes import make_routes
from tenuto.testing.live_hub import LiveHub
from tests.server.talk import Talk, small

T0 = 1_800_000_000_000
WINDOW_S = 10_000_000
"""So long that none ends while these tests run."""


def test_a_window_counts_each_caller_and_begins_anew() -> None:
    windows = Windows(window_s=300)
    now_ms = T0 // 300_000 * 300_000 + 1000
    for left in (2, 1, 0):
        rate, is_within = windows.count("api", 7, 3, now_ms)
        assert (rate.left, is_within, rate.reset_s) == (left, True, 299)
    assert windows.count("api", 7, 3, now_ms)[1] is False
    assert windows.count("api", 8, 3, now_ms)[1] is True
    assert windows.count("pages", 7, 3, now_ms)[1] is True
    assert windows.count("api", 7, 3, now_ms + 298_999)[1] is False
    assert windows.count("api", 7, 3, now_ms + 299_000)[1] is True


def test_the_headers_are_those_of_the_hub() -> None:
    windows = Windows(window_s=300)
    rate, _ = windows.count("api", 7, 2, 55_000)
    assert rate.headers() == {"RateLimit": '"api";r=1;t=245', "RateLimit-Policy": '"fixed window";"api";q=2;w=300'}
    rate, _ = windows.count("api", 7, 2, 55_000)
    assert rate.headers()["Retry-After"] == "245"


def test_callers_without_end_do_not_fill_the_memory() -> None:
    windows = Windows()
    for number in range(100_200):
        windows.count("api", f"192.0.2.{number}", 3, T0)
    assert len(windows._counts) <= 100_001


def test_each_route_is_counted_in_the_quota_of_its_kind() -> None:
    kinds = {}
    for route in make_routes():
        kinds.setdefault(route.quota, set()).add(route.pattern)
    assert all(pattern.startswith(("/api/", "/oauth/")) for pattern in kinds["api"])
    assert {"/login", "/", "/{W}/{namespace}/{name}", "/static/{file}"} <= kinds["pages"]
    assert not [pattern for pattern in kinds["pages"] if "git" in pattern or "lfs" in pattern]
    for word in ("resolve", "raw", "/lfs/upload", "/xet/", "git-upload-pack", "info/lfs/locks"):
        assert any(word in pattern for pattern in kinds["resolvers"]), word


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_of_ipv6_a_customer_is_counted_and_not_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


def test_failures_beyond_the_free_ones_have_to_wait_longer_and_longer() -> None:
    attempts, keys, now_ms, waits = Attempts(), {"account a": Patience(3, 60)}, T0, []
    for _ in range(3):
        assert attempts.begin(keys, now_ms) == 0
    for _ in range(8):
        wait_s = attempts.begin(keys, now_ms)
        waits.append(wait_s)
        now_ms += wait_s * 1000
        assert attempts.begin(keys, now_ms) == 0
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert attempts.begin({"account b": Patience(3, 60)}, now_ms) == 0


def test_a_success_is_no_failure_and_an_hour_heals() -> None:
    attempts, account, address = Attempts(), "account a", "address x"
    keys = {account: Patience(2, 60), address: Patience(3, 60)}
    for _ in range(20):
        assert attempts.begin(keys, T0) == 0
        attempts.succeed(account, address)
    for _ in range(2):
        attempts.begin(keys, T0)
    assert attempts.begin(keys, T0) > 0
    assert attempts.begin(keys, T0 + 3_600_000) == 0


def test_what_has_to_wait_is_not_counted() -> None:
    attempts, keys = Attempts(), {"account a": Patience(1, 60)}
    attempts.begin(keys, T0)
    assert {attempts.begin(keys, T0) for _ in range(100)} == {1}


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with LiveHub(limits=Limits(requests=40, requests_window_s=WINDOW_S)) as live:
        yield live


def test_requests_are_counted_by_account_and_told(hub: LiveHub, speak) -> None:
    ann, other_ann, bob = speak(hub.user("ann")), speak(hub.user("ann")), speak(hub.user("bob"))
    first = ann.get("/api/whoami-v2")
    assert first.headers["RateLimit"].startswith('"api";r=39;t=')
    assert first.headers["RateLimit-Policy"] == f'"fixed window";"api";q=40;w={WINDOW_S}'
    answers = [talk.get("/api/whoami-v2") for _ in range(20) for talk in (ann, other_ann)]
    assert [one.status_code for one in answers[:39]] == [200] * 39
    last = answers[-1]
    assert (last.status_code, last.headers["X-Error-Code"]) == (429, "RateLimited")
    assert int(last.headers["Retry-After"]) <= WINDOW_S
    assert last.headers["RateLimit"].startswith('"api";r=0;t=')
    assert bob.get("/api/whoami-v2").status_code == 200


def test_bytes_have_a_quota_of_their_own_which_holds_for_what_is_in_memory_too(hub: LiveHub, speak) -> None:
    cat = speak(hub.user("cat"))
    cat.create("cat/open").raise_for_status()
    cat.commit("cat/open", small("a.txt", b"a")).raise_for_status()
    answers = [cat.client.head("/cat/open/resolve/main/a.txt") for _ in range(401)]
    assert {one.status_code for one in answers[:400]} == {200}
    assert answers[-1].status_code == 429
    assert cat.get("/api/whoami-v2").status_code == 200


def test_a_request_counts_once_however_it_is_answered(hub: LiveHub, speak) -> None:
    """Facts at hand and the answer not: it is admitted twice, and asked once."""
    eve = speak(hub.user("eve"))
    eve.create("eve/open").raise_for_status()
    eve.commit("eve/open", *(small(f"{number}.txt", b"a") for number in range(5))).raise_for_status()
    left = [
        int(eve.client.head(f"/eve/open/resolve/main/{number}.txt").headers["RateLimit"].split("r=")[1].split(";")[0])
        for number in (0, 1, 2, 2, 3, 4, 4)
    ]
    assert left == list(range(399, 392, -1))


def test_who_has_no_account_has_less_and_who_guesses_tokens_is_told_to_wait(hub: LiveHub, speak) -> None:
    nobody = speak(None)
    assert [nobody.get("/api/models").status_code for _ in range(11)] == [200] * 10 + [429]
    wrong = [speak(f"hf_{number}").get("/api/whoami-v2") for number in range(4)]
    assert [one.status_code for one in wrong] == [401, 401, 429, 429]
    assert wrong[-1].headers["RateLimit-Policy"] == f'"fixed window";"tokens";q=2;w={WINDOW_S}'
    assert speak(hub.user("dan")).get("/api/whoami-v2").status_code == 200, "from the same address"


def test_strangers_leave_those_at_their_address_what_they_ask_without_a_token(speak) -> None:
    with LiveHub(limits=Limits(requests=40, requests_window_s=WINDOW_S)) as own:
        nobody = Talk(own.url, None)
        assert [nobody.get("/api/models").status_code for _ in range(11)][-1] == 429
        card = {"content": "---\n{}\n---\n", "repoType": "model"}
        assert [nobody.post("/api/validate-yaml", card).status_code for _ in range(11)] == [200] * 10 + [429]
        logins = [nobody.client.post("/oauth/device", data={"client_id": "x"}) for _ in range(10)]
        assert {one.status_code for one in logins} == {200}
        asked = nobody.client.post("/oauth/token", data={"grant_type": "none"})
        assert asked.headers["RateLimit"].startswith('"logins";r=0;'), "both ends of a login share one quota"
        nobody.close()


def test_nothing_is_counted_where_nobody_asked_for_it(speak) -> None:
    with LiveHub() as hub:
        talk = Talk(hub.url, hub.admin_token)
        assert "RateLimit" not in talk.get("/api/whoami-v2").headers
        talk.close()
