"""Running a meeting over the wire: who is in and proven, removing, muting, ending, bans."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.processes import API_KEY, Caller, Sandbox, ServiceProcess, admin, fresh, make_room, moment, until

EVERYBODY = [{"members": True}, {"authenticated": True, "role": "participant"}]


@pytest.fixture(autouse=True)
def _clear(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.clear_faults()


@pytest.fixture
def room(service: ServiceProcess) -> str:
    """A room that everybody may enter and mo moderates."""
    return open_room(service)


def open_room(service: ServiceProcess, **spec: Any) -> str:
    alias = fresh("meet")
    make_room(service.url, alias, access=EVERYBODY, **spec)
    member = f"/v1/admin/rooms/{alias}/members/mo"
    assert admin(service.url).ask("PUT", member, json={"role": "moderator"}).ok
    return alias


def join(service: ServiceProcess, sandbox: Sandbox, alias: str, user: str, context: str | None = None) -> str:
    """Enter the meeting as an app would; answers the participant's id."""
    answer = Caller(service.url, user, name=user.title()).token(alias).json()
    shown = answer["context"] if context is None else context
    return str(sandbox.control("POST", "participants", token=answer["token"], context=shown)["id"])


def state(sandbox: Sandbox, participant: str) -> dict[str, Any]:
    """What became of a participant."""
    return requests.get(f"{sandbox.base}/sandbox/participants/{participant}", timeout=5).json()


class Mo:
    """The moderator's app."""

    def __init__(self, service: ServiceProcess, alias: str, **claims: Any) -> None:
        self.caller = Caller(service.url, "mo", **claims)
        self.base = f"/v1/rooms/{alias}"

    def act(self, action: str, **body: Any) -> requests.Response:
        return self.caller.ask("POST", f"{self.base}/actions/{action}", **({"json": body} if body else {}))

    def participants(self) -> list[dict[str, Any]]:
        answer = self.caller.ask("GET", f"{self.base}/participants")
        assert answer.ok, answer.text
        return answer.json()["data"]


