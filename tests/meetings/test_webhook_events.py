"""Webhooks as bytes: what is believed, what it says, and in which order it happened."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from service.config.settings import Settings, SettingsError
from service.errors import BadSignature, MalformedRequest
from service.meetings import webhook_events
from service.meetings.webhook_events import KINDS, LONGEST_CONTEXT, Event, in_order, read, verify
from tests.processes import environment

NOW = 1_795_358_000
STAMP = str(NOW)
BODY = b'{"data":{"payload":{}}}'
KEY = Ed25519PrivateKey.generate()
ORDER = 2**252 + 27742317777372353535851937790883648493


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def signed(body: bytes = BODY, stamp: str = STAMP, key: Ed25519PrivateKey = KEY) -> str:
    return base64.b64encode(key.sign(stamp.encode() + b"|" + body)).decode()


def believed(signature: str | None, stamp: str | None = STAMP, body: bytes = BODY, *keys: bytes) -> bool:
    try:
        verify(keys or (public(KEY),), stamp, signature, body, NOW)
    except BadSignature:
        return False
    return True


def envelope(kind: str, **changes: Any) -> dict[str, Any]:
    """The data of an event with all that its kind needs."""
    payload = {name: str(uuid4()) for name in ("room_id", "session_id", *KINDS.get(kind, ()))}
    return {
        "record_type": "event",
        "event_type": f"video.room.{kind}",
        "id": str(uuid4()),
        "occurred_at": "2026-11-22T14:50:29.521992Z",
        "payload": payload,
        **changes,
    }


def body(data: object) -> bytes:
    return json.dumps({"data": data, "meta": {"attempt": 1}}).encode()


@pytest.mark.parametrize("skew", [-300, 0, 300])
def test_a_signature_of_now_is_believed(skew: int) -> None:
    """Up to 300 s either way."""
    stamp = str(NOW + skew)

    assert believed(signed(stamp=stamp), stamp)


@pytest.mark.parametrize("skew", [-301, 301, -86_400, 10**9])
def test_a_signature_of_another_time_is_not(skew: int) -> None:
    """However good it is."""
    stamp = str(NOW + skew)

    assert not believed(signed(stamp=stamp), stamp)


def test_either_of_two_keys_is_enough() -> None:
    """While one follows the other."""
    other = Ed25519PrivateKey.generate()

    assert believed(signed(), STAMP, BODY, public(other), public(KEY))
    assert not believed(signed(), STAMP, BODY, public(other))


STAMPS = {
    "none": None,
    "empty": "",
    "a plus": f"+{STAMP}",
    "an underscore": STAMP[:3] + "_" + STAMP[3:],
    "a space behind": f"{STAMP} ",
    "a line feed behind": f"{STAMP}\n",
    "a space before": f" {STAMP}",
    "other digits": "".join(chr(0x0660 + int(digit)) for digit in STAMP),
    "a fraction": f"{STAMP}.0",
    "milliseconds": f"{STAMP}000",
    "a leading zero": f"0{STAMP}",
    "hexadecimal": hex(NOW),
    "not a number": "yesterday",
}


@pytest.mark.parametrize("name", STAMPS)
def test_a_timestamp_is_ten_digits(name: str) -> None:
    """Even where the signature over it is good."""
    stamp = STAMPS[name]

    assert not believed(signed(stamp=stamp or ""), stamp)


def _same_bits(signature: str) -> str:
    """Another spelling of the same bytes: the last character before the padding has four bits that say nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return signature[:-3] + alphabet[alphabet.index(signature[-3]) + 1] + "=="


def _with_s_plus_order(signature: str) -> str:
    raw = base64.b64decode(signature)
    s = int.from_bytes(raw[32:], "little") + ORDER
    return base64.b64encode(raw[:32] + s.to_bytes(32, "little")).decode()


