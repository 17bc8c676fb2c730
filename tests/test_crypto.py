"""Sealed values open for their owner alone, and tickets are verifiable and nothing else."""

from __future__ import annotations

import os

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.crypto import TICKET_AUDIENCE, TICKET_TYPE, Sealer, TicketSigner, length_prefixed
from service.secret import SecretBytes

OLD, NEW = SecretBytes(os.urandom(32)), SecretBytes(os.urandom(32))
OWNER = ("client token", "default", "alice", "standup", "room-id", "")


def test_a_sealed_value_opens_for_its_owner() -> None:
    """What was sealed comes back, and twice sealed never looks the same."""
    sealer = Sealer([NEW])
    one, other = sealer.seal(b"value", *OWNER), sealer.seal(b"value", *OWNER)

    assert sealer.open(one, *OWNER) == sealer.open(other, *OWNER) == b"value"
    assert one != other


@pytest.mark.parametrize("position", range(len(OWNER)))
def test_a_sealed_value_opens_for_nobody_else(position: int) -> None:
    """Another kind, issuer, user, room or device is a miss."""
    sealer = Sealer([NEW])
    other = [*OWNER]
    other[position] += "x"

    assert sealer.open(sealer.seal(b"value", *OWNER), *other) is None


def test_parts_of_an_owner_do_not_run_into_each_other() -> None:
    """('a', 'b:c') and ('a:b', 'c') are two owners."""
    sealer = Sealer([NEW])

    assert sealer.open(sealer.seal(b"v", "a", "b:c"), "a:b", "c") is None


@given(st.data())
def test_a_corrupted_value_is_a_miss(data: st.DataObject) -> None:
    """Any flipped bit or missing end gives ``None``, never another value and never an exception."""
    sealer = Sealer([NEW])
    sealed = bytearray(sealer.seal(b"value", *OWNER))
    place = data.draw(st.integers(0, len(sealed) - 1))
    if data.draw(st.booleans()):
        sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del sealed[place:]

    assert sealer.open(bytes(sealed), *OWNER) is None


def test_after_a_rotation_old_values_open_and_new_ones_use_the_new_secret() -> None:
    """The first secret seals, all open; a process that has dropped the old secret sees a miss."""
    old, rotated, later = Sealer([OLD]), Sealer([NEW, OLD]), Sealer([NEW])
    sealed_before, sealed_after = old.seal(b"v", *OWNER), rotated.seal(b"v", *OWNER)

    assert rotated.open(sealed_before, *OWNER) == later.open(sealed_after, *OWNER) == b"v"
    assert later.open(sealed_before, *OWNER) is None


_tuples = st.lists(st.text(), max_size=4).map(tuple)


@given(_tuples, _tuples)
def test_length_prefixing_is_injective(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Two tuples have one encoding exactly if they are equal."""
    assert (length_prefixed(*one) == length_prefixed(*other)) == (one == other)


def test_a_ticket_is_verified_by_the_published_keys() -> None:
    """A ticket carries its own type and audience and verifies against the JWK set, of every current secret."""
    signer = TicketSigner([NEW, OLD])
    before = TicketSigner([OLD])
    tickets = [
        each.sign({"sub": "alice"}, now=1_790_000_000.0, lifetime=60.0, ticket_id="1") for each in (signer, before)
    ]
    keys = jwt.PyJWKSet.from_dict(signer.jwks())

    for ticket in tickets:
        header = jwt.get_unverified_header(ticket)
        claims = jwt.decode(
            ticket,
            keys[header["kid"]],
            algorithms=["EdDSA"],
            audience=TICKET_AUDIENCE,
            options={"verify_exp": False, "verify_iat": False},
        )
        assert (header["typ"], claims["sub"], claims["exp"]) == (TICKET_TYPE, "alice", 1_790_000_060)


def test_the_published_keys_hold_no_private_part() -> None:
    """The JWK set names public members only."""
    for key in TicketSigner([NEW]).jwks()["keys"]:
        assert set(key) == {"crv", "kty", "x", "kid", "use", "alg"}
