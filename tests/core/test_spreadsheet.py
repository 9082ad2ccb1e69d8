"""What a spreadsheet would compute is shown to it as text."""

import pytest

from tenuto.core.spreadsheet import harmless_cell


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x"]
)
def test_a_formula_is_a_text(text: str) -> None:
    assert harmless_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["", "1+1", "plain", "a=b", 1, -1, None, True])
def test_what_is_no_formula_stays_what_it_is(value: object) -> None:
    assert harmless_cell(value) is value
