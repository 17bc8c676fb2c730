"""Collaborators that do what a test tells them, for tests of the HTTP face alone.

What the real ones do over the wire is tested where they live, and all together in ``test_wire``.
"""

from __future__ import annotations

import logging.config
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from flask import Flask
from prometheus_client import CollectorRegistry

from service.app import wsgi_app
from service.clock import Clock, Deadline
from service.crypto import Sealer
from service.errors import InvalidToken, MissingCredentials, RoomNotFound
from service.gateway.proxy import GatewayProxy
from service.identity.key_sources import KeySource
from service.identity.revocations import Revocations
from service.identity.verifier import Principal, Verifier
from service.meetings.moderation import Meeting
from service.meetings.reconciler import Reconciler
from service.observability.telemetry import Metrics, logging_config
from service.rooms.aliases import is_alias
from service.rooms.directory import Directory
from service.rooms.guests import Guests
from service.rooms.listings import Page, RoomListing
from service.rooms.models import Member, Role, Room
from service.secret import Secret
from service.storage.outcome_store import OutcomeStore
from service.storage.redis_client import RedisClient
from service.storage.share_store import Shares
from service.telnyx import Telnyx
from service.tokens.broker import Broker
from service.tokens.models import IssuedToken, TokenRequest
from service.web.services import Services
from tests.document import OPENAPI, contract

ORIGIN = "https://app.example.com"
NOW = 1_795_358_000.0
TOKEN = "eyJhbGciOiJFZERTQSJ9.eyJhIjoiY2FuYXJ5In0.c2ln"


class StandingClock(Clock):
    """Wall time stands still."""

    def wall(self) -> float:
        return NOW


class Doorman:
    """Takes ``Bearer <name>`` for that user; ``ada`` is an administrator."""

    def verify(self, authorization: Sequence[str]) -> Principal:
        if not authorization:
            raise MissingCredentials
        scheme, _, user = authorization[0].partition(" ")
        if scheme != "Bearer" or not user.isalpha():
            raise InvalidToken
        return Principal(
            user=user,
            issuer="default",
            name=None,
            admin=user == "ada",
            groups=(),
            claims={},
            rooms={},
            issued_at=NOW,
            session_id=None,
        )


def room(alias: str = "standup", **spec: Any) -> Room:
    """A record as an administrator would make it."""
    return Room.of(alias, spec, room_id=UUID("7bd20d6e-0a9f-4b6e-8a2b-1f3b0f0b6a52"), now=NOW)


@dataclass
class Told:
    """The directory and the broker in one: raises ``trouble`` if told to, else answers for any room."""

    trouble: Exception | None = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    deadlines: list[Deadline] = field(default_factory=list)
    created: bool = True

    def _note(self, *what: Any) -> None:
        self.asked.append(what)
        if self.trouble is not None:
            raise self.trouble

    def _note_of(self, call: str, alias: str, *what: Any) -> None:
        self._note(call, alias, *what)
        if not is_alias(alias.removesuffix("-*")):
            raise RoomNotFound

    def issue(self, request: TokenRequest) -> IssuedToken:
        self.deadlines.append(request.deadline)
        asked = {
            "device_id": request.owner.device or None,
            "display_name": request.display_name,
            "min_ttl_secs": request.min_ttl_secs,
            "force": request.force,
        }
        self._note("issue", request.principal.user, request.alias, asked)
        return IssuedToken(
            token=Secret(TOKEN),
            expires_at=NOW + 571,
            expires_in=571,
            refresh_after=290,
            server_time=NOW,
            room=room(request.alias),
            room_id=UUID("7bd20d6e-0a9f-4b6e-8a2b-1f3b0f0b6a52"),
            closes_at=None,
            user=request.principal.user,
            issuer=request.principal.issuer,
            name="Alice",
            role="moderator",
            device_id=request.owner.device or None,
            context="{}",
            source="issued",
            rate_limit=60,
            rate_remaining=59,
            rate_reset_secs=60,
        )

    def check(self, principal: Principal) -> None:
        """Nobody is revoked here."""

    def forget(self, principal: Principal, alias: str) -> None:
        self._note("forget", principal.user, alias)

    def listings(self, principal: Principal, cursor: str, limit: int, _words: str) -> Page[RoomListing]:
        self._note("listings", principal.user, cursor, limit)
        return Page([RoomListing(room(), Role.PARTICIPANT, open=True, code=None, opens_at=None)], "standup")

    def listing(self, principal: Principal, alias: str) -> RoomListing:
        self._note("listing", principal.user, alias)
        return RoomListing(room(alias), Role.PARTICIPANT, open=True, code=None, opens_at=None)

    def list_rooms(self, cursor: str, limit: int, _words: str) -> Page[Room]:
        self._note("list_rooms", cursor, limit)
        return Page([room()], None)

    def room(self, alias: str) -> Room:
        self._note_of("room", alias)
        return room(alias)

    @property
    def writer(self) -> Told:
        return self

    def put(self, alias: str, spec: Any, deadline: Deadline, _precondition: Any) -> tuple[Room, bool]:
        self.deadlines.append(deadline)
        self._note("put_room", alias, spec)
        return room(alias, **spec), self.created

    def delete_room(self, alias: str, deadline: Deadline, *, keep_upstream: bool, precondition: Any) -> None:
        assert precondition is None
        self.deadlines.append(deadline)
        self._note_of("delete_room", alias, keep_upstream)

    def members(self, alias: str, cursor: str, limit: int) -> Page[Member]:
        self._note_of("members", alias, cursor, limit)
        return Page([Member.of("alice", {"role": "moderator"})], None)

    def member(self, alias: str, user: str) -> Member:
        self._note_of("member", alias, user)
        return Member.of(user, {"role": "moderator"})

    def put_member(self, alias: str, user: str, spec: Any, _precondition: Any) -> tuple[Member, bool]:
        self._note_of("put_member", alias, user, spec)
        return Member.of(user, spec), self.created

    def delete_member(self, alias: str, user: str, _precondition: Any) -> None:
        self._note_of("delete_member", alias, user)

    def receive(self, stamp: str | None, signature: str | None, body: bytes) -> str:
        self._note("receive", stamp, signature, body)
        return "recorded"

    def revoke(self, user: str, session: str | None) -> float:
        self._note("revoke", user, session)
        return NOW


