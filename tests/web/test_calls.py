"""What each call asks of the rules, and what it says of their answer."""

from __future__ import annotations

import logging

import pytest
from flask.testing import FlaskClient
from prometheus_client import generate_latest

from tests.web.doubles import TOKEN, Face

PATH = "/v1/rooms/standup/token"


def test_the_token_answer_is_the_documented_one(client: FlaskClient, alice: dict[str, str]) -> None:
    """Every member of the answer, in the shape that client code reads."""
    assert client.post(PATH, headers=alice).get_json() == {
        "token": TOKEN,
        "token_type": "telnyx_client_token",
        "expires_at": "2026-11-22T14:42:51Z",
        "expires_in": 571,
        "refresh_after": 290,
        "server_time": "2026-11-22T14:33:20Z",
        "room": {
            "id": "7bd20d6e-0a9f-4b6e-8a2b-1f3b0f0b6a52",
            "alias": "standup",
            "max_participants": 10,
            "closes_at": None,
        },
        "participant": {"user_id": "alice", "name": "Alice", "role": "moderator", "device_id": None},
        "context": "{}",
        "source": "issued",
    }


def test_the_token_answer_tells_the_rate(client: FlaskClient, alice: dict[str, str]) -> None:
    """The draft RateLimit fields are on answers, not only on refusals."""
    headers = client.post(PATH, headers=alice).headers

    assert (headers["RateLimit-Policy"], headers["RateLimit"]) == ('"token";q=60;w=60', '"token";r=59;t=60')


@pytest.mark.parametrize(("path", "force"), [(PATH, False), (PATH + "/refresh", True)])
def test_the_broker_is_asked_what_the_caller_said(
    face: Face, client: FlaskClient, alice: dict[str, str], path: str, *, force: bool
) -> None:
    """Both token calls are one, but for ``force``."""
    client.post(path, headers=alice, json={"device_id": "d1", "display_name": "Al", "min_ttl_secs": 30})

    asked = {"device_id": "d1", "display_name": "Al", "min_ttl_secs": 30, "force": force}
    assert face.told.asked == [("issue", "alice", "standup", asked)]


def test_every_token_handed_out_is_recorded_without_it(
    counting: Face, alice: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """One audit line says who, where, as what, how and how long; device ids are hashed; metrics count it."""
    with caplog.at_level(logging.INFO, logger="audit"):
        counting.app.test_client().post(PATH, headers=alice, json={"device_id": "my-phone"})

    (record,) = [record for record in caplog.records if record.name == "audit"]
    said = vars(record)
    assert (said["user"], said["issuer"], said["room"], said["role"]) == ("alice", "default", "standup", "moderator")
    assert (said["source"], said["remaining"]) == ("issued", 571)
    assert TOKEN not in str(said)
    assert "my-phone" not in str(said)
    assert 'vts_tokens_handed_out_total{source="issued"} 1.0' in generate_latest(counting.registry).decode()


def test_forgetting_tokens_answers_nothing(face: Face, client: FlaskClient, alice: dict[str, str]) -> None:
    """204, and the broker is told."""
    answer = client.delete(PATH, headers=alice)

    assert (answer.status_code, answer.data) == (204, b"")
    assert face.told.asked == [("forget", "alice", "standup")]


@pytest.mark.parametrize(
    "alias", ["No", "-a", "a" * 64, "7bd20d6e-0a9f-4b6e-8a2b-1f3b0f0b6a52", "a_b", "%C3%A9", "consult-*"]
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("POST", "/token"), ("POST", "/token/refresh"), ("DELETE", "/token")]
)
def test_no_room_has_a_name_that_none_may_have(
    face: Face, client: FlaskClient, alice: dict[str, str], method: str, path: str, alias: str
) -> None:
    """Such a room is not found like any other, and nobody is asked."""
    answer = client.open(f"/v1/rooms/{alias}{path}", method=method, headers=alice)

    assert (answer.status_code, answer.get_json()["code"]) == (404, "room_not_found")
    assert face.told.asked == []


def test_a_page_leads_to_the_next(face: Face, client: FlaskClient, alice: dict[str, str]) -> None:
    """The cursor of one answer is where the next one begins."""
    cursor = client.get("/v1/rooms?limit=7", headers=alice).get_json()["next_cursor"]

    client.get(f"/v1/rooms?limit=7&cursor={cursor}", headers=alice)

    assert face.told.asked == [("listings", "alice", "", 7), ("listings", "alice", "standup", 7)]


def test_my_room_is_shown_with_my_role(client: FlaskClient, alice: dict[str, str]) -> None:
    """What a lobby screen needs."""
    assert client.get("/v1/rooms/standup", headers=alice).get_json() == {
        "alias": "standup",
        "role": "participant",
        "open": True,
        "window": {},
    }


