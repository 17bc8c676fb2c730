"""The web snippet, compiled strictly, in an app that else uses a client generated from openapi.yaml."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.scripted import Answer, Scripted, page, problem, token
from tests.clients.stories import Story, Told, of
from tests.processes import Caller, Sandbox, ServiceProcess, admin, fresh, make_room, mint, until

LIFE = 10
BUSY = problem(503, "upstream_unavailable", retryable=True, retry_after=1)
BUG = problem(500, "internal_error", retryable=False)


@pytest.fixture(scope="module")
def meeting(built: Path, service: ServiceProcess, sandbox: Sandbox) -> Told:
    """A moderator's call, until her second token, in a room of tokens of ten seconds."""
    alias = fresh()
    make_room(service.url, alias, token_ttl_secs=LIFE, access=[{"members": True}])
    admin(service.url).ask("PUT", f"/v1/admin/rooms/{alias}/members/alice", json={"role": "moderator"})
    plan = {"service": service.url, "sandbox": sandbox.base, "alias": alias, "bearers": [mint("alice", name="Alice")]}
    return Story(built, {**plan, "tokens": 2}).told()


def test_who_joins_with_the_context_as_it_came_is_proven(meeting: Told) -> None:
    """The ticket in it arrives at the service by way of the participant's context."""
    joined = of(meeting, "connected")[0]["id"]
    listed = [one for one in of(meeting, "listed")[0]["participants"] if one["participant_id"] == joined]

    assert [(one["standing"], one["user_id"], one["name"]) for one in listed] == [("proven", "alice", "Alice")]


def test_it_comes_back_after_as_many_seconds_as_it_was_told(meeting: Told) -> None:
    """Neither at once nor when the token is nearly over."""
    first, second = of(meeting, "token")

    assert first["refresh_after"] <= second["at"] - first["at"] < first["expires_in"] - 1


def test_the_second_token_has_a_life_of_its_own(meeting: Told) -> None:
    """It is not the first one again."""
    _, second = of(meeting, "token")

    assert second["source"] == "refreshed"
    assert second["expires_in"] >= LIFE - 2


def test_the_second_token_is_handed_to_the_sdk(meeting: Told) -> None:
    """The participant may stay as long as it lives."""
    assert [entry["token_expires_in"] > LIFE - 3 for entry in of(meeting, "handed over")] == [True]


def test_it_leaves_when_its_user_was_removed_and_the_platform_could_not_be_told(
    built: Path, service: ServiceProcess, sandbox: Sandbox
) -> None:
    """The ban refuses the next token, and the call ends within one life of a token."""
    alias = fresh()
    room_id = make_room(service.url, alias, "bob", token_ttl_secs=LIFE)
    plan = {"service": service.url, "sandbox": sandbox.base, "alias": alias, "bearers": [mint("bob")]}
    story = Story(built, plan)
    bob = until(lambda: present(sandbox, room_id), what="bob's call")[0]
    assert admin(service.url).ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={}).ok

    ended = of(story.told(), "ended")[0]

    assert (ended["reason"], ended["reaction"]) == ("banned", "leave")
    assert ended["at"] <= LIFE
    left = until(lambda: sandbox.control("GET", f"participants/{bob['id']}")["left_reason"], what="bob's leaving")
    assert left == "user_initiated"


def present(sandbox: Sandbox, room_id: str) -> list[dict[str, Any]]:
    """Who is in a room now."""
    everybody = sandbox.control("GET", "participants")["data"]
    return [one for one in everybody if one["room_id"] == room_id and one["state"] == "joined"]


def no_room(_: ServiceProcess) -> tuple[str, str]:
    return fresh(), mint("carol")


def banned(service: ServiceProcess) -> tuple[str, str]:
    alias = fresh()
    make_room(service.url, alias, "bob")
    assert admin(service.url).ask("PUT", f"/v1/rooms/{alias}/bans/bob", json={}).ok
    return alias, mint("bob")


def not_open_yet(service: ServiceProcess) -> tuple[str, str]:
    alias = fresh()
    make_room(service.url, alias, "bob", opens_at="2099-01-01T00:00:00Z")
    return alias, mint("bob")


def closed(service: ServiceProcess) -> tuple[str, str]:
    alias = fresh()
    make_room(service.url, alias, "bob", closes_at="2020-01-01T00:00:00Z")
    return alias, mint("bob")


def bad_bearer(service: ServiceProcess) -> tuple[str, str]:
    alias = fresh()
    make_room(service.url, alias, "bob")
    return alias, mint("bob", secret="of somebody else, and long enough for HS256")


def signed_out(service: ServiceProcess) -> tuple[str, str]:
    user, alias = fresh("user"), fresh()
    make_room(service.url, alias, user)
    bearer = mint(user)
    assert admin(service.url).ask("POST", "/v1/admin/revocations", json={"user": user}).ok
    return alias, bearer


