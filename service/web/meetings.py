"""Running a meeting: who is in, removing, muting, ending, bans. Gate: moderator of the path's room."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

from flask import Response, jsonify

from service.clock import rfc3339
from service.errors import ServiceError
from service.meetings.moderation import Action, ParticipantSelector, require_one
from service.observability.telemetry import audit_log
from service.rooms.models import Ban
from service.web import paging
from service.web.auth import Gate, GatedBlueprint, moderator
from service.web.request_body import body, query
from service.web.request_lifecycle import deadline
from service.web.services import services
from service.web.user_ids import user_id


def blueprint() -> GatedBlueprint:
    """The calls of moderators."""
    meeting = GatedBlueprint("meeting", Gate.MODERATOR)
    room = "/v1/rooms/<alias>"
    meeting.add_url_rule(room + "/participants", view_func=list_participants, methods=["GET"])
    meeting.add_url_rule(room + "/actions/kick", view_func=kick_participants, methods=["POST"])
    meeting.add_url_rule(room + "/actions/mute", view_func=mute_participants, methods=["POST"])
    meeting.add_url_rule(room + "/actions/unmute", view_func=unmute_participants, methods=["POST"])
    meeting.add_url_rule(room + "/actions/end", view_func=end_meeting, methods=["POST"])
    meeting.add_url_rule(room + "/waiting", view_func=list_waiting, methods=["GET"])
    meeting.add_url_rule(room + "/actions/admit", view_func=admit_waiting, methods=["POST"])
    meeting.add_url_rule(room + "/actions/refuse", view_func=refuse_waiting, methods=["POST"])
    meeting.add_url_rule(room + "/bans", view_func=list_bans, methods=["GET"])
    meeting.add_url_rule(room + "/bans/<user_id:user>", view_func=put_ban, methods=["PUT"])
    meeting.add_url_rule(room + "/bans/<user_id:user>", view_func=delete_ban, methods=["DELETE"])
    return meeting


def list_participants(alias: str) -> Response:
    """Who is in the room now, with user ids where their tickets prove them."""
    del alias
    present = services().meeting.participants(moderator().room, deadline())
    return jsonify({"data": [one.to_json() for one in present]})


def kick_participants(alias: str) -> Response:
    """Remove and ban. 202 where Telnyx could not be asked: the ban stands, the calls end by ``removal_deadline``."""
    asked = body()
    until = Ban.of("", asked).until
    done = services().meeting.kick(moderator(), ParticipantSelector.of(asked), until, deadline())
    trouble = None if done.trouble is None else done.trouble.code
    _audit("kick", alias, users=done.banned, participants=len(done.participants), trouble=trouble)
    services().metrics.meeting_action("kick", trouble or "done")
    answer: dict[str, Any] = {
        "participants": [str(one) for one in done.participants],
        "banned": list(done.banned),
        "removal_deadline": rfc3339(done.removal_deadline),
        "code": trouble,
    }
    response = jsonify(answer)
    response.status_code = 200 if trouble is None else 202
    return response


def mute_participants(alias: str) -> Response:
    """Silence participants' audio."""
    return _act("mute", alias)


def unmute_participants(alias: str) -> Response:
    """Undo ``mute_participants``."""
    return _act("unmute", alias)


def end_meeting(alias: str) -> Response:
    """End what runs in the room; that nothing runs is success."""
    ended = _measured("end", lambda: services().meeting.end(moderator().room, deadline()))
    _audit("end", alias, users=(), participants=0, trouble=None)
    return jsonify({"sessions": ended})


def list_waiting(alias: str) -> Response:
    """Those who wait until a moderator lets them in."""
    cursor, limit = paging.start(query())
    return jsonify(paging.shown(services().waiting_room.waiting(alias, cursor, limit)))


def admit_waiting(alias: str) -> Response:
    """Let people in for this meeting."""
    return _decide("admit", alias)


def refuse_waiting(alias: str) -> Response:
    """Keep people out for this meeting."""
    return _decide("refuse", alias)


def list_bans(alias: str) -> Response:
    """The bans that stand, by user id."""
    cursor, limit = paging.start(query())
    return jsonify(paging.shown(services().meeting.bans(alias, cursor, limit)))


def put_ban(alias: str, user: str) -> Response:
    """Keep a user out, whether in or not; a running call of theirs ends with its token."""
    ban = services().meeting.ban(moderator(), user_id(user), Ban.of("", body()).until)
    _audit("ban", alias, users=(user,), participants=0, trouble=None)
    return jsonify(ban.to_json())


def delete_ban(alias: str, user: str) -> Response:
    """Let a user in again."""
    services().meeting.unban(moderator(), user_id(user))
    _audit("unban", alias, users=(user,), participants=0, trouble=None)
    return Response(status=204)


def _decide(action: Literal["admit", "refuse"], alias: str) -> Response:
    require_one(body(), "users", "all")
    decided = services().waiting_room.decide(moderator().room, body().get("users"), admit=action == "admit")
    _audit(action, alias, users=decided, participants=0, trouble=None)
    services().metrics.meeting_action(action, "done")
    return jsonify({"users": decided})


def _act(action: Action, alias: str) -> Response:
    whom = ParticipantSelector.of(body())
    done = _measured(action, lambda: services().meeting.act(action, moderator().room, whom, deadline()))
    _audit(action, alias, users=tuple(sorted(whom.users)), participants=len(done), trouble=None)
    return jsonify({"participants": [str(one) for one in done]})


def _measured(action: str, work: Any) -> Any:
    try:
        done = work()
    except ServiceError as error:
        services().metrics.meeting_action(action, error.code)
        raise
    services().metrics.meeting_action(action, "done")
    return done


def _audit(action: str, alias: str, *, users: Sequence[str], participants: int, trouble: str | None) -> None:
    """One line for everything that a moderator did to others."""
    audit_log.log(
        logging.INFO,
        "meeting action",
        extra={
            "action": action,
            "user": moderator().principal.user,
            "room": alias,
            "users": list(users),
            "participants": participants,
            "trouble": trouble,
        },
    )
