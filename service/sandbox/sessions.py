"""The rules of sessions and participants: joining with a client token, leaving, and what moderators do to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from service.sandbox import errors, values
from service.sandbox.account import Account, Record, new_id
from service.sandbox.clock import epoch
from service.sandbox.grants import Grants
from service.sandbox.recordings import Recordings
from service.sandbox.tokens import Grant

_OK: Final[Mapping[str, str]] = {"result": "ok"}


def blank_session() -> Record:
    """A session with nothing set."""
    return {
        "active": True,
        "created_at": None,
        "ended_at": None,
        "id": new_id(),
        "record_type": "room_session",
        "room_id": None,
        "updated_at": None,
    }


def blank_participant() -> Record:
    """A participant with nothing set."""
    return {
        "context": None,
        "id": new_id(),
        "joined_at": None,
        "left_at": None,
        "record_type": "room_participant",
        "session_id": None,
        "updated_at": None,
    }


class Sessions:
    """Sessions of one account, and the simulated users of the client SDKs in them."""

    def __init__(self, account: Account, grants: Grants, recordings: Recordings) -> None:
        self._account = account
        self._grants = grants
        self._recordings = recordings

    def join(self, token: str, context: str | None, participant_id: str | None) -> Record:
        """Enter the room that the client token names. The first one in starts a session."""
        switches = self._account.switches
        with self._account.lock:
            grant = self._grants.joining(token)
            room = self._account.find("rooms", grant.room_id)
            chosen = participant_id.lower() if participant_id and switches["participant_id"] == "client" else new_id()
            self._make_way(chosen)
            session_id = room["active_session_id"]
            full = len(self._account.present(session_id)) >= room["max_participants"]
            if session_id is not None and full and switches["full_room"] == "refuse":
                raise errors.ApiError(403, "10010", "request rejected", "The room is full.")
            self._grants.use(grant)
            session = self._running(room)
            now = self._account.stamp()
            changes = {"context": context, "id": chosen, "joined_at": now, "updated_at": now}
            participant = {**blank_participant(), **changes, "session_id": session["id"]}
            self._account.participants[chosen] = participant
            self._account.presences.pop(chosen, None)
            self._account.presence(chosen).grant = grant
            self._tell("joined", participant, {})
            if room["enable_recording"]:
                self._recordings.start(participant, room["id"])
            return participant

    def hold(self, participant_id: str, token: str) -> Record:
        """``updateClientToken`` of the SDK: the participant goes on with a new token for the same room."""
        with self._account.lock:
            participant = self._account.find("participants", participant_id)
            grant = self._grants.joining(token)
            if grant.room_id != self._room_id(participant):
                raise errors.forbidden()
            if participant["left_at"] is None:
                self._account.presence(participant["id"]).grant = grant
            return participant

    def leave(self, participant_id: str, reason: str, *, ended_reason: str = "stale") -> None:
        """The last one to leave ends the session."""
        with self._account.lock:
            participant = self._account.find("participants", participant_id)
            if participant["left_at"] is not None:
                return
            now = self._account.stamp()
            participant.update(left_at=now, updated_at=now)
            self._account.presence(participant["id"]).left_reason = reason
            stayed = int(epoch(now) - epoch(participant["joined_at"]))
            self._tell("left", participant, {"duration_secs": stayed, "left_reason": reason})
            self._recordings.stop(participant)
            if not self._account.present(participant["session_id"]):
                self.finish(participant["session_id"], reason, ended_reason)

    def finish(self, session_id: str | None, left_reason: str, ended_reason: str) -> None:
        """Everybody out, and the session is over. Nothing if there is none or it is over."""
        with self._account.lock:
            session = self._account.sessions.get(session_id or "")
            if session is None or not session["active"]:
                return
            for participant in self._account.present(session["id"]):
                self.leave(participant["id"], left_reason, ended_reason=ended_reason)
            if not session["active"]:
                return
            now = self._account.stamp()
            session.update(active=False, ended_at=now, updated_at=now)
            room = self._account.rooms.get(session["room_id"])
            if room is not None and room["active_session_id"] == session["id"]:
                room["active_session_id"] = None
            lasted = int(epoch(now) - epoch(session["created_at"]))
            payload = {"session_id": session["id"], "duration_secs": lasted, "ended_reason": ended_reason}
            self._account.room_event("video.room.session.ended", session["room_id"], payload)

    def end(self, session_id: str) -> Mapping[str, str]:
        with self._account.lock:
            session = self._acted_on(session_id)
            for participant in self._account.present(session["id"]):
                self._bar(participant)
            self.finish(session["id"], "session_ended", "Ended from API")
            return _OK

    def kick(self, session_id: str, body: Mapping[str, Any]) -> Mapping[str, str]:
        with self._account.lock:
            for participant in self._chosen(session_id, body):
                self._bar(participant)
                self.leave(participant["id"], "kicked")
            return _OK

    def mute(self, session_id: str, body: Mapping[str, Any], *, muted: bool) -> Mapping[str, str]:
        """Seen under ``/sandbox/participants`` only: the API has no member for it."""
        with self._account.lock:
            for participant in self._chosen(session_id, body):
                self._account.presence(participant["id"]).muted = muted
            return _OK

    def tick(self) -> None:
        """Drop whoever's token is good no more (UPSTREAM 5.3)."""
        with self._account.lock:
            for participant in self._account.all("participants"):
                held = self._account.presence(participant["id"]).grant
                if participant["left_at"] is None and held is not None and not self._grants.lives(held):
                    self.leave(participant["id"], "token_expired")

    def look(self, participant_id: str) -> Record:
        """All that the sandbox knows of a participant."""
        with self._account.lock:
            participant = self._account.find("participants", participant_id)
            presence = self._account.presence(participant["id"])
            return {
                **participant,
                "room_id": self._room_id(participant),
                "state": "joined" if participant["left_at"] is None else "left",
                "muted": presence.muted,
                "left_reason": presence.left_reason,
                "token_expires_in": self._left(presence.grant),
            }

    def _left(self, grant: Grant | None) -> float | None:
        return None if grant is None else round(grant.expires - self._account.clock.now(), 3)

    def _room_id(self, participant: Record) -> str:
        session = self._account.sessions.get(participant["session_id"])
        return "" if session is None else str(session["room_id"])

    def _tell(self, what: str, participant: Record, more: Mapping[str, Any]) -> None:
        payload = {
            "session_id": participant["session_id"],
            "participant_id": participant["id"],
            "context": participant["context"],
            **more,
        }
        self._account.room_event(f"video.room.participant.{what}", self._room_id(participant), payload)

    def _make_way(self, participant_id: str) -> None:
        """For somebody who joins with the id of somebody who is in."""
        sitting = self._account.participants.get(participant_id)
        if sitting is None or sitting["left_at"] is not None:
            return
        if self._account.switches["participant_id_taken"] == "refuse":
            raise errors.ApiError(409, "10012", "Duplicate resource", "The participant id is taken.")
        self.leave(participant_id, "replaced")

    def _running(self, room: Record) -> Record:
        if room["active_session_id"] is not None:
            return self._account.find("sessions", room["active_session_id"])
        now = self._account.stamp()
        session = {**blank_session(), "created_at": now, "updated_at": now, "room_id": room["id"]}
        self._account.sessions[session["id"]] = session
        room["active_session_id"] = session["id"]
        self._account.room_event("video.room.session.started", room["id"], {"session_id": session["id"]})
        return session

    def _bar(self, participant: Record) -> None:
        if self._account.switches["rejoin"] == "refuse":
            self._grants.revoke(self._account.presence(participant["id"]).grant)

    def _acted_on(self, session_id: str) -> Record:
        session = self._account.find("sessions", session_id)
        if not session["active"]:
            raise errors.not_found() if self._account.switches["action_on_ended"] == 404 else errors.nothing_runs()
        return session

    def _chosen(self, session_id: str, body: Mapping[str, Any]) -> list[Record]:
        """Whom an action concerns: all or some of those who are in, less the excluded ones."""
        session = self._acted_on(session_id)
        present = {participant["id"]: participant for participant in self._account.present(session["id"])}
        wanted = body.get("participants")
        excluded = values.idents(body.get("exclude") or [], "exclude")
        if wanted is None or wanted == []:
            rule = self._account.switches["action_nobody"]
            if rule == "refuse":
                raise errors.missing("participants")
            wanted = "all" if rule == "all" else []
        if isinstance(wanted, str):
            if wanted != "all":
                raise errors.not_one_of("participants", ["all"])
            chosen = list(present)
        else:
            chosen = values.idents(wanted, "participants")
        if not present.keys() >= set(chosen) and self._account.switches["action_unknown_ids"] == "refuse":
            raise errors.invalid("participants", "names somebody who is not in the session")
        return [present[ident] for ident in chosen if ident in present and ident not in excluded]
