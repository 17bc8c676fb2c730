"""Stories of a token keeper, for all platforms: what the service answers, what else happens, what the app is told.

A story runs in a time of its own: the keeper's clocks jump from timer to timer while no request is under way, and the
random part of each pause is 0.5. So each moment can be told exactly. The service and the sockets are real. Times are
seconds since the beginning, sleep included; actions come at seconds of being awake. The rules are in
clients/BEHAVIOUR.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.clients.scripted import Answer, bare, page, problem, token

Told = Mapping[str, Any]
FIRST, NEXT, LATER = token("first"), token("next"), token("later")
HOUR = 3600.0
# What a status means when nothing of the service's is in the answer.
RETRYABLE = frozenset({408, 425, 429, *range(500, 600)})


@dataclass(frozen=True, slots=True)
class Story:
    """``bearers``: what the app's callback returns, one after the other, the last again and again; ``None`` throws,
    ``...`` never returns. ``actions``: (awake seconds, what, seconds). ``told``: all that the app is told up to
    ``until``. ``options`` as the wire calls them. ``platforms``: where it is told, if not everywhere.
    """

    name: str
    answers: Sequence[Answer]
    told: Sequence[Told]
    until: float = 599.0
    actions: Sequence[tuple[float, str, float]] = ()
    bearers: Sequence[Any] = ("bearer",)
    options: Mapping[str, Any] = field(default_factory=dict)
    room: str = "standup"
    platforms: frozenset[str] = frozenset({"web", "android"})


def got(at: float | tuple[float, float], name: str, source: str = "refreshed") -> Told:
    """A token; between two moments, where platforms differ in how often they look at their clocks."""
    return {"at": at, "what": "token", "token": name, "source": source}


def trouble(at: float, code: str, reaction: str = "retry", *, failures: int = 1, left: float = 0, retry: float) -> Told:
    """An attempt failed; ``left`` of the token's life, ``retry`` until the next try."""
    told = {"code": code, "reaction": reaction, "failures": failures, "left": left, "retry": retry}
    return {"at": at, "what": "trouble", **told}


def ended(at: float, reason: str, code: str, reaction: str = "retry") -> Told:
    return {"at": at, "what": "ended", "reason": reason, "code": code, "reaction": reaction}


def forced(at: float) -> Told:
    """The app was asked for another bearer."""
    return {"at": at, "what": "forced"}


# Without 407 and 421: fetch() deals with them itself, by standard.
STATUSES = (
    201, 202, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411,
    412, 413, 414, 415, 416, 417, 418, 422, 423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505,
    506, 507, 508, 510, 511, 520, 522, 530, 599,
)  # fmt: skip


def what_a_status_means(status: int) -> tuple[str, str]:
    """Code and reaction for a status without a problem document."""
    if status < 300:
        return "invalid_answer", "retry"
    if status < 400:
        return "redirected", "report"
    if status == 401:
        return "http_401", "sign_in"
    return f"http_{status}", "retry" if status in RETRYABLE else "report"


def answers_of(status: int) -> Iterator[tuple[str, Answer, str, str]]:
    """Name, answer, code and reaction: without a body, with a proxy's page, with problem documents."""
    code, reaction = what_a_status_means(status)
    moved = {"Location": "http://127.0.0.1:9/"} if 300 <= status < 400 else {}
    yield f"{status}-bare", bare(status, **moved), code, reaction
    if status in {204, 304}:
        return
    yield f"{status}-page", page(status, **moved), code, reaction
    for retryable in (True, False):
        meaning = "sign_in" if status == 401 else "retry" if retryable else "report"
        name = f"{status}-problem-{'retryable' if retryable else 'not-retryable'}"
        yield name, problem(status, "brand_new", retryable=retryable), "brand_new", meaning


