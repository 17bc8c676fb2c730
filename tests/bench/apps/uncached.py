"""No cache: each request checks its bearer and asks Telnyx by the official package."""

from __future__ import annotations

import os
from typing import Any

import jwt
import telnyx
from flask import Flask, Response, jsonify, request


def create_app() -> Flask:
    app = Flask("uncached")
    client = telnyx.Telnyx(api_key=os.environ["TELNYX_API_KEY"], base_url=os.environ["TELNYX_API_URL"])
    # Found out by starting processes, which else each of the first callers does.
    client.platform_headers()
    generate = client.rooms.actions.generate_join_client_token
    secret, audience, issuer = (os.environ["AUTH_" + name] for name in ("HS256_SECRET", "AUDIENCE", "ISSUER"))

    @app.post("/v1/rooms/<alias>/token")
    def token(alias: str) -> Response | tuple[Response, int]:  # noqa: ARG001 - as in bare.py
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            jwt.decode(bearer, secret, algorithms=["HS256"], audience=audience, issuer=issuer)
        except jwt.InvalidTokenError:
            return jsonify(error="invalid token"), 401
        made: Any = generate(os.environ["BENCH_ROOM_ID"]).data
        return jsonify(token=made.token, expires_at=made.token_expires_at.isoformat())

    return app
