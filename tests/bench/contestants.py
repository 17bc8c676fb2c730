"""Who is compared: each a server, what is asked of it, and what must be true of a burst for it to count."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import requests
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.bench import tokens
from tests.bench.stage import Bearers, Server, Stage, users
from tests.bench.tokens import Room

# A renewal is a call upstream: at 50 ms no server here does more of them in one burst, the longest of which is 8 s.
_RENEWING: Final = 6000
_FIRST_JOINS: Final = 6000
# Bearers that are new in every burst are shown to a server of their own: they would make the other one forget.
_STRANGERS: Final = "strangers"
_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of the table. ``ask`` prepares the next burst and makes its file; ``upstream`` and ``reads`` are what one
    answer costs in calls to Telnyx and round trips to Redis, where that is a promise; ``warm_up`` is the number of
    answers that it gives before anything counts: ours makes its tokens then, and remembers the bearers.
    """

    name: str
    title: str
    server: Server
    ask: Callable[[], Path]
    upstream: float | None = 0.0
    reads: float | None = None
    warm_up: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """The contestants' common ground: one room and its users, and Redis ``distance`` milliseconds away. ``keys`` are
    those of the naive service at equal work; ``files`` holds what was made to ask with, by algorithm and room.
    """

    stage: Stage
    users: list[str]
    room: Room
    keys: Mapping[str, str]
    files: dict[tuple[str, str], Path]
    distance: int = 0

    @classmethod
    def prepared(cls, stage: Stage, count: int) -> Field:
        """A room with so many users, for whom the naive services' tokens are stored."""
        keys = {name: secrets.token_hex(32) for name in ("BENCH_SEALING_KEY", "BENCH_TICKET_KEY")}
        made = cls(stage, users(count), stage.room("cached"), keys, {})
        tokens.store_plain(stage.redis, made.room, made.users, stage.pair(made.room)["token"])
        made.store_sealed(made.room, made.users, tokens.LIFE_SECONDS)
        return made

    def away(self, distance: int) -> Field:
        """The same with Redis elsewhere."""
        return replace(self, distance=distance)

    def store_sealed(self, room: Room, of: list[str], left: float) -> None:
        """Tokens for the naive service at equal work."""
        cipher = AESGCM(bytes.fromhex(self.keys["BENCH_SEALING_KEY"]))
        tokens.store_sealed(self.stage.redis, cipher, room, of, self.stage.pair(room), left)

    def everybody(self, bearers: Bearers, room: Room | None = None, of: list[str] | None = None) -> Path:
        """A request by each user, always with the same bearers."""
        room = room or self.room
        key = (bearers.algorithm, room.alias)
        if key not in self.files:
            self.files[key] = self.stage.asked(room, bearers, of or self.users)
        return self.files[key]

    def redis(self) -> dict[str, str]:
        """The setting that leads there."""
        return {"REDIS_URL": self.stage.redis_url(self.distance)} if self.distance else {}

    def answer(self) -> Path:
        """One answer of ours, for the route that answers a constant of the same size."""
        bearer = self.stage.hs256.mint(self.users[0])
        url = f"{self.stage.service(self.stage.hs256).url}/v1/rooms/{self.room.alias}/token"
        for _ in range(2):
            given = requests.post(url, headers={"Authorization": f"Bearer {bearer}"}, timeout=10)
        assert given.json()["source"] == "cache", given.text
        path = self.stage.folder / "answer"
        path.write_bytes(given.content)
        return path


def _naive(field: Field, name: str, title: str, more: Mapping[str, str] = _NOTHING) -> Contestant:
    """One of ``apps``, or of ``node``, that is asked for cached tokens, with ``more`` in its environment."""
    env = {"BENCH_ROOM_ID": str(field.room.room_id), **more, **field.redis()}
    node = name in {"express", "livekit"}
    server = field.stage.node(f"{name}.js", env) if node else field.stage.python(name.replace("-", "_"), env)
    return Contestant(name, title, server, lambda: field.everybody(field.stage.hs256))


