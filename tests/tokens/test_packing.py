"""What is packed comes out as it went in, and a JSON Web Token takes three quarters of its length."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tokens.packing import packed, unpacked

ALPHABET = "ABCxyz019-_.=+/ é"


def jwt(*sizes: int) -> str:
    return ".".join(base64.urlsafe_b64encode(os.urandom(size)).rstrip(b"=").decode() for size in sizes)


@given(st.text(alphabet=ALPHABET) | st.text())
def test_any_text_comes_out_as_it_went_in(text: str) -> None:
    """Whether it is base64url, nearly so, or anything else."""
    assert unpacked(packed(text)) == text


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a", "QQ", "QR", "QQ==", "QUJD.", "\ud800", "\x00", "A" * 90_000, "é.QQ"], ids=ascii
)
def test_odd_texts_come_out_too(text: str) -> None:
    """Pieces without bytes, bits that a decoder drops, padding, half characters, pieces too long."""
    assert unpacked(packed(text)) == text


def test_a_token_is_a_quarter_shorter() -> None:
    """Header, claims and signature as bytes, with seven that tell where each begins."""
    token = jwt(36, 360, 64)

    assert len(packed(token)) == 36 + 360 + 64 + 7
    assert unpacked(packed(token)) == token
