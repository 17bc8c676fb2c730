"""Stories of sleep, of clocks that are set, and of signals that wake a keeper."""

from __future__ import annotations

from collections.abc import Iterator

from tests.clients.scripted import Answer, bare, token
from tests.clients.story import BUSY, FIRST, NEXT, Story, ended, got, trouble

HOUR = 3600.0


def sleep() -> Iterator[Story]:
    """A clock that goes on in sleep says when to ask, and one that does not says when to give up."""
    yield Story(
        "an-hour-of-sleep",
        [FIRST, NEXT],
        [got(0, "first"), got(100 + HOUR, "next")],
        until=100 + HOUR + 200,
        actions=[(100, "sleep", HOUR), (100, "wake", 0)],
    )
    yield Story(
        "an-hour-of-sleep-without-a-signal",
        [FIRST, NEXT],
        [got(0, "first"), got((100 + HOUR, 110 + HOUR), "next")],
        until=100 + HOUR + 200,
        actions=[(100, "sleep", HOUR)],
    )
    yield Story(
        "a-nap-over-the-renewal",
        [FIRST, NEXT],
        [got(0, "first"), got(350, "next")],
        until=600,
        actions=[(250, "sleep", 100), (250, "wake", 0)],
    )
    yield Story(
        "an-hour-of-sleep-and-no-network-at-first",
        [FIRST, NEXT],
        [
            got(0, "first"),
            trouble(100 + HOUR, "network_error", left=0, retry=0.75),
            trouble(100.75 + HOUR, "network_error", failures=2, left=0, retry=1.5),
            got(102 + HOUR, "next"),
        ],
        until=100 + HOUR + 200,
        actions=[(100, "offline", 0), (100, "sleep", HOUR), (100, "wake", 0), (102, "online", 0), (102, "wake", 0)],
    )
    short = token("short", expires_in=20, refresh_after=10)
    yield Story(
        "an-hour-of-sleep-and-a-later-token-that-ends",
        [FIRST, short, bare(500)],
        [
            got(0, "first"),
            got(100 + HOUR, "short"),
            trouble(110 + HOUR, "http_500", left=10, retry=0.75),
            trouble(110.75 + HOUR, "http_500", failures=2, left=9.25, retry=1.5),
            trouble(112.25 + HOUR, "http_500", failures=3, left=7.75, retry=3),
            trouble(115.25 + HOUR, "http_500", failures=4, left=4.75, retry=6),
            ended(120 + HOUR, "expired", "http_500"),
        ],
        until=100 + HOUR + 200,
        actions=[(100, "sleep", HOUR), (100, "wake", 0)],
    )
    yield Story(
        "sleep-while-an-answer-is-waited-for",
        [FIRST, Answer(manner="silent"), NEXT],
        [got(0, "first"), trouble(302 + HOUR, "network_error", left=0, retry=0.75), got(302.75 + HOUR, "next")],
        until=302 + HOUR + 200,
        actions=[(302, "sleep", HOUR), (302, "wake", 0)],
    )


def clocks() -> Iterator[Story]:
    """The clock of day decides nothing."""
    for name, by in (("an-hour", -HOUR), ("a-day", -24 * HOUR)):
        yield Story(
            f"clock-set-back-by-{name}",
            [FIRST, NEXT],
            [got(0, "first"), got(300, "next")],
            actions=[(100, "set clock", by)],
        )
    yield Story(
        "clock-set-back-before-an-hour-of-sleep",
        [FIRST, NEXT],
        [got(0, "first"), got(120 + HOUR, "next")],
        until=100 + HOUR + 200,
        actions=[(100, "set clock", -2 * HOUR), (120, "sleep", HOUR), (120, "wake", 0)],
    )
    yield Story(
        "clock-set-back-during-trouble",
        [FIRST, BUSY, NEXT],
        [got(0, "first"), trouble(300, "upstream_unavailable", left=300, retry=5.75), got(305.75, "next")],
        actions=[(302, "set clock", -HOUR)],
    )
    yield Story(
        "clock-set-forward",
        [FIRST, NEXT],
        [got(0, "first"), got(110, "next")],
        until=400,
        actions=[(105, "set clock", HOUR)],
        platforms=frozenset({"web"}),
    )
    # With the same trouble, a keeper that believed the clock would end here.
    yield Story(
        "clock-set-forward-and-trouble",
        [FIRST, BUSY, NEXT],
        [got(0, "first"), trouble(110, "upstream_unavailable", left=0, retry=5.75), got(115.75, "next")],
        until=400,
        actions=[(105, "set clock", HOUR)],
        platforms=frozenset({"web"}),
    )


