"""The naive service at equal work: what a competent engineer writes in a hurry that does the work of a token answer.

Plain WSGI and not Flask: the service answers this call by a plain WSGI callable too, so the two differ by how they work
and not by a framework. Every library is used as its introduction shows it. Each answer verifies the bearer (PyJWT),
reads Redis (redis-py), opens a sealed token (AES-GCM), signs a ticket (PyJWT, EdDSA), writes two JSON log lines and
updates four metrics. It has no rooms, permission, revocations, rate limit, leases or fallback.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import jwt
import redis
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ROUTE: Final = "/v1/rooms/{room}/token"
TTL_SECONDS: Final = 3600
# As many as there may be callers at a time; redis-py refuses the hundred and first, requests drops the eleventh.
MAX_CONNECTIONS: Final = 256
_log: Final = logging.getLogger("equal")


def token_key(room: str, user: str) -> str:
    return f"sealed:{room}:{user}"


def seal(cipher: AESGCM, key: str, held: dict[str, Any]) -> bytes:
    """The tokens held for one user and room, readable only under that key's name."""
    nonce = os.urandom(12)
    return nonce + cipher.encrypt(nonce, json.dumps(held).encode(), key.encode())


def unseal(cipher: AESGCM, key: str, sealed: Any) -> dict[str, Any]:
    opened: dict[str, Any] = json.loads(cipher.decrypt(sealed[:12], sealed[12:], key.encode()))
    return opened


def rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), UTC).isoformat().replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"ts": rfc3339(record.created), "level": record.levelname, "message": record.getMessage()}
        return json.dumps(line | vars(record)["fields"])


class Metrics:
    """The four that a token answer updates, shared by all workers through prometheus-client's files."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.verified = Counter("verifications", "Bearers checked.", ["outcome"], registry=registry)
        self.handed_out = Counter("tokens_handed_out", "Tokens.", ["source"], registry=registry)
        self.remaining = Histogram("token_remaining_seconds", "Life left in tokens.", registry=registry)
        self.answered = Histogram("http_request_seconds", "Answers.", ["route", "method", "status"], registry=registry)

    def exposition(self) -> bytes:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)


class TokenService:
    """The WSGI application."""

    def __init__(self) -> None:
        env = os.environ
        self.cache = redis.Redis.from_url(env["REDIS_URL"], max_connections=MAX_CONNECTIONS)
        self.cipher = AESGCM(bytes.fromhex(env["BENCH_SEALING_KEY"]))
        self.ticket_key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(env["BENCH_TICKET_KEY"]))
        self.secret, self.audience, self.issuer = (
            env["AUTH_" + name] for name in ("HS256_SECRET", "AUDIENCE", "ISSUER")
        )
        self.room_id = env["BENCH_ROOM_ID"]
        self.actions = f"{env['TELNYX_API_URL']}/rooms/{self.room_id}/actions"
        self.telnyx = requests.Session()
        self.telnyx.mount("http", HTTPAdapter(pool_maxsize=MAX_CONNECTIONS))
        self.telnyx.headers["Authorization"] = f"Bearer {env['TELNYX_API_KEY']}"
        self.metrics = Metrics()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [self.metrics.exposition()]
        request_id = uuid.uuid4().hex
        status, answer = self.recorded_answer(environ, request_id)
        body = json.dumps(answer).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(status, [*headers, ("Cache-Control", "no-store"), ("X-Request-Id", request_id)])
        return [body]

    def recorded_answer(self, environ: WSGIEnvironment, request_id: str) -> tuple[str, dict[str, Any]]:
        """The status and the members of the answer, after it was counted and logged."""
        started = time.monotonic()
        status, answer = self.answer(environ, request_id)
        seconds = time.monotonic() - started
        self.metrics.answered.labels(ROUTE, environ["REQUEST_METHOD"], status[:3]).observe(seconds)
        fields = {"route": ROUTE, "method": environ["REQUEST_METHOD"], "status": int(status[:3])}
        _log.info("request", extra={"fields": {**fields, "ms": round(seconds * 1000, 1), "request_id": request_id}})
        return status, answer

    def answer(self, environ: WSGIEnvironment, request_id: str) -> tuple[str, dict[str, Any]]:
        path = environ["PATH_INFO"].split("/")
        if environ["REQUEST_METHOD"] != "POST" or len(path) != 5 or path[1:3] != ["v1", "rooms"] or path[4] != "token":
            return "404 Not Found", {"error": "not found"}
        bearer = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        try:
            caller = jwt.decode(bearer, self.secret, algorithms=["HS256"], audience=self.audience, issuer=self.issuer)
        except jwt.InvalidTokenError:
            self.metrics.verified.labels("bad").inc()
            return "401 Unauthorized", {"error": "invalid token"}
        self.metrics.verified.labels("good").inc()
        room, user = path[3], caller["sub"]
        held, source = self.held(token_key(room, user))
        left = int(held["expires_at"] - time.time())
        self.metrics.handed_out.labels(source).inc()
        self.metrics.remaining.observe(left)
        fields = {"user": user, "room": room, "source": source, "remaining": left, "request_id": request_id}
        _log.info("token handed out", extra={"fields": fields})
        return "200 OK", self.shown(room, caller, held, left) | {"source": source}

    def held(self, key: str) -> tuple[dict[str, Any], str]:
        """The token of one user and room, from Redis or, in its second half or if there is none, from Telnyx."""
        sealed = self.cache.get(key)
        held = unseal(self.cipher, key, sealed) if sealed is not None else None
        if held is not None and held["expires_at"] - time.time() > TTL_SECONDS / 2:
            return held, "cache"
        if held is None:
            made, source = self.ask_telnyx("generate_join_client_token"), "issued"
        else:
            made = self.ask_telnyx("refresh_client_token", refresh_token=held["refresh_token"])
            source = "refreshed"
        ends = datetime.fromisoformat(made["token_expires_at"]).timestamp()
        held = {**(held or {}), **made, "expires_at": ends}
        self.cache.set(key, seal(self.cipher, key, held), ex=TTL_SECONDS)
        return held, source

    def ask_telnyx(self, action: str, **more: str) -> dict[str, Any]:
        asked = {"token_ttl_secs": TTL_SECONDS, **more}
        answer = self.telnyx.post(f"{self.actions}/{action}", json=asked, timeout=5)
        answer.raise_for_status()
        made: dict[str, Any] = answer.json()["data"]
        return made

    def shown(self, room: str, caller: dict[str, Any], held: dict[str, Any], left: int) -> dict[str, Any]:
        user, name, now = caller["sub"], caller.get("name"), time.time()
        return {
            "token": held["token"],
            "token_type": "telnyx_client_token",
            "expires_at": rfc3339(held["expires_at"]),
            "expires_in": left,
            "refresh_after": max(1, left - TTL_SECONDS // 2),
            "server_time": rfc3339(now),
            "room": {"id": self.room_id, "alias": room, "max_participants": 50, "closes_at": None},
            "participant": {"user_id": user, "name": name, "role": "participant", "device_id": None},
            "context": json.dumps(
                {"id": user, "username": name, "role": "participant", "ticket": self.ticket(room, user, now + left)}
            ),
        }

    def ticket(self, room: str, user: str, ends: float) -> str:
        claims = {"iss": "equal", "aud": "room-context", "iat": int(time.time()), "exp": int(ends)}
        whose = {"sub": user, "room": room, "role": "participant", "jti": uuid.uuid4().hex}
        return jwt.encode(claims | whose, self.ticket_key, algorithm="EdDSA", headers={"typ": "room-ticket+jwt"})


def create_app() -> TokenService:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    return TokenService()
