"""A link permits what it says, until it expires, and cannot be made by anybody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.errors import AccessDeniedError
from tenuto.server.signing import Claims, Signer

SIGNER = Signer(b"s" * 32)
CLAIMS = Claims("upload", 7, "ab" * 32, 123, 9, 1000, "f" * 32, 2, 64)
LINK = SIGNER.sign(CLAIMS)


def test_a_link_says_what_was_signed() -> None:
    assert SIGNER.read(LINK, "upload", 999) == CLAIMS


@pytest.mark.parametrize(
    ("link", "operation", "now_s", "reason"),
    [
        (LINK, "download", 1, "something else"),
        (LINK, "upload", 1000.5, "expired"),
        (Signer(b"t" * 32).sign(CLAIMS), "upload", 1, "not signed"),
        (LINK.partition(".")[0], "upload", 1, "not signed"),
        ("", "upload", 1, "not signed"),
        (".", "upload", 1, "not signed"),
        ("!!.!!", "upload", 1, "cannot be read"),
        ("ü.ü", "upload", 1, "cannot be read"),
        ("\udc80.x", "upload", 1, "cannot be read"),
    ],
)
def test_refusals(link: str, operation: str, now_s: float, reason: str) -> None:
    with pytest.raises(AccessDeniedError, match=reason):
        SIGNER.read(link, operation, now_s)


@given(st.integers(0, len(LINK) - 1), st.sampled_from("ABCabc012_-."))
def test_no_character_can_be_changed(position: int, character: str) -> None:
    forged = LINK[:position] + character + LINK[position + 1 :]
    try:
        claims = SIGNER.read(forged, "upload", 999)
    except AccessDeniedError:
        return
    assert claims == CLAIMS  # the last character of base64 holds bits that count for nothing
