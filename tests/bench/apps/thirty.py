"""The thirty lines that everybody writes: Flask, PyJWT, one Redis GET, JSON. No permission, no sealing, no renewal."""

from __future__ import annotations

import json
import os

import jwt
import redis
import telnyx
from flask import Flask, Response, jsonify, request


def create_app() -> Flask:
    app = Flask("thirty")
    cache = redis.Redis.from_url(os.environ["REDIS_URL"])
    client = telnyx.Telnyx(api_key=os.environ["TELNYX_API_KEY"], base_url=os.environ["TELNYX_API_URL"])
    secret, audience, issuer = (os.environ["AUTH_" + name] for name in ("HS256_SECRET", "AUDIENCE", "ISSUER"))

    @app.post("/v1/rooms/<alias>/token")
    def token(alias: str) -> Response | tuple[Response, int]:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(bearer, secret, algorithms=["HS256"], audience=audience, issuer=issuer)
        except jwt.InvalidTokenError:
            return jsonify(error="invalid token"), 401
        key = f"token:{alias}:{claims['sub']}"
        cached = cache.get(key)
        if cached is not None:
            return jsonify(json.loads(cached))
        made = client.rooms.actions.generate_join_client_token(os.environ["BENCH_ROOM_ID"]).data
        answer = {"token": made.token, "expires_at": made.token_expires_at.isoformat()}
        cache.set(key, json.dumps(answer), ex=300)
        return jsonify(answer)

    return app
