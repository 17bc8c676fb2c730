"""Stories of single answers: every status, every code of the service, and what is no answer at all."""

from __future__ import annotations

from collections.abc import Iterator

from tests.clients.scripted import Answer, bare, page, problem, token
from tests.clients.story import FIRST, NEXT, Story, ended, forced, got, trouble

# What a status means when nothing of the service's is in the answer.
RETRYABLE = frozenset({408, 425, 429, *range(500, 600)})
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
    ("admission_refused", 403, "leave", True),
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


def terse() -> Iterator[Story]:
    """Problem documents that say no more than their code: the answer's status counts."""
    document = Answer(401, b'{"code": "brand_new"}', {"Content-Type": "application/problem+json"})
    yield Story("terse-401", [document], [forced(0), ended(0, "refused", "brand_new", "sign_in")])
    document = Answer(503, b'{"code": "brand_new", "status": 401}', {"Content-Type": "application/problem+json"})
    yield Story("terse-503", [document, NEXT], [trouble(0, "brand_new", retry=0.75), got(0.75, "next")], until=299)


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
