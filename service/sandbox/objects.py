"""Objects put into the account by a test: any kind, with a chosen id and state, past the rules of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from service.sandbox import errors, values
from service.sandbox.account import Account, Record
from service.sandbox.clock import epoch
from service.sandbox.compositions import blank_composition
from service.sandbox.recordings import blank_recording
from service.sandbox.rooms import blank_room
from service.sandbox.sessions import blank_participant, blank_session

_BLANKS: Final[Mapping[str, Callable[[], Record]]] = {
    "rooms": blank_room,
    "sessions": blank_session,
    "participants": blank_participant,
    "recordings": blank_recording,
    "compositions": blank_composition,
}
_BORN: Final = ("created_at", "joined_at", "started_at", "updated_at")
_ENDED: Final = ("ended_at", "completed_at")


def place(account: Account, kind: str, asked: Mapping[str, Any]) -> Record:
    """The object as ``asked``, in place of one with that id; what is not given is as if it had just begun.

    What is over by its ``status`` or ``active`` gets its ends, and an active session becomes its room's.
    """
    blank = _blank(kind)
    unknown = sorted(set(asked) - set(blank) - {"audio_sources"})
    if unknown:
        raise errors.invalid(unknown[0], f"{kind} have no such member")
    record = {**blank, **asked}
    record["id"] = values.ident(record["id"], "id")
    _check_times(record)
    with account.lock:
        now = account.stamp()
        record.update({member: now for member in _BORN if member in record and record[member] is None})
        if record.get("status") == "completed" or record.get("active") is False:
            _conclude(record, asked, now)
        _relate(account, kind, record, asked)
        account.tables[kind][record["id"]] = record
        return record


def remove(account: Account, kind: str, ident: str) -> None:
    """Without any effect on other objects."""
    _blank(kind)
    with account.lock:
        del account.tables[kind][account.find(kind, ident)["id"]]


def kept(account: Account, kind: str) -> list[Record]:
    """As they are kept, with every member."""
    _blank(kind)
    return [dict(record) for record in account.all(kind)]


def _blank(kind: str) -> Record:
    if kind not in _BLANKS:
        raise errors.not_one_of("kind", _BLANKS)
    return _BLANKS[kind]()


def _check_times(record: Record) -> None:
    for member, value in record.items():
        if member.endswith("_at") and value is not None:
            try:
                epoch(value)
            except (TypeError, ValueError):
                raise errors.invalid(member, "must be an ISO 8601 moment") from None


def _conclude(record: Record, asked: Mapping[str, Any], now: str) -> None:
    assumed = {**dict.fromkeys(_ENDED, now), "duration_secs": 0, "size_mb": 0.1}
    record.update({name: value for name, value in assumed.items() if name in record and name not in asked})


def _relate(account: Account, kind: str, record: Record, asked: Mapping[str, Any]) -> None:
    """The ids that follow from others."""
    session = account.sessions.get(record.get("session_id") or "")
    if session is not None and "room_id" in record and "room_id" not in asked:
        record["room_id"] = session["room_id"]
    room = account.rooms.get(record["room_id"] or "") if kind == "sessions" else None
    if room is not None and record["active"]:
        room["active_session_id"] = record["id"]