@dataclass
class Store:
    """Redis, as readiness shows it."""

    state: str = "up"


@dataclass
class Dependencies:
    """Telnyx and keys, as readiness shows them."""

    loaded: bool = True

    def begin(self, *_: Any, **__: Any) -> Dependencies:
        return self

    def spend(self, _share: Any) -> None:
        """As often as anybody likes."""

    def breaker_states(self) -> dict[str, str]:
        return {"tokens": "closed", "management": "closed", "credentials": "closed"}

    @property
    def keys(self) -> tuple[str, ...]:
        return ("key",) if self.loaded else ()


@dataclass
class Face:
    """An application and the doubles behind it."""

    told: Told
    store: Store
    dependencies: Dependencies
    registry: CollectorRegistry
    drain_file: Path
    app: Flask

    def renewed(self) -> Face:
        """As it was built, metrics aside."""
        for double in (self.told, self.store, self.dependencies):
            vars(double).update(vars(type(double)()))
        self.drain_file.unlink(missing_ok=True)
        return self


def make_face(drain_file: Path) -> Face:
    """The HTTP face of the service with nothing behind it."""
    told, store, dependencies, registry = Told(), Store(), Dependencies(), CollectorRegistry()
    app = wsgi_app(
        Services(
            clock=StandingClock(),
            jitter=random.Random(1),
            metrics=Metrics(registry),
            contract=contract(),
            openapi=OPENAPI.read_bytes(),
            allowed_origins=frozenset({ORIGIN}),
            drain_file=drain_file,
            console="http://127.0.0.1:8081",
            ticket_keys={"keys": []},
            key_sources={"default": cast("KeySource", dependencies)},
            verifier=cast("Verifier", Doorman()),
            revocations=cast("Revocations", told),
            redis=cast("RedisClient", store),
            telnyx=cast("Telnyx", dependencies),
            directory=cast("Directory", told),
            broker=cast("Broker", told),
            guests=cast("Guests", told),
            meeting=cast("Meeting", told),
            gateway=cast("GatewayProxy", told),
            reconciler=cast("Reconciler", told),
            shares=cast("Shares", dependencies),
            outcomes=cast("OutcomeStore", told),
            sealer=cast("Sealer", told),
        )
    )
    return Face(told, store, dependencies, registry, drain_file, app)


def wired() -> Flask:
    """The same face for a web server of its own process; log lines go to its standard output."""
    logging.config.dictConfig(logging_config("info"))
    return make_face(Path("/nowhere/draining")).app
