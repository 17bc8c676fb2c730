"""Bodies and queries are read strictly and held against the document before a view runs."""

from __future__ import annotations

import contextlib
import io
import json
import time
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest, MalformedRequest
from service.web.request_body import strict_json
from tests.document import contract
from tests.web.doubles import Face

TOKEN_PATH = "/v1/rooms/standup/token"
REFRESH_PATH = TOKEN_PATH + "/refresh"
REDEEM_PATH = "/v1/invites/redeem"
ROOM_PATH = "/v1/admin/rooms/standup"

MAX_COST_SECS = 0.04

MALFORMED = {
    "cut off": b'{"a":',
    "not JSON": b"a=b",
    "trailing text": b"{} {}",
    "repeated name": b'{"device_id":"a","device_id":"a"}',
    "repeated name deep inside": b'{"access":[{"members":true,"members":true}]}',
    "NaN": b'{"min_ttl_secs":NaN}',
    "Infinity": b'{"min_ttl_secs":-Infinity}',
    "a number out of range": b'{"min_ttl_secs":1e400}',
    "an integer of 5000 digits": b'{"min_ttl_secs":' + b"9" * 5000 + b"}",
    "nested too deeply": b'{"a":' * 20 + b"1" + b"}" * 20,
    "nested beyond any stack": b"[" * 65_000,
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "not UTF-8": b'{"display_name":"\xff"}',
    "a control character": b'{"display_name":"a\nb"}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_plain_json_is_400(face: Face, client: FlaskClient, ada: dict[str, str], body: bytes) -> None:
    """Anything that two readers could understand differently is refused, and nobody is asked."""
    answer = client.put(ROOM_PATH, headers=ada, data=body, content_type="application/json")

    assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed_request")
    assert face.told.asked == []


@pytest.mark.parametrize("name", ["cut off", "not JSON", "repeated name", "not UTF-8"])
def test_the_token_call_reads_as_strictly(face: Face, client: FlaskClient, alice: dict[str, str], name: str) -> None:
    """It is answered without the framework, and by the same reader."""
    answer = client.post(TOKEN_PATH, headers=alice, data=MALFORMED[name], content_type="application/json")

    assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed_request")
    assert face.told.asked == []


UNFIT: list[tuple[str, Any, str]] = [
    (TOKEN_PATH, [], ""),
    (TOKEN_PATH, {"ttl": 5}, "/ttl"),
    (TOKEN_PATH, {"min_ttl_secs": "60"}, "/min_ttl_secs"),
    (TOKEN_PATH, {"min_ttl_secs": True}, "/min_ttl_secs"),
    (TOKEN_PATH, {"min_ttl_secs": 0}, "/min_ttl_secs"),
    (TOKEN_PATH, {"min_ttl_secs": 1.5}, "/min_ttl_secs"),
    (TOKEN_PATH, {"device_id": ""}, "/device_id"),
    (TOKEN_PATH, {"device_id": "a\n"}, "/device_id"),
    (TOKEN_PATH, {"display_name": "x" * 101}, "/display_name"),
    (TOKEN_PATH, {"display_name": "a\tb"}, "/display_name"),
    (TOKEN_PATH, {"a/b~c": 1}, "/a~1b~0c"),
    (ROOM_PATH, {"max_participants": 51}, "/max_participants"),
    (ROOM_PATH, {"enable_recording": "yes"}, "/enable_recording"),
    (ROOM_PATH, {"access": {"members": True}}, "/access"),
    (ROOM_PATH, {"access": [{"authenticated": True, "role": "owner"}]}, "/access/0/role"),
    (ROOM_PATH, {"opens_at": "2026-11-22T15:00:00"}, "/opens_at"),
    (ROOM_PATH, {"opens_at": "2026-11-22"}, "/opens_at"),
    (ROOM_PATH, {"opens_at": "2026-13-22T15:00:00Z"}, "/opens_at"),
    (ROOM_PATH, {"opens_at": "2026-11-22T15:00:00+00:60"}, "/opens_at"),
    (ROOM_PATH, {"opens_at": "0001-01-01T00:00:00+14:00"}, "/opens_at"),
    (ROOM_PATH, {"closes_at": "9999-12-31T23:59:59-14:00"}, "/closes_at"),
    (ROOM_PATH, {"closes_at": "1970-01-01T00:00:00+00:01"}, "/closes_at"),
    (ROOM_PATH, {"closes_at": 1795358000}, "/closes_at"),
    (ROOM_PATH + "/members/bob", {}, "/role"),
    (ROOM_PATH + "/members/bob", {"role": "moderator", "user": "eve"}, "/user"),
    ("/v1/admin/revocations", {}, "/user"),
    ("/v1/admin/revocations", {"user": ""}, "/user"),
    ("/v1/admin/revocations", {"user": "eve\u202e"}, "/user"),
]
# Of each kind of character that shows nothing, or shows others otherwise than they are.
UNSEEN = "\x7f\x85\xad\u061c\u200b\u200e\u2028\u202e\u2060\u2069\ufeff\ue000\U000e0041"
UNSEEN += "\u034f\u115f\u2800\u3164\ufe0f\U000e0101"
NAMED: list[tuple[str, str, dict[str, str]]] = [
    ("issueToken", "display_name", {}),
    ("refreshToken", "display_name", {}),
    ("putRoom", "title", {}),
    ("putMember", "name", {"role": "moderator"}),
    ("redeemInvite", "display_name", {"code": "x"}),
    ("createInvite", "name", {}),
]


@pytest.mark.parametrize(("operation", "member", "rest"), NAMED)
def test_a_name_shows_what_it_holds(operation: str, member: str, rest: dict[str, str]) -> None:
    """Whoever reads it sees all of it, in its order; joiners are part of some scripts and of emoji, of no others."""

    def faults(name: str) -> list[str]:
        try:
            contract().check_body(operation, {**rest, member: name})
        except InvalidRequest as refusal:
            return [fault["field"] for fault in cast("list[dict[str, str]]", refusal.extra["errors"])]
        return []

    unseen = [f"Al{character}ice" for character in UNSEEN]
    for name in (*unseen, "Al\u200dice", "\u0627\u200c", "Al" + "\u0301" * 7, "\u0301Al", " "):
        assert faults(name) == [f"/{member}"], ascii(name)
    for name in (
        "Zoë O'Neil-Łoś",
        "山田\u3000太郎",
        "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
        "\U0001f469\ufe0f\u200d\U0001f4bb",
        "葛\U000e0100城",
        "Zoe\u0308",
    ):
        assert faults(name) == [], ascii(name)


COSTLY: list[tuple[str, str]] = [
    (operation, member)
    for operation, members in {
        "v2MuteParticipants": ("participants", "exclude"),
        "v2CreateRoomComposition": ("audio_sources", "video_layout"),
        "patchRoom": ("access", "opens_at", "waiting_room"),
    }.items()
    for member in members
]


@pytest.mark.parametrize(("operation", "member"), COSTLY)
def test_no_body_costs_much_to_refuse(operation: str, member: str) -> None:
    """Whatever a member holds: 20 ms of processor time at most, of which a busy machine makes more."""
    costs = {}
    for item, items in (("0", 32_000), ("0", 4_900), ("1e300", 10_000), ('"0"', 4_900), ("[[[[[[[[]]]]]]]]", 500)):
        for value in ("[%s]", "[[%s]]"):
            raw = f'{{"{member}":{value % ",".join([item] * items)}}}'.encode()
            for _ in range(3):
                began = time.process_time()
                with pytest.raises(InvalidRequest):
                    contract().check_body(operation, strict_json(raw), len(raw))
                costs[item, items, value] = time.process_time() - began
                if costs[item, items, value] < MAX_COST_SECS:
                    break

    assert max(costs.values()) < MAX_COST_SECS, costs


def test_null_is_no_body_where_none_is_required() -> None:
    """Clients made by generators write it for a body that was left out."""
    assert contract().check_body("issueToken", None) == contract().check_body("createInvite", None) == {}
    with pytest.raises(InvalidRequest):
        contract().check_body("putRoom", None)


@pytest.mark.parametrize(("path", "body", "field"), UNFIT)
def test_what_does_not_fit_is_422_and_says_where(
    face: Face, client: FlaskClient, ada: dict[str, str], path: str, body: Any, field: str
) -> None:
    """``errors`` points at the member at fault, and nobody is asked."""
    method = "PUT" if path.startswith(ROOM_PATH) else "POST"

    answer = client.open(path, method=method, headers=ada, json=body)

    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_request")
    assert field in [fault["field"] for fault in answer.get_json()["errors"]]
    assert face.told.asked == []


@pytest.mark.parametrize("text", ["a\\u0000b", "\\ud800", "\\udfff\\ud800"])
def test_text_that_cannot_be_stored_is_422(client: FlaskClient, alice: dict[str, str], text: str) -> None:
    """NUL and half a surrogate pair are JSON, but no text that can be kept or sent on."""
    body = '{"display_name": "' + text + '"}'

    answer = client.post(TOKEN_PATH, headers=alice, data=body, content_type="application/json")

    assert answer.status_code == 422


def test_a_complaint_never_repeats_what_was_sent(client: FlaskClient, ada: dict[str, str]) -> None:
    """Values of callers may be secrets: they are in no answer."""
    answer = client.put(ROOM_PATH, headers=ada, json={"title": ["canary"], "access": ["canary"], "opens_at": "canary"})

    assert answer.status_code == 422
    assert "canary" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("path", [TOKEN_PATH, TOKEN_PATH + "/refresh"])
def test_a_token_needs_no_body(face: Face, client: FlaskClient, alice: dict[str, str], path: str) -> None:
    """No body is the same as an empty object, and so is one whose members are null, as generated clients write it."""
    assert client.post(path, headers=alice).status_code == 200
    assert client.post(path, headers=alice, json={}).status_code == 200
    nulls = dict.fromkeys(("device_id", "display_name", "min_ttl_secs"))
    assert client.post(path, headers=alice, json=nulls).status_code == 200
    assert face.told.asked[0] == face.told.asked[1] == face.told.asked[2]


def test_a_whole_number_may_have_a_fraction_of_zero(face: Face, client: FlaskClient, alice: dict[str, str]) -> None:
    """To JSON Schema 60.0 is an integer; rules get it as one."""
    client.post(TOKEN_PATH, headers=alice, data=b'{"min_ttl_secs":60.0}', content_type="application/json")

    asked = face.told.asked[0][3]["min_ttl_secs"]
    assert (asked, type(asked)) == (60, int)


def test_a_write_without_a_body_is_422(client: FlaskClient, ada: dict[str, str]) -> None:
    """Where a body is required, none is not an empty one."""
    assert client.put(ROOM_PATH, headers=ada).status_code == 422


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", None])
def test_another_type_of_body_is_415(client: FlaskClient, alice: dict[str, str], kind: str | None) -> None:
    """A body is JSON and says so."""
    answer = client.post(TOKEN_PATH, headers=alice, data=b"{}", content_type=kind)

    assert (answer.status_code, answer.get_json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_parameters_and_case_of_the_type_do_not_matter(client: FlaskClient, alice: dict[str, str], kind: str) -> None:
    """Media types compare without case and without their parameters (RFC 9110 section 8.3.1)."""
    assert client.post(TOKEN_PATH, headers=alice, data=b"{}", content_type=kind).status_code == 200


class Unreadable(io.RawIOBase):
    """A body of which not one byte may be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: object) -> int:
        raise AssertionError("the body was read")


LIMITS = [
    ("POST", TOKEN_PATH, 4, b"{}", 200),
    ("POST", REFRESH_PATH, 4, b"{}", 200),
    ("POST", REDEEM_PATH, 4, b"{}", 422),
    ("PUT", ROOM_PATH, 64, b"{}", 201),
]


@pytest.mark.parametrize(("method", "path", "kibibytes", "_body", "_status"), LIMITS)
def test_a_large_body_is_413_and_not_read(
    face: Face,
    client: FlaskClient,
    ada: dict[str, str],
    method: str,
    path: str,
    kibibytes: int,
    _body: bytes,
    _status: int,
) -> None:
    """What announces more than the call takes is refused by its announcement, and told the limit."""
    answer = client.open(
        path,
        method=method,
        headers=ada,
        content_type="application/json",
        environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": str(kibibytes * 1024 + 1)},
    )

    assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")
    assert f"{kibibytes} KiB" in answer.get_json()["detail"]
    assert face.told.asked == []


@pytest.mark.parametrize(("method", "path", "kibibytes", "body", "status"), LIMITS)
def test_a_body_of_exactly_the_limit_is_read(
    client: FlaskClient, ada: dict[str, str], method: str, path: str, kibibytes: int, body: bytes, status: int
) -> None:
    """The limit itself is allowed: what is in the body decides."""
    padded = body.ljust(kibibytes * 1024)

    answer = client.open(path, method=method, headers=ada, data=padded, content_type="application/json")

    assert answer.status_code == status


QUERIES = [
    "limit=0",
    "limit=201",
    "limit=x",
    "limit=1.0",
    "limit=",
    "limit=5&limit=5",
    "page=2",
    "cursor=a%20b",
    "cursor=",
]


@pytest.mark.parametrize("query", [*QUERIES, "cursor=_w", "Limit=5", "access_token=x", "limit=%D9%A1"])
@pytest.mark.parametrize("path", ["/v1/rooms", "/v1/admin/rooms", "/v1/admin/rooms/standup/members"])
def test_a_query_is_known_single_and_fit(
    face: Face, client: FlaskClient, ada: dict[str, str], path: str, query: str
) -> None:
    """Unknown, repeated and unfit parameters are refused, and nobody is asked."""
    answer = client.get(f"{path}?{query}", headers=ada)

    assert answer.status_code == 422
    assert face.told.asked == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_call_without_parameters_takes_none(client: FlaskClient, ada: dict[str, str], method: str) -> None:
    """A parameter nobody reads is refused rather than ignored."""
    answer = client.open(ROOM_PATH + "?force=true", method=method, headers=ada, json={})

    assert answer.status_code == 422


def test_a_stranger_learns_nothing_about_schemas(client: FlaskClient) -> None:
    """The gate stands before validation."""
    assert client.post(TOKEN_PATH, data=b"{", content_type="text/plain").status_code == 401
    assert client.get("/v1/rooms?nonsense=1").status_code == 401


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_strict_json_reads_what_json_writes(value: object) -> None:
    """Whatever the standard encoder writes is read back the same, or refused for one of the stated reasons."""
    try:
        assert strict_json(json.dumps(value).encode()) == value
    except (MalformedRequest, InvalidRequest):
        assert "\\u0000" in json.dumps(value) or "\\ud" in json.dumps(value) or json.dumps(value).count("[") > 15


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """No bytes make the reader fail in another way."""
    with contextlib.suppress(MalformedRequest, InvalidRequest):
        strict_json(raw)


def test_every_operation_of_the_document_is_compiled() -> None:
    """A token operation takes a body that it does not require, lists take a limit and a cursor."""
    operations = contract().operations

    assert not operations["issueToken"].body_required
    assert operations["issueToken"].body is not None
    assert set(operations["listRooms"].query_types) == {"limit", "cursor", "q"}
