"""Who waits at the door of a room, by table: what ``authorize`` makes of a room's meeting."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.errors import AdmissionRefused, Banned, RecordUnreadable, Refused, WaitingForAdmission
from service.identity.verifier import Invited
from service.rooms.access import authorize
from service.rooms.invites import Invite
from service.rooms.models import Role
from service.storage.records import ADMITTED, ENTERED, REFUSED, AccessRecords
from tests.rooms.test_access import NOW, room_of, somebody

EVERYBODY = {"authenticated": True, "role": "participant"}
MODERATORS = {"claim": "dept", "equals": "hosts", "role": "moderator"}
BOB, HOST = somebody(), somebody(claims={"dept": "hosts"})
GUEST = somebody(user="guest:1", invited=Invited("standup", "i1"))
INVITE = Invite("i1", "", Role.PARTICIPANT, None, NOW + 60, 1, "alice", NOW).to_bytes()
FOR_ALL = {"waiting_room": "participants"}
FOR_GUESTS = {"waiting_room": "guests"}
HOSTED = {"host_required": True}


def records_of(spec: dict[str, Any], **facts: Any) -> AccessRecords:
    record = json.dumps(room_of(EVERYBODY, MODERATORS, **spec).to_json()).encode()
    return AccessRecords(record, invite=INVITE, **facts)


@pytest.mark.parametrize(
    ("spec", "principal", "facts"),
    [
        ({}, GUEST, {}),
        (FOR_GUESTS, BOB, {}),
        (FOR_ALL, HOST, {}),
        (HOSTED, HOST, {}),
        ({**FOR_ALL, **HOSTED}, HOST, {"admission": REFUSED}),
        (HOSTED, BOB, {"moderator_is_in": True}),
        (FOR_ALL, BOB, {"admission": ADMITTED}),
        ({**FOR_ALL, **HOSTED}, GUEST, {"admission": ADMITTED}),
        ({**FOR_ALL, **HOSTED}, BOB, {"admission": ENTERED}),
    ],
)
def test_who_does_not_wait(spec: dict[str, Any], principal: Any, facts: dict[str, Any]) -> None:
    """Moderators never, and nobody who was admitted or was given a token in this meeting."""
    authorize(records_of(spec, **facts), principal, NOW)


@pytest.mark.parametrize(
    ("spec", "principal", "facts", "expected"),
    [
        (FOR_ALL, BOB, {}, WaitingForAdmission),
        (FOR_GUESTS, GUEST, {"moderator_is_in": True}, WaitingForAdmission),
        (HOSTED, GUEST, {}, WaitingForAdmission),
        ({**FOR_GUESTS, **HOSTED}, BOB, {}, WaitingForAdmission),
        (FOR_ALL, BOB, {"admission": REFUSED}, AdmissionRefused),
        (HOSTED, BOB, {"admission": REFUSED, "moderator_is_in": True}, AdmissionRefused),
        (FOR_ALL, BOB, {"admission": b"perhaps"}, RecordUnreadable),
        (FOR_ALL, BOB, {"admission": ADMITTED, "ban": b'{"user":"alice"}'}, Banned),
    ],
)
def test_who_is_kept_at_the_door(
    spec: dict[str, Any], principal: Any, facts: dict[str, Any], expected: type[Refused]
) -> None:
    """A refusal holds, a ban wins over an admission, and what cannot be read admits nobody."""
    with pytest.raises(expected):
        authorize(records_of(spec, **facts), principal, NOW)
