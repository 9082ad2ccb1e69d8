"""Texts in tables that people open with a spreadsheet."""

from typing import TypeVar

T = TypeVar("T")
_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # the last as wide as CJK letters


def harmless_cell(value: T) -> T | str:
    """`value`, with an apostrophe before a text that a spreadsheet would take for a formula (OWASP, CSV Injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
