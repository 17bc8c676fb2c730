"""The official client's check of webhooks against what the sandbox sends."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agreement.sdk import official
from tests.sandbox.desk import Desk, Receiver, receiving

Arrived = tuple[dict[str, str], bytes]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def key_of(desk: Desk) -> str:
    key: str = desk.control("GET", "webhook-key")["public_key"]
    return key


def sent(desk: Desk, receiver: Receiver, **more: Any) -> Arrived:
    """One webhook, as it arrived."""
    desk.control("POST", "webhooks", event_type="video.room.session.ended", url=receiver.url, **more)
    return receiver.wait(1)[0]


def is_good(desk: Desk, arrived: Arrived, key: str | None = None) -> bool:
    """Whether the official client lets it pass."""
    headers, body = arrived
    with official(desk.sandbox.api_url) as client:
        try:
            client.webhooks.unwrap(body.decode(), headers=headers, key=key_of(desk) if key is None else key)
        except ValueError:
            return False
    return True


def test_all_events_of_a_meeting_verify(desk: Desk, receiver: Receiver) -> None:
    """Each of the seven kinds, signed with the key that the sandbox publishes as the portal does."""
    session_id = desk.recorded(webhook_event_url=receiver.url)["video"]["session_id"]
    desk.data("POST", "/room_compositions", {"session_id": session_id, "webhook_event_url": receiver.url})
    desk.advance(5)
    arrived = receiver.wait(9)

    assert len({json.loads(body)["data"]["event_type"] for _, body in arrived}) == 7
    assert [is_good(desk, one) for one in arrived] == [True] * 9


@pytest.mark.parametrize("damage", ["body", "signature", "unsigned"])
def test_a_damaged_webhook_does_not_verify(desk: Desk, receiver: Receiver, damage: str) -> None:
    """Another body, another signature, or none."""
    assert not is_good(desk, sent(desk, receiver, damage=damage))


@pytest.mark.parametrize(("skew", "good"), [(-200, True), (200, True), (-600, False), (600, False)])
def test_a_webhook_from_another_time_does_not_verify(desk: Desk, receiver: Receiver, skew: int, good: bool) -> None:  # noqa: FBT001
    """Five minutes either way."""
    assert is_good(desk, sent(desk, receiver, skew_secs=skew)) is good


def test_another_key_does_not_verify(desk: Desk, receiver: Receiver) -> None:
    """Thirty-two other bytes."""
    other = base64.b64encode(secrets.token_bytes(32)).decode()

    assert not is_good(desk, sent(desk, receiver), other)
