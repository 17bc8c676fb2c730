"""What the participants of a meeting are told of each other: who is in, who publishes which stream, and who is muted.

The account knows who is in, however they joined: over signalling or by a control call. This module keeps only the
streams that were published over signalling, and the numbers by which the Janus plugins know participants.
"""

import base64
import itertools
import json
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.sandbox.account import Account
from service.sandbox.resources import Resource


@dataclass(frozen=True, slots=True)
class Stream:
    """What one participant publishes under one key; ``display`` as its client wrote it."""

    participant_id: str
    display: str


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting at one moment: participants and streams by number, and the ids of the muted participants."""

    participants: Mapping[int, Resource]
    streams: Mapping[int, Stream]
    muted: frozenset[str]


class StreamRegistry:
    """The streams of all meetings of an account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._streams: dict[int, Stream] = {}

    def new_number(self) -> int:
        """One that no session, handle or stream has yet."""
        return next(self._numbers)

    def publish(self, participant_id: str, display: str) -> int:
        number = self.new_number()
        self.change(number, Stream(participant_id, display))
        return number

    def change(self, number: int, stream: Stream) -> None:
        with self._lock:
            self._streams[number] = stream

    def unpublish(self, number: int) -> None:
        with self._lock:
            self._streams.pop(number, None)

    def meeting(self, session_id: str) -> Meeting:
        """A session now."""
        with self._account.lock, self._lock:
            participants = {participant_number(one["id"]): dict(one) for one in self._account.present(session_id)}
            present = {one["id"] for one in participants.values()}
            streams = {number: one for number, one in self._streams.items() if one.participant_id in present}
            muted = frozenset(ident for ident in present if self._account.presence(ident).muted)
            return Meeting(participants, streams, muted)


def participant_number(participant_id: str) -> int:
    """The number of a participant, which a browser can hold exactly (53 bits)."""
    return uuid.UUID(participant_id).int >> 75


def display_of(participant: Resource) -> str:
    """What a participant's client shows of it to the others."""
    shown = {"participantId": participant["id"], "external": participant["context"], "canReceiveMessages": False}
    return base64.b64encode(json.dumps(shown).encode()).decode()


def read_display(display: object) -> Mapping[str, Any]:
    """What a ``display`` says; nothing if it is none."""
    try:
        value = json.loads(base64.b64decode(str(display), validate=True))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
