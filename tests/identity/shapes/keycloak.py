"""Keycloak: the tokens of a realm."""

from __future__ import annotations

import uuid

from tests.identity.shapes.shape import LOGOUT, Config, Shape, Shapes, life_of


def keycloak(config: Config) -> Shapes:
    """Access token, ID token, refresh token (signed by a secret of the realm) as a realm of version 26 makes them."""
    life = life_of(300)
    base = Shape(
        {"alg": "RS256", "typ": "JWT", "kid": "issuer"},
        {
            **life,
            "auth_time": life["iat"],
            "jti": f"onrtac:{uuid.uuid4()}",
            "iss": config["issuer"],
            "aud": [config["audience"], "account"],
            "sub": "36fa0f91-f94d-4a0c-afed-6b7d952e47da",
            "typ": "Bearer",
            "azp": config["logout_audience"],
            "sid": "2a88c258-f73a-4103-b862-e1fbd8f4e04e",
            "acr": "1",
            "allowed-origins": ["https://app.example.com"],
            "realm_access": {"roles": ["offline_access", "default-roles-acme", "uma_authorization"]},
            "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
            "scope": "openid email profile",
            "email_verified": True,
            "name": "Alice Abel",
            "preferred_username": "alice",
            "given_name": "Alice",
            "family_name": "Abel",
            "email": "alice@example.com",
        },
    )
    ours, realm = config["audience"], config["issuer"].replace("acme", "evil")
    id_token = base.saying(typ="ID", aud=ours, azp=ours, at_hash="x", resource_access=None, realm_access=None)
    refresh = Shape(
        {"alg": "HS512", "typ": "JWT", "kid": "8b5a"},
        {name: base.claims[name] for name in ("exp", "iat", "jti", "iss", "sub", "azp", "sid", "scope")}
        | {"aud": config["issuer"], "typ": "Refresh"},
        "realm secret",
    )
    return {
        "access token": base,
        "access token with `at+jwt` in its header": base.headed(typ="at+jwt"),
        "access token of somebody with the client role `host`": _with_role(base, ours, "host"),
        "access token of somebody with the client role `rooms:admin`": _with_role(base, ours, "rooms:admin"),
        "access token of somebody with the realm role `rooms:admin`": base.saying(
            realm_access={"roles": ["rooms:admin"]}
        ),
        "access token without the audience mapper": base.saying(aud="account"),
        "access token of another realm": base.saying(iss=realm).signed_by("other realm"),
        "ID token of an app called `video`": id_token,
        "refresh token": refresh,
        "logout token": keycloak_logout(config),
    }


def _with_role(base: Shape, client: str, role: str) -> Shape:
    return base.saying(resource_access={**base.claims["resource_access"], client: {"roles": [role]}})


def keycloak_logout(config: Config) -> Shape:
    """With session required off, as the guide has it; the payload has a ``typ`` of its own."""
    return Shape(
        {"alg": "RS256", "typ": "logout+jwt", "kid": "issuer"},
        {
            **life_of(120, 0),
            "jti": str(uuid.uuid4()),
            "iss": config["issuer"],
            "aud": config["logout_audience"],
            "sub": "36fa0f91-f94d-4a0c-afed-6b7d952e47da",
            "typ": "Logout",
            "events": LOGOUT,
        },
    )
