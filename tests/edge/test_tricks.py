"""Headers and paths that elsewhere led around a gate: here every route answers as it does without them (T34, T47)."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from service.web.auth import GatedBlueprint
from tests.edge.wire import request, said_to, statuses
from tests.processes import ServiceProcess, mint
from tests.web.doubles import make_face

SOME_ID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
VALUES = {"alias": "no-such-room", "user": "alice", "file": "init.js", "invite_id": "inv"}
BODY = b'{"nonsense": 1}'
HARMLESS = frozenset({400, 404, 405, 422})
CALLERS = ("nobody", "a forged bearer", "a user", "an admin")
GATED = ("user", "moderator", "admin")

HEADERS = {
    "User-Agent": "kube-probe/1.34",
    "X-Forwarded-Uri": "/healthz",
    "X-Original-URL": "/healthz",
    "X-Rewrite-URL": "/healthz",
    "X-Original-Method": "OPTIONS",
    "X-HTTP-Method-Override": "GET",
    "X-HTTP-Method": "GET",
    "X-Method-Override": "HEAD",
    "X-Forwarded-User": "ada",
    "X_Forwarded_User": "ada",
    "X-Remote-User": "ada",
    "Remote-User": "ada",
    "X-Auth-Request-User": "ada",
    "X-Forwarded-Groups": "admin",
    "X-Scopes": "rooms:admin",
    "X-Forwarded-For": "127.0.0.1",
    "X-Real-IP": "127.0.0.1",
    "X-Client-IP": "127.0.0.1",
    "Forwarded": "for=127.0.0.1;host=localhost;proto=https",
    "X-Forwarded-Host": "localhost",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Prefix": "/healthz",
    "SCRIPT_NAME": "/healthz",
    "SCRIPT-NAME": "/v1",
    "PATH_INFO": "/healthz",
    "X-Api-Key": "{admin}",
    "X-Authorization": "Bearer {admin}",
    "Proxy-Authorization": "Bearer {admin}",
    "Cookie": "token={admin}; access_token={admin}",
}
PATHS = {
    "two slashes in front": "/{path}",
    "a slash behind": "{path}/",
    "two slashes behind": "{path}//",
    "a dot behind": "{path}/.",
    "from an open path": "/healthz/..{path}",
    "from an encoded open path": "/healthz%2f..{path}",
    "a dot in front": "/.{path}",
    "an encoded dot in front": "/%2e{path}",
    "a parameter": "{path};/healthz",
    "an encoded question mark": "{path}%3f/healthz",
    "an encoded hash": "{path}%23/healthz",
    "a hash": "{path}#/healthz",
    "a NUL": "{path}%00",
    "a line end": "{path}%0d%0a",
    "a space": "{path}%20",
    "a backslash": "\\{path}",
    "a suffix": "{path}.json",
    "twice encoded": "/%252e%252e{path}",
    "another host": "http://localhost{path}",
    "a question mark": "{path}?",
}


@dataclass(frozen=True)
class Route:
    """A call that can be made; ``gate`` as its blueprint says."""

    method: str
    path: str
    gate: str


@cache
def routes() -> list[Route]:
    """Every method of every rule, with names that exist nowhere in the places of its parameters."""
    app = make_face(Path("/nowhere/draining")).app
    found = []
    for rule in app.url_map.iter_rules():
        path = rule.rule
        for argument in rule.arguments:
            path = path.replace(f"<user_id:{argument}>", f"<{argument}>")
            path = path.replace(f"<{argument}>", VALUES.get(argument, SOME_ID))
        blueprint = app.blueprints[rule.endpoint.partition(".")[0]]
        assert isinstance(blueprint, GatedBlueprint)
        found += [
            Route(method, path, blueprint.gate.value)
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        ]
    return found


@dataclass
class Door:
    """A service and everybody who knocks at it."""

    port: int
    bearers: Mapping[str, str | None]

    def answers(self, who: str, headers: Mapping[str, str] | None = None, path: str = "{path}") -> dict[Route, int]:
        """The status of every route for one caller."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        got = {}
        for route in routes():
            sent = {**(headers or {}), "Content-Type": "application/json"}
            if (bearer := self.bearers[who]) is not None:
                sent["Authorization"] = f"Bearer {bearer}"
            body = None if route.method == "GET" else BODY
            connection.request(route.method, path.replace("{path}", route.path), body=body, headers=sent)
            answer = connection.getresponse()
            answer.read()
            got[route] = answer.status
        connection.close()
        return got

    @cache  # noqa: B019 - one door for the whole module
    def plain(self, who: str) -> dict[Route, int]:
        """The same without any trick."""
        return self.answers(who)

    def __hash__(self) -> int:
        return self.port