def waking() -> Iterator[Story]:
    """Signals make it look at the clock; being online again makes it try."""
    yield Story(
        "woken-while-nothing-is-due",
        [FIRST, NEXT],
        [got(0, "first"), got(300, "next")],
        actions=[(at, "wake", 0) for at in (0.5, 10, 100, 299)],
    )
    troubles = [
        trouble(300, "network_error", left=300, retry=0.75),
        trouble(300.75, "network_error", failures=2, left=299.25, retry=1.5),
        trouble(302.25, "network_error", failures=3, left=297.75, retry=3),
        trouble(305.25, "network_error", failures=4, left=294.75, retry=6),
        trouble(311.25, "network_error", failures=5, left=288.75, retry=11.25),
    ]
    yield Story(
        "online-again",
        [FIRST, NEXT],
        [got(0, "first"), *troubles, got(314, "next")],
        actions=[(290, "offline", 0), (314, "online", 0), (314, "wake", 0)],
    )
    yield Story(
        "online-again-without-a-signal",
        [FIRST, NEXT],
        [got(0, "first"), *troubles, got(322.5, "next")],
        actions=[(290, "offline", 0), (314, "online", 0)],
    )
    yield Story(
        "offline-until-the-token-is-over",
        [token("first", expires_in=20, refresh_after=10), NEXT],
        [
            got(0, "first"),
            trouble(10, "network_error", left=10, retry=0.75),
            trouble(10.75, "network_error", failures=2, left=9.25, retry=1.5),
            trouble(12.25, "network_error", failures=3, left=7.75, retry=3),
            trouble(15.25, "network_error", failures=4, left=4.75, retry=6),
            ended(20, "expired", "network_error"),
        ],
        actions=[(5, "offline", 0)],
    )


def waking_in_trouble() -> Iterator[Story]:
    """Signals cut a pause, but not what the service asked for."""
    yield Story(
        "woken-before-the-service-wants-to-be-asked",
        [FIRST, BUSY, NEXT],
        [got(0, "first"), trouble(300, "upstream_unavailable", left=300, retry=5.75), got(305, "next")],
        actions=[(301, "wake", 0), (303, "wake", 0)],
    )
    yield Story(
        "woken-again-and-again",
        [FIRST, bare(500), bare(500), bare(500), NEXT],
        [
            got(0, "first"),
            trouble(300, "http_500", left=300, retry=0.75),
            trouble(300.75, "http_500", failures=2, left=299.25, retry=1.5),
            trouble(301.75, "http_500", failures=3, left=298.25, retry=3),
            got(302.75, "next"),
        ],
        actions=[(300 + step / 10, "wake", 0) for step in range(1, 100)],
    )
    yield Story(
        "woken-while-an-answer-is-waited-for",
        [FIRST, bare(500), bare(500), Answer(manner="silent"), NEXT],
        [
            got(0, "first"),
            trouble(300, "http_500", left=300, retry=0.75),
            trouble(300.75, "http_500", failures=2, left=299.25, retry=1.5),
            trouble(312.25, "network_error", failures=3, left=287.75, retry=3),
            got(313.25, "next"),
        ],
        actions=[(305, "wake", 0)],
    )
