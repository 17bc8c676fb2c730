"""Clerk: session tokens (version 2) and tokens of JWT templates."""

from __future__ import annotations

import secrets
from typing import Any

from tests.identity.shapes.shape import Config, Shape, Shapes, life_of

_APP, _WWW = "https://app.example.com", "https://www.example.com"


def _made_for(config: Config, seconds: int = 60) -> dict[str, Any]:
    """The claims that every token has; ``nbf`` lies before ``iat``."""
    life = life_of(seconds)
    return {
        "azp": _APP,
        **life,
        "iss": config["issuer"],
        "jti": secrets.token_hex(10),
        "nbf": life["iat"] - 5,
        "sub": "user_2NNEqL2nrIRdJ194ndJqAHwEfxC",
    }


def _signed(claims: dict[str, Any]) -> Shape:
    return Shape({"alg": "RS256", "cat": "cl_B7d4PD111AAA", "kid": "issuer", "typ": "JWT"}, claims)


def _session(config: Config) -> Shape:
    session = {
        "fva": [7, -1],
        "sid": "sess_2NNEqL2nrIRdJ194",
        "v": 2,
        "pla": "u:free",
        "fea": "u:dashboard",
        "sts": "active",
    }
    return _signed({**_made_for(config), **session, "name": "Alice Abel", "roles": None})


def _template(config: Config) -> Shape:
    return _signed({**_made_for(config), "aud": "video", "name": "Alice Abel", "roles": None})


def _with_roles(shape: Shape, *roles: str) -> Shape:
    return shape.saying(roles=list(roles))


def _elsewhere(shape: Shape) -> Shape:
    return shape.saying(iss="https://other-12.clerk.accounts.dev").signed_by("other instance")


def clerk(config: Config) -> Shapes:
    """Default claims of version 2, with the customized session token of the guide."""
    base = _session(config)
    return {
        "session token": base,
        "session token of a page at the other origin": base.saying(azp=_WWW),
        "session token of somebody with the role `host`": _with_roles(base, "host"),
        "session token of somebody with the role `rooms:admin`": _with_roles(base, "host", "rooms:admin"),
        "session token of somebody who has written `rooms:admin` into the unsafe metadata": base.saying(
            unsafe_metadata={"roles": ["rooms:admin"]}
        ),
        "session token of a page at an origin that is not listed": base.saying(azp="https://evil.example.com"),
        "session token without `azp`": base.saying(azp=None),
        "session token of a session that is `pending`": base.saying(sts="pending"),
        "token of a JWT template": _template(config),
        "session token of another instance": _elsewhere(base),
    }


def clerk_template(config: Config) -> Shapes:
    """Custom JWTs: no claim that is tied to a session; shortcodes without a value are null."""
    base = _template(config)
    return {
        "token of the template": base,
        "token of the template for somebody without a name and roles": Shape(
            base.header, {**base.claims, "name": None, "roles": None}
        ),
        "token of the template for somebody with the role `host`": _with_roles(base, "host"),
        "token of the template for somebody with the role `rooms:admin`": _with_roles(base, "rooms:admin"),
        "token of another template": base.saying(aud="convex"),
        "session token": _session(config),
        "token of the template of another instance": _elsewhere(base),
    }
