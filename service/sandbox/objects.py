"""Objects that a test places into the account: any kind, with a chosen id and state, past the rules of the API.

From then on a placed object obeys the rules: time counts from the moment of placing, whatever its times say.
"""

from collections.abc import Mapping
from typing import Any, Final

from service.sandbox import errors, fields
from service.sandbox.account import Account
from service.sandbox.clock import epoch
from service.sandbox.resources import KINDS, Resource, blank

_REFERENCES: Final = ("room_id", "session_id", "participant_id", "active_session_id")


def place(account: Account, kind: str, given: Mapping[str, Any]) -> Resource:
    """The object as ``given``, in place of one with that id; other members are as if it had just begun.

    A ``status`` or ``active`` that says that it is over sets its ends. An active session becomes its room's.
    """
    members = _checked(kind, given)
    with account.lock:
        if members.get("status") == "completed" or members.get("active") is False:
            members = {**_ends(kind, account.stamp()), **members}
        session = account.sessions.get(members.get("session_id") or "")
        if session is not None and "room_id" in blank(kind):
            members = {"room_id": session["room_id"], **members}
        resource = account.add(kind, **members)
        room = account.rooms.get(resource["room_id"] or "") if kind == "sessions" else None
        if room is not None and resource["active"]:
            room["active_session_id"] = resource["id"]
        return resource


def remove(account: Account, kind: str, ident: object) -> None:
    """Without any effect on other objects."""
    fields.one_of(kind, "kind", KINDS)
    with account.lock:
        del account.tables[kind][account.find(kind, ident)["id"]]


def stored(account: Account, kind: str) -> list[Resource]:
    """All objects of a kind with every member."""
    fields.one_of(kind, "kind", KINDS)
    return [dict(resource) for resource in account.where(kind)]


def _checked(kind: str, given: Mapping[str, Any]) -> Resource:
    known = blank(fields.one_of(kind, "kind", KINDS))
    unknown = sorted(set(given) - set(known) - {"audio_sources"})
    if unknown:
        raise errors.invalid(unknown[0], f"{kind} have no such member")
    for name, value in given.items():
        if name == "id" or (name in _REFERENCES and value is not None):
            fields.ident(value, name)
        elif name.endswith("_at") and value is not None:
            _check_time(value, name)
        elif name == "duration_secs" and value is not None:
            fields.integer(value, name)
    return {**given, "id": str(given.get("id", known["id"])).lower()}


def _check_time(value: Any, field: str) -> None:
    try:
        epoch(value)
    except (TypeError, ValueError):
        raise errors.invalid(field, "must be an ISO 8601 time") from None


def _ends(kind: str, now: str) -> Resource:
    assumed = {"ended_at": now, "completed_at": now, "duration_secs": 0, "size_mb": 0.1}
    return {name: value for name, value in assumed.items() if name in blank(kind)}
