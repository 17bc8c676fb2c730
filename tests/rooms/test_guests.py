"""Guests without a server: what codes look like, what admission makes of an invite, whose bearer is a guest's."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.clock import rfc3339
from service.crypto import GUEST_AUDIENCE, GUEST_ISSUER, GuestSigner, TicketSigner
from service.errors import Banned, Closed, InvalidRequest, InvalidToken, NotOpenYet, RecordUnreadable, RoomNotFound
from service.identity import key_sources
from service.identity.issuers import read_issuer
from service.identity.setting import Faults
from service.identity.verifier import Invited, Principal, Verifier
from service.rooms.access import decide_entry
from service.rooms.aliases import is_alias
from service.rooms.guests import guest_issuer
from service.rooms.invites import LONGEST_SECS, Invite, new_code, read_code
from service.rooms.models import Ban, Member, Role, Room
from service.secret import SecretBytes
from tests.identity.forge import AUDIENCE, ISSUER, NOW, SECRET, MovableClock, ask, b64, token

OURS, FOREIGN = SecretBytes(os.urandom(32)), SecretBytes(os.urandom(32))
INVITE_ID = "3f1c9a52e07b64d8"
CLAIMS = {"sub": "Vb0rR1x8mWqLk2Zd", "room": "standup", "role": "participant", "invite": INVITE_ID}
EVERYBODY = {"authenticated": True, "role": "moderator"}


def verifier() -> Verifier:
    """One that knows the guests of ``OURS`` beside an issuer of people."""
    people = read_issuer(
        {"issuer": ISSUER, "audience": AUDIENCE, "hs256_secret": SECRET, "trust": "admin,rooms,claims"}
    )
    table, clock = (people, guest_issuer(GuestSigner([OURS]).public_keys())), MovableClock()
    return Verifier(table, key_sources.build(table, clock), clock, "rooms:admin", lambda *_: None)


def bearer(secret: SecretBytes = OURS, *, now: float = NOW, seconds: float = 600, **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return GuestSigner([secret]).sign(claims, now=now, expires_at=now + seconds)


def guest(room: str = "standup", invite_id: str = INVITE_ID) -> Principal:
    return Principal("guest:x", "guest", None, False, (), {}, {}, NOW, None, Invited(room, invite_id))


def room_of(*access: dict[str, Any], **spec: Any) -> Room:
    room_id = UUID("0ccc7b54-4df3-4bca-a65a-35a1ecc777f0")
    return Room.of("standup", {"access": list(access), **spec}, room_id=room_id, now=NOW)


def invite_of(role: str = "participant", ends: float = 60.0) -> Invite:
    code = f"standup.{INVITE_ID}.{'0' * 22}"
    return Invite.of(code, {"role": role, "expires_at": rfc3339(NOW + ends)}, created_by="mia", now=NOW)


def test_a_guests_bearer_makes_a_guest() -> None:
    """Bound to its room and invite, under an id that no issuer can give."""
    principal = ask(verifier(), bearer(name="Grace"))

    assert (principal.user, principal.issuer, principal.name) == ("guest:Vb0rR1x8mWqLk2Zd", "guest", "Grace")
    assert principal.invited == Invited("standup", INVITE_ID)


def test_guests_are_trusted_with_nothing() -> None:
    """Were the service ever to sign such claims, nothing would follow from them."""
    principal = ask(verifier(), bearer(scope="rooms:admin", groups=["eng"], rooms={"other": "moderator"}))

    assert (principal.admin, principal.groups, principal.claims, principal.rooms) == (False, (), {}, {})


def test_people_are_no_guests() -> None:
    """Claims of another issuer that read like a guest's bind nobody."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": int(NOW), "exp": int(NOW) + 60, **CLAIMS}

    assert ask(verifier(), token(claims)).invited is None


@pytest.mark.parametrize(
    "text",
    [
        bearer(FOREIGN),
        bearer(room=None),
        bearer(invite=None),
        bearer(invite=7),
        bearer(sub=None),
        bearer(now=NOW - 3600),
        bearer(seconds=13 * 3600),
        token({**CLAIMS, "iss": GUEST_ISSUER, "aud": GUEST_AUDIENCE, "iat": int(NOW), "exp": int(NOW) + 60}),
        TicketSigner([OURS]).sign(CLAIMS, now=NOW, lifetime=60, ticket_id="1"),
    ],
    ids=[
        "another secret",
        "no room",
        "no invite",
        "an invite that is no text",
        "no subject",
        "ended",
        "too long a life",
        "signed by an issuer of people",
        "a context ticket",
    ],
)
def test_what_only_looks_like_a_guests_bearer_is_refused(text: str) -> None:
    """Each is certainly bad."""
    with pytest.raises(InvalidToken):
        ask(verifier(), text)


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "logout+jwt", "room-ticket+jwt"])
def test_another_type_under_the_same_key_is_no_bearer(typ: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of another purpose could not be presented even if one key had signed it."""
    monkeypatch.setattr("service.crypto.GUEST_TYPE", typ)

    with pytest.raises(InvalidToken):
        ask(verifier(), bearer())


def test_one_secret_gives_each_purpose_its_own_key() -> None:
    """What tickets are verified with is not what guests are verified with."""
    (ticket_key,) = TicketSigner([OURS]).jwks()["keys"]
    (guest_key,) = GuestSigner([OURS]).public_keys()

    assert ticket_key["x"] != b64(guest_key.public_bytes_raw())


@pytest.mark.parametrize("user", ["guest:x", "guest:"])
def test_no_issuer_gives_the_id_of_a_guest(user: str) -> None:
    """Not even the default one, whose ids stand as they are."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": int(NOW), "exp": int(NOW) + 60, "sub": user}

    with pytest.raises(InvalidToken):
        ask(verifier(), token(claims))