@pytest.mark.parametrize(
    ("refusal", "code", "reaction"),
    [
        (no_room, "room_not_found", "leave"),
        (banned, "banned", "leave"),
        (not_open_yet, "not_open_yet", "lobby"),
        (closed, "closed", "leave"),
        (bad_bearer, "invalid_token", "sign_in"),
        (signed_out, "session_revoked", "sign_in"),
    ],
    ids=["no such room", "banned", "not open yet", "closed", "bad bearer", "signed out"],
)
def test_it_says_what_to_do_about_a_refusal(
    built: Path,
    service: ServiceProcess,
    refusal: Callable[[ServiceProcess], tuple[str, str]],
    code: str,
    reaction: str,
) -> None:
    """By the code that the service gives."""
    alias, bearer = refusal(service)

    told = Story(built, {"service": service.url, "sandbox": "", "alias": alias, "bearers": [bearer]}).told()

    assert [(entry["code"], entry["reaction"]) for entry in of(told, "refused")] == [(code, reaction)]


def test_a_lobby_learns_when_the_room_opens(built: Path, service: ServiceProcess) -> None:
    """The moment is in the problem that the app gets."""
    alias, bearer = not_open_yet(service)

    told = Story(built, {"service": service.url, "sandbox": "", "alias": alias, "bearers": [bearer]}).told()

    assert of(told, "refused")[0]["opens_at"] == "2099-01-01T00:00:00Z"


def test_it_asks_for_another_bearer_before_it_gives_up(built: Path, service: ServiceProcess, sandbox: Sandbox) -> None:
    """One that ran out is replaced without the user noticing."""
    alias = fresh()
    make_room(service.url, alias, "bob")
    bearers = [mint("bob", iat=1_600_000_000, exp=1_600_000_600), mint("bob")]

    told = Story(
        built, {"service": service.url, "sandbox": sandbox.base, "alias": alias, "bearers": bearers, "tokens": 1}
    ).told()

    assert [entry["what"] for entry in told][:2] == ["another bearer", "token"]


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    made: list[Scripted] = []

    def make(*answers: Answer) -> Scripted:
        made.append(Scripted(answers))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def play(built: Path, url: str, **more: Any) -> Told:
    return Story(built, {"service": url, "sandbox": "", "alias": "standup", "bearers": ["bearer"], **more}).told()


def test_it_never_comes_back_before_the_time_it_was_told(built: Path, scripted: Callable[..., Scripted]) -> None:
    """Half a second of patience beyond ``retry_after`` would let an early repeat through."""
    server = scripted(BUSY, BUSY, BUG)

    play(built, server.url)

    gaps = [later - earlier for earlier, later in itertools.pairwise(server.asked)]
    assert len(gaps) == 2
    assert min(gaps) >= 1.0


def test_its_repeats_are_spread(built: Path, scripted: Callable[..., Scripted]) -> None:
    """Clients that were refused together do not come back together."""
    servers = [scripted(BUSY, BUG) for _ in range(4)]
    plans = [{"service": one.url, "sandbox": "", "alias": "standup", "bearers": ["bearer"]} for one in servers]
    for story in [Story(built, plan) for plan in plans]:
        story.told()

    waits = [round(one.asked[1] - one.asked[0], 1) for one in servers]
    assert len(set(waits)) > 1


def test_it_does_not_repeat_what_cannot_help(built: Path, scripted: Callable[..., Scripted]) -> None:
    """A problem that says so is asked about once."""
    server = scripted(BUG)

    told = play(built, server.url)

    assert len(server.asked) == 1
    assert of(told, "refused")[0]["reaction"] == "report"


def test_a_code_that_it_does_not_know_is_judged_by_whether_a_repeat_may_help(
    built: Path, scripted: Callable[..., Scripted]
) -> None:
    """So that a new code needs no new app."""
    server = scripted(problem(418, "brand_new", retryable=True), problem(418, "brand_new", retryable=False))

    told = play(built, server.url)

    assert len(server.asked) == 2
    assert of(told, "refused")[0]["reaction"] == "report"


def test_a_proxy_that_answers_for_the_service_is_worth_another_try(
    built: Path, scripted: Callable[..., Scripted]
) -> None:
    """A page with status 502 is no answer of the service."""
    server = scripted(page(502), BUG)

    play(built, server.url)

    assert len(server.asked) == 2


def test_its_patience_with_a_service_that_cannot_be_reached_ends(built: Path) -> None:
    """The user learns of it."""
    told = play(built, "http://127.0.0.1:9", patience=1)

    assert [(entry["code"], entry["reaction"]) for entry in of(told, "refused")] == [("no_answer", "again")]
    assert told[-1]["at"] < 5


def test_trouble_of_the_service_does_not_end_a_call_whose_token_lives(
    built: Path, service: ServiceProcess, sandbox: Sandbox, scripted: Callable[..., Scripted]
) -> None:
    """Not even a bug of ours does: the call goes on until its token is over, and the SDK tells of it."""
    alias = fresh()
    make_room(service.url, alias, "bob", token_ttl_secs=LIFE)
    given = Caller(service.url, "bob").token(alias).json()
    server = scripted(token(given, refresh_after=1), BUG)

    told = Story(built, {"service": server.url, "sandbox": sandbox.base, "alias": alias, "bearers": ["bearer"]}).told()

    ended = of(told, "ended")[0]
    assert ended["reason"] == "unknown"
    assert ended["at"] > LIFE - 3
    assert len(server.asked) == 2
