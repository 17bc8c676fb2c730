"""Amazon Cognito: access tokens and ID tokens of a user pool."""

from __future__ import annotations

import uuid
from typing import Any

from tests.identity.shapes.shape import Config, Shape, Shapes, life_of


def _cognito(config: Config, **claims: Any) -> Shape:
    life = life_of(3600)
    return Shape(
        {"kid": "issuer", "alg": "RS256"},
        {
            "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "iss": config["issuer"],
            "origin_jti": str(uuid.uuid4()),
            "event_id": str(uuid.uuid4()),
            "auth_time": life["iat"],
            **life,
            "jti": str(uuid.uuid4()),
            **claims,
        },
    )


def cognito_access(config: Config) -> Shape:
    claims = {"client_id": config["audience"], "token_use": "access", "username": "alice", "version": 2}
    scopes = "aws.cognito.signin.user.admin"
    return _cognito(config, **claims, scope=scopes, device_key="aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee")


def _cognito_id(config: Config) -> Shape:
    """Signed by the other key of the pool."""
    person = {"name": "Alice Abel", "email": "alice@example.com", "email_verified": True, "cognito:username": "alice"}
    shape = _cognito(config, aud=config["audience"], token_use="id", **person)
    return shape.headed(kid="for id tokens").signed_by("for id tokens")


def _member(shape: Shape, *groups: str) -> Shape:
    return shape.saying(**{"cognito:groups": list(groups)})


def cognito(config: Config) -> Shapes:
    """Understanding the access token; client credentials carry no user name, and their sub is the client."""
    base = cognito_access(config)
    pool = {"iss": config["issuer"][:-1] + "X"}
    machine = base.saying(username=None, device_key=None, origin_jti=None, event_id=None, sub="4machine2client5id")
    return {
        "access token, with the scope `aws.cognito.signin.user.admin` of every sign-in by the SDK": base,
        "access token with an `aud` besides (resource binding)": base.saying(aud="https://api.example.com"),
        "access token of a member of `host`": _member(base, "host"),
        "access token of a member of `rooms:admin`": _member(base, "staff", "rooms:admin"),
        "access token of another app client": base.saying(client_id="9other8client7id"),
        "access token of a machine (client credentials)": machine.saying(client_id="4machine2client5id", scope="a/b"),
        "access token of another user pool": base.saying(**pool).headed(kid="x").signed_by("other pool"),
        "ID token": _cognito_id(config),
    }


def cognito_id(config: Config) -> Shapes:
    """Understanding the identity (ID) token."""
    base = _cognito_id(config)
    pool = {"iss": config["issuer"][:-1] + "X"}
    return {
        "ID token": base,
        "ID token with `custom:role`, written by the user": base.saying(**{"custom:role": "rooms:admin"}),
        "ID token of a member of `host`": _member(base, "host").saying(**{"cognito:roles": ["arn:aws:iam::1:role/h"]}),
        "ID token of a member of `rooms:admin`": _member(base, "rooms:admin"),
        "ID token of another app client": base.saying(aud="9other8client7id"),
        "ID token of another user pool": base.saying(**pool).headed(kid="x").signed_by("other pool"),
        "access token": cognito_access(config),
    }
