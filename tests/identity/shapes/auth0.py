"""Auth0: access tokens in both profiles, ID tokens, tokens of machines, logout tokens."""

from __future__ import annotations

import uuid

from tests.identity.shapes.shape import LOGOUT, Config, Shape, Shapes, life_of, opaque


def auth0(config: Config) -> Shapes:
    """Access Token Profiles: RFC 9068 profile and Auth0 profile; ID token structure; M2M."""
    iss, api, app = config["issuer"], config["audience"], config["logout_audience"]
    base = Shape(
        {"alg": "RS256", "typ": "at+jwt", "kid": "issuer"},
        {
            "iss": iss,
            "sub": "auth0|6553da60a54af58e29493993",
            "aud": [api, f"{iss}userinfo"],
            **life_of(86_400),
            "scope": "openid profile email",
            "jti": "73WakrfVbNJBaAmhQtEeDv",
            "client_id": app,
            "permissions": ["rooms:join"],
            f"{api}/name": "Alice Abel",
            f"{api}/roles": [],
        },
    )
    machine = base.saying(sub=f"{app}@clients", aud=api, scope="report:read", permissions=["report:read"])
    id_token = base.headed(typ="JWT").saying(
        aud=app, name="Alice Abel", email="alice@example.com", email_verified=True, sid="Tq7xY0mN3k", nonce="n"
    )
    asked = base.saying(permissions=None, scope="openid rooms:join rooms:admin")
    old = base.headed(typ="JWT").saying(azp=app, client_id=None, jti=None, gty="password")
    return {
        "access token of somebody with `rooms:join`": base,
        "the same with the role `host`": base.saying(**{f"{api}/roles": ["host", "staff"]}),
        "the same with `rooms:admin`": base.saying(permissions=["rooms:join", "rooms:admin"]),
        "access token whose app asked for the scopes `rooms:join rooms:admin` while RBAC is off": asked,
        "access token in the Auth0 profile (`typ` is `JWT`)": old,
        "access token of another API of the tenant": base.saying(aud=["https://billing.example.com", f"{iss}userinfo"]),
        "access token of a machine (client credentials) without `rooms:join`": machine.saying(**{f"{api}/name": None}),
        "access token of another tenant": base.saying(iss="https://evil.eu.auth0.com/").signed_by("other tenant"),
        "opaque access token": opaque("mF_9.B5f-4.1JqM_kZ8pV2wX7yT3rL"),
        "ID token": id_token,
        "logout token": auth0_logout(config),
    }


def auth0_logout(config: Config) -> Shape:
    """Configure OIDC Back-Channel Logout: names both the user and the session."""
    return Shape(
        {"alg": "RS256", "typ": "logout+jwt", "kid": "issuer"},
        {
            "iss": config["issuer"],
            "sub": "auth0|6553da60a54af58e29493993",
            "aud": config["logout_audience"],
            **life_of(120, 0),
            "jti": str(uuid.uuid4()),
            "sid": "Tq7xY0mN3k",
            "events": LOGOUT,
            "trace_id": "8b7c5d9e0f1a2b3c",
        },
    )
