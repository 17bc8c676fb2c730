"""One client's conversation with the media server, frame by frame (UPSTREAM 5.4). No socket and no clock of its own.

The frames are those of Janus: a session, handles on its plugins, requests to them that are acknowledged and then
answered by an event. Telnyx adds a ``client_token`` to each, which is looked at each time. Joining the audio bridge is
what makes a participant. What this leaves out: media, text rooms, subscriptions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from service.sandbox import errors, values
from service.sandbox.signalling_hall import Hall, Stream, View, display_of, person_number, shown_in
from service.sandbox.signalling_sdp import answer
from service.sandbox.world import World

Frame = dict[str, Any]

BRIDGE: Final = "janus.plugin.audiobridge"
VIDEO: Final = "janus.plugin.videoroom"
_PLUGINS: Final = (BRIDGE, VIDEO)
_KICKED: Final = "kicked"
_OVER: Final = ("session_ended", "room_deleted", None)


class Refused(Exception):
    """The client has to go: ``frame`` is the last one that it gets."""

    def __init__(self, error: errors.ApiError, transaction: object) -> None:
        super().__init__(error.title)
        self.frame = {"status_code": error.status, "error_message": error.title, "transaction": transaction}


class _Fault(Exception):
    """A request that makes no sense here; Janus' own codes."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Peer:
    """A client of one room. ``participant_id`` is set while it is in."""

    def __init__(self, world: World, hall: Hall, room_id: str) -> None:
        self._world = world
        self._hall = hall
        self._room_id = room_id.lower()
        self._token = ""
        self._session = 0
        self._handles: dict[int, str] = {}
        self._streams: dict[int, int] = {}
        self._people_handle = 0
        self._streams_handle = 0
        self._meeting = ""
        self._seen = View({}, {}, frozenset())
        self.participant_id: str | None = None

    def asked(self, frame: Frame) -> Iterator[Frame]:
        """What is answered to one frame. Raises ``Refused``."""
        transaction = frame.get("transaction")
        try:
            self._admit(str(frame.get("client_token")))
            for reply in self._answered(frame):
                yield {**reply, "session_id": self._session, "transaction": transaction}
        except errors.ApiError as error:
            raise Refused(error, transaction) from None
        except _Fault as fault:
            told = {"code": fault.code, "reason": fault.reason}
            yield {"janus": "error", "session_id": self._session, "transaction": transaction, "error": told}

    def news(self) -> Iterator[Frame]:
        """What has happened to the client, and in its meeting, since it was last told. Raises ``Refused``."""
        if self.participant_id is None:
            return
        own = self._world.account.participants.get(self.participant_id)
        if own is None or own["left_at"] is not None:
            yield from self._out(self.participant_id)
            return
        if not self._people_handle or not self._streams_handle:
            return
        before, now = self._seen, self._hall.view(self._meeting)
        self._seen = now
        yield from self._changes(before, now)

    def gone(self, reason: str) -> None:
        """The connection is over, and with it the participation."""
        for number in self._streams.values():
            self._hall.unpublish(number)
        if self.participant_id is not None and self.participant_id in self._world.account.participants:
            self._world.sessions.leave(self.participant_id, reason)
        self.participant_id = None

    def _admit(self, token: str) -> None:
        """Every frame shows a token; another one than before is what the client goes on with."""
        grant = self._world.grants.joining(token)
        if grant.room_id != self._room_id:
            raise errors.forbidden()
        self._world.account.find("rooms", self._room_id)
        if self.participant_id is not None and token != self._token:
            self._world.sessions.hold(self.participant_id, token)
        self._token = token

    def _answered(self, frame: Frame) -> Iterator[Frame]:
        kind = frame.get("janus")
        if kind == "create":
            self._session = self._hall.number()
            yield {"janus": "success", "data": {"id": self._session}}
            return
        if not self._session or frame.get("session_id") != self._session:
            raise _Fault(458, "No such session")
        if kind == "keepalive":
            yield {"janus": "ack"}
        elif kind == "destroy":
            self.gone("user_initiated")
            yield {"janus": "success"}
        elif kind == "attach":
            yield {"janus": "success", "data": {"id": self._attached(frame.get("plugin"))}}
        elif kind in {"message", "trickle", "detach"}:
            yield from self._to_handle(kind, frame)
        else:
            raise _Fault(453, f"Unknown request '{kind}'")

    def _attached(self, plugin: object) -> int:
        if plugin not in _PLUGINS:
            raise _Fault(460, f"No such plugin '{plugin}' in the sandbox")
        number = self._hall.number()
        self._handles[number] = str(plugin)
        return number

    def _to_handle(self, kind: str, frame: Frame) -> Iterator[Frame]:
        handle = frame.get("handle_id")
        if not isinstance(handle, int) or handle not in self._handles:
            raise _Fault(459, "No such handle")
        if kind == "detach":
            del self._handles[handle]
            self._hall.unpublish(self._streams.pop(handle, 0))
            yield {"janus": "success"}
            return
        yield {"janus": "ack"}
        if kind == "message":
            body = frame.get("body")
            data = self._requested(handle, body if isinstance(body, dict) else {})
            yield {**_event(handle, self._handles[handle], data), **_answer_to(frame.get("jsep"))}

    def _requested(self, handle: int, body: Mapping[str, Any]) -> Frame:
        """What a plugin answers to ``join`` and ``configure``."""
        bridge, request = self._handles[handle] == BRIDGE, body.get("request")
        shown = shown_in(body.get("display"))
        if request == "join" and bridge:
            return self._sound_joined(handle, shown)
        if request == "join":
            return self._streams_joined(handle, shown, str(body.get("display")))
        if request != "configure":
            raise _Fault(456, f"Request '{request}' is not known in the sandbox")
        if bridge:
            return {"audiobridge": "event", "result": "ok"}
        if handle in self._streams and "display" in body and self.participant_id is not None:
            self._hall.change(self._streams[handle], Stream(self.participant_id, str(body["display"])))
        return {"videoroom": "event", "configured": "ok"}

    def _sound_joined(self, handle: int, shown: Mapping[str, Any]) -> Frame:
        """The first handle that joins the bridge makes the participant; a second one is where its sound goes."""
        if "stream" in shown:
            return {"audiobridge": "joined", "room": self._room_id, "id": self._hall.number(), "participants": []}
        chosen = values.ident(shown.get("participantId"), "participantId")
        made = self._world.sessions.join(self._token, values.text(shown.get("external"), "external"), chosen)
        self.participant_id, self._meeting, self._people_handle = made["id"], made["session_id"], handle
        self._seen = View(self._hall.view(self._meeting).people, {}, frozenset())
        me = person_number(made["id"])
        others = [_entry(number, display_of(one)) for number, one in self._seen.people.items() if number != me]
        return {"audiobridge": "joined", "room": self._room_id, "id": me, "participants": others}

    def _streams_joined(self, handle: int, shown: Mapping[str, Any], display: str) -> Frame:
        """A handle that names a stream publishes it; one that names none is told of the others'."""
        if "stream" in shown and self.participant_id is not None:
            number = self._streams[handle] = self._hall.publish(self.participant_id, display)
            return {"videoroom": "joined", "room": self._room_id, "id": number, "publishers": []}
        self._streams_handle = handle
        return {"videoroom": "joined", "room": self._room_id, "id": self._hall.number(), "publishers": []}

    def _out(self, participant_id: str) -> Iterator[Frame]:
        """The client is in no more: removed, the meeting over, its token too old, or told to leave."""
        reason = self._world.account.presence(participant_id).left_reason
        self.participant_id = None
        if reason == "token_expired":
            raise Refused(errors.ApiError(401, "10009", "unauthorized", "The client token is expired."), None)
        if reason in _OVER:
            yield self._video({"videoroom": "destroyed", "room": self._room_id})
        else:
            what = _KICKED if reason == _KICKED else "leaving"
            yield self._sound({"audiobridge": "event", what: person_number(participant_id)})

    def _changes(self, before: View, now: View) -> Iterator[Frame]:
        """Streams go before their people and come after them: the client wants to know whose they are."""
        for number in before.streams.keys() - now.streams.keys():
            yield self._video({"videoroom": "event", "room": self._room_id, "unpublished": number})
        for number in before.people.keys() - now.people.keys():
            reason = self._world.account.presence(before.people[number]["id"]).left_reason
            what = _KICKED if reason == _KICKED else "leaving"
            yield self._sound({"audiobridge": "event", what: number})
        come = [_entry(number, display_of(one)) for number, one in now.people.items() if number not in before.people]
        if come:
            yield self._sound({"audiobridge": "joined", "room": self._room_id, "participants": come})
        new = [_entry(number, one.display) for number, one in now.streams.items() if number not in before.streams]
        if new:
            yield self._video({"videoroom": "event", "room": self._room_id, "publishers": new})
        for number, one in now.streams.items():
            muted, was = one.participant_id in now.muted, one.participant_id in before.muted
            if muted != (was and number in before.streams):
                told = "muted" if muted else "unmuted"
                yield self._video({"videoroom": "event", "id": number, "audio-moderation": told})
            elif number in before.streams and one.display != before.streams[number].display:
                yield self._video({"videoroom": "event", "id": number, "display": one.display})

    def _sound(self, data: Frame) -> Frame:
        return {**_event(self._people_handle, BRIDGE, data), "session_id": self._session}

    def _video(self, data: Frame) -> Frame:
        return {**_event(self._streams_handle, VIDEO, data), "session_id": self._session}


def _event(handle: int, plugin: str, data: Frame) -> Frame:
    return {"janus": "event", "sender": handle, "plugindata": {"plugin": plugin, "data": data}}


def _entry(number: int, display: str) -> Frame:
    return {"id": number, "display": display}


def _answer_to(jsep: object) -> Frame:
    """The answer to an offer, if the request has one."""
    if not isinstance(jsep, dict) or jsep.get("type") != "offer":
        return {}
    try:
        return {"jsep": {"type": "answer", "sdp": answer(str(jsep.get("sdp")))}}
    except ValueError:
        raise _Fault(465, "The offer cannot be read") from None
