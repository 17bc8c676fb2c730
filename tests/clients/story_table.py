"""The table of stories that the packages of all platforms tell alike."""

from __future__ import annotations

from collections.abc import Iterator

from tests.clients.answer_stories import codes, no_tokens, statuses, terse
from tests.clients.scripted import Answer, bare, page, problem, token
from tests.clients.story import BUSY, FIRST, LATER, NEXT, Story, ended, forced, got, trouble
from tests.clients.time_stories import clocks, sleep, waking, waking_in_trouble


def persistence() -> Iterator[Story]:
    """It goes on trying, in time, and not too often."""
    yield Story(
        "one-trouble-after-the-other",
        [FIRST, bare(408), page(429), page(403), problem(500, "internal_error", retryable=False), bare(404), NEXT],
        [
            got(0, "first"),
            trouble(300, "http_408", left=300, retry=0.75),
            trouble(300.75, "http_429", failures=2, left=299.25, retry=1.5),
            trouble(302.25, "http_403", "report", failures=3, left=297.75, retry=3),
            trouble(305.25, "internal_error", "report", failures=4, left=294.75, retry=6),
            trouble(311.25, "http_404", "report", failures=5, left=288.75, retry=11.25),
            got(322.5, "next"),
        ],
    )
    short = token("first", expires_in=40, refresh_after=20)
    yield Story(
        "until-the-token-is-over",
        [short, BUSY],
        [
            got(0, "first"),
            trouble(20, "upstream_unavailable", left=20, retry=5.75),
            trouble(25.75, "upstream_unavailable", failures=2, left=14.25, retry=6.5),
            trouble(32.25, "upstream_unavailable", failures=3, left=7.75, retry=8),
            ended(40, "expired", "upstream_unavailable"),
        ],
    )
    yield Story(
        "trouble-is-counted-anew-after-a-token",
        [FIRST, BUSY, NEXT, BUSY, LATER],
        [
            got(0, "first"),
            trouble(300, "upstream_unavailable", left=300, retry=5.75),
            got(305.75, "next"),
            trouble(605.75, "upstream_unavailable", left=300, retry=5.75),
            got(611.5, "later"),
        ],
        until=900,
    )
    stale = token("first", source="stale", expires_in=200, refresh_after=50)
    yield Story(
        "a-stale-token-is-trouble-too",
        [FIRST, stale, NEXT],
        [
            got(0, "first"),
            got(300, "first", "stale"),
            trouble(300, "stale_token", left=200, retry=50),
            got(350, "next"),
        ],
    )
    yield Story(
        "a-stale-first-token-is-one-to-join-with",
        [stale, NEXT],
        [got(0, "first", "stale"), trouble(0, "stale_token", left=200, retry=50), got(50, "next")],
        until=300,
    )


def waits() -> Iterator[Story]:
    """How long it waits, by what the answer says."""
    cases = {
        "body": (problem(503, "c", retryable=True, retry_after=7), "c", 7.75),
        "header": (page(503, Retry_After="7"), "http_503", 7.75),
        "header-of-a-problem": (
            Answer(503, problem(503, "c", retryable=True).body, {
                "Content-Type": "application/problem+json; charset=utf-8", "Retry-After": "7",
            }), "c", 7.75,
        ),
        "an-hour": (problem(503, "c", retryable=True, retry_after=3600), "c", 60.75),
        "an-hour-by-header": (bare(429, Retry_After="3600"), "http_429", 60.75),
        "a-date": (bare(503, Retry_After="Sun, 22 Nov 2026 15:00:00 GMT"), "http_503", 0.75),
        "a-text": (problem(503, "c", retryable=True, retry_after="soon"), "c", 0.75),
        "negative": (problem(503, "c", retryable=True, retry_after=-7), "c", 0.75),
    }  # fmt: skip
    for name, (answer, code, pause) in cases.items():
        yield Story(
            f"retry-after-{name}",
            [FIRST, answer, NEXT],
            [got(0, "first"), trouble(300, code, left=300, retry=pause), got(300 + pause, "next")],
        )


