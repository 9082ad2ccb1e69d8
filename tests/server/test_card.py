"""The front matter of a README can be anything; reading it is safe and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.server.repos.card import FRONT_MATTER_BYTES, CardError, read_card


def card(yaml: str) -> dict[str, object] | None:
    return read_card(f"---\n{yaml}\n---\n# Title\n")


def test_a_card_becomes_plain_values() -> None:
    text = "license: mit\ntags: [audio, beats]\ndate: 2026-01-31\nnested: {a: 1, 2: b}\nnan: .nan\nbig: 99999999999999999999\n"
    assert card(text) == {
        "license": "mit",
        "tags": ["audio", "beats"],
        "date": "2026-01-31",
        "nested": {"a": 1, "2": "b"},
        "nan": "nan",
        "big": "99999999999999999999",
    }


@pytest.mark.parametrize(
    "text", ["", "# no card", "--- x\na: 1\n---\n", "---\na: 1\n", "---\n---\n", "text\n---\na: 1\n---\n"]
)
def test_a_readme_without_front_matter_has_no_card(text: str) -> None:
    assert read_card(text) is None


def test_windows_line_ends_and_a_byte_order_mark_are_fine() -> None:
    assert read_card("\ufeff---\r\nlicense: mit\r\n---\r\nx") == {"license": "mit"}


@pytest.mark.parametrize(
    ("yaml", "reason"),
    [
        ("a: &x [1]\nb: *x", "aliases"),
        ("a: " + "[" * 60 + "]" * 60, "nested"),
        ("a: " + "[" * 5000, "nested"),
        ("- 1\n- 2", "mapping"),
        ("just text", "mapping"),
        ("a: [", "expected"),
        ("a: !!python/object/apply:os.system [id]", "tag"),
        ("a: !!python/name:os.system", "tag"),
        ("? [1, 2]\n: x", "unhashable"),
        ("x" * (FRONT_MATTER_BYTES + 10), "longer"),
        ("a: 2026-99-99", "month"),
        ("a: [" + "1," * 9000 + "1]", "values"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(yaml: str, reason: str) -> None:
    with pytest.raises(CardError, match=reason):
        card(yaml)


@given(st.text(max_size=200))
def test_nothing_but_a_card_error_comes_out(text: str) -> None:
    try:
        found = card(text)
    except CardError:
        return
    assert found is None or isinstance(found, dict)


def test_escapes_that_stand_for_no_text_are_marked() -> None:
    card = read_card('---\ntags: ["a\\ud800b", "c\\0d"]\n"k\\udfff": {"x\\ud83d": [1, true]}\n---\n')
    assert card == {"tags": ["a\ufffdb", "c\ufffdd"], "k\ufffd": {"x\ufffd": [1, True]}}