ADMIN_CALLS = [
    ("GET", "/v1/admin/rooms"),
    ("GET", "/v1/admin/rooms/standup"),
    ("PUT", "/v1/admin/rooms/standup"),
    ("PATCH", "/v1/admin/rooms/standup"),
    ("DELETE", "/v1/admin/rooms/standup"),
    ("GET", "/v1/admin/rooms/standup/members"),
    ("GET", "/v1/admin/rooms/standup/members/bob"),
    ("PUT", "/v1/admin/rooms/standup/members/bob"),
    ("DELETE", "/v1/admin/rooms/standup/members/bob"),
    ("POST", "/v1/admin/revocations"),
]


@pytest.mark.parametrize(("method", "path"), ADMIN_CALLS)
def test_administration_is_for_administrators(
    face: Face, client: FlaskClient, alice: dict[str, str], method: str, path: str
) -> None:
    """Without the scope 403, without a bearer 401, and nobody is asked."""
    user, nobody = client.open(path, method=method, headers=alice), client.open(path, method=method)

    assert (user.status_code, user.get_json()["code"]) == (403, "insufficient_scope")
    assert (nobody.status_code, nobody.get_json()["code"]) == (401, "missing_credentials")
    assert face.told.asked == []


TRICKS = [
    {"X-HTTP-Method-Override": "GET"},
    {"X-Original-URL": "/healthz"},
    {"X-Rewrite-URL": "/healthz"},
    {"X-Forwarded-Uri": "/healthz"},
    {"X-Forwarded-User": "ada"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"User-Agent": "kube-probe/1.30"},
    {"Cookie": "Authorization=Bearer ada; session=ada"},
    {"Host": "localhost"},
]


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: next(iter(trick)))
def test_no_other_header_opens_a_gate(client: FlaskClient, trick: dict[str, str]) -> None:
    """Only ``Authorization`` says who is asking."""
    assert client.get("/v1/admin/rooms", headers=trick).status_code == 401
    assert client.post(PATH, headers=trick).status_code == 401


@pytest.mark.parametrize(("created", "status"), [(True, 201), (False, 200)])
def test_putting_a_room_says_whether_it_is_new(
    face: Face, client: FlaskClient, ada: dict[str, str], *, created: bool, status: int
) -> None:
    """201 with its path, or 200."""
    face.told.created = created

    answer = client.put("/v1/admin/rooms/consult-*", headers=ada, json={"title": "Consulting"})

    assert (answer.status_code, answer.get_json()["title"]) == (status, "Consulting")
    assert answer.headers.get("Location") == ("/v1/admin/rooms/consult-*" if created else None)
    assert face.told.asked == [("put_room", "consult-*", {"title": "Consulting"})]


@pytest.mark.parametrize(("query", "kept"), [("", False), ("?upstream=keep", True)])
def test_deleting_a_room_may_leave_it_upstream(
    face: Face, client: FlaskClient, ada: dict[str, str], query: str, *, kept: bool
) -> None:
    """By default it goes there too."""
    assert client.delete("/v1/admin/rooms/standup" + query, headers=ada).status_code == 204
    assert face.told.asked == [("delete_room", "standup", kept)]


@pytest.mark.parametrize(
    "user", ["bob", "a:b", "bob@example.com", "auth0|12", "https://idp.example/u/1", "ü", "a b", "a%2Fb", "..."]
)
def test_user_ids_of_any_provider_fit_into_a_path(
    face: Face, client: FlaskClient, ada: dict[str, str], user: str
) -> None:
    """A percent-encoded id arrives as it is, slashes included, and the answered path leads back to it."""
    path = "/v1/admin/rooms/standup/members/" + "".join(f"%{byte:02X}" for byte in user.encode())

    location = client.put(path, headers=ada, json={"role": "participant"}).headers["Location"]

    client.get(location, headers=ada)
    assert face.told.asked == [
        ("put_member", "standup", user, {"role": "participant"}),
        ("member", "standup", user),
    ]


@pytest.mark.parametrize("user", ["%00", "a%0Ab", "%7F", "%FF", "%C2%85", "a" * 300, "%2E%2E", "a%2F%2E"])
def test_what_nobody_can_be_called_is_422(face: Face, client: FlaskClient, ada: dict[str, str], user: str) -> None:
    """Control characters, bytes that are no text, endless ids and steps of a path are refused, and nobody is asked."""
    for method in ("GET", "PUT", "DELETE"):
        answer = client.open(
            f"/v1/admin/rooms/standup/members/{user}", method=method, headers=ada, json={"role": "participant"}
        )
        assert answer.status_code == 422
    assert face.told.asked == []


@pytest.mark.parametrize("session", [None, "s1"])
def test_a_revocation_is_told_back(face: Face, client: FlaskClient, ada: dict[str, str], session: str | None) -> None:
    """Who, which sign-in, and up to when."""
    given = {"user": "alice"} | ({} if session is None else {"session_id": session})

    answer = client.post("/v1/admin/revocations", headers=ada, json=given)

    assert answer.get_json() == {"user": "alice", "session_id": session, "revoked_before": "2026-11-22T14:33:20Z"}
    assert face.told.asked == [("revoke", "alice", session)]
