"""What Telnyx tells of its rooms: signatures over raw bytes, envelopes, the order of what happened (docs/telnyx.md 7).

Rules for editors:
* pure: bytes and a time come in, an event or an error goes out;
* nothing is read of a body before its signature was found good, and the signature is read strictly: what two readers
  could understand differently is refused;
* what happened is put in order by ``occurred_at``, never by arrival.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from service.errors import BadSignature, MalformedRequest
from service.rooms.models import dump

TOLERANCE_SECS: Final = 300
LONGEST_ID: Final = 255
# Longer ones hold no ticket of ours.
LONGEST_CONTEXT: Final = 4096
OTHER: Final = "other"
_PREFIX: Final = "video.room."
_STAMP: Final = re.compile(r"[0-9]{10}", re.ASCII)
# 64 bytes: 86 characters and two of padding.
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/]{86}==", re.ASCII)

STARTED: Final = "session.started"
ENDED: Final = "session.ended"
JOINED: Final = "participant.joined"
LEFT: Final = "participant.left"
RECORDED: Final = "recording.completed"
COMPOSED: Final = "composition.completed"
# Each kind with the members that say what else than a room and a session it is about.
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    STARTED: (),
    ENDED: (),
    JOINED: ("participant_id",),
    LEFT: ("participant_id",),
    "recording.started": ("participant_id", "recording_id"),
    RECORDED: ("participant_id", "recording_id"),
    COMPOSED: ("composition_id",),
}
# Of what happened in the same microsecond, what ends something comes last.
_LAST: Final = (LEFT, ENDED)


@dataclass(frozen=True, slots=True)
class Event:
    """One event. ``at`` is ``occurred_at`` in microseconds since the epoch; ``context`` is what a participant shows;
    ``media_id`` is that of a recording or composition.
    """

    ident: str
    kind: str
    at: int
    room_id: UUID
    session_id: UUID
    participant_id: UUID | None = None
    context: str = ""
    media_id: UUID | None = None

    def to_bytes(self) -> bytes:
        """For keeping until it has taken effect."""
        ids = (self.room_id, self.session_id, self.participant_id, self.media_id)
        texts = [None if one is None else str(one) for one in ids]
        return dump([self.ident, self.kind, self.at, *texts, self.context])

    @classmethod
    def from_bytes(cls, raw: bytes) -> Event:
        """Raises ``ValueError`` or ``TypeError`` for bytes that are none of ``to_bytes``."""
        ident, kind, at, room, session, participant, media, context = json.loads(raw)
        return cls(ident, kind, int(at), UUID(room), UUID(session), _maybe(participant), context, _maybe(media))


def verify(keys: Sequence[bytes], stamp: str | None, signature: str | None, body: bytes, now: float) -> None:
    """Raises ``BadSignature`` unless one of ``keys`` (raw Ed25519) signed ``stamp|body`` at most 300 s from ``now``."""
    if stamp is None or signature is None or not _STAMP.fullmatch(stamp) or not _SIGNATURE.fullmatch(signature):
        raise BadSignature
    if abs(now - int(stamp)) > TOLERANCE_SECS:
        raise BadSignature
    raw = base64.b64decode(signature, validate=True)
    # The last character has bits to spare; only one spelling of a signature counts.
    if base64.b64encode(raw).decode("ascii") != signature:
        raise BadSignature
    if not any(_signed_by(key, raw, stamp.encode("ascii") + b"|" + body) for key in keys):
        raise BadSignature


def _signed_by(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def read(body: bytes) -> Event | None:
    """The event of a body whose signature is good, ``None`` for one of a kind that we do not know.

    Raises ``MalformedRequest`` for what is not Telnyx's envelope, and for a known kind that lacks what makes it one.
    """
    try:
        data = json.loads(body.decode("utf-8"))["data"]
        event_type, ident = _text(data["event_type"]), _text(data["id"])
        at, payload = _micros(_text(data["occurred_at"])), dict(data["payload"])
        kind = event_type.removeprefix(_PREFIX)
        if event_type == kind or kind not in KINDS:
            return None
        ids = {name: UUID(_text(payload[name])) for name in ("room_id", "session_id", *KINDS[kind])}
    except (ValueError, LookupError, TypeError, RecursionError):
        raise MalformedRequest("The body is not an event of Telnyx Video") from None
    context = payload.get("context")
    return Event(
        ident,
        kind,
        at,
        ids["room_id"],
        ids["session_id"],
        ids.get("participant_id"),
        context if isinstance(context, str) and len(context) <= LONGEST_CONTEXT else "",
        ids.get("recording_id") or ids.get("composition_id"),
    )


def label(event: Event | None) -> str:
    """The event's kind, out of a small closed set."""
    return OTHER if event is None else event.kind


def in_order(events: Sequence[Event]) -> list[Event]:
    """As they happened, each once, whatever the order and number in which they arrived."""
    once = {event.ident: event for event in events}
    return sorted(once.values(), key=lambda event: (event.at, event.kind in _LAST, event.ident))


def _text(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_ID:
        raise ValueError("not a short text")
    return value


def _micros(text: str) -> int:
    """Examples have a space where RFC 3339 has a ``T`` (docs/telnyx.md 3.3); a moment without a zone is UTC."""
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def _maybe(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
