"""Who is compared: each a server, what is asked of it, and what must be true of a burst for it to count."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from tests.bench.fill import LIFE_SECS
from tests.bench.stage import Bearers, Stage, users
from tests.processes import ServiceProcess

# Renewal and first issue are a call upstream each: at 50 ms no server here does more of them in one burst.
_FEW: Final = 6000
_HALF: Final = LIFE_SECS / 2
# Who is new in every burst is asked of a server of its own: it would make the other one forget whom it has seen.
STRANGERS: Final = "strangers"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of the table. ``ask`` makes the file for the next burst; ``upstream`` and ``reads`` are what one answer
    costs in calls to Telnyx and round trips to Redis, where that is a promise. ``metrics``: where ours tells how many
    tokens it handed out, so that what was under way when a burst ended is counted on both sides.
    """

    name: str
    title: str
    url: str
    pid: int
    ask: Callable[[], Path]
    upstream: float | None = 0.0
    reads: float | None = None
    # Ours remembers bearers it has seen: each is shown so often before anything counts.
    shown_before: int = 0
    metrics: str | None = None


class Field:
    """The contestants' common ground: a room whose tokens are all cached, as the service and as the others store it."""

    def __init__(self, stage: Stage, people: int) -> None:
        self.stage = stage
        self.people = [user for _, user in users(people)]
        self.cached = stage.room("cached")
        self._files: dict[str, Path] = {}
        filler = stage.filler(self.cached)
        filler.sealed(self.cached, users(people), LIFE_SECS - 60)
        filler.plain(self.cached.alias, users(people))

    def everybody(self, bearers: Bearers) -> Path:
        """A request by each person, always with the same bearer."""
        if bearers.algorithm not in self._files:
            self._files[bearers.algorithm] = self.stage.asked(self.cached, bearers, self.people)
        return self._files[bearers.algorithm]

    def everybody_plainly(self) -> Path:
        return self.everybody(self.stage.hs256)

    def answer(self) -> Path:
        """One answer of ours, for the route that answers a constant of the same size."""
        bearer = self.stage.hs256.mint("user-1")
        url = f"{self.stage.service(self.stage.hs256).url}/v1/rooms/{self.cached.alias}/token"
        given = requests.post(url, headers={"Authorization": f"Bearer {bearer}"}, timeout=10)
        assert given.json()["source"] == "cache", given.text
        path = self.stage.folder / "answer"
        path.write_bytes(given.content)
        return path


def _bare(field: Field) -> Contestant:
    url, pid = field.stage.flask("bare", {"BENCH_ANSWER": str(field.answer())})
    return Contestant("bare", "bare Flask route, a constant", url, pid, field.everybody_plainly)


def _thirty(field: Field) -> Contestant:
    url, pid = field.stage.flask("thirty", {"BENCH_ROOM_ID": str(field.cached.room_id)})
    title = "thirty lines of Flask: PyJWT, one GET"
    return Contestant("thirty", title, url, pid, field.everybody_plainly)


def _uncached(field: Field) -> Contestant:
    url, pid = field.stage.flask("uncached", {"BENCH_ROOM_ID": str(field.cached.room_id)})
    title = "no cache: telnyx package on each request"
    return Contestant("uncached", title, url, pid, field.everybody_plainly, upstream=1)


def _express(field: Field) -> Contestant:
    url, pid = field.stage.node("express.js", {"BENCH_ROOM_ID": str(field.cached.room_id)})
    title = "Express: jsonwebtoken, one GET"
    return Contestant("express", title, url, pid, field.everybody_plainly)


def _livekit(field: Field) -> Contestant:
    keys = {"BENCH_LIVEKIT_KEY": "bench", "BENCH_LIVEKIT_SECRET": secrets.token_urlsafe(32)}
    url, pid = field.stage.node("livekit.js", keys)
    title = "LiveKit token server (Express), nothing checked"
    return Contestant("livekit", title, url, pid, field.everybody_plainly)


def _hit(field: Field, bearers: Bearers, name: str) -> Contestant:
    service = field.stage.service(bearers)
    return Contestant(
        name,
        f"ours, cache hit, {bearers.algorithm}",
        service.url,
        service.process.pid,
        functools.partial(field.everybody, bearers),
        reads=1,
        shown_before=field.stage.workers,
        metrics=service.metrics_url,
    )


def _first_hit(field: Field, bearers: Bearers, name: str) -> Contestant:
    service = field.stage.service(bearers, STRANGERS)
    title = f"ours, cache hit, {bearers.algorithm}, bearer never seen before"

    def ask() -> Path:
        return field.stage.asked(field.cached, bearers, field.people)

    return Contestant(name, title, service.url, service.process.pid, ask, reads=1, metrics=service.metrics_url)


def _renewal(field: Field) -> Contestant:
    stage = field.stage
    service, place = stage.service(stage.hs256, STRANGERS), stage.room("renewal")
    filler = stage.filler(place)

    def ask() -> Path:
        name = secrets.token_hex(4)
        filler.sealed(place, users(_FEW, name), _HALF - 60)
        return stage.asked(place, stage.hs256, [user for _, user in users(_FEW, name)])

    return _upstream("ours-renewal", "ours, renewal upstream, HS256", service, ask)


def _cold(field: Field) -> Contestant:
    stage = field.stage
    service, place = stage.service(stage.hs256, STRANGERS), stage.room("cold")

    def ask() -> Path:
        return stage.asked(place, stage.hs256, [user for _, user in users(_FEW, secrets.token_hex(4))])

    return _upstream("ours-cold", "ours, first issue upstream, HS256", service, ask)


def _upstream(name: str, title: str, service: ServiceProcess, ask: Callable[[], Path]) -> Contestant:
    metrics = service.metrics_url
    return Contestant(name, title, service.url, service.process.pid, ask, upstream=1, metrics=metrics)


OPENERS: Final[Mapping[str, Callable[[Field], Contestant]]] = {
    "bare": _bare,
    "thirty": _thirty,
    "express": _express,
    "livekit": _livekit,
    "ours-hs256": lambda field: _hit(field, field.stage.hs256, "ours-hs256"),
    "ours-es256": lambda field: _hit(field, field.stage.es256, "ours-es256"),
    "ours-hs256-new": lambda field: _first_hit(field, field.stage.hs256, "ours-hs256-new"),
    "ours-es256-new": lambda field: _first_hit(field, field.stage.es256, "ours-es256-new"),
    "uncached": _uncached,
    "ours-renewal": _renewal,
    "ours-cold": _cold,
}