def patience() -> Iterator[Story]:
    """The first token is waited for, but not for ever."""
    yield Story(
        "patience-ends",
        [bare(503)],
        [
            trouble(0, "http_503", retry=0.75),
            trouble(0.75, "http_503", failures=2, retry=1.5),
            trouble(2.25, "http_503", failures=3, retry=3),
            trouble(5.25, "http_503", failures=4, retry=6),
            trouble(11.25, "http_503", failures=5, retry=11.25),
            ended(22.5, "unavailable", "http_503"),
        ],
    )
    yield Story(
        "patience-is-an-option",
        [bare(503)],
        [trouble(0, "http_503", retry=0.75), ended(0.75, "unavailable", "http_503")],
        options={"patience": 2},
    )
    long = problem(502, "upstream_rejected_credentials", retryable=True, retry_after=60)
    yield Story(
        "a-wait-that-does-not-fit-ends-at-once",
        [long],
        [ended(0, "unavailable", "upstream_rejected_credentials")],
    )
    full = problem(409, "room_full", retryable=True, retry_after=10)
    yield Story(
        "a-full-room-is-tried-again",
        [full, NEXT],
        [trouble(0, "room_full", retry=10.75), got(10.75, "next")],
        until=300,
    )
    yield Story(
        "patience-is-for-the-first-token-only",
        [FIRST, *[bare(503)] * 6, NEXT],
        [
            got(0, "first"),
            trouble(300, "http_503", left=300, retry=0.75),
            trouble(300.75, "http_503", failures=2, left=299.25, retry=1.5),
            trouble(302.25, "http_503", failures=3, left=297.75, retry=3),
            trouble(305.25, "http_503", failures=4, left=294.75, retry=6),
            trouble(311.25, "http_503", failures=5, left=288.75, retry=11.25),
            trouble(322.5, "http_503", failures=6, left=277.5, retry=11.25),
            got(333.75, "next"),
        ],
        options={"patience": 2},
    )


def admission() -> Iterator[Story]:
    """Who waits for a moderator is asked for without end, and nothing has failed."""
    waiting = problem(403, "waiting_for_admission", retryable=True, retry_after=20)
    told = [trouble(at, "waiting_for_admission", "wait", failures=0, retry=20) for at in (0, 20, 40, 60)]
    yield Story("waiting-outlasts-patience", [*[waiting] * 4, FIRST], [*told, got(80, "first")], until=300)
    yield Story(
        "patience-begins-anew-after-waiting",
        [waiting, bare(503)],
        [
            told[0],
            trouble(20, "http_503", retry=0.75),
            trouble(20.75, "http_503", failures=2, retry=1.5),
            trouble(22.25, "http_503", failures=3, retry=3),
            trouble(25.25, "http_503", failures=4, retry=6),
            trouble(31.25, "http_503", failures=5, retry=11.25),
            ended(42.5, "unavailable", "http_503"),
        ],
    )
    yield Story(
        "waiting-with-a-token-ends-with-it",
        [token("first", expires_in=40, refresh_after=20), waiting],
        [
            got(0, "first"),
            trouble(20, "waiting_for_admission", "wait", failures=0, left=20, retry=20),
            ended(40, "expired", "waiting_for_admission", "wait"),
        ],
    )
    refused = problem(403, "admission_refused", retryable=False)
    yield Story("waiting-in-vain", [waiting, refused], [told[0], ended(20, "refused", "admission_refused", "leave")])


REFUSED = problem(401, "invalid_token", retryable=False)


def bearers() -> Iterator[Story]:
    """An expired bearer is renewed, once."""
    for name, refusal in (
        ("refused", REFUSED),
        ("missing", problem(401, "missing_credentials", retryable=False)),
        ("refused-by-a-proxy", page(401)),
    ):
        yield Story(f"join-bearer-{name}", [refusal, FIRST], [forced(0), got(0, "first")], 299, bearers=("old", "new"))
        yield Story(
            f"renewal-bearer-{name}",
            [FIRST, refusal, NEXT],
            [got(0, "first"), forced(300), got(300, "next")],
            bearers=("old", "old", "new"),
        )
    yield Story(
        "join-both-bearers-refused",
        [REFUSED],
        [forced(0), ended(0, "refused", "invalid_token", "sign_in")],
        bearers=("old", "new"),
    )
    # The identity provider is left alone until the app has another bearer: after that the user has signed in again.
    yield Story(
        "renewal-both-bearers-refused",
        [FIRST, REFUSED, REFUSED, REFUSED, REFUSED, NEXT],
        [
            got(0, "first"),
            forced(300),
            trouble(300, "invalid_token", "sign_in", left=300, retry=0.75),
            trouble(300.75, "invalid_token", "sign_in", failures=2, left=299.25, retry=1.5),
            trouble(302.25, "invalid_token", "sign_in", failures=3, left=297.75, retry=3),
            got(305.25, "next"),
        ],
        bearers=("old", "old", "new", "new", "old", "of another sign-in"),
    )


