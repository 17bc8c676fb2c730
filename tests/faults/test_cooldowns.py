"""F26: Telnyx asks for peace. The wait is handed on, nobody sleeps it, and no replica asks before it is over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import pytest

from tests.faults.conftest import TellAnswer
from tests.faults.stage import Answer, Rig, Stage, timed
from tests.faults.table import GENERATE, THROTTLED
from tests.processes import EVERYBODY, Sandbox, Valkey, admin, fresh, running

pytestmark = pytest.mark.long


# Headers of a 429 and the seconds that callers are told, before the fifth of jitter.
WAITS: Mapping[str, tuple[Mapping[str, str], float]] = {
    "seconds": ({"retry-after": "30", "x-ratelimit-reset": "1"}, 30.0),
    "reset in epoch seconds": ({"x-ratelimit-reset": "EPOCH+30"}, 30.0),
    "a billion": ({"retry-after": "1000000000", "x-ratelimit-reset": "1"}, 60.0),
}


def headers(name: str) -> dict[str, str]:
    moment = str(int(time.time()) + 30)
    return {header: value.replace("EPOCH+30", moment) for header, value in WAITS[name][0].items()}


@pytest.fixture(scope="module", params=WAITS)
def throttled(request: pytest.FixtureRequest) -> Iterator[tuple[str, Rig, Stage, Answer]]:
    """A service that was just told to stay away; with a store and an account of its own, for that is for everybody."""
    for rig in running(Rig()):
        stage = rig.stage()
        rig.sandbox.fault(GENERATE, "rate_limit", headers=headers(request.param))
        yield request.param, rig, stage, stage.ask()


def test_the_wait_is_handed_to_the_caller(throttled: tuple[str, Rig, Stage, Answer], tell_answer: TellAnswer) -> None:
    """As ``Retry-After``, at once, after one call."""
    name, _, stage, answer = throttled
    asked = WAITS[name][1]

    tell_answer(f"F26 wait, {name}", f"told {answer.headers['Retry-After']} s", answer, stage.calls())
    assert answer.told == THROTTLED
    assert min(60, asked * 0.8 - 2) <= int(answer.headers["Retry-After"]) <= min(60, asked * 1.2 + 1)
    assert stage.calls() == {"generate": 1}
    assert answer.secs < 2.5


def test_a_cool_down_of_tokens_is_none_of_management(throttled: tuple[str, Rig, Stage, Answer]) -> None:
    """Rooms can be made while tokens cannot be had."""
    url, path = throttled[1].service.url, f"/v1/admin/rooms/{fresh()}"

    made = timed(lambda: admin(url).ask("PUT", path, json={"access": EVERYBODY}))

    assert made.status == 201
    assert throttled[2].ask().told == THROTTLED


@pytest.fixture
def rig() -> Iterator[Rig]:
    yield from running(Rig())


@pytest.mark.short
def test_during_a_cool_down_no_replica_asks(tell_answer: TellAnswer) -> None:
    """What one has heard holds for the other: hits are served, tokens in hand handed out, the rest told when."""
    valkey, sandbox = Valkey(), Sandbox()
    here, there = Rig(sandbox, valkey), Rig(sandbox, valkey)
    for _ in running(here, there, sandbox, valkey):
        first = here.stage()
        stages = {name: there.stage(name) for name in ("none", "useful", "mandatory", "spent")}
        sandbox.fault("*_client_token", "rate_limit", headers={"retry-after": "30"})
        assert first.ask().told == THROTTLED

        answers = {name: stage.ask() for name, stage in stages.items()}

        for name, answer in answers.items():
            tell_answer("F26 cool-down elsewhere", name, answer, stages[name].calls())
        told = [answer.told for answer in answers.values()]
        assert told == [THROTTLED, (200, "cache"), (200, "stale"), THROTTLED]
        assert not any(stage.calls() for stage in stages.values())
        assert all(answer.secs < 2.5 for answer in answers.values())


def test_when_a_cool_down_is_over_tokens_are_had_again(rig: Rig) -> None:
    """By the caller who comes back when it was told to, without anybody's help."""
    stage = rig.stage()
    wait = {"retry-after": "1", "x-ratelimit-reset": "1"}
    rig.sandbox.fault(GENERATE, "rate_limit", times=1, headers=wait)
    told = stage.ask()
    time.sleep(int(told.headers["Retry-After"]) + 0.2)

    assert stage.ask().told == (200, "issued")
    assert stage.calls() == {"generate": 2}
