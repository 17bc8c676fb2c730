"""AWS Application Load Balancer: what it puts into the headers of a request whose user it has signed in."""

from __future__ import annotations

import base64
import json

from tests.identity.forge import private_key, signature
from tests.identity.shapes.cognito import cognito_access
from tests.identity.shapes.shape import Config, Shape, Shapes, life_of, opaque

_BALANCER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/video/50dc6c495c0c9188"


def _data(config: Config) -> Shape:
    """The answer of the provider's userinfo endpoint, where truth is a text; no ``iat`` and no ``aud``."""
    ends, kid = life_of(120)["exp"], "12345678-1234-1234-1234-123456789012"
    header = {"typ": "JWT", "kid": kid, "alg": "ES256", "iss": config["issuer"], "client": config["audience"]}
    person = {"sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "email": "alice@example.com", "email_verified": "true"}
    claims = {**person, "username": "alice", "exp": ends, "iss": config["issuer"]}
    return Shape({**header, "signer": _BALANCER, "exp": ends}, claims, "load balancer")


def _padded(shape: Shape) -> str:
    """As the load balancer writes it: with padding, over which it signs."""
    signed = ".".join(_base64(json.dumps(part).encode()) for part in (shape.header, shape.claims))
    raw = signature(signed, "ES256", private_key("ES256", "load balancer"))
    return f"{signed}.{_base64(raw)}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def _member(shape: Shape, *groups: str) -> Shape:
    return shape.saying(**{"cognito:groups": list(groups)})


def alb(config: Config) -> Shapes:
    """User claims encoding and signature verification."""
    access = cognito_access(config).saying(scope="openid", device_key=None)
    data = _data(config)
    return {
        "`x-amzn-oidc-accesstoken`": access,
        "`x-amzn-oidc-accesstoken` of a member of `host`": _member(access, "host"),
        "`x-amzn-oidc-accesstoken` of a member of `rooms:admin`": _member(access, "rooms:admin"),
        "`x-amzn-oidc-data`": opaque(_padded(data)),
        "`x-amzn-oidc-data` without its padding": data,
        "`x-amzn-oidc-identity`": opaque(str(data.claims["sub"])),
        "access token of another app client": access.saying(client_id="9other8client7id"),
    }
