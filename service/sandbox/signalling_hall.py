"""What those in a meeting are told of each other: who is in, which streams they publish, and who is muted.

Who is in is the world's to say, however they came in: over signalling, or by a control call. Here are only the streams
that were published over signalling, and the numbers by which the plugins know participants.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.sandbox.account import Account, Record


@dataclass(frozen=True, slots=True)
class Stream:
    """What one participant publishes under one key; ``display`` as its client wrote it."""

    participant_id: str
    display: str


@dataclass(frozen=True, slots=True)
class View:
    """A meeting at one moment: participants and streams by number, and whose streams are muted."""

    people: Mapping[int, Record]
    streams: Mapping[int, Stream]
    muted: frozenset[str]


class Hall:
    """All meetings of an account, as seen over signalling."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._streams: dict[int, Stream] = {}

    def number(self) -> int:
        """One that no session, handle or stream has yet."""
        return next(self._numbers)

    def publish(self, participant_id: str, display: str) -> int:
        number = self.number()
        self.change(number, Stream(participant_id, display))
        return number

    def change(self, number: int, stream: Stream) -> None:
        with self._lock:
            self._streams[number] = stream

    def unpublish(self, number: int) -> None:
        with self._lock:
            self._streams.pop(number, None)

    def view(self, session_id: str) -> View:
        """A session now."""
        with self._account.lock, self._lock:
            people = {person_number(one["id"]): dict(one) for one in self._account.present(session_id)}
            inside = {one["id"] for one in people.values()}
            streams = {number: one for number, one in self._streams.items() if one.participant_id in inside}
            muted = frozenset(who for who in inside if self._account.presence(who).muted)
            return View(people, streams, muted)


def person_number(participant_id: str) -> int:
    """The number of a participant, which a browser can hold exactly (53 bits)."""
    return uuid.UUID(participant_id).int >> 75


def display_of(person: Record) -> str:
    """What a participant's client shows of it to the others."""
    shown = {"participantId": person["id"], "external": person["context"], "canReceiveMessages": False}
    return base64.b64encode(json.dumps(shown).encode()).decode()


def shown_in(display: object) -> Mapping[str, Any]:
    """What is in a ``display``; nothing where it is none."""
    try:
        value = json.loads(base64.b64decode(str(display), validate=True))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
