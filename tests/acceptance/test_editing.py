"""Two administrators edit the same records, and neither overwrites what the other has not seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.processes import Caller, Sandbox, ServiceProcess, admin, fresh, make_room

STALE = {"If-Match": '"of-another-day"'}


@pytest.fixture
def ada(service: ServiceProcess) -> Caller:
    return admin(service.url)


@pytest.fixture(params=["room", "member"])
def record(request: pytest.FixtureRequest, ada: Caller) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The path of a record that is not there yet, and two bodies for it."""
    alias = fresh()
    if request.param == "room":
        return f"/v1/admin/rooms/{alias}", {"title": "one"}, {"title": "two"}
    make_room(ada.url, alias)
    return f"/v1/admin/rooms/{alias}/members/bob", {"role": "participant"}, {"role": "moderator"}


def test_a_record_is_changed_only_as_it_was_seen(ada: Caller, record: tuple[str, Any, Any]) -> None:
    """``If-Match`` lets the first of two changes through; ``If-None-Match: *`` makes and never replaces."""
    path, one, two = record
    made = ada.ask("PUT", path, json=one, headers={"If-None-Match": "*"})
    seen = {"If-Match": made.headers["ETag"]}

    assert made.status_code == 201
    assert ada.ask("PUT", path, json=two, headers={"If-None-Match": "*"}).status_code == 412
    assert ada.ask("GET", path).headers["ETag"] == made.headers["ETag"]
    assert ada.ask("PUT", path, json=two, headers=seen).status_code == 200
    both = {"If-Match": ada.ask("GET", path).headers["ETag"], "If-None-Match": "*"}
    assert ada.ask("PUT", path, json=one, headers=both).status_code == 412
    for method in ("PUT", "DELETE"):
        late = ada.ask(method, path, json=one, headers=seen)
        assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert ada.ask("PUT", path, json=one, headers={"If-Match": "no tag"}).status_code == 412
    assert two.items() <= ada.ask("GET", path).json().items()
    assert ada.ask("DELETE", path, headers={"If-Match": "*"}).status_code == 204
    assert ada.ask("PUT", path, json=one, headers={"If-Match": "*"}).status_code == 412


def test_an_unchanged_record_is_not_sent_again(ada: Caller, record: tuple[str, Any, Any]) -> None:
    """304 for the version that the caller has."""
    path, one, _ = record
    tag = ada.ask("PUT", path, json=one).headers["ETag"]

    answer = ada.ask("GET", path, headers={"If-None-Match": tag})

    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)


def test_a_patch_changes_what_it_names(ada: Caller, sandbox: Sandbox) -> None:
    """Here and at Telnyx; ``null`` takes the default, what is not named stays, and the result must make sense."""
    alias = fresh()
    path = f"/v1/admin/rooms/{alias}"
    opens = "2099-01-01T10:00:00Z"
    room_id = make_room(ada.url, alias, title="Weekly", opens_at=opens, max_participants=5)

    changed = ada.ask("PATCH", path, json={"max_participants": 20, "title": None})
    wrong = ada.ask("PATCH", path, json={"closes_at": "2098-01-01T10:00:00Z"})

    assert changed.json().items() >= {"opens_at": opens, "max_participants": 20}.items()
    assert "title" not in changed.json()
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "/closes_at")
    assert ada.ask("PATCH", path, json={"title": "x"}, headers=STALE).status_code == 412
    assert ada.ask("PATCH", f"/v1/admin/rooms/{fresh()}", json={}).status_code == 404
    upstream = ada.session.get(
        f"{sandbox.api_url}/rooms/{room_id}", headers={"Authorization": "Bearer KEY"}, timeout=10
    )
    assert upstream.json()["data"]["max_participants"] == 20


def test_no_change_is_lost(ada: Caller) -> None:
    """Patches of two members at the same time, without any condition, both stand."""
    alias = fresh()
    make_room(ada.url, alias)
    patches: list[dict[str, Any]] = [{"title": "Weekly"}, {"max_participants": 7}, {"phone_legs": True}]

    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda patch: admin(ada.url).ask("PATCH", f"/v1/admin/rooms/{alias}", json=patch), patches))

    found = ada.ask("GET", f"/v1/admin/rooms/{alias}").json()
    assert [found.get(name) for patch in patches for name in patch] == ["Weekly", 7, True]


