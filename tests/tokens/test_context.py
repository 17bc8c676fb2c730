"""The text for the SDK's ``context``."""

from __future__ import annotations

import json
from functools import partial

import pytest

from service.crypto import TicketSigner
from service.secret import SecretBytes
from service.tokens.context import MOST_BYTES, context_text

SIGNER = TicketSigner([SecretBytes(bytes(range(32)))])


def ticket(user: str, name: str) -> str:
    """The longest ticket that a user of this id and name can get."""
    claims = {"sub": user, "room": "a" * 63, "role": "participant", "name": name, "device": "0" * 16}
    return SIGNER.sign(claims, now=4e9, lifetime=3600, ticket_id="x" * 16)


@pytest.mark.parametrize(
    ("user", "name", "shown"),
    [
        ("alice", "Alice", ("alice", "Alice")),
        ("alice", None, ("alice", "alice")),
        ("alice", "A" * 500, ("alice", "A" * 64)),
        ("alice", "\N{GRINNING FACE}" * 64, ("alice", "\N{GRINNING FACE}" * 24)),
        ("u" * 200, "\N{GRINNING FACE}" * 64, ("", "")),
        ("n" * 32 + ":" + '"' * 127, '"' * 64, ("", "")),
        ("n" * 32 + ":" + "a" * 255, "Alice", ("", "")),
    ],
)
def test_it_stays_under_a_kilobyte(user: str, name: str | None, shown: tuple[str, str]) -> None:
    """The name gives way first, then the repeated id; the ticket is always whole, and names what is shown."""
    text = context_text(user, name, "participant", partial(ticket, user))
    members = json.loads(text)

    assert len(text.encode()) < MOST_BYTES
    assert (members["id"], members["username"]) == shown
    claims = SIGNER.read(members["ticket"])
    assert claims is not None
    assert (claims["sub"], claims["name"]) == (user, members["username"])
