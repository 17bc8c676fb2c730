"""An account that is not as it was: a wrong address, a deleted room, a refused key. The directory does not change."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.cli.cli import run
from tests.faults.conftest import TellAnswer
from tests.faults.stage import Answer, Rig, Stage
from tests.faults.table import KEY_REJECTED, REJECTED
from tests.processes import API_KEY, EVERYBODY, Caller, ServiceProcess, admin, fresh, make_room, running

pytestmark = [pytest.mark.long, pytest.mark.early]


ROOM_MISSING = (502, "upstream_room_missing")
SECOND_KEY = API_KEY + "-second"
CACHE, STALE, ISSUED, REFRESHED = (200, "cache"), (200, "stale"), (200, "issued"), (200, "refreshed")
SOUGHT = {"generate": 1, "retrieve": 1, "list": 1}
SOUGHT_AFTER_REFRESH = {"refresh": 1, **SOUGHT}

# What ``make test`` looks at.
SHORT = "F24 room deleted"

# By what happened to the account and by situation: the answer, and the calls where they can be counted. In this order.
TABLE: Mapping[str, Mapping[str, tuple[tuple[int, str], Mapping[str, int]]]] = {
    "wrong base URL": {
        "none": (REJECTED, {}),
        "useful": (CACHE, {}),
        "advisory": (STALE, {}),
        "mandatory": (STALE, {}),
        "spent": (REJECTED, {}),
        "refresh dead": (STALE, {}),
    },
    "F24 room deleted": {
        "none": (ROOM_MISSING, SOUGHT),
        "useful": (CACHE, {}),
        "advisory": (ROOM_MISSING, SOUGHT_AFTER_REFRESH),
        "mandatory": (ROOM_MISSING, SOUGHT_AFTER_REFRESH),
        "spent": (ROOM_MISSING, SOUGHT_AFTER_REFRESH),
        "refresh dead": (ROOM_MISSING, SOUGHT),
    },
    # The calls for the old room; one more generate is for the new one.
    "F24 room made anew": {
        "none": (ISSUED, SOUGHT),
        "useful": (CACHE, {}),
        "mandatory": (ISSUED, SOUGHT_AFTER_REFRESH),
        "spent": (ISSUED, SOUGHT_AFTER_REFRESH),
    },
    # Once the key is known to be refused nobody asks with it for a minute; a refresh needs none.
    "F22 key revoked": {
        "none": (KEY_REJECTED, {"generate": 1}),
        "useful": (CACHE, {}),
        "advisory": (REFRESHED, {"refresh": 2}),
        "mandatory": (REFRESHED, {"refresh": 2}),
        "spent": (REFRESHED, {"refresh": 2}),
        "refresh dead": (STALE, {}),
    },
    "F22 second key": {
        "none": (ISSUED, {"generate": 2}),
        "useful": (CACHE, {}),
        "mandatory": (REFRESHED, {"refresh": 1}),
        "refresh dead": (ISSUED, {"generate": 1}),
    },
}


@dataclass(frozen=True)
class Outcome:
    """The answers to the same call made twice, what the first cost, and what was kept before and after."""

    first: Answer
    second: Answer
    calls: Mapping[str, int]
    before: Mapping[str, bytes | None]
    after: Mapping[str, bytes | None]


@dataclass
class Found:
    """What came of each condition and situation, and the directories before and after as an operator exports them."""

    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    exports: list[tuple[str, str]] = field(default_factory=list)


class _NotFound(http.server.BaseHTTPRequestHandler):
    """A web server of somebody else: 404 and HTML for everything."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        page = b"<!doctype html><title>404 Not Found</title><h1>Not Found</h1>"
        self.send_response(404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """A base URL that is not Telnyx's."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _NotFound)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v2"
    server.shutdown()
    server.server_close()


def exported(rig: Rig) -> str:
    made = run(rig.env, "export")
    assert made.returncode == 0, made.stderr
    return made.stdout


def remove_upstream(stages: Mapping[str, Stage]) -> None:
    for stage in stages.values():
        stage.rig.sandbox.control("DELETE", f"objects/rooms/{stage.room_id}")


def make_anew(stages: Mapping[str, Stage]) -> None:
    remove_upstream(stages)
    for stage in stages.values():
        stage.rig.sandbox.control("POST", "objects/rooms", unique_name=f"vts-{stage.alias}")


def accept_only(key: str) -> Callable[[Mapping[str, Stage]], None]:
    def change(stages: Mapping[str, Stage]) -> None:
        next(iter(stages.values())).rig.sandbox.control("PUT", "api-keys", accepted=[key])

    return change


CHANGES: Mapping[str, Callable[[Mapping[str, Stage]], None]] = {
    "F24 room deleted": remove_upstream,
    "F24 room made anew": make_anew,
    "F22 key revoked": accept_only("KEY-another"),
    "F22 second key": accept_only(API_KEY),
}


@contextmanager
def watched(rig: Rig, names: Sequence[str], found: Found) -> Iterator[dict[str, dict[str, Stage]]]:
    """Stages for all situations of these conditions, and the directory before and after they are met."""
    stages = {name: {situation: rig.stage(situation) for situation in TABLE[name]} for name in names}
    for stage in (stage for each in stages.values() for stage in each.values()):
        # Until it is met: exporting takes its time.
        stage.shorten(599.0)
    before = exported(rig)
    yield stages
    found.exports.append((before, exported(rig)))


def meet(name: str, stages: Mapping[str, Stage], found: Found, url: str) -> None:
    """One situation after the other, asked of the service at ``url``."""
    CHANGES.get(name, lambda _: None)(stages)
    for situation, stage in stages.items():
        stage.caller = Caller(url, stage.caller.user)
        stage.rig.callers.append(stage.caller)
        stage.stand()
        kept = stage.kept()
        first, calls = stage.ask(), dict(stage.calls())
        found.outcomes[name, situation] = Outcome(first, stage.ask(), calls, kept, stage.kept())


@pytest.fixture(scope="module")
def found(elsewhere: str) -> Found:
    """All of the table (of the short form one condition); a revoked key comes last: it is remembered for a minute."""
    made = Found()
    if os.environ.get("FAULTS") != "full":
        for rig in running(Rig()):
            with watched(rig, [SHORT], made) as stages:
                meet(SHORT, stages[SHORT], made, rig.service.url)
        return made
    *first, last = TABLE
    for rig in running(Rig()):
        with watched(rig, first, made) as stages:
            for misled in running(ServiceProcess(rig.env | {"TELNYX_API_URL": elsewhere})):
                meet(first[0], stages[first[0]], made, misled.url)
            for name in first[1:]:
                meet(name, stages[name], made, rig.service.url)
    for rig in running(Rig(TELNYX_API_KEY="", TELNYX_API_KEYS=f"{SECOND_KEY},{API_KEY}")):
        with watched(rig, [last], made) as stages:
            meet(last, stages[last], made, rig.service.url)
    return made


CASES = [(name, situation) for name, situations in TABLE.items() for situation in situations]


@pytest.mark.parametrize(("name", "situation"), CASES)
def test_a_change_of_the_account_comes_to_its_outcome(
    found: Found, name: str, situation: str, tell_answer: TellAnswer
) -> None:
    """Tokens go on where they can, nobody gets a 401 for it, and upstream is asked exactly so often."""
    outcome, (told, calls) = found.outcomes[name, situation], TABLE[name][situation]
    tell_answer(name, situation, outcome.first, outcome.calls)

    assert outcome.first.told == told, outcome.first.body
    assert outcome.calls == calls
    assert outcome.after["record"] == outcome.before["record"]


def test_the_directory_is_the_same_to_the_byte(found: Found) -> None:
    """No answer of Telnyx changes it: neither a wrong address, nor deleted or new rooms, nor a refused key."""
    before, after = zip(*found.exports, strict=True)

    assert before == after
    assert "".join(before).count("[rooms.") == len(CASES)


@pytest.mark.parametrize("situation", TABLE["wrong base URL"])
def test_behind_a_wrong_address_nothing_is_forgotten(found: Found, situation: str) -> None:
    """A server that answers 404 in HTML is not Telnyx saying that a room is gone: the token in hand is handed out again
    and again.
    """
    outcome = found.outcomes["wrong base URL", situation]

    assert outcome.second.told == outcome.first.told
    assert outcome.after == outcome.before


@pytest.mark.short
@pytest.mark.parametrize("situation", ["advisory", "mandatory", "spent", "refresh dead"])
def test_the_token_of_a_deleted_room_is_forgotten(found: Found, situation: str) -> None:
    """As soon as Telnyx has said that the room is gone; the next caller hears the same."""
    outcome = found.outcomes["F24 room deleted", situation]

    assert outcome.after["token"] is None
    assert outcome.second.told == ROOM_MISSING


@pytest.mark.parametrize("situation", ["none", "mandatory", "spent"])
def test_the_token_of_a_room_made_anew_is_kept(found: Found, situation: str) -> None:
    """It is for the new room, and the next call is a hit."""
    outcome = found.outcomes["F24 room made anew", situation]

    assert outcome.second.told == CACHE
    assert outcome.second.body["room"]["id"] == outcome.first.body["room"]["id"]


@pytest.fixture(scope="module")
def sound() -> Iterator[Rig]:
    yield from running(Rig())


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_administrator_s_change_that_upstream_refuses_changes_nothing(sound: Rig, status: int) -> None:
    """The room keeps its record, and a new one gets none."""
    stage, alias = sound.stage(), fresh()
    before = stage.kept()
    sound.sandbox.fault("*", "status", status=status)
    ada = admin(sound.service.url)
    for name in (stage.alias, alias):
        answer = ada.ask("PUT", f"/v1/admin/rooms/{name}", json={"access": EVERYBODY, "title": "another"})
        assert answer.status_code in {502, 503}

    assert stage.kept() == before
    assert ada.ask("GET", f"/v1/admin/rooms/{alias}").status_code == 404
    sound.sandbox.clear_faults()
    assert make_room(sound.service.url, alias, access=EVERYBODY)