def test_rooms_are_found_by_words(ada: Caller) -> None:
    """In alias and title, parts of words too, in any order; for users among the rooms that they may enter."""
    name = fresh("find").replace("-", "")
    for alias, title in [(f"{name}-a", "Weekly Review"), (f"{name}-b", "Daily \u00c9cole, e\u0301cole")]:
        make_room(ada.url, alias, "bob", title=title)
    bob, carol = Caller(ada.url, "bob"), Caller(ada.url, "carol")

    def found(caller: Caller, path: str, words: str) -> list[str]:
        page = caller.ask("GET", path, params={"q": words, "limit": 200}).json()
        return [room["alias"] for room in page["data"]]

    assert found(ada, "/v1/admin/rooms", f"REV {name}") == [f"{name}-a"]
    assert found(bob, "/v1/rooms", name) == [f"{name}-a", f"{name}-b"]
    assert found(bob, "/v1/rooms", f"{name} nothing") == []
    for words in ("\u00e9cole", "ECOLE", "e\u0301COLE"):
        assert found(ada, "/v1/admin/rooms", f"{words} {name}") == [f"{name}-b"]
    assert found(carol, "/v1/rooms", name) == []


def test_many_members_are_written_at_once(ada: Caller) -> None:
    """All of them or none: one fault refuses all and says where, and a second call replaces."""
    alias = fresh()
    make_room(ada.url, alias, "bob")
    path = f"/v1/admin/rooms/{alias}/members"
    many = [{"user": f"user-{number}", "role": "participant"} for number in range(199)]
    over = {"opens_at": "2099-01-01T10:00:00Z", "closes_at": "2098-01-01T10:00:00Z"}

    def write(*members: dict[str, Any]) -> Any:
        return ada.ask("POST", path, json={"members": members})

    wrong = write(*many, {"user": "carol", "role": "participant", **over})
    twice = write(many[0], many[0])
    written = write(*many, {"user": "bob", "role": "moderator"})

    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "/members/199/closes_at")
    assert (twice.status_code, twice.json()["errors"][0]["field"]) == (422, "/members/1/user")
    assert written.json() == {"created": 199, "replaced": 1}
    assert ada.ask("GET", f"{path}/bob").json()["role"] == "moderator"
    assert write(*many).json() == {"created": 0, "replaced": 199}
    assert write(*many, many[0], many[1]).status_code == 422
    for page in range(9):
        write(*[{"user": f"more-{page}-{number}", "role": "participant"} for number in range(200)])
    assert write({"user": "one-too-many", "role": "participant"}).json()["code"] == "limit_reached"


def test_an_invite_is_made_once_for_each_key(ada: Caller) -> None:
    """A repeat gets the answer of the first, its code included; another request with the key is refused."""
    alias, key = fresh(), {"Idempotency-Key": f'"{fresh("key")}"'}
    make_room(ada.url, alias)
    path = f"/v1/rooms/{alias}/invites"

    def invite(headers: dict[str, str], **spec: Any) -> Any:
        return ada.ask("POST", path, json=spec, headers=headers)

    first, again, other = invite(key), invite(key), invite({"Idempotency-Key": fresh("key")})

    assert (again.status_code, again.json()) == (201, first.json())
    assert other.json()["code"] != first.json()["code"]
    for headers, spec in [(key, {"max_uses": 2}), ({"Idempotency-Key": "a b"}, {})]:
        refused = invite(headers, **spec)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert len(ada.ask("GET", path).json()["data"]) == 2


def test_a_refused_request_may_be_sent_again_with_its_key(ada: Caller) -> None:
    """What was refused has made nothing."""
    alias, key = fresh(), {"Idempotency-Key": fresh("key")}

    refused = [ada.ask("POST", f"/v1/rooms/{alias}/invites", json={}, headers=key) for _ in range(2)]
    make_room(ada.url, alias)

    assert {answer.status_code for answer in refused} == {404}
    assert ada.ask("POST", f"/v1/rooms/{alias}/invites", json={}, headers=key).status_code == 201
