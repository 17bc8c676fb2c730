"""The rules of sessions and participants: joining with a client token, leaving, and what moderators do to them."""

from collections.abc import Mapping
from typing import Any, Final

from service.sandbox import errors, fields
from service.sandbox.account import Account
from service.sandbox.client_tokens import ClientTokens
from service.sandbox.clock import epoch
from service.sandbox.recordings import Recordings
from service.sandbox.resources import Resource, new_id
from service.sandbox.tokens import Grant

_OK: Final = {"result": "ok"}


class Sessions:
    """Sessions of one account, and the simulated users of client SDKs in them."""

    def __init__(self, account: Account, client_tokens: ClientTokens, recordings: Recordings) -> None:
        self._account = account
        self._switches = account.switches
        self._client_tokens = client_tokens
        self._recordings = recordings

    def join(self, token: str, context: str | None, participant_id: str | None) -> Resource:
        """Enter the room that the client token names. The first participant starts a session."""
        with self._account.lock:
            grant = self._client_tokens.verify(token)
            room = self._account.find("rooms", grant.room_id)
            chosen = participant_id if self._switches["participant_id"] == "client" else None
            ident = chosen.lower() if chosen else new_id()
            self._release_id(ident)
            self._check_capacity(room)
            self._client_tokens.use(grant)
            session_id = room["active_session_id"] or self._start(room)["id"]
            participant = self._account.add("participants", id=ident, context=context, session_id=session_id)
            self._account.presences.pop(ident, None)
            self._account.presence(ident).grant = grant
            self._publish("joined", participant, {})
            if room["enable_recording"]:
                self._recordings.start(participant, room["id"])
            return participant

    def update_token(self, participant_id: object, token: str) -> Resource:
        """``updateClientToken`` of the SDK: the participant stays with a new token for the same room."""
        with self._account.lock:
            participant = self._account.find("participants", participant_id)
            grant = self._client_tokens.verify(token)
            if grant.room_id != self._room_id(participant):
                raise errors.forbidden()
            if participant["left_at"] is None:
                self._account.presence(participant["id"]).grant = grant
            return participant

    def leave(self, participant_id: object, reason: str, *, ended_reason: str = "stale") -> None:
        """Nothing if the participant has left. The last one to leave ends the session."""
        with self._account.lock:
            participant = self._account.find("participants", participant_id)
            if participant["left_at"] is not None:
                return
            now = self._account.stamp()
            participant.update(left_at=now, updated_at=now)
            self._account.presence(participant["id"]).left_reason = reason
            duration = int(epoch(now) - epoch(participant["joined_at"]))
            self._publish("left", participant, {"duration_secs": duration, "left_reason": reason})
            self._recordings.stop(participant)
            if not self._account.present(participant["session_id"]):
                self.close(participant["session_id"], reason, ended_reason)

    def close(self, session_id: str | None, left_reason: str, ended_reason: str) -> None:
        """Remove everybody and end the session. Nothing if there is no such session or it has ended."""
        with self._account.lock:
            session = self._account.sessions.get(session_id or "")
            if session is None or not session["active"]:
                return
            for participant in self._account.present(session["id"]):
                self.leave(participant["id"], left_reason, ended_reason=ended_reason)
            # The last participant to leave may have ended it.
            if session["active"]:
                self._finish(session, ended_reason)

    def end(self, session_id: object) -> Mapping[str, str]:
        with self._account.lock:
            session = self._active(session_id)
            for participant in self._account.present(session["id"]):
                self._bar(participant)
            self.close(session["id"], "session_ended", "Ended from API")
            return _OK

    def kick(self, session_id: object, body: Mapping[str, Any]) -> Mapping[str, str]:
        with self._account.lock:
            for participant in self._selected(session_id, body):
                self._bar(participant)
                self.leave(participant["id"], "kicked")
            return _OK

    def mute(self, session_id: object, body: Mapping[str, Any], *, muted: bool) -> Mapping[str, str]:
        """Shown under ``/sandbox/participants`` only: the API has no member for it."""
        with self._account.lock:
            for participant in self._selected(session_id, body):
                self._account.presence(participant["id"]).muted = muted
            return _OK

    def tick(self) -> None:
        """Drop the participants whose client token is not valid any more (docs/telnyx.md 5.3)."""
        with self._account.lock:
            for participant in self._account.where("participants", left_at=None):
                held = self._account.presence(participant["id"]).grant
                if held is not None and not self._client_tokens.is_valid(held):
                    self.leave(participant["id"], "token_expired")

    def describe(self, participant_id: object) -> Resource:
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
                "token_expires_in": self._expires_in(presence.grant),
            }

    def _expires_in(self, grant: Grant | None) -> float | None:
        return None if grant is None else round(grant.expires - self._account.clock.now(), 3)

    def _room_id(self, participant: Resource) -> str:
        session = self._account.sessions.get(participant["session_id"])
        return "" if session is None else str(session["room_id"])

    def _publish(self, what: str, participant: Resource, more: Mapping[str, Any]) -> None:
        payload = {
            "session_id": participant["session_id"],
            "participant_id": participant["id"],
            "context": participant["context"],
            **more,
        }
        self._account.room_event(f"video.room.participant.{what}", self._room_id(participant), payload)

    def _release_id(self, participant_id: str) -> None:
        """Make an id free for somebody who joins with the id of somebody who is in."""
        present = self._account.participants.get(participant_id)
        if present is None or present["left_at"] is not None:
            return
        if self._switches["participant_id_taken"] == "refuse":
            raise errors.ApiError(409, "10012", "Duplicate resource", "The participant id is taken.")
        self.leave(participant_id, "replaced")

    def _check_capacity(self, room: Resource) -> None:
        session_id = room["active_session_id"]
        full = session_id is not None and len(self._account.present(session_id)) >= room["max_participants"]
        if full and self._switches["full_room"] == "refuse":
            raise errors.ApiError(403, "10010", "request rejected", "The room is full.")

    def _start(self, room: Resource) -> Resource:
        session = self._account.add("sessions", room_id=room["id"])
        room["active_session_id"] = session["id"]
        self._account.room_event("video.room.session.started", room["id"], {"session_id": session["id"]})
        return session

    def _finish(self, session: Resource, reason: str) -> None:
        now = self._account.stamp()
        session.update(active=False, ended_at=now, updated_at=now)
        room = self._account.rooms.get(session["room_id"])
        if room is not None and room["active_session_id"] == session["id"]:
            room["active_session_id"] = None
        duration = int(epoch(now) - epoch(session["created_at"]))
        payload = {"session_id": session["id"], "duration_secs": duration, "ended_reason": reason}
        self._account.room_event("video.room.session.ended", session["room_id"], payload)

    def _bar(self, participant: Resource) -> None:
        if self._switches["rejoin"] == "refuse":
            self._client_tokens.revoke(self._account.presence(participant["id"]).grant)

    def _active(self, session_id: object) -> Resource:
        session = self._account.find("sessions", session_id)
        if not session["active"]:
            raise errors.not_found() if self._switches["action_on_ended"] == 404 else errors.session_over()
        return session

    def _selected(self, session_id: object, body: Mapping[str, Any]) -> list[Resource]:
        """The participants whom an action is for: all or some of those who are in, without the excluded ones."""
        session = self._active(session_id)
        present = {participant["id"]: participant for participant in self._account.present(session["id"])}
        wanted = body.get("participants")
        excluded = fields.idents(body.get("exclude") or [], "exclude")
        if wanted is None or wanted == []:
            rule = self._switches["action_nobody"]
            if rule == "refuse":
                raise errors.missing("participants")
            wanted = "all" if rule == "all" else []
        if isinstance(wanted, str):
            fields.one_of(wanted, "participants", ["all"])
            chosen = list(present)
        else:
            chosen = fields.idents(wanted, "participants")
        if not present.keys() >= set(chosen) and self._switches["action_unknown_ids"] == "refuse":
            raise errors.invalid("participants", "names somebody who is not in the session")
        return [present[ident] for ident in chosen if ident in present and ident not in excluded]