def test_no_issuer_is_called_guest() -> None:
    """A table that has one is refused at start."""
    with pytest.raises(Faults, match="name: is what this service calls its own guests"):
        read_issuer({"name": "guest", "issuer": ISSUER, "audience": AUDIENCE, "hs256_secret": SECRET})


def test_no_table_grants_what_guests_have() -> None:
    """That a bearer stands for an invite is not for an issuer to say."""
    with pytest.raises(Faults, match="trust"):
        read_issuer({"issuer": ISSUER, "audience": AUDIENCE, "hs256_secret": SECRET, "trust": "invite"})


@pytest.mark.parametrize("role", Role)
def test_a_guest_has_the_role_of_the_invite(role: Role) -> None:
    """Whatever the rules of the room say of everybody, and for no longer than the invite."""
    assert decide_entry(room_of(EVERYBODY), guest(), None, None, NOW, invite_of(role)) == (role, NOW + 60)


@pytest.mark.parametrize(
    ("principal", "invite"),
    [(guest(), None), (guest("other"), invite_of()), (guest(invite_id="0" * 16), invite_of())],
    ids=["revoked", "another room", "another invite"],
)
def test_a_guest_without_the_invite_has_no_role(principal: Principal, invite: Invite | None) -> None:
    """Not by a rule for everybody, nor by a member's entry."""
    member = Member.of(principal.user, {"role": "moderator"})

    with pytest.raises(RoomNotFound):
        decide_entry(room_of(EVERYBODY, {"members": True}), principal, member, None, NOW, invite)


def test_an_invite_is_nothing_to_others() -> None:
    """Somebody who is no guest gets no role by an invite that happens to be at hand."""
    somebody = Principal("alice", "default", None, False, (), {}, {}, NOW, None)

    with pytest.raises(RoomNotFound):
        decide_entry(room_of(), somebody, None, None, NOW, invite_of())


@pytest.mark.parametrize(
    ("room", "ban", "ends", "expected"),
    [
        (room_of(), Ban("guest:x", None), 60.0, Banned),
        (room_of(opens_at=rfc3339(NOW + 30)), None, 60.0, NotOpenYet),
        (room_of(closes_at=rfc3339(NOW - 30)), None, 60.0, Closed),
        (room_of(), None, 1.0, Closed),
    ],
    ids=["banned", "not open yet", "closed", "the invite has ended"],
)
def test_a_guest_is_refused_as_anybody(room: Room, ban: Ban | None, ends: float, expected: type[Exception]) -> None:
    """Bans and windows hold for guests too, and the end of the invite is the end of the window."""
    with pytest.raises(expected):
        decide_entry(room, guest(), None, ban, NOW + 2, invite_of(ends=ends))


@given(st.text(max_size=150))
def test_any_text_is_a_code_or_none(text: str) -> None:
    """Reading one never fails, and only a code's own shape is one."""
    place = read_code(text)

    assert place is None or text.startswith(f"{place[0]}.{place[1]}.")


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True))
def test_a_new_code_is_read_as_what_it_was_made_for(alias: str) -> None:
    """For every alias, and no two are alike."""
    code = new_code(alias).reveal()

    assert read_code(code) == ((alias, code.split(".")[1]) if is_alias(alias) else None)
    assert new_code(alias).reveal() != code


def test_an_invite_survives_storing() -> None:
    """What is read back is what was written."""
    invite = invite_of("moderator")

    assert Invite.parse(invite.to_bytes()) == invite


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b'{"id":"x"}', b"\xff"], ids=repr)
def test_a_record_that_cannot_be_read_decides_nothing(raw: bytes) -> None:
    """It is our trouble, not the guest's."""
    with pytest.raises(RecordUnreadable):
        Invite.parse(raw)


@pytest.mark.parametrize("ends", [-1.0, 0.0, LONGEST_SECS + 1.0])
def test_an_invite_ends_within_thirty_days(ends: float) -> None:
    """And not before it begins."""
    with pytest.raises(InvalidRequest):
        invite_of(ends=ends)
