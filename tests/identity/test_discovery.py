"""Keys of an issuer of which only the OpenID configuration is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.identity.forge import ISSUER
from tests.identity.idp import (
    CONFIGURATION,
    IdentityProvider,
    Trust,
    document,
)
from tests.processes import until


@pytest.fixture
def discovering(idp: IdentityProvider, trusting: Callable[..., Trust]) -> Callable[[object], Trust]:
    """An issuer of which only the configuration is known, with that configuration."""

    def make(configuration: object) -> Trust:
        idp.answer(document(configuration), CONFIGURATION)
        return trusting(issuer=idp.url, discovery_url="true")

    return make


def test_keys_are_found_by_the_issuers_configuration(
    idp: IdentityProvider, discovering: Callable[[object], Trust]
) -> None:
    """``jwks_uri`` of the usual path says where they are."""
    trust = discovering({"issuer": idp.url, "jwks_uri": idp.url + "/keys"})

    assert trust.loaded().ask().user == "alice"
    assert (idp.fetches(CONFIGURATION), idp.fetches()) == (1, 1)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    "change",
    [
        {"issuer": ISSUER},
        {"issuer": None},
        {"issuer": ["{idp}"]},
        {"issuer": "{idp}/"},
        {"jwks_uri": None},
        {"jwks_uri": ["{idp}/keys"]},
        {"jwks_uri": ""},
        {"jwks_uri": "keys"},
        {"jwks_uri": "http://keys.example.com/"},
        {"jwks_uri": "http://[nonsense"},
        {"jwks_uri": "http://127.0.0.1:99999/"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://."},
    ],
    ids=str,
)
def test_a_configuration_that_is_not_the_issuers_is_not_followed(
    change: dict[str, object], idp: IdentityProvider, discovering: Callable[[object], Trust]
) -> None:
    """Another issuer's, or one that leads to no safe place; a right one is taken as soon as it is there."""
    right = {"issuer": idp.url, "jwks_uri": idp.url + "/keys"}
    wrong = {
        name: value.replace("{idp}", idp.url) if isinstance(value, str) else value for name, value in change.items()
    }
    trust = discovering(right | wrong).start()
    until(lambda: trust.source.last_error, what="an error for operators")
    assert idp.fetches() == 0

    idp.answer(document(right), CONFIGURATION)

    until(lambda: trust.source.keys, what="recovery")


@pytest.mark.parametrize(
    "uri", ["http://keys.example.com/", "ftp://keys.example.com/", "http://127.0.0.1.example.com/"]
)
def test_keys_are_not_fetched_in_the_clear(
    uri: str, idp: IdentityProvider, discovering: Callable[[object], Trust]
) -> None:
    """A configuration cannot lead where the table may not: nothing is sent there at all."""
    trust = discovering({"issuer": idp.url, "jwks_uri": uri}).start()

    until(lambda: trust.source.last_error, what="an error for operators")
    assert trust.source.last_error == "must be an https URL (http only on this machine itself)"