def statuses() -> Iterator[Story]:
    """Each status, with and without a body, at a renewal and at the first call."""
    for status in STATUSES:
        # Where the bearer was refused it is renewed once, so that one attempt is two requests.
        times = 2 if status == 401 else 1
        for name, answer, code, reaction in answers_of(status):
            yield Story(
                f"renewal-{name}",
                [FIRST, *[answer] * times, NEXT],
                [
                    got(0, "first"),
                    *[forced(300)] * (times - 1),
                    trouble(300, code, reaction, left=300, retry=0.75),
                    got(300.75, "next"),
                ],
            )
            over = ended(0, "refused", code, reaction)
            again = [trouble(0, code, retry=0.75), got(0.75, "next")]
            yield Story(
                f"join-{name}",
                [*[answer] * times, NEXT],
                [*[forced(0)] * (times - 1), *(again if reaction == "retry" else [over])],
                until=299,
            )


# Code, status, reaction, and whether it ends a call whose token lives.
CODES = (
    ("session_revoked", 401, "sign_in", True),
    ("not_open_yet", 403, "lobby", True),
    ("banned", 403, "leave", True),
    ("closed", 403, "leave", True),
    ("insufficient_role", 403, "leave", True),
    ("room_not_found", 404, "leave", True),
    ("internal_error", 500, "report", False),
    ("upstream_rejected", 502, "report", False),
    ("invalid_request", 422, "report", False),
    ("method_not_allowed", 405, "report", False),
)


def codes() -> Iterator[Story]:
    """What the service decides about a user ends a call at once, its trouble does not."""
    for code, status, reaction, final in CODES:
        answer = problem(status, code, retryable=False)
        goes_on = [trouble(300, code, reaction, left=300, retry=0.75), got(300.75, "next")]
        over = [ended(300, "refused", code, reaction)]
        yield Story(f"renewal-{code}", [FIRST, answer, NEXT], [got(0, "first"), *(over if final else goes_on)])
        yield Story(f"join-{code}", [answer, NEXT], [ended(0, "refused", code, reaction)])
        # The same word from somebody else means nothing.
        other = Answer(403, answer.body, {"Content-Type": "application/json"})
        yield Story(
            f"renewal-{code}-of-a-proxy",
            [FIRST, other, NEXT],
            [got(0, "first"), trouble(300, "http_403", "report", left=300, retry=0.75), got(300.75, "next")],
        )


def no_tokens() -> Iterator[Story]:
    """Status 200, and still no token; and answers that never arrive."""
    bodies = {
        "nothing": b"",
        "a-page": b"<html>Sign in to the hotel's network</html>",
        "null": b"null",
        "a-list": b"[]",
        "a-text": b'"token"',
        "half": token("next").body[:-20],
        "no-utf-8": b"\xff\xfe{}",
        "no-token": token("next", token=None).body,
        "empty-token": token("next", token="").body,
        "no-life": token("next", expires_in=0).body,
        "life-as-text": token("next", expires_in="600").body,
        "no-return": token("next", refresh_after=None).body,
        "no-room": token("next", room=None).body,
        "no-room-id": token("next", room={}).body,
        "no-context": token("next", context=None).body,
    }
    again = [trouble(300, "invalid_answer", left=300, retry=0.75), got(300.75, "next")]
    for name, body in bodies.items():
        answer = Answer(200, body, {"Content-Type": "application/json"})
        yield Story(f"200-with-{name}", [FIRST, answer, NEXT], [got(0, "first"), *again])
    again = [trouble(300, "network_error", left=300, retry=0.75), got(300.75, "next")]
    yield Story("dropped", [FIRST, Answer(manner="dropped"), NEXT], [got(0, "first"), *again])
    truncated = Answer(200, b'{"token":', manner="truncated")
    yield Story("truncated", [FIRST, truncated, NEXT], [got(0, "first"), *again])
    again = [trouble(310, "network_error", left=290, retry=0.75), got(310.75, "next")]
    yield Story("silent", [FIRST, Answer(manner="silent"), NEXT], [got(0, "first"), *again])
    dripping = Answer(200, b'{"token":', manner="dripping")
    yield Story("dripping", [FIRST, dripping, NEXT], [got(0, "first"), *again])


BUSY = problem(503, "upstream_unavailable", retryable=True, retry_after=5)


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
    """Signals make it look at the clock, and cut a pause, but not what the service asked for."""
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
        statuses, codes, no_tokens, persistence, waits, patience, bearers, sleep, clocks, waking, stopping, requests,
    )
    for story in chapter()
)  # fmt: skip
