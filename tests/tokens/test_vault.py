"""Tokens as they lie in Redis come out as they went in, for their owners alone, and take three quarters of the room."""

from __future__ import annotations

import base64
import os
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.crypto import Sealer
from service.secret import SecretBytes
from service.storage.records import SealedToken
from service.storage.redis_keys import Owner
from service.tokens.policy import ClientToken
from service.tokens.vault import Vault, packed, unpacked

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


def test_a_sealed_token_opens_for_its_owner_alone() -> None:
    """It comes out with all that is known of it, and for another user, device, room or kind it is a miss."""
    vault, room_id = Vault(Sealer([SecretBytes(b"s" * 32)])), uuid4()
    alice, bob, phone = Owner("main", "alice", ""), Owner("main", "bob", ""), Owner("main", "alice", "phone")
    token = ClientToken(jwt(36, 360, 64), 1_800_000_600.0, 599.0, 600, 1_800_000_300.0)
    sealed = SealedToken(vault.seal_client_token("room", alice, room_id, token), 599.0)

    assert vault.client_token("room", alice, room_id, sealed) == token
    others = [("room", bob, room_id), ("room", phone, room_id), ("other", alice, room_id), ("room", alice, uuid4())]
    assert [vault.client_token(*other, sealed) for other in others] == [None] * 4
    assert vault.refresh_token("room", alice, room_id, sealed) is None
