"""Running a meeting: who is in, removing, muting, ending, bans, invites. Gate: moderator of the path's room."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

from flask import Response, jsonify

from service.clock import rfc3339
from service.errors import ServiceError
from service.meetings.moderation import Action, ParticipantSelector, require_one
from service.observability.telemetry import audit_log
from service.rooms.models import Ban
from service.web.auth import Gate, GatedBlueprint, Routes, moderator
from service.web.idempotency import once
from service.web.request_body import body
from service.web.request_lifecycle import deadline
from service.web.resources import page, user_id
from service.web.services import services


def blueprint() -> GatedBlueprint:
    room = "/v1/rooms/<alias>"
    routes: Routes = {
        f"GET {room}/participants": list_participants,
        f"POST {room}/actions/kick": kick_participants,
        f"POST {room}/actions/mute": mute_participants,
        f"POST {room}/actions/unmute": unmute_participants,
        f"POST {room}/actions/end": end_meeting,
        f"GET {room}/waiting": list_waiting,
        f"POST {room}/actions/admit": admit_waiting,
        f"POST {room}/actions/refuse": refuse_waiting,
        f"GET {room}/bans": list_bans,
        f"PUT {room}/bans/<user_id:user>": put_ban,
        f"DELETE {room}/bans/<user_id:user>": delete_ban,
        f"GET {room}/invites": list_invites,
        f"POST {room}/invites": once(create_invite),
        f"DELETE {room}/invites/<invite_id>": revoke_invite,
    }
    return GatedBlueprint("meeting", Gate.MODERATOR, routes)


def list_participants(alias: str) -> Response:  # noqa: ARG001 - the gate has made a room of it
    """Who is in the room now, with user ids where their tickets prove them."""
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
    response = jsonify(
        {
            "participants": [str(one) for one in done.participants],
            "banned": list(done.banned),
            "removal_deadline": rfc3339(done.removal_deadline),
            "code": trouble,
        }
    )
    response.status_code = 200 if trouble is None else 202
    return response


def mute_participants(alias: str) -> Response:
    """Silence participants' audio."""
    return _act("mute", alias)


def unmute_participants(alias: str) -> Response:
    return _act("unmute", alias)


def end_meeting(alias: str) -> Response:
    """End what runs in the room; that nothing runs is success."""
    with _measured("end"):
        ended = services().meeting.end(moderator().room, deadline())
    _audit("end", alias)
    return jsonify({"sessions": ended})


def list_waiting(alias: str) -> Response:
    """Those who wait until a moderator lets them in."""
    return page(partial(services().meeting.waiting, alias))


def admit_waiting(alias: str) -> Response:
    """Let people in for this meeting."""
    return _decide("admit", alias)


def refuse_waiting(alias: str) -> Response:
    """Keep people out for this meeting."""
    return _decide("refuse", alias)


def list_bans(alias: str) -> Response:
    """The bans that stand, by user id."""
    return page(partial(services().meeting.bans, alias))


def put_ban(alias: str, user: str) -> Response:
    """Keep a user out, whether in or not; a running call of theirs ends with its token."""
    ban = services().meeting.ban(moderator(), user_id(user), Ban.of("", body()).until)
    _audit("ban", alias, users=[user])
    return jsonify(ban.to_json())


def delete_ban(alias: str, user: str) -> Response:
    services().meeting.unban(moderator(), user_id(user))
    _audit("unban", alias, users=[user])
    return Response(status=204)


def list_invites(alias: str) -> Response:  # noqa: ARG001 - as above
    """Those that stand, without their codes."""
    return page(partial(services().guests.invites, moderator()))


def create_invite(alias: str) -> Response:
    """A new one; its code is in this answer and nowhere else."""
    made, code = services().guests.invite(moderator(), body())
    told = {"user": moderator().principal.user, "room": alias, "invite": made.invite_id}
    audit_log.info("invite made", extra=told)
    response = jsonify({**made.to_json(), "code": code.reveal()})
    response.status_code = 201
    return response


def revoke_invite(alias: str, invite_id: str) -> Response:
    """The code is void at once, and so are the bearers given for it."""
    services().guests.revoke(moderator(), invite_id)
    told = {"user": moderator().principal.user, "room": alias, "invite": invite_id}
    audit_log.info("invite revoked", extra=told)
    return Response(status=204)


def _decide(action: Literal["admit", "refuse"], alias: str) -> Response:
    require_one(body(), "users", "all")
    decided = services().meeting.decide(moderator().room, body().get("users"), admit=action == "admit")
    _audit(action, alias, users=decided)
    services().metrics.meeting_action(action, "done")
    return jsonify({"users": decided})


def _act(action: Action, alias: str) -> Response:
    whom = ParticipantSelector.of(body())
    with _measured(action):
        done = services().meeting.act(action, moderator().room, whom, deadline())
    _audit(action, alias, users=sorted(whom.users), participants=len(done))
    return jsonify({"participants": [str(one) for one in done]})


@contextmanager
def _measured(action: str) -> Iterator[None]:
    try:
        yield
    except ServiceError as error:
        services().metrics.meeting_action(action, error.code)
        raise
    services().metrics.meeting_action(action, "done")


def _audit(
    action: str, alias: str, *, users: Iterable[str] = (), participants: int = 0, trouble: str | None = None
) -> None:
    """One line for everything that a moderator did to others."""
    told = {"users": list(users), "participants": participants, "trouble": trouble}
    who = {"action": action, "user": moderator().principal.user, "room": alias}
    audit_log.info("meeting action", extra={**who, **told})
