"""One client's conversation with the media server, frame by frame (docs/telnyx.md 5.4). It has no socket and no clock.

The frames are those of Janus: a session, handles on its plugins, requests to them that are acknowledged and then
answered by an event. Telnyx adds a ``client_token`` to each, which is checked each time. Joining the audio bridge makes
a participant. Not simulated: media, text rooms, subscriptions.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from service.sandbox import errors, fields
from service.sandbox.signalling_sdp import answer
from service.sandbox.signalling_streams import (
    Meeting,
    Stream,
    StreamRegistry,
    display_of,
    participant_number,
    read_display,
)
from service.sandbox.world import World

Frame = dict[str, Any]

AUDIO: Final = "janus.plugin.audiobridge"
VIDEO: Final = "janus.plugin.videoroom"
_KICKED: Final = "kicked"
# Reasons of leaving after which the meeting is no more.
_OVER: Final = ("session_ended", "room_deleted", None)


class Refused(Exception):
    """The connection has to end: ``frame`` is the last one that the client gets."""

    def __init__(self, error: errors.ApiError, transaction: object) -> None:
        super().__init__(error.title)
        self.frame = {"status_code": error.status, "error_message": error.title, "transaction": transaction}


class _JanusError(Exception):
    """A request that Janus answers with one of its own error codes."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class JanusSession:
    """A client of one room. ``participant_id`` is set while it is in."""

    def __init__(self, world: World, registry: StreamRegistry, room_id: str) -> None:
        self._world = world
        self._registry = registry
        self._room_id = room_id.lower()
        self._token = ""
        self._number = 0
        self._handles: dict[int, str] = {}
        self._streams: dict[int, int] = {}
        self._audio_handle = 0
        self._video_handle = 0
        self._session_id = ""
        self._told = Meeting({}, {}, frozenset())
        self.participant_id: str | None = None

    def replies(self, frame: Frame) -> Iterator[Frame]:
        """The replies to one frame. Raises ``Refused``."""
        transaction = frame.get("transaction")
        try:
            self._authenticate(str(frame.get("client_token")))
            for reply in self._handle(frame):
                yield {**reply, "session_id": self._number, "transaction": transaction}
        except errors.ApiError as error:
            raise Refused(error, transaction) from None
        except _JanusError as error:
            facts = {"code": error.code, "reason": error.reason}
            yield {"janus": "error", "session_id": self._number, "transaction": transaction, "error": facts}

    def events(self) -> Iterator[Frame]:
        """What has happened to the client and in its meeting since the last call. Raises ``Refused``."""
        if self.participant_id is None:
            return
        own = self._world.account.participants.get(self.participant_id)
        if own is None or own["left_at"] is not None:
            yield from self._removed(self.participant_id)
        elif self._audio_handle and self._video_handle:
            before, self._told = self._told, self._registry.meeting(self._session_id)
            yield from self._changes(before, self._told)

    def disconnect(self, reason: str) -> None:
        """The connection has ended, and with it the participation."""
        for number in self._streams.values():
            self._registry.unpublish(number)
        if self.participant_id is not None and self.participant_id in self._world.account.participants:
            self._world.sessions.leave(self.participant_id, reason)
        self.participant_id = None

    def _authenticate(self, token: str) -> None:
        """Every frame shows a token; the participant goes on with the latest one."""
        grant = self._world.client_tokens.verify(token)
        if grant.room_id != self._room_id:
            raise errors.forbidden()
        self._world.account.find("rooms", self._room_id)
        if self.participant_id is not None and token != self._token:
            self._world.sessions.update_token(self.participant_id, token)
        self._token = token

    def _handle(self, frame: Frame) -> Iterator[Frame]:
        kind = frame.get("janus")
        if kind == "create":
            self._number = self._registry.new_number()
            yield {"janus": "success", "data": {"id": self._number}}
            return
        if not self._number or frame.get("session_id") != self._number:
            raise _JanusError(458, "No such session")
        if kind == "keepalive":
            yield {"janus": "ack"}
        elif kind == "destroy":
            self.disconnect("user_initiated")
            yield {"janus": "success"}
        elif kind == "attach":
            yield {"janus": "success", "data": {"id": self._attach(frame.get("plugin"))}}
        elif kind in {"message", "trickle", "detach"}:
            yield from self._handle_plugin(kind, frame)
        else:
            raise _JanusError(453, f"Unknown request '{kind}'")

    def _attach(self, plugin: object) -> int:
        if plugin not in {AUDIO, VIDEO}:
            raise _JanusError(460, f"No such plugin '{plugin}' in the sandbox")
        handle = self._registry.new_number()
        self._handles[handle] = str(plugin)
        return handle

    def _handle_plugin(self, kind: str, frame: Frame) -> Iterator[Frame]:
        handle = frame.get("handle_id")
        if not isinstance(handle, int) or handle not in self._handles:
            raise _JanusError(459, "No such handle")
        if kind == "detach":
            del self._handles[handle]
            self._registry.unpublish(self._streams.pop(handle, 0))
            yield {"janus": "success"}
            return
        yield {"janus": "ack"}
        if kind == "message":
            body = frame.get("body")
            data = self._request(handle, body if isinstance(body, dict) else {})
            yield {**_event(handle, self._handles[handle], data), **_jsep_answer(frame.get("jsep"))}

    def _request(self, handle: int, body: Mapping[str, Any]) -> Frame:
        """What a plugin answers to ``join`` and ``configure``."""
        is_audio, request = self._handles[handle] == AUDIO, body.get("request")
        display = read_display(body.get("display"))
        if request == "join" and is_audio:
            return self._join_audio(handle, display)
        if request == "join":
            return self._join_video(handle, display, str(body.get("display")))
        if request != "configure":
            raise _JanusError(456, f"Request '{request}' is not known in the sandbox")
        if is_audio:
            return {"audiobridge": "event", "result": "ok"}
        if handle in self._streams and "display" in body and self.participant_id is not None:
            self._registry.change(self._streams[handle], Stream(self.participant_id, str(body["display"])))
        return {"videoroom": "event", "configured": "ok"}

    def _join_audio(self, handle: int, display: Mapping[str, Any]) -> Frame:
        """The first handle that joins the bridge makes the participant; a second one carries its sound."""
        if "stream" in display:
            number = self._registry.new_number()
            return {"audiobridge": "joined", "room": self._room_id, "id": number, "participants": []}
        chosen = fields.ident(display.get("participantId"), "participantId")
        context = fields.text(display.get("external"), "external")
        made = self._world.sessions.join(self._token, context, chosen)
        self.participant_id, self._session_id, self._audio_handle = made["id"], made["session_id"], handle
        participants = self._registry.meeting(self._session_id).participants
        self._told = Meeting(participants, {}, frozenset())
        own = participant_number(made["id"])
        others = [_entry(number, display_of(one)) for number, one in participants.items() if number != own]
        return {"audiobridge": "joined", "room": self._room_id, "id": own, "participants": others}

    def _join_video(self, handle: int, display: Mapping[str, Any], written: str) -> Frame:
        """A handle that names a stream publishes it; one that names none is told of the others' streams."""
        if "stream" in display and self.participant_id is not None:
            number = self._streams[handle] = self._registry.publish(self.participant_id, written)
        else:
            self._video_handle = handle
            number = self._registry.new_number()
        return {"videoroom": "joined", "room": self._room_id, "id": number, "publishers": []}

    def _removed(self, participant_id: str) -> Iterator[Frame]:
        """The participant is out: it was removed, it left, the meeting is over, or its token has expired."""
        reason = self._world.account.presence(participant_id).left_reason
        self.participant_id = None
        if reason == "token_expired":
            raise Refused(errors.bad_client_token("expired"), None)
        if reason in _OVER:
            yield self._video_event({"videoroom": "destroyed", "room": self._room_id})
        else:
            yield self._left(participant_id, reason)

    def _changes(self, before: Meeting, now: Meeting) -> Iterator[Frame]:
        """Streams go before their participants and come after them: the client wants to know whose they are."""
        for number in before.streams.keys() - now.streams.keys():
            yield self._video_event({"videoroom": "event", "room": self._room_id, "unpublished": number})
        for number in before.participants.keys() - now.participants.keys():
            ident = before.participants[number]["id"]
            yield self._left(ident, self._world.account.presence(ident).left_reason)
        joined = [number for number in now.participants if number not in before.participants]
        if joined:
            entries = [_entry(number, display_of(now.participants[number])) for number in joined]
            yield self._audio_event({"audiobridge": "joined", "room": self._room_id, "participants": entries})
        new = [_entry(number, one.display) for number, one in now.streams.items() if number not in before.streams]
        if new:
            yield self._video_event({"videoroom": "event", "room": self._room_id, "publishers": new})
        for number, stream in now.streams.items():
            yield from self._stream_changes(number, stream, before, now)

    def _stream_changes(self, number: int, stream: Stream, before: Meeting, now: Meeting) -> Iterator[Frame]:
        known = number in before.streams
        muted = stream.participant_id in now.muted
        if muted != (known and stream.participant_id in before.muted):
            moderation = "muted" if muted else "unmuted"
            yield self._video_event({"videoroom": "event", "id": number, "audio-moderation": moderation})
        elif known and stream.display != before.streams[number].display:
            yield self._video_event({"videoroom": "event", "id": number, "display": stream.display})

    def _left(self, participant_id: str, reason: str | None) -> Frame:
        what = _KICKED if reason == _KICKED else "leaving"
        return self._audio_event({"audiobridge": "event", what: participant_number(participant_id)})

    def _audio_event(self, data: Frame) -> Frame:
        return {**_event(self._audio_handle, AUDIO, data), "session_id": self._number}

    def _video_event(self, data: Frame) -> Frame:
        return {**_event(self._video_handle, VIDEO, data), "session_id": self._number}


def _event(handle: int, plugin: str, data: Frame) -> Frame:
    return {"janus": "event", "sender": handle, "plugindata": {"plugin": plugin, "data": data}}


def _entry(number: int, display: str) -> Frame:
    return {"id": number, "display": display}


def _jsep_answer(offer: object) -> Frame:
    """The answer to a WebRTC offer, if the request has one."""
    if not isinstance(offer, dict) or offer.get("type") != "offer":
        return {}
    try:
        return {"jsep": {"type": "answer", "sdp": answer(str(offer.get("sdp")))}}
    except ValueError:
        raise _JanusError(465, "The offer cannot be read") from None
