"""Flag over environment over manifest over user file over default, for every setting in the table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import UsageError
from tenuto.core.settings import (
    LINK_MODES,
    PUBLIC_HUB,
    SETTINGS,
    Setting,
    Settings,
    check_endpoint,
    rate_bytes_per_s,
    resolve,
)

SAMPLES: dict[str, list[object]] = {
    "cache_limit": ["1GB", "50 GB", "500kB", "2TiB"],
    "endpoint": ["http://flag.test", "http://environment.test", "http://manifest.test", "http://user.test"],
    "link": ["copy", "symlink", "hardlink", "reflink"],
    "bandwidth": ["20MB/s", "500kB/s", "1.5 GB/s", "9B/s"],
    "xet": ["always", "off", "auto", "always"],
    "offline": [True, "1", True, True],
    "progress": [False, "0", False, False],
}


def samples(setting: Setting) -> list[object]:
    if setting.key in SAMPLES:
        return SAMPLES[setting.key]
    if setting.type is str:
        return [f"{setting.key}-{layer}" for layer in range(4)]
    return [setting.type(layer + 11) for layer in range(4)]


def refusal(**layers: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        resolve(**layers)
    return caught.value


def test_the_table_and_the_values_have_the_same_names() -> None:
    assert (*(setting.key for setting in SETTINGS), "origins") == Settings._fields
    assert all(setting.purpose and setting.environment for setting in SETTINGS)


def test_defaults() -> None:
    found = resolve()
    assert {setting.key: getattr(found, setting.key) for setting in SETTINGS} == {s.key: s.default for s in SETTINGS}
    assert set(found.origins.values()) == {"default"}
    assert found.endpoint == PUBLIC_HUB


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
class TestEverySetting:
    @pytest.mark.parametrize("given_from", range(1, 16), ids=lambda bits: f"{bits:04b}")
    def test_precedence(self, setting: Setting, given_from: int) -> None:
        values = samples(setting)
        layers: list[dict[str, object]] = [{}, {}, {}, {}]
        for number in range(4):
            if given_from >> number & 1:
                key = setting.environment[0] if number == 1 else setting.key
                layers[number] = {key: str(values[number]) if number == 1 else values[number]}
        found = resolve(*layers)
        first = next(number for number in range(4) if given_from >> number & 1)
        origin = ("flag", "environment", "manifest", "user file")[first]
        assert found.origins[setting.key] == origin
        expected = {"1": True, "0": False}.get(str(values[first]), values[first])
        assert getattr(found, setting.key) == expected
        assert type(getattr(found, setting.key)) is setting.type

    def test_none_is_not_given(self, setting: Setting) -> None:
        nothing = {setting.key: None}
        assert resolve(nothing, {}, nothing, nothing) == resolve()

    def test_an_empty_variable_is_not_given(self, setting: Setting) -> None:
        assert resolve(environment=dict.fromkeys(setting.environment, "")) == resolve()

    def test_the_first_variable_wins(self, setting: Setting) -> None:
        values = [str(value) for value in samples(setting)]
        variables = dict(zip(setting.environment, values, strict=False))
        assert getattr(resolve(environment=variables), setting.key) == getattr(
            resolve(environment={setting.environment[0]: values[0]}), setting.key
        )
        for variable in setting.environment:
            assert resolve(environment={variable: values[0]}).origins[setting.key] == "environment"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", True),
        ("true", True),
        ("YES", True),
        ("On", True),
        ("0", False),
        ("False", False),
        ("no", False),
        ("off", False),
    ],
)
def test_booleans(text: str, value: bool) -> None:
    assert resolve(environment={"HF_HUB_OFFLINE": text}).offline is value
    assert resolve(user_file={"offline": value}).offline is value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("jobs", "many"),
        ("jobs", "0"),
        ("jobs", "-3"),
        ("jobs", "2.5"),
        ("timeout_s", "nan"),
        ("timeout_s", "0"),
        ("timeout_s", "inf"),
        ("timeout_s", "soon"),
        ("retries", "-1"),
        ("hub_port", "65536"),
        ("hub_port", "http"),
        ("offline", "maybe"),
        ("link", "teleport"),
        ("xet", "maybe"),
        ("bandwidth", "fast"),
        ("bandwidth", "0MB/s"),
        ("bandwidth", "20"),
        ("bandwidth", "-1MB/s"),
    ],
)
def test_a_wrong_value_names_its_source(key: str, value: str) -> None:
    variable = next(setting.environment[0] for setting in SETTINGS if setting.key == key)
    error = refusal(environment={variable: value})
    assert (error.code, error.exit_status) == ("BadCommand", 2)
    assert variable in str(error)
    assert value in str(error)
    for layer, origin in (("flags", "flag"), ("manifest", "manifest"), ("user_file", "user file")):
        error = refusal(**{layer: {key: value}})
        assert f"`{key}`" in str(error)
        assert f"({origin})" in str(error)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("jobs", True),
        ("jobs", 2.5),
        ("jobs", [8]),
        ("cache", 5),
        ("cache", True),
        ("offline", 2),
        ("offline", []),
        ("timeout_s", False),
        ("link", 1),
    ],
)
def test_a_value_of_another_type(key: str, value: object) -> None:
    assert refusal(user_file={key: value}).code == "BadCommand"


def test_whole_numbers_do_for_seconds() -> None:
    found = resolve(user_file={"timeout_s": 5})
    assert (found.timeout_s, type(found.timeout_s)) == (5.0, float)


@pytest.mark.parametrize(
    ("text", "rate"), [("20MB/s", 20e6), ("500 kB/s", 500e3), ("1.5GB/s", 1.5e9), ("7B/s", 7.0), (None, None)]
)
def test_a_bandwidth_in_bytes_a_second(text: str | None, rate: float | None) -> None:
    assert rate_bytes_per_s(text) == rate


def test_every_link_mode_is_accepted() -> None:
    assert [resolve({"link": mode}).link for mode in LINK_MODES] == list(LINK_MODES)


def test_the_token_is_shown_by_nobody() -> None:
    found = resolve(environment={"HF_TOKEN": "hf_canary"})
    assert found.token == "hf_canary"
    assert "hf_canary" not in f"{found!r} {found!s} {found} {[found]}"
    assert "***" in repr(found)
    assert "None" in repr(resolve())
    assert "hf_canary" not in str(refusal(user_file={"token": ["hf_canary"]}))


class TestEndpoint:
    @pytest.mark.parametrize(
        ("text", "endpoint"),
        [
            ("https://huggingface.co", "https://huggingface.co"),
            ("https://huggingface.co/", "https://huggingface.co"),
            ("http://127.0.0.1:8010", "http://127.0.0.1:8010"),
            ("http://[::1]:8010/", "http://[::1]:8010"),
            ("https://host.test/hub/", "https://host.test/hub"),
        ],
    )
    def test_accepted(self, text: str, endpoint: str) -> None:
        assert check_endpoint(text) == endpoint
        assert resolve({"endpoint": text}).endpoint == endpoint

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "host",
            "host:8010",
            "ftp://x",
            "file:///etc",
            "https://",
            "https:///x",
            "http:/x",
            "http://a b",
            "http://h?x=1",
            "http://h#x",
            "http://h\n",
            "http://h\x00",
            "http://evil\\.test",
            "javascript:x",
        ],
    )
    def test_refused(self, text: str) -> None:
        with pytest.raises(UsageError) as caught:
            check_endpoint(text)
        assert caught.value.code == "BadAddress"

    def test_credentials_are_refused_and_not_repeated(self) -> None:
        with pytest.raises(UsageError) as caught:
            check_endpoint("https://me:hf_canary@hub.test")
        assert "hf_canary" not in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from([setting.key for setting in SETTINGS]),
        st.one_of(st.text(max_size=9), st.integers(), st.floats(), st.booleans(), st.none()),
    )
)
def test_any_user_file_is_read_or_refused(content: dict[str, object]) -> None:
    try:
        found = resolve(user_file=content)
    except UsageError:
        return
    assert found.jobs >= 1
    assert found.timeout_s > 0
    assert 0 <= found.hub_port <= 65535
