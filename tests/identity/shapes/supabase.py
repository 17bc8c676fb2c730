"""Supabase Auth: access tokens by signing keys and by the legacy secret, and keys that are tokens too."""

from __future__ import annotations

import time

from tests.identity.shapes.shape import Config, Shape, Shapes, life_of, opaque


def _supabase(config: Config) -> Shape:
    life = life_of(3600)
    return Shape(
        {"alg": "ES256", "kid": "issuer", "typ": "JWT"},
        {
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": life["iat"]}],
            "app_metadata": {"provider": "email", "providers": ["email"]},
            "aud": "authenticated",
            "email": "alice@example.com",
            **life,
            "iss": config["issuer"],
            "phone": "",
            "role": "authenticated",
            "session_id": "123e4567-e89b-12d3-a456-426614174000",
            "sub": "123e4567-e89b-12d3-a456-426614174111",
            "user_metadata": {"name": "Alice Abel", "email": "alice@example.com", "email_verified": True},
            "is_anonymous": False,
        },
    )


def _legacy(shape: Shape) -> Shape:
    return shape.headed(alg="HS256", kid="l3g4cY").signed_by("project secret")


def _supabase_rows(config: Config, base: Shape) -> dict[str, Shape]:
    kept = base.claims["app_metadata"]
    anonymous = base.saying(is_anonymous=True, email="", app_metadata={}, user_metadata={})
    ten_years = {"iat": int(time.time()) - 5, "exp": int(time.time()) + 315_360_000}
    key = _legacy(Shape(base.header, {"iss": "supabase", "ref": "abcdefghijklmnopqrst", **ten_years})).headed(kid=None)
    other = config["issuer"].replace("/auth/v1", "x/auth/v1")
    return {
        "access token": base,
        "access token with `app_metadata.groups`": base.saying(app_metadata={**kept, "groups": ["host"]}),
        "access token with `app_metadata.scopes`": base.saying(app_metadata={**kept, "scopes": ["rooms:admin"]}),
        "access token of an anonymous sign-in": anonymous.saying(amr=[{"method": "anonymous", "timestamp": 1}]),
        "access token of another project": base.saying(iss=other).signed_by("other project"),
        "legacy `anon` key": key.saying(role="anon"),
        "legacy `service_role` key": key.saying(role="service_role"),
    }


def supabase(config: Config) -> Shapes:
    """JWT Claims Reference; by signing keys."""
    base = _supabase(config)
    written = {"groups": ["host"], "scopes": ["rooms:admin"], "name": "Alice"}
    by_user = "access token with the same in `user_metadata`, written by the user"
    return {
        **_supabase_rows(config, base),
        by_user: base.saying(user_metadata=written, groups=["x"]),
        "access token by the legacy secret": _legacy(base),
        "publishable key (`sb_publishable_...`)": opaque("sb_publishable_Xx0Yy1Zz2Aa3Bb4Cc5"),
    }


def supabase_legacy(config: Config) -> Shapes:
    """The same by the project's secret."""
    return _supabase_rows(config, _legacy(_supabase(config)))