@pytest.fixture(scope="module")
def door(service: ServiceProcess) -> Door:
    forged = mint("ada", scope="rooms:admin", secret="another secret of more than 32 bytes")
    bearers = {"a forged bearer": forged, "a user": mint("ursula"), "an admin": mint("ada", scope="rooms:admin")}
    return Door(service.port, {"nobody": None, **bearers})


@pytest.mark.parametrize("who", CALLERS[:2])
def test_without_a_bearer_that_counts_every_gate_is_shut(door: Door, who: str) -> None:
    """401 for every route that is not open, and for those alone; what is at a path is not said before that."""
    got = door.plain(who)

    assert {route for route, status in got.items() if status == 401} == {r for r in routes() if r.gate in GATED}


def test_a_user_is_refused_what_is_for_administrators(door: Door) -> None:
    """403 for every route of administration, with a bearer that is good."""
    got = door.plain("a user")

    assert {status for route, status in got.items() if route.gate == "admin"} == {403}
    assert {status for route, status in got.items() if route.gate == "moderator"} == {404}


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("name", HEADERS)
def test_no_header_leads_around_a_gate(door: Door, name: str, who: str) -> None:
    """Every route answers with the status that it has without the header, whoever asks."""
    value = HEADERS[name].format(admin=door.bearers["an admin"])

    assert door.answers(who, {name: value}) == door.plain(who)


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("name", PATHS)
def test_no_spelling_of_a_path_leads_around_a_gate(door: Door, name: str, who: str) -> None:
    """Another spelling is another path, which there is not, or the same with the same gate."""
    plain, got = door.plain(who), door.answers(who, path=PATHS[name])

    assert {route: status for route, status in got.items() if status not in HARMLESS | {plain[route], 401}} == {}


@pytest.mark.parametrize("name", PATHS)
def test_no_spelling_of_a_path_says_more_to_strangers(door: Door, name: str) -> None:
    """Nobody in particular gets no answer but refusals from any spelling of a path behind a gate."""
    got = door.answers("nobody", path=PATHS[name])

    assert {status for route, status in got.items() if route.gate in GATED} <= HARMLESS | {401}


@pytest.mark.parametrize("place", ["access_token", "token", "authorization", "bearer"])
def test_a_bearer_in_the_query_is_none(door: Door, place: str) -> None:
    """A good bearer of an administrator in the query opens nothing (T19)."""
    got = door.answers("nobody", path="{path}?" + f"{place}={door.bearers['an admin']}")

    assert {status for route, status in got.items() if route.gate in GATED} == {401}


@pytest.mark.parametrize("scheme", ["Basic", "bearer,Bearer", "Bearer Bearer", "Token", "Digest", "é", "Bearer\t\t"])
def test_other_schemes_are_no_bearer(door: Door, scheme: str) -> None:
    """A token under a scheme that is another, or none, is refused and never a fault (T41)."""
    raw = request("GET", "/v1/admin/rooms", f"Authorization: {scheme} {door.bearers['an admin']}x")

    (status,) = statuses(said_to(door.port, raw))
    assert status in {400, 401}


def test_two_bearers_are_none(door: Door) -> None:
    """Two Authorization headers are refused, even if one of them, or each, is good (T19)."""
    good = f"Authorization: Bearer {door.bearers['an admin']}"

    for pair in (
        [good, good],
        [good, "Authorization: Bearer x"],
        ["Authorization: Bearer x", good],
        [good + ", " + good],
    ):
        (status,) = statuses(said_to(door.port, request("GET", "/v1/admin/rooms", *pair)))
        assert status in {400, 401}


@pytest.mark.parametrize("host", ["evil.example", "localhost:1", "", "a b", "[::1]", "x" * 300])
def test_nothing_depends_on_the_host(door: Door, host: str) -> None:
    """Whatever Host says, a stranger is a stranger, and the name does not come back in the answer."""
    raw = b"GET /v1/rooms HTTP/1.1\r\nHost: " + host.encode() + b"\r\nConnection: close\r\n\r\n"

    said = said_to(door.port, raw)
    assert statuses(said) in ([401], [400])
    assert b"evil.example" not in said
    assert b"ocation:" not in said
