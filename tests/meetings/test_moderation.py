"""Whom an action means."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from service.meetings.moderation import ParticipantSelector
from service.meetings.participants import Participant

PARTICIPANT, USER = UUID("7b61621f-62e0-4aad-ab11-9fd19e272e73"), "92E7D459-BCC5-4386-9F5F-6DD14A82588D"


@pytest.mark.parametrize("excepted", [str(PARTICIPANT), str(PARTICIPANT).upper(), USER])
def test_whoever_is_excepted_is_not_meant(excepted: str) -> None:
    """By the participant's id in any letters, or by the user's exactly, also where that is a UUID in capitals."""
    one = Participant(uuid4(), PARTICIPANT, 0.0, "proven", USER, "participant", None, None)

    assert ParticipantSelector.of({"all": True}).means(one)
    assert not ParticipantSelector.of({"all": True, "except": [excepted]}).means(one)
