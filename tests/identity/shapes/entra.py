"""Microsoft Entra ID: access tokens of both versions."""

from __future__ import annotations

from typing import Any, Final

from tests.identity.shapes.shape import Config, Shape, Shapes, life_of

_TENANT: Final = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
_OTHER_TENANT: Final = "bbbbcccc-1111-dddd-2222-eeee3333ffff"


def _entra(config: Config, **claims: Any) -> Shape:
    life = life_of(4500)
    return Shape(
        {"typ": "JWT", "alg": "RS256", "kid": "issuer"},
        {
            "aud": config["audience"],
            "iss": config["issuer"],
            **life,
            "nbf": life["iat"],
            "aio": "AXQAi/8IAAAA+opaque==",
            "name": "Alice Abel",
            "oid": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
            "rh": "0.AQYA.opaque.",
            "scp": "Rooms.Join",
            "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
            "tid": _TENANT,
            "uti": "fqiBqXLPj0eQa82S-IYFAA",
            **claims,
        },
    )


def _applications(base: Shape) -> Shape:
    """App-only: no scp and no name, sub and oid are the service principal's."""
    principal = "cccccccc-3333-4444-5555-dddddddddddd"
    return base.saying(scp=None, name=None, preferred_username=None, oid=principal, sub=principal, idtyp="app")


def entra(config: Config) -> Shapes:
    """Access token claims reference, version 2.0."""
    client = "11112222-bbbb-3333-cccc-4444dddd5555"
    base = _entra(config, azp=client, azpacr="0", preferred_username="alice@example.com", ver="2.0")
    many = {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.windows.net/x"}}}
    other = {"iss": config["issuer"].replace(_TENANT, _OTHER_TENANT), "tid": _OTHER_TENANT}
    graph = base.headed(nonce="opaque").saying(aud="00000003-0000-0000-c000-000000000000", scp="User.Read")
    return {
        "access token": base,
        "access token of somebody with the app role `host`": base.saying(roles=["host"]),
        "access token of somebody with the app role `rooms:admin`": base.saying(roles=["rooms:admin"]),
        "access token with a delegated scope `rooms:admin` besides": base.saying(scp="Rooms.Join rooms:admin"),
        "access token of somebody in too many groups to list": base.saying(**many),
        "access token of an application (client credentials)": _applications(base),
        "access token of an application with the app role `rooms:admin`": _applications(base).saying(
            roles=["rooms:admin"]
        ),
        "access token of another tenant": base.saying(**other),
        "access token for Microsoft Graph": graph,
        "ID token of an app": base.saying(scp=None, azp=None, azpacr=None, email="alice@example.com", nonce="n"),
    }


def entra_v1(config: Config) -> Shapes:
    """Access token claims reference, version 1.0."""
    base = _entra(
        config, acr="1", amr=["pwd"], appid="11112222-bbbb-3333-cccc-4444dddd5555", appidacr="0", ipaddr="192.0.2.1",
        unique_name="alice@example.com", upn="alice@example.com", ver="1.0",
    ).headed(x5t="issuer")  # fmt: skip
    other = {"iss": config["issuer"].replace(_TENANT, _OTHER_TENANT), "tid": _OTHER_TENANT}
    return {
        "access token": base,
        "access token of somebody with the app role `host`": base.saying(roles=["host"]),
        "access token of somebody with the app role `rooms:admin`": base.saying(roles=["rooms:admin"]),
        "access token of an application (client credentials)": _applications(base).saying(upn=None, unique_name=None),
        "access token of another tenant": base.saying(**other),
    }
