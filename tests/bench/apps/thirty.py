"""The thirty lines that everybody writes: Flask, PyJWT, one Redis GET, JSON. No permission, no sealing, no renewal."""

from __future__ import annotations

import json
import os

import jwt
import redis
import requests
from flask import Flask, Response, jsonify, request


def create_app() -> Flask:
    app = Flask("thirty")
    # redis-py refuses the hundred and first caller by default.
    cache = redis.Redis.from_url(os.environ["REDIS_URL"], max_connections=256)
    generate = f"{os.environ['TELNYX_API_URL']}/rooms/{os.environ['BENCH_ROOM_ID']}/actions/generate_join_client_token"
    credentials = {"Authorization": f"Bearer {os.environ['TELNYX_API_KEY']}"}
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
        made = requests.post(generate, headers=credentials, json={}, timeout=5).json()["data"]
        answer = {"token": made["token"], "expires_at": made["token_expires_at"]}
        cache.set(key, json.dumps(answer), ex=300)
        return jsonify(answer)

    return app
