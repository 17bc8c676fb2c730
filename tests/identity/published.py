"""What each identity provider publishes: its keys in its own form, at its own path, and its OpenID configuration."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes

from tests.identity.certificates import pem_certificate
from tests.identity.forge import b64, jwk
from tests.identity.idp import IdentityProvider, document

DISCOVERY: Final = "/.well-known/openid-configuration"
Config = Mapping[str, Any]
Keys = list[dict[str, Any]]


def _certified(owner: str, **members: Any) -> dict[str, Any]:
    """With the certificate that the key has made itself."""
    der = ssl.PEM_cert_to_DER_cert(pem_certificate("RS256", owner))
    digest = hashes.Hash(hashes.SHA1())  # ``x5t`` is one (RFC 7517 section 4.8)
    digest.update(der)
    shown = {"x5t": b64(digest.finalize()), "x5c": [base64.b64encode(der).decode()]}
    return jwk("RS256", owner, **shown, **members)


def _auth0(_config: Config) -> Keys:
    """The current key and the next."""
    return [_certified("issuer"), _certified("next")]


def _google(_config: Config) -> Keys:
    return [jwk("RS256", "issuer"), jwk("RS256", "next")]


def _clerk(_config: Config) -> Keys:
    return [jwk("RS256", "issuer")]


def _cognito(_config: Config) -> Keys:
    """One key signs ID tokens, the other access tokens."""
    return [jwk("RS256", "for id tokens"), jwk("RS256", "issuer")]


def _keycloak(_config: Config) -> Keys:
    """A key for encryption lies beside."""
    return [_certified("for encryption", alg="RSA-OAEP", use="enc"), _certified("issuer")]


def _supabase(_config: Config) -> Keys:
    return [jwk("ES256", ext=True, key_ops=["verify"]), jwk("ES256", "standby", ext=True, key_ops=["verify"])]


def _entra(config: Config) -> Keys:
    """Without ``alg``, and with whose tokens a key signs."""
    cloud = {"alg": None, "cloud_instance_name": "microsoftonline.com", "issuer": config["issuer"]}
    return [_certified("issuer", **cloud), _certified("next", **cloud)]


def _entra_v1(_config: Config) -> Keys:
    return [_certified("issuer", alg=None), _certified("next", alg=None)]


# By the name of a configuration: its keys, and their path where the OpenID configuration tells it.
SETS: Final[Mapping[str, tuple[Callable[[Config], Keys], str]]] = {
    "alb": (_cognito, "{issuer}/.well-known/jwks.json"),
    "auth0": (_auth0, "/.well-known/jwks.json"),
    "clerk": (_clerk, ""),
    "clerk-template": (_clerk, ""),
    "cognito": (_cognito, "{issuer}/.well-known/jwks.json"),
    "cognito-id": (_cognito, "{issuer}/.well-known/jwks.json"),
    "entra": (_entra, "/aaaabbbb-0000-cccc-1111-dddd2222eeee/discovery/v2.0/keys"),
    "entra-v1": (_entra_v1, "/common/discovery/keys"),
    "firebase": (_google, ""),
    "keycloak": (_keycloak, "{issuer}/protocol/openid-connect/certs"),
    "supabase": (_supabase, ""),
}


def publish(name: str, config: Config, providers: Mapping[str, IdentityProvider]) -> None:
    """Answer for this issuer, by the addresses of its ``config``; ``providers`` are told apart by host and port."""
    if "hs256_secret" in config:
        return
    keys_of, path = SETS[name]
    keys_url = config.get("jwks_url")
    if keys_url is None:
        issuer = config["issuer"].rstrip("/")
        configuration = issuer + DISCOVERY if config["discovery_url"] == "true" else config["discovery_url"]
        place = urlsplit(configuration)
        keys_url = f"{place.scheme}://{place.netloc}{path.replace('{issuer}', urlsplit(issuer).path)}"
        providers[place.netloc].answer(document(_configuration(config["issuer"], keys_url)), place.path)
    place = urlsplit(keys_url)
    providers[place.netloc].answer(document({"keys": keys_of(config)}), place.path)


def _configuration(issuer: str, keys_url: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": keys_url,
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }
