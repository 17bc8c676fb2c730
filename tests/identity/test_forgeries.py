"""Published classes of bad tokens over the wire: a bearer is good or certainly bad, and no forgery is our trouble."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pytest
import requests

from tests.identity.forge import jwk
from tests.identity.forgeries import Token, bad_signatures, claims, good_signatures, issuers, token
from tests.identity.idp import KEYS, provider
from tests.identity.spellings import BAD_HEADERS, GOOD_HEADERS, RESIDUAL, embedded, respelled
from tests.identity.tables import settings_with
from tests.identity.test_rfc_examples import VECTORS, trusted
from tests.processes import AUDIENCE, Sandbox, ServiceProcess, Valkey, fresh, running, until

pytestmark = pytest.mark.rows(20)


BAD: Final[Mapping[str, Token]] = {**bad_signatures(), **RESIDUAL, **BAD_HEADERS}
GOOD: Final[Mapping[str, Token]] = {**good_signatures(), **GOOD_HEADERS}
SET: Final = "https://set.test"
Ask = Callable[[str], tuple[int, str]]


@pytest.fixture(scope="module")
def strict(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    """An issuer for each algorithm, one that publishes its key, and one by the RFCs' examples and key."""
    with provider() as idp:
        published = {"name": "set", "issuer": SET, "audience": AUDIENCE, "jwks_url": idp.url + KEYS}
        table = (*issuers(), published, *trusted())
        yield from running(ServiceProcess(settings_with(sandbox, valkey, *table, WEB_CONCURRENCY="1")))


@pytest.fixture(scope="module")
def ask(strict: ServiceProcess) -> Iterator[Ask]:
    """What becomes of a text as bearer: status and code. Header values go out as they are."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", strict.port, timeout=15)) as connection:

        def answer(text: str) -> tuple[int, str]:
            connection.request("GET", "/v1/rooms", headers={"Authorization": f"Bearer {text}"})
            response = connection.getresponse()
            said = json.loads(response.read())
            assert response.status != 401 or response.headers["WWW-Authenticate"].startswith("Bearer")
            return response.status, str(said.get("code", "in"))

        yield answer


@pytest.mark.parametrize("name", GOOD)
def test_a_good_bearer_is_let_in(name: str, ask: Ask) -> None:
    """However unusual its header is, and whichever of the two signatures of ECDSA it has."""
    assert ask(GOOD[name]()) == (200, "in")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_bearer_is_certainly_bad(name: str, ask: Ask) -> None:
    """401, and never our trouble: neither 500 nor 503."""
    assert ask(BAD[name]()) == (401, "invalid_token")


@pytest.mark.parametrize("name", respelled("a.b.c"))
def test_a_good_bearer_has_one_spelling(name: str, ask: Ask) -> None:
    """The very token that has just been let in, written otherwise."""
    good = token("EdDSA")

    assert ask(good) == (200, "in")
    assert ask(respelled(good)[name]) == (401, "invalid_token")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["source"])
def test_an_rfcs_example_is_no_bearer(vector: dict[str, str], ask: Ask) -> None:
    """Not even where its issuer and key are trusted: it has run out, and names nobody."""
    # What has commas could be several credentials.
    refusal = (400, "malformed_request") if "," in vector["jws"] else (401, "invalid_token")

    assert ask(vector["jws"]) == refusal


ODD_KIDS: Final = {
    "none": {},
    "empty": {"kid": ""},
    "in another case": {"kid": "Issuer"},
    "with a space": {"kid": "issuer "},
    "with NUL": {"kid": "issuer\0"},
    "a lone surrogate": {"kid": "\ud800"},
    "long": {"kid": "k" * 3000},
    "a thumbprint instead": {"x5t": "issuer"},
}


@pytest.mark.parametrize("kid", ODD_KIDS.values(), ids=ODD_KIDS)
def test_a_kid_is_compared_exactly(kid: dict[str, str], ask: Ask) -> None:
    """Among published keys: a bearer with none may be by any of them, one with another is by nobody's."""
    said = claims("EdDSA", iss=SET)
    until(lambda: ask(token("EdDSA", {"alg": "EdDSA", "kid": "issuer"}, said)) == (200, "in"), what="the published key")

    good = "kid" not in kid
    assert ask(token("EdDSA", {"alg": "EdDSA", **kid}, said)) == ((200, "in") if good else (401, "invalid_token"))


def test_what_a_header_brings_along_is_not_used_nor_fetched(ask: Ask) -> None:
    """Keys in the header and addresses in it: refused, unless the issuer's own key has signed all the same; and nobody
    connects to the address.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
        answers = {name: ask(made()) for name, made in embedded(url).items()}
        own = token("EdDSA", {"alg": "EdDSA", "jku": url, "x5u": url, "jwk": jwk("EdDSA", "thief")})

        assert set(answers.values()) == {(401, "invalid_token")}
        assert ask(own) == (200, "in")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_forgery_forges_no_line_of_the_log(strict: ServiceProcess) -> None:
    """A ``kid`` with line ends and all: the lines are JSON, an access line and a reason for each request."""
    forged = token("EdDSA", {"alg": "EdDSA", "typ": "x+jwt", "kid": 'Canary7Zq4Xw9\r\n{"level":"error"}'})
    asked = [fresh("forged") for _ in range(5)]
    for name in asked:
        headers = {"Authorization": f"Bearer {forged}", "X-Request-Id": name}
        assert requests.get(strict.url + "/v1/rooms", headers=headers, timeout=15).status_code == 401

    def found(member: str) -> list[object]:
        lines = [json.loads(line) for line in strict.output().splitlines()]
        return [line[member] for line in lines if line.get("request_id") in asked and member in line]

    until(lambda: len(found("status")) == 5, what="the access lines of these requests")
    assert (found("status"), found("reason")) == ([401] * 5, ["wrong_type"] * 5)
    assert not any(part in strict.output() for part in (*forged.split("."), "Canary7Zq4Xw9"))
