"""The state of a pretend Telnyx account and its rules: rooms, sessions, participants, client tokens. No HTTP.

Every method takes the lock, reads the world's own clock, and raises ``ApiError`` where the API would answer one.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from service.sandbox import errors
from service.sandbox.clock import MovableClock, micros, seconds
from service.sandbox.switches import Switches
from service.sandbox.tokens import BadToken, TokenSigner

Record = dict[str, Any]

_ROOM_LIMITS: Final = {"max_participants": (2, 50), "webhook_timeout_secs": (0, 30)}
_TEXTS: Final = ("unique_name", "webhook_event_url", "webhook_event_failover_url")
TOKEN_TTL: Final = (10, 3600)
REFRESH_TTL: Final = (60, 86_400)


class World:
    """One account."""

    def __init__(self, signer: TokenSigner, clock: MovableClock, switches: Switches, state: Path | None = None) -> None:
        self._signer = signer
        self._clock = clock
        self._switches = switches
        self._state = state
        self._lock = threading.RLock()
        self.rooms: dict[str, Record] = {}
        self.sessions: dict[str, Record] = {}
        self.participants: dict[str, Record] = {}
        self._held_tokens: dict[str, float] = {}
        if state is not None and state.exists():
            self.rooms = json.loads(state.read_text("utf-8"))

    def reset(self) -> None:
        """An account just opened."""
        with self._lock:
            self.rooms.clear()
            self.sessions.clear()
            self.participants.clear()
            self._held_tokens.clear()
            self._save()

    def create_room(self, body: Mapping[str, Any]) -> Record:
        with self._lock:
            fields = self._room_fields(body)
            now = micros(self._clock.now())
            room = {
                "active_session_id": None,
                "created_at": now,
                "enable_recording": False,
                "id": str(uuid.uuid4()),
                "max_participants": 10,
                "record_type": "room",
                "unique_name": None,
                "updated_at": now,
                "video_codecs": ["h264", "vp8"],
                "webhook_event_failover_url": "",
                "webhook_event_url": None,
                "webhook_timeout_secs": None,
                **fields,
            }
            self.rooms[room["id"]] = room
            self._save()
            return room

    def update_room(self, room_id: str, body: Mapping[str, Any]) -> Record:
        """Members that are absent stay (UPSTREAM 10, row 17)."""
        with self._lock:
            room = self.room(room_id)
            room.update(self._room_fields(body, room_id), updated_at=micros(self._clock.now()))
            self._save()
            return room

    def room(self, room_id: str) -> Record:
        with self._lock:
            found = self.rooms.get(room_id.lower())
            if found is None:
                raise errors.not_found()
            return found

    def delete_room(self, room_id: str) -> None:
        """Everybody in it is removed (UPSTREAM 6)."""
        with self._lock:
            room = self.room(room_id)
            for participant in self._present(room["active_session_id"]):
                self.leave(participant["id"], "room_deleted")
            del self.rooms[room["id"]]
            self._save()

    def sessions_of(self, room_id: str) -> list[Record]:
        with self._lock:
            self.room(room_id)
            return [session for session in self.sessions.values() if session["room_id"] == room_id.lower()]

    def generate_token(self, room_id: str, body: Mapping[str, Any]) -> Record:
        with self._lock:
            if room_id.lower() not in self.rooms:
                raise errors.forbidden() if self._switches["generate_unknown_room"] == 403 else errors.not_found()
            ttl = self._ttl(body, "token_ttl_secs", TOKEN_TTL, 600)
            refresh_ttl = self._ttl(body, "refresh_token_ttl_secs", REFRESH_TTL, 3600)
            now = self._clock.now()
            return {
                # The live API's own spelling (UPSTREAM 5.1).
                "recort_type": "client_token",
                "refresh_token": self._signer.make("refresh", room_id.lower(), now, refresh_ttl),
                "refresh_token_expires_at": seconds(now + refresh_ttl),
                "token": self._signer.make("access", room_id.lower(), now, ttl),
                "token_expires_at": seconds(now + ttl),
            }

    def refresh_token(self, room_id: str, body: Mapping[str, Any]) -> Record:
        with self._lock:
            presented = body.get("refresh_token")
            if not isinstance(presented, str) or not presented:
                raise errors.missing("refresh_token")
            now = self._clock.now()
            try:
                grant = self._signer.check(presented, "refresh", now)
            except BadToken:
                raise self._refresh_refused() from None
            if grant.room_id != room_id.lower() and self._switches["refresh_other_room"] == "refuse":
                raise self._refresh_refused()
            if grant.room_id not in self.rooms:
                raise errors.not_found() if self._switches["refresh_deleted_room"] == 404 else errors.forbidden()
            ttl = self._ttl(body, "token_ttl_secs", TOKEN_TTL, 600)
            return {
                "token": self._signer.make("access", grant.room_id, now, ttl),
                "token_expires_at": seconds(now + ttl),
            }

    def join(self, token: str, context: str | None, participant_id: str | None) -> Record:
        """A simulated participant enters the room that its client token names."""
        with self._lock:
            grant = self._joining_grant(token)
            room = self.room(grant.room_id)
            session = self._running_session(room)
            if len(self._present(session["id"])) >= room["max_participants"]:
                raise errors.ApiError(403, "10010", "request rejected", "The room is full.")
            now = micros(self._clock.now())
            participant = {
                "context": context,
                "id": (participant_id or str(uuid.uuid4())).lower(),
                "joined_at": now,
                "left_at": None,
                "record_type": "room_participant",
                "session_id": session["id"],
                "updated_at": now,
                "left_reason": None,
            }
            self.participants[participant["id"]] = participant
            self._held_tokens[participant["id"]] = grant.expires
            return participant

    def hold(self, participant_id: str, token: str) -> Record:
        """``updateClientToken`` of the SDK: the participant goes on with a new token for the same room."""
        with self._lock:
            participant = self.participant(participant_id)
            grant = self._joining_grant(token)
            if grant.room_id != self.sessions[participant["session_id"]]["room_id"]:
                raise errors.forbidden()
            if participant["left_at"] is None:
                self._held_tokens[participant["id"]] = grant.expires
            return participant

    def participant(self, participant_id: str) -> Record:
        with self._lock:
            found = self.participants.get(participant_id.lower())
            if found is None:
                raise errors.not_found()
            return found

    def leave(self, participant_id: str, reason: str) -> None:
        """The last one to leave ends the session."""
        with self._lock:
            participant = self.participant(participant_id)
            if participant["left_at"] is not None:
                return
            now = micros(self._clock.now())
            participant.update(left_at=now, updated_at=now, left_reason=reason)
            self._held_tokens.pop(participant["id"], None)
            if not self._present(participant["session_id"]):
                self._end(self.sessions[participant["session_id"]])

    def tick(self) -> None:
        """Drop whoever's token has expired (UPSTREAM 5.3)."""
        with self._lock:
            now = self._clock.now()
            for participant_id in [held for held, expires in self._held_tokens.items() if expires <= now]:
                self.leave(participant_id, "token_expired")

    def now(self) -> float:
        """The sandbox's time, epoch seconds."""
        return self._clock.now()

    def mint(self, room_id: str, ttl: float, refresh_ttl: float = 3600.0) -> Record:
        """A token pair for a fault: of any life, for any room, existing or not."""
        now = self._clock.now()
        return {
            "refresh_token": self._signer.make("refresh", room_id, now, refresh_ttl),
            "refresh_token_expires_at": seconds(now + refresh_ttl),
            "token": self._signer.make("access", room_id, now, ttl),
            "token_expires_at": seconds(now + ttl),
        }

    def _refresh_refused(self) -> errors.ApiError:
        by_status = {401: errors.unauthenticated, 404: errors.not_found}
        status = self._switches["refresh_refused"]
        if status == 422:
            return errors.invalid("refresh_token", "is invalid")
        return by_status.get(status, errors.forbidden)()

    def _joining_grant(self, token: str) -> Any:
        try:
            return self._signer.check(token, "access", self._clock.now())
        except BadToken as why:
            raise errors.ApiError(401, "10009", "unauthorized", f"The client token is {why}.") from None

    def _present(self, session_id: str | None) -> list[Record]:
        return [
            participant
            for participant in self.participants.values()
            if participant["session_id"] == session_id and participant["left_at"] is None
        ]

    def _running_session(self, room: Record) -> Record:
        if room["active_session_id"] is not None:
            return self.sessions[room["active_session_id"]]
        now = micros(self._clock.now())
        session = {
            "active": True,
            "created_at": now,
            "ended_at": None,
            "id": str(uuid.uuid4()),
            "record_type": "room_session",
            "room_id": room["id"],
            "updated_at": now,
        }
        self.sessions[session["id"]] = session
        room["active_session_id"] = session["id"]
        return session

    def _end(self, session: Record) -> None:
        now = micros(self._clock.now())
        session.update(active=False, ended_at=now, updated_at=now)
        room = self.rooms.get(session["room_id"])
        if room is not None and room["active_session_id"] == session["id"]:
            room["active_session_id"] = None

    def _ttl(self, body: Mapping[str, Any], field: str, limits: tuple[int, int], default: int) -> int:
        value = _coerced_int(body.get(field, default), field)
        least, most = limits
        if not least <= value <= most:
            rule = self._switches["ttl_out_of_range"]
            if rule == "refuse":
                raise errors.out_of_range(field, least, most)
            value = value if rule == "accept" else min(most, max(least, value))
        return value

    def _room_fields(self, body: Mapping[str, Any], own_id: str | None = None) -> Record:
        """What the request sets; unknown members are ignored, as the live API seems to do (UPSTREAM 8, 9)."""
        fields: Record = {name: body[name] for name in _TEXTS if name in body}
        for name, value in fields.items():
            if value is not None and not isinstance(value, str):
                raise errors.invalid(name, "must be a string")
        for name, (least, most) in _ROOM_LIMITS.items():
            if body.get(name) is not None:
                fields[name] = _coerced_int(body[name], name)
                if not least <= fields[name] <= most:
                    raise errors.out_of_range(name, least, most)
        if "enable_recording" in body:
            fields["enable_recording"] = _coerced_bool(body["enable_recording"], "enable_recording")
        self._check_name(fields.get("unique_name"), own_id)
        return fields

    def _check_name(self, name: str | None, own_id: str | None) -> None:
        taken = [room for room in self.rooms.values() if room["unique_name"] == name and room["id"] != own_id]
        if name is not None and taken:
            raise errors.ApiError(
                422, "10012", "Duplicate resource", "unique_name has already been taken", "/unique_name"
            )

    def _save(self) -> None:
        if self._state is None:
            return
        resting = {room_id: {**room, "active_session_id": None} for room_id, room in self.rooms.items()}
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(resting), "utf-8")
        fresh.replace(self._state)


def _coerced_int(value: Any, field: str) -> int:
    """Numbers as text appear to be accepted (UPSTREAM 3.1)."""
    try:
        if isinstance(value, bool):
            raise ValueError
        return int(value)
    except (TypeError, ValueError):
        raise errors.invalid(field, "must be an integer") from None


def _coerced_bool(value: Any, field: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise errors.invalid(field, "must be a boolean")