def bearers_later() -> Iterator[Story]:
    """What was refused once is no longer held against a bearer; and there may be none."""
    yield Story(
        "a-bearer-that-worked-is-renewed-when-it-expires",
        [REFUSED, FIRST, REFUSED, NEXT],
        [forced(0), got(0, "first"), forced(300), got(300, "next")],
        bearers=("old", "new", "new", "newer"),
    )
    yield Story(
        "bearers-that-were-refused-are-forgotten-with-the-next-token",
        [FIRST, REFUSED, REFUSED, NEXT, REFUSED, LATER],
        [
            got(0, "first"),
            forced(300),
            trouble(300, "invalid_token", "sign_in", left=300, retry=0.75),
            got(300.75, "next"),
            forced(600.75),
            got(600.75, "later"),
        ],
        until=900,
        bearers=("old", "old", "new", "new", "new", "newer"),
    )
    yield Story(
        "join-no-bearer-at-first",
        [FIRST],
        [trouble(0, "bearer_unavailable", retry=0.75), got(0.75, "first")],
        299,
        bearers=(None, "bearer"),
    )
    yield Story(
        "renewal-no-bearer",
        [FIRST, NEXT],
        [got(0, "first"), trouble(300, "bearer_unavailable", left=300, retry=0.75), got(300.75, "next")],
        bearers=("bearer", None, "bearer"),
    )
    yield Story(
        "renewal-no-bearer-in-time",
        [FIRST, NEXT],
        [got(0, "first"), trouble(310, "bearer_unavailable", left=290, retry=0.75), got(310.75, "next")],
        bearers=("bearer", ..., "bearer"),
    )
    yield Story(
        "renewal-no-other-bearer",
        [FIRST, REFUSED, NEXT],
        [got(0, "first"), forced(300), trouble(300, "bearer_unavailable", left=300, retry=0.75), got(300.75, "next")],
        bearers=("bearer", "bearer", None, "bearer"),
    )


def stopping() -> Iterator[Story]:
    """After it is stopped nothing is asked or told."""
    yield Story("stopped", [FIRST, NEXT], [got(0, "first")], 900, actions=[(100, "stop", 0)])
    yield Story(
        "stopped-in-trouble",
        [FIRST, bare(503)],
        [got(0, "first"), trouble(300, "http_503", left=300, retry=0.75)],
        900,
        actions=[(300.5, "stop", 0)],
    )
    yield Story(
        "stopped-while-an-answer-is-waited-for",
        [FIRST, Answer(manner="silent")],
        [got(0, "first")],
        900,
        actions=[(305, "stop", 0)],
    )
    yield Story("stopped-while-joining", [bare(503)], [trouble(0, "http_503", retry=0.75)], actions=[(0.5, "stop", 0)])


def requests() -> Iterator[Story]:
    """What is sent is looked at by tests of their own."""
    yield Story("plain", [FIRST], [got(0, "first")], 1)
    yield Story("odd-alias", [FIRST], [got(0, "first")], 1, room="a/b c?d=1#ü%")
    yield Story(
        "members", [FIRST], [got(0, "first")], 1, options={"device_id": "tablet-1", "display_name": 'Zoë "Z" \\ 名'}
    )


STORIES = tuple(
    story
    for chapter in (
        statuses, codes, terse, no_tokens, persistence, waits, patience, admission, bearers, bearers_later, sleep,
        clocks, waking, waking_in_trouble, stopping, requests,
    )
    for story in chapter()
)  # fmt: skip