SIGNATURES = {
    "none": lambda _: None,
    "empty": lambda _: "",
    "without padding": lambda good: good.rstrip("="),
    "a line feed behind": lambda good: good + "\n",
    "a space inside": lambda good: good[:40] + " " + good[40:],
    "a character from elsewhere inside": lambda good: good[:40] + "!" + good[40:],
    "twice, as a proxy would join two headers": lambda good: f"{good},{good}",
    "cut": lambda good: good[:60],
    "63 bytes": lambda good: base64.b64encode(base64.b64decode(good)[:63]).decode(),
    "65 bytes": lambda good: base64.b64encode(base64.b64decode(good) + b"x").decode(),
    "hexadecimal": lambda good: base64.b64decode(good).hex(),
    "the same bytes spelt otherwise": _same_bits,
    "the same point with a larger scalar": _with_s_plus_order,
    "zeros": lambda _: base64.b64encode(bytes(64)).decode(),
    "of another key": lambda _: signed(key=Ed25519PrivateKey.generate()),
    "of another body": lambda _: signed(BODY + b" "),
    "of another time": lambda _: signed(stamp=str(NOW - 1)),
    "of the body alone": lambda _: base64.b64encode(KEY.sign(BODY)).decode(),
    "an HMAC with the public key": lambda _: base64.b64encode(
        hmac.digest(public(KEY), STAMP.encode() + b"|" + BODY, hashlib.sha512)
    ).decode(),
    "an HMAC of the Standard Webhooks kind": lambda _: (
        "v1," + base64.b64encode(hmac.digest(public(KEY), b"id." + STAMP.encode() + b"." + BODY, "sha256")).decode()
    ),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_bad_signature_is_not_believed(name: str) -> None:
    """Anything but the one base64 text of the 64 bytes that one of the keys signed."""
    assert believed(signed())
    assert not believed(SIGNATURES[name](signed()))


def test_a_bit_changed_anywhere_is_noticed() -> None:
    """In the body, the signature or the timestamp."""
    rng = random.Random(1)
    long_body = body(envelope("participant.joined"))
    good = base64.b64decode(signed(long_body))
    for _ in range(2000):
        parts = [bytearray(long_body), bytearray(good), bytearray(STAMP.encode())]
        chosen = rng.choice(parts)
        chosen[rng.randrange(len(chosen))] ^= 1 << rng.randrange(8)
        stamp = parts[2].decode("latin-1")
        assert not believed(base64.b64encode(parts[1]).decode(), stamp, bytes(parts[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_of_each_kind_is_read(kind: str) -> None:
    """With the ids that say what it is about."""
    data = envelope(kind)
    event = read(body(data))

    assert event is not None
    assert (event.kind, event.ident, str(event.room_id)) == (kind, data["id"], data["payload"]["room_id"])
    assert Event.from_bytes(event.to_bytes()) == event


@pytest.mark.parametrize("event_type", ["video.room.participant.muted", "call.initiated", "participant.joined", "x"])
def test_an_event_of_another_kind_is_none(event_type: str) -> None:
    """Whatever its payload is: other products and days to come."""
    assert read(body(envelope("x", event_type=event_type))) is None


SPELLINGS = [
    "2026-11-22T14:50:29.521992Z",
    "2026-11-22 14:50:29.521992Z",
    "2026-11-22T14:50:29.521992",
    "2026-11-22T15:50:29.521992+01:00",
    "2026-11-22T14:50:29.521992999Z",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_moment_may_be_spelt_as_telnyx_does(text: str) -> None:
    """With a space for the T, as its own examples have it; without a zone it is UTC; to the microsecond."""
    event = read(body(envelope("session.ended", occurred_at=text)))

    assert event is not None
    assert event.at == 1_795_359_029_521_992


BODIES = {
    "not UTF-8": b'{"data":"\xff"}',
    "not JSON": b"data=1",
    "empty": b"",
    "nested without end": b"[" * 60_000,
    "a number with more digits than any": b'{"data":' + b"9" * 5000 + b"}",
    "a list": b"[]",
    "no data": b"{}",
    "data is a text": body("x"),
    "no id": body({name: value for name, value in envelope("session.ended").items() if name != "id"}),
    "an empty id": body(envelope("session.ended", id="")),
    "an id that is a number": body(envelope("session.ended", id=7)),
    "a long id": body(envelope("session.ended", id="x" * 256)),
    "no type": body(envelope("session.ended", event_type=None)),
    "no moment": body(envelope("session.ended", occurred_at=None)),
    "a moment that is none": body(envelope("session.ended", occurred_at="soon")),
    "a moment before time": body(envelope("session.ended", occurred_at="0000-01-01T00:00:00Z")),
    "no payload": body(envelope("session.ended", payload=None)),
    "a payload that is a list": body(envelope("session.ended", payload=[])),
    "no room": body(envelope("session.ended", payload={"session_id": str(uuid4())})),
    "a room that is no id": body(envelope("session.ended", payload={"room_id": "../x", "session_id": str(uuid4())})),
    "nobody who joined": body(envelope("participant.joined", payload=envelope("session.ended")["payload"])),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_is_no_event_is_refused(name: str) -> None:
    """As the sender's fault, never as a bug of ours."""
    with pytest.raises(MalformedRequest):
        read(BODIES[name])


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["9999-12-31T23:59:59-23:59"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(["event_type", "id", "occurred_at", "payload", "room_id", "session_id", "context"]),
    JUNK,
)
def test_anything_in_an_event_is_read_or_refused(kind: str, member: str, junk: object) -> None:
    """Nothing that stands in one is a bug of ours, and what is read can be kept."""
    data = envelope(kind)
    (data if member in data else data["payload"])[member] = junk
    try:
        event = read(body(data))
    except MalformedRequest:
        return
    assert event is None or Event.from_bytes(event.to_bytes()) == event


@pytest.mark.parametrize("context", ["\x00", "\ud800", "ü" * LONGEST_CONTEXT, ""], ids=["nul", "half", "long", "none"])
def test_any_context_is_kept(context: str) -> None:
    """A participant may show what it likes: no text of its choosing makes an event unreadable."""
    data = envelope("participant.joined")
    data["payload"]["context"] = context
    event = read(body(data))

    assert event is not None
    assert Event.from_bytes(event.to_bytes()).context == context


@pytest.mark.parametrize("context", [None, 7, {"ticket": "x"}, "x" * (LONGEST_CONTEXT + 1)])
def test_a_context_that_holds_no_ticket_of_ours_is_empty(context: object) -> None:
    """Of the wrong type, or longer than any that was handed out."""
    data = envelope("participant.joined")
    data["payload"]["context"] = context
    event = read(body(data))

    assert event is not None
    assert event.context == ""


def test_events_are_put_in_the_order_in_which_they_happened() -> None:
    """Each once; of one microsecond the end comes last."""
    room, session, person = uuid4(), uuid4(), uuid4()
    joined = Event("2", webhook_events.JOINED, 5, room, session, person)
    left = Event("1", webhook_events.LEFT, 5, room, session, person)
    started = Event("3", webhook_events.STARTED, 4, room, session)

    assert in_order([left, joined, started, left]) == [started, joined, left]


def test_the_kinds_are_a_closed_set() -> None:
    """What is reported of an event that is not known names nothing of it."""
    assert webhook_events.label(None) == webhook_events.OTHER
    assert webhook_events.label(Event("1", webhook_events.LEFT, 5, UUID(int=1), UUID(int=2))) == webhook_events.LEFT


def keys_of(text: str) -> tuple[bytes, ...]:
    return Settings.from_env(environment(None, "redis://127.0.0.1:1", TELNYX_PUBLIC_KEYS=text)).telnyx_public_keys


def test_one_key_or_two_may_be_set() -> None:
    """The new one and the old one, each with its padding or without; none if webhooks are not used."""
    first, second = (base64.b64encode(public(Ed25519PrivateKey.generate())).decode() for _ in range(2))

    assert keys_of(f"{first}, {second}") == (base64.b64decode(first), base64.b64decode(second))
    assert keys_of(first) == keys_of(first.rstrip("=")) == (base64.b64decode(first),)
    assert keys_of("") == ()


@pytest.mark.parametrize("text", ["x", "AAAA", "A" * 42, "!" + "A" * 43 + "=", "A" * 43 + "=;" + "A" * 43 + "="])
def test_a_key_is_32_bytes_in_base64(text: str) -> None:
    """What the portal shows, and nothing of another length or alphabet."""
    with pytest.raises(SettingsError, match="TELNYX_PUBLIC_KEYS"):
        keys_of(text)


def test_three_keys_are_too_many() -> None:
    """A rotation has two."""
    with pytest.raises(SettingsError, match="TELNYX_PUBLIC_KEYS"):
        keys_of(",".join(["A" * 43 + "="] * 3))