def _bare(field: Field) -> Contestant:
    return _naive(field, "bare", "bare Flask route, a constant", {"BENCH_ANSWER": str(field.answer())})


def _livekit(field: Field) -> Contestant:
    keys = {"BENCH_LIVEKIT_KEY": "bench", "BENCH_LIVEKIT_SECRET": secrets.token_urlsafe(32)}
    return _naive(field, "livekit", "LiveKit token server (Express), nothing checked", keys)


def _uncached(field: Field) -> Contestant:
    return replace(_naive(field, "uncached", "no cache: telnyx package on each request"), upstream=1)


def _equal(field: Field, name: str = "equal", title: str = "naive service at equal work, cache hit") -> Contestant:
    made = _naive(field, name, title, field.keys)
    return replace(made, server=replace(made.server, metrics=f"{made.server.url}/metrics"), reads=1)


def _equal_renewal(field: Field) -> Contestant:
    room, of = field.stage.room("equal"), users(_RENEWING)

    def ask() -> Path:
        field.store_sealed(room, of, tokens.AGED_SECONDS)
        return field.everybody(field.stage.hs256, room, of)

    title = "naive service at equal work, renewal upstream"
    return Contestant("equal-renewal", title, _equal(replace(field, room=room)).server, ask, upstream=1)


def _hit(field: Field, bearers: Bearers, name: str) -> Contestant:
    server = field.stage.service(bearers, **field.redis())
    title = f"ours, cache hit, {bearers.algorithm}"
    ask = functools.partial(field.everybody, bearers)
    # Each of its workers has to see each bearer.
    return Contestant(name, title, server, ask, reads=1, warm_up=len(field.users) * field.stage.workers)


def _first_hit(field: Field, bearers: Bearers, name: str) -> Contestant:
    def ask() -> Path:
        return field.stage.asked(field.room, bearers, field.users)

    title = f"ours, cache hit, {bearers.algorithm}, bearer never seen before"
    return Contestant(name, title, field.stage.service(bearers, _STRANGERS), ask, reads=1)


def _renewal(field: Field) -> Contestant:
    stage = field.stage
    room, of = stage.room("renewal"), users(_RENEWING)

    def ask() -> Path:
        tokens.age(stage.redis, room)
        return field.everybody(stage.hs256, room, of)

    title = "ours, renewal upstream, HS256"
    return Contestant("ours-renewal", title, stage.service(stage.hs256), ask, upstream=1, warm_up=_RENEWING)


def _first_join(field: Field) -> Contestant:
    stage = field.stage
    room = stage.room("cold")

    def ask() -> Path:
        return stage.asked(room, stage.hs256, users(_FIRST_JOINS, secrets.token_hex(4)))

    title = "ours, first issue upstream, HS256"
    return Contestant("ours-cold", title, stage.service(stage.hs256, _STRANGERS), ask, upstream=1)


OPENERS: Final[Mapping[str, Callable[[Field], Contestant]]] = {
    "bare": _bare,
    "thirty": lambda field: _naive(field, "thirty", "thirty lines of Flask: PyJWT, one GET"),
    "express": lambda field: _naive(field, "express", "Express: jsonwebtoken, one GET"),
    "livekit": _livekit,
    "equal": _equal,
    "equal-flask": lambda field: _equal(field, "equal-flask", "naive service at equal work in Flask, cache hit"),
    "ours-hs256": lambda field: _hit(field, field.stage.hs256, "ours-hs256"),
    "ours-es256": lambda field: _hit(field, field.stage.es256, "ours-es256"),
    "ours-hs256-new": lambda field: _first_hit(field, field.stage.hs256, "ours-hs256-new"),
    "ours-es256-new": lambda field: _first_hit(field, field.stage.es256, "ours-es256-new"),
    "uncached": _uncached,
    "equal-renewal": _equal_renewal,
    "ours-renewal": _renewal,
    "ours-cold": _first_join,
}