def test_those_who_show_their_own_ticket_are_proven(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """With user id, role and name; in the order of joining."""
    mo, bob = join(service, sandbox, room, "mo"), join(service, sandbox, room, "bob")
    seen = Mo(service, room).participants()

    assert [one["participant_id"] for one in seen] == [mo, bob]
    assert [(one["verification"], one["user_id"], one["role"], one["name"]) for one in seen] == [
        ("proven", "mo", "moderator", "Mo"),
        ("proven", "bob", "participant", "Bob"),
    ]


def test_a_context_in_the_place_of_a_name_proves_too(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """Telnyx's Android SDK lets an app choose a number and a name only, and makes the context of these."""
    given = Caller(service.url, "bob", name="Bob").token(room).json()["context"]

    bob = join(service, sandbox, room, "bob", json.dumps({"id": 0, "username": given}))

    seen = Mo(service, room).participants()
    told = [(one["participant_id"], one["verification"], one["user_id"], one["name"]) for one in seen]
    assert told == [(bob, "proven", "bob", "Bob")]


def test_impostors_are_found_out(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """A forged ticket, another room's, somebody else's: each fault is named, nobody is proven."""
    bob = Caller(service.url, "bob").token(room).json()
    join(service, sandbox, room, "bob", bob["context"])
    ticket = json.loads(bob["context"])["ticket"]
    other = Caller(service.url, "eve").token(open_room(service)).json()["context"]
    contexts = {
        "forged": json.dumps({"ticket": ticket[:-8] + "AAAAAAAA"}),
        "another_room": other,
        "already_shown": bob["context"],
    }
    for context in contexts.values():
        join(service, sandbox, room, "eve", context)
    seen = Mo(service, room).participants()

    assert [one["verification"] for one in seen] == ["proven"] + ["impostor"] * 3
    assert [one["reason"] for one in seen] == [None, *contexts]
    assert {one["user_id"] for one in seen[1:]} == {None}


@pytest.mark.parametrize(
    ("context", "verification"),
    [
        *((context, "unproven") for context in ("", "Alice", "[]", '{"username": "Bob"}', "[" * 2000, "x" * 9000)),
        *((context, "impostor") for context in ('{"ticket": 7}', '{"ticket": "a.b.c"}')),
    ],
)
def test_any_context_can_be_shown(
    service: ServiceProcess, sandbox: Sandbox, room: str, context: str, verification: str
) -> None:
    """Nothing that an app writes there breaks the list; who shows no ticket is not proven, and no impostor."""
    join(service, sandbox, room, "eve", context)
    (seen,) = Mo(service, room).participants()

    assert seen["verification"] == verification


@pytest.mark.parametrize(("spec", "verification"), [({}, "impostor"), ({"phone_legs": True}, "unproven")])
def test_a_room_can_require_tickets(
    service: ServiceProcess, sandbox: Sandbox, spec: dict[str, bool], verification: str
) -> None:
    """Who shows none is an impostor then, but for telephones where they may dial in; one with a wrong ticket always."""
    alias = open_room(service, require_ticket=True, **spec)
    join(service, sandbox, alias, "phone", "+15551234")
    join(service, sandbox, alias, "eve", json.dumps({"ticket": "a.b.c"}))

    assert [one["verification"] for one in Mo(service, alias).participants()] == [verification, "impostor"]


def test_what_somebody_calls_themselves_can_be_seen(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """Without a ticket it is their own word, but it turns no other words around and hides nothing."""
    join(service, sandbox, room, "eve", json.dumps({"username": "\u202eecilA\u200b\x07"}))

    assert Mo(service, room).participants()[0]["name"] == "ecilA"


def test_a_ticket_proves_the_name_too(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """Whatever else a participant writes into the context, they are listed as whom the service let in."""
    shown = json.loads(Caller(service.url, "bob", name="Bob").token(room).json()["context"])
    join(service, sandbox, room, "bob", json.dumps({**shown, "id": "alice", "username": "Alice Abel"}))
    (seen,) = Mo(service, room).participants()

    assert (seen["verification"], seen["user_id"], seen["name"]) == ("proven", "bob", "Bob")


@pytest.mark.short
def test_a_removed_user_is_out_and_stays_out(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """The call ends, and the next request for a token is refused."""
    bob = join(service, sandbox, room, "bob")
    removed = Mo(service, room).act("kick", users=["bob"])

    assert (removed.status_code, removed.json()["participants"], removed.json()["banned"]) == (200, [bob], ["bob"])
    assert state(sandbox, bob)["left_reason"] == "kicked"
    assert Caller(service.url, "bob").token(room).json()["code"] == "banned"


def test_a_participant_is_removed_with_the_user_behind(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """Addressed by participant id, a proven user is banned too; others are only put out."""
    bob = join(service, sandbox, room, "bob")
    eve = join(service, sandbox, room, "eve", "{}")
    removed = Mo(service, room).act("kick", participants=[bob, eve]).json()

    assert (sorted(removed["participants"]), removed["banned"]) == (sorted([bob, eve]), ["bob"])
    assert {state(sandbox, one)["left_reason"] for one in (bob, eve)} == {"kicked"}


def test_everybody_but_some_can_be_removed(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """Never the moderator who asks."""
    mo, bob, carol = (join(service, sandbox, room, user) for user in ("mo", "bob", "carol"))
    removed = Mo(service, room).act("kick", all=True, **{"except": ["carol"]}).json()

    assert (removed["participants"], removed["banned"]) == ([bob], ["bob"])
    assert [state(sandbox, one)["state"] for one in (mo, bob, carol)] == ["joined", "left", "joined"]


def test_a_ban_stands_where_telnyx_cannot_be_asked(service: ServiceProcess, sandbox: Sandbox) -> None:
    """202 says by when the call ends at the latest, and it does: within one token life."""
    alias = open_room(service, token_ttl_secs=10)
    bob = join(service, sandbox, alias, "bob")
    sandbox.fault("kick_participants", "status", status=503)
    removed = Mo(service, alias).act("kick", users=["bob"])

    assert (removed.status_code, removed.json()["code"]) == (202, "upstream_unavailable"), removed.text
    assert removed.json()["banned"] == ["bob"]
    assert Caller(service.url, "bob").token(alias).json()["code"] == "banned"
    bound = time.mktime(time.strptime(removed.json()["removal_deadline"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert bound - time.time() <= 11
    time.sleep(max(0.0, bound - time.time()) + 1)
    assert state(sandbox, bob)["left_reason"] == "token_expired"


def test_muting_reaches_whom_it_names(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """And unmuting takes it back."""
    bob, carol = (join(service, sandbox, room, user) for user in ("bob", "carol"))
    muted = Mo(service, room).act("mute", users=["bob"]).json()

    assert muted == {"participants": [bob]}
    assert [state(sandbox, one)["muted"] for one in (bob, carol)] == [True, False]
    Mo(service, room).act("unmute", participants=[bob])
    assert state(sandbox, bob)["muted"] is False


@pytest.mark.parametrize("action", ["mute", "unmute", "kick", "end"])
def test_nothing_to_do_is_success(service: ServiceProcess, room: str, action: str) -> None:
    """In a room where nobody is."""
    body = {} if action == "end" else {"users": ["bob"]}

    assert Mo(service, room).act(action, **body).status_code == 200


def test_ending_puts_everybody_out(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """They may join again: ending is not a ban."""
    both = [join(service, sandbox, room, user) for user in ("mo", "bob")]

    assert Mo(service, room).act("end").json() == {"sessions": 1}
    assert [state(sandbox, one)["state"] for one in both] == ["left", "left"]
    assert Caller(service.url, "bob").token(room).ok


def test_bans_are_listed_changed_and_lifted(service: ServiceProcess, room: str) -> None:
    """Each says by whom and until when; one that is over is not shown."""
    mo = Mo(service, room).caller
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    assert mo.ask("PUT", f"/v1/rooms/{room}/bans/bob", json={"until": until}).ok
    assert mo.ask("PUT", f"/v1/rooms/{room}/bans/a/b c", json={}).ok
    shown = mo.ask("GET", f"/v1/rooms/{room}/bans").json()["data"]
    assert [(ban["user"], ban["by"], ban.get("until")) for ban in shown] == [
        ("a/b c", "mo", None),
        ("bob", "mo", until),
    ]
    assert Caller(service.url, "bob").token(room).json()["code"] == "banned"
    time.sleep(3.1)

    assert Caller(service.url, "bob").token(room).ok
    assert [ban["user"] for ban in mo.ask("GET", f"/v1/rooms/{room}/bans").json()["data"]] == ["a/b c"]
    assert mo.ask("DELETE", f"/v1/rooms/{room}/bans/a/b c").status_code == 204
    assert mo.ask("DELETE", f"/v1/rooms/{room}/bans/a/b c").json()["code"] == "ban_not_found"


@pytest.mark.parametrize("seconds", [-86_400 * 365, -1, 0])
def test_a_ban_cannot_end_before_it_begins(service: ServiceProcess, room: str, seconds: int) -> None:
    """It would lift the one that stands: 422 for a kick and a ban alike, and the user stays out."""
    mo, over = Mo(service, room), moment(seconds)
    assert mo.caller.ask("PUT", f"/v1/rooms/{room}/bans/bob", json={}).ok
    answers = [
        mo.act("kick", users=["bob"], until=over),
        mo.act("kick", all=True, until=over),
        mo.caller.ask("PUT", f"/v1/rooms/{room}/bans/bob", json={"until": over}),
    ]

    assert [(answer.status_code, answer.json()["errors"][0]["field"]) for answer in answers] == [(422, "/until")] * 3
    assert Caller(service.url, "bob").token(room).json()["code"] == "banned"


def test_a_kick_shortens_no_ban(service: ServiceProcess, room: str) -> None:
    """Who is out for good stays out, whoever removes them for a while; a ban that is put says what it says."""
    mo = Mo(service, room)
    assert mo.act("kick", users=["bob"]).ok
    assert mo.act("kick", users=["bob"], until=moment(60)).ok
    (ban,) = mo.caller.ask("GET", f"/v1/rooms/{room}/bans").json()["data"]
    assert "until" not in ban

    assert "until" in mo.caller.ask("PUT", f"/v1/rooms/{room}/bans/bob", json={"until": moment(60)}).json()


CALLS = (
    ("GET", "participants"),
    ("POST", "actions/kick"),
    ("POST", "actions/mute"),
    ("POST", "actions/unmute"),
    ("POST", "actions/end"),
    ("GET", "bans"),
    ("PUT", "bans/bob"),
    ("DELETE", "bans/bob"),
)


@pytest.mark.parametrize(("method", "path"), CALLS, ids=[" ".join(call) for call in CALLS])
def test_only_moderators_of_the_room_may(service: ServiceProcess, room: str, method: str, path: str) -> None:
    """A participant is told so; a moderator elsewhere and a stranger learn of no room; nobody needs a bearer."""
    other = open_room(service)
    admin(service.url).ask("PUT", f"/v1/admin/rooms/{other}/members/max", json={"role": "moderator"})
    closed = fresh("closed")
    make_room(service.url, closed, access=[{"members": True}])

    def ask(caller: Caller, alias: str) -> tuple[int, str]:
        answer = caller.ask(method, f"/v1/rooms/{alias}/{path}", json={"nonsense": 1})
        return answer.status_code, answer.json()["code"]

    assert ask(Caller(service.url, "bob"), room) == (403, "insufficient_role")
    assert ask(Caller(service.url, "max"), closed) == (404, "room_not_found")
    assert ask(Caller(service.url, "max"), fresh()) == (404, "room_not_found")
    nobody = requests.request(method, f"{service.url}/v1/rooms/{room}/{path}", timeout=5)
    assert (nobody.status_code, nobody.json()["code"]) == (401, "missing_credentials")


def test_an_administrator_may_run_any_meeting(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """Without a role in the room."""
    bob = join(service, sandbox, room, "bob")
    answer = admin(service.url).ask("POST", f"/v1/rooms/{room}/actions/kick", json={"users": ["bob"]})

    assert answer.json()["participants"] == [bob]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"users": []},
        {"users": ["a"], "all": True},
        {"all": False},
        {"participants": ["x"]},
        {"users": ["a"], "x": 1},
    ],
)
def test_whom_must_be_said_in_one_way(service: ServiceProcess, room: str, body: dict[str, Any]) -> None:
    """Anything else is 422 and changes nothing."""
    for action in ("kick", "mute", "unmute"):
        answer = Caller(service.url, "mo").ask("POST", f"/v1/rooms/{room}/actions/{action}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_everything_a_moderator_does_is_recorded(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """An audit line names who did what to whom."""
    join(service, sandbox, room, "bob")
    Mo(service, room).act("kick", users=["bob"])

    def kicks() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in service.output().splitlines() if room in line]
        return [line for line in lines if line.get("action") == "kick"]

    # A thread of its own writes the lines, a moment after the answer.
    (kick,) = until(kicks, what="the audit line")

    assert (kick["logger"], kick["user"], kick["users"], kick["participants"]) == ("audit", "mo", ["bob"], 1)


def test_no_room_is_replaced_by_another_of_ours(service: ServiceProcess, sandbox: Sandbox, room: str) -> None:
    """Whatever it is called at Telnyx: others may enter it."""
    key, other = {"Authorization": f"Bearer {API_KEY}"}, make_room(service.url, fresh())
    gone = Caller(service.url, "bob").token(room).json()["room"]["id"]
    assert requests.delete(f"{sandbox.api_url}/rooms/{gone}", headers=key, timeout=5).status_code == 204
    named = {"unique_name": f"vts-{room}"}
    assert requests.patch(f"{sandbox.api_url}/rooms/{other}", headers=key, json=named, timeout=5).ok

    assert Caller(service.url, "carol").token(room).json()["code"] == "upstream_room_missing"


def test_a_room_that_was_replaced_upstream_can_be_moderated(
    service: ServiceProcess, sandbox: Sandbox, room: str
) -> None:
    """Deleted at Telnyx and made again there under its name: tokens, lists and removals are of the new one."""
    key = {"Authorization": f"Bearer {API_KEY}"}
    old = Caller(service.url, "bob").token(room).json()["room"]["id"]
    assert requests.delete(f"{sandbox.api_url}/rooms/{old}", headers=key, timeout=5).status_code == 204
    made = requests.post(f"{sandbox.api_url}/rooms", headers=key, json={"unique_name": f"vts-{room}"}, timeout=5)
    assert Caller(service.url, "carol").token(room).json()["room"]["id"] == made.json()["data"]["id"]
    carol = join(service, sandbox, room, "carol")
    ada = admin(service.url)

    assert [one["user_id"] for one in ada.ask("GET", f"/v1/rooms/{room}/participants").json()["data"]] == ["carol"]
    assert Mo(service, room).act("kick", users=["carol"]).json()["participants"] == [carol]
    assert ada.ask("GET", f"/v1/admin/rooms/{room}").json()["room_id"] == old
