"""The composition root: settings -> gateways -> rules -> blueprints.

Rules for editors:
* this is the only module that knows everything; it decides nothing at request time;
* ``face`` makes the HTTP application of given services, ``create_app`` the services of given settings;
* background threads start here and nowhere else, in the process that will serve (after gunicorn has forked).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flask import Flask
from prometheus_client import CollectorRegistry

from service import keys
from service.attendant import Attendant
from service.clock import Clock
from service.directory import Directory
from service.flights import Flights
from service.gateway.finder import Finder
from service.gateway.relay import Relay
from service.gateway.rooms import RoomDesk
from service.gateway.tokens import TokenDesk
from service.guests import Guests, guest_issuer
from service.housekeeping import Housekeeping
from service.identity import Verifier
from service.inbox import Inbox
from service.keys import KeySource
from service.logout import LogoutVerifier
from service.meeting import Meeting
from service.moderation import Moderation
from service.presence import Presence, flag_impostors
from service.provisioning import Provisioning
from service.renewal import Issued, Renewal, Vault
from service.revocations import Revocations
from service.roster import OnJoined, OnLeft, Roster
from service.routes import (
    admin,
    console,
    cors,
    docs,
    exchange,
    gate,
    gateway,
    hooks,
    invites,
    join,
    logout,
    meeting,
    ops,
    problems,
    user_ids,
)
from service.routes.fast_path import FastPath
from service.routes.incoming import READ_BYTES
from service.routes.pages import Seats
from service.routes.schema import Contract
from service.routes.services import EXTENSION, Console, Services
from service.sealing import GuestSigner, Sealer, TicketSigner
from service.settings import Settings
from service.store import directory as directory_store
from service.store import events as event_store
from service.store import invites as invite_store
from service.store import revocations as revocation_store
from service.store import rooms as room_store
from service.store import roster as roster_store
from service.store.connection import Connection, Script
from service.store.cooldowns import Cooldowns
from service.store.directory import DirectoryStore
from service.store.events import EventStore
from service.store.invites import InviteStore
from service.store.meetings import MeetingStore
from service.store.outage import Memory
from service.store.revocations import RevocationStore
from service.store.rooms import RoomStore
from service.store.roster import RosterStore
from service.telemetry import Metrics
from service.telnyx import Telnyx
from service.tickets import Tickets
from service.tokens import Broker

OPENAPI: Final = Path(__file__).parents[1] / "openapi.yaml"
# Of a worker's threads so many of four may wait for upstream; the rest is kept for hits (DESIGN 7).
_WAITING_OF_FOUR: Final = 3
_WEBHOOK_PATH: Final = "/v1/webhooks/telnyx"


def create_from_env() -> Flask:
    """For gunicorn. ``DRAIN_FILE``, set by the supervisor, names the file that exists while this replica drains."""
    drain_file = os.environ.get("DRAIN_FILE")
    return create_app(Settings.from_env(os.environ), drain_file=Path(drain_file) if drain_file else None)


def create_app(settings: Settings, *, clock: Clock | None = None, drain_file: Path | None = None) -> Flask:
    """The whole service, connected and serving; it starts, and answers health, without Redis or Telnyx."""
    gateways = _open_gateways(settings, clock or Clock())
    provisioning = _provisioning(settings, gateways)
    directory = Directory(gateways.directory_store, provisioning, gateways.clock)
    revocations = Revocations(gateways.revocations, gateways.clock)
    Housekeeping(directory, revocations, gateways.directory_store).start()
    for source in gateways.key_sources.values():
        source.start()
    signer = TicketSigner(settings.service_secrets)
    guest_signer = GuestSigner(settings.service_secrets)
    verifier = _verifier(settings, gateways, guest_signer)
    running = _meeting(settings, gateways, signer)
    on_joined = running.put_out_impostors if settings.impostors == "kick" else flag_impostors
    roster = _roster(gateways, directory, signer, on_joined, running.measure_removals)
    attendant = Attendant(roster)
    attendant.start()
    broker = _broker(settings, gateways, directory, provisioning, signer, roster)
    moderation = Moderation(directory)
    openapi = OPENAPI.read_bytes()
    return face(
        Services(
            clock=gateways.clock,
            jitter=gateways.jitter,
            metrics=gateways.metrics,
            contract=Contract.read(openapi),
            openapi=openapi,
            allowed_origins=frozenset(settings.allowed_origins),
            drain_file=drain_file,
            console=_console(settings),
            ticket_keys=signer.jwks(),
            key_sources=gateways.key_sources,
            verifier=verifier,
            logouts=LogoutVerifier(verifier, gateways.clock, gateways.metrics.verification),
            revocations=revocations,
            store=gateways.connection,
            telnyx=gateways.telnyx,
            directory=directory,
            broker=broker,
            guests=Guests(gateways.invites, guest_signer, gateways.clock),
            moderation=moderation,
            meeting=running,
            gateway=_relay(settings, gateways, directory, moderation, broker, running, revocations),
            inbox=Inbox(settings.telnyx_public_keys, gateways.events, gateways.clock, gateways.metrics, attendant.call),
        )
    )


@dataclass(frozen=True, slots=True)
class _Gateways:
    """All that talks to the outside, and what it needs for that."""

    clock: Clock
    jitter: random.Random
    metrics: Metrics
    connection: Connection
    rooms: RoomStore
    directory_store: DirectoryStore
    revocations: RevocationStore
    invites: InviteStore
    events: EventStore
    roster: RosterStore
    telnyx: Telnyx
    key_sources: Mapping[str, KeySource]


def _open_gateways(settings: Settings, clock: Clock) -> _Gateways:
    jitter, metrics = random.Random(), Metrics(CollectorRegistry())
    most_connections = settings.web_threads + _most_waiting(settings)
    stores = (room_store, directory_store, revocation_store, invite_store, event_store, roster_store)
    scripts = {name: Script(name) for store in stores for name in store.SCRIPTS}
    connection = Connection(settings.redis_url, metrics, most_connections, list(scripts.values()))
    rooms = RoomStore(connection, scripts.__getitem__, Memory(clock), clock)
    telnyx = Telnyx(
        settings.telnyx_api_url,
        settings.telnyx_api_keys,
        clock=clock,
        random=jitter,
        cooldowns=Cooldowns(connection, clock),
        metrics=metrics,
        pool_size=most_connections,
    )
    key_sources = keys.build(settings.issuers, clock)
    connection.start()
    directory_rows = DirectoryStore(connection, scripts.__getitem__, rooms)
    revocations = RevocationStore(connection, scripts.__getitem__)
    invite_rows = InviteStore(connection, scripts.__getitem__)
    event_rows, roster_rows = EventStore(connection, scripts.__getitem__), RosterStore(connection, scripts.__getitem__)
    rows = (rooms, directory_rows, revocations, invite_rows, event_rows, roster_rows)
    return _Gateways(clock, jitter, metrics, connection, *rows, telnyx, key_sources)


def open_directory(settings: Settings) -> Directory:
    """The directory alone, for the command line."""
    gateways = _open_gateways(settings, Clock())
    return Directory(gateways.directory_store, _provisioning(settings, gateways), gateways.clock)


def _verifier(settings: Settings, gateways: _Gateways, guest_signer: GuestSigner) -> Verifier:
    # Guests are no issuer that readiness speaks of: keys of our own are always there.
    guests = guest_issuer(guest_signer.public_keys_pem())
    sources = {**gateways.key_sources, **keys.build([guests], gateways.clock)}
    issuers = (*settings.issuers, guests)
    return Verifier(issuers, sources, gateways.clock, settings.admin_scope, gateways.metrics.verification)


def _provisioning(settings: Settings, gateways: _Gateways) -> Provisioning:
    webhook_url = settings.public_url + _WEBHOOK_PATH if settings.public_url else None
    return Provisioning(gateways.telnyx, name_prefix=settings.room_name_prefix, webhook_url=webhook_url)


def _broker(
    settings: Settings,
    gateways: _Gateways,
    directory: Directory,
    provisioning: Provisioning,
    signer: TicketSigner,
    roster: Roster,
) -> Broker:
    clock, metrics, telnyx = gateways.clock, gateways.metrics, gateways.telnyx
    vault = Vault(Sealer(settings.service_secrets))
    flights: Flights[Issued] = Flights(clock, _most_waiting(settings), lambda: telnyx.troubled("tokens"), metrics.shed)
    return Broker(
        gateways.rooms,
        directory,
        Renewal(gateways.rooms, provisioning, telnyx, vault, clock, metrics),
        flights,
        vault,
        signer,
        clock,
        metrics,
        gateways.jitter.random,
        roster.expect,
        default_ttl=settings.token_ttl_secs,
        calls_per_minute=settings.token_calls_per_minute,
    )


def _roster(
    gateways: _Gateways, directory: Directory, signer: TicketSigner, on_joined: OnJoined, on_left: OnLeft
) -> Roster:
    tickets = Tickets(signer, MeetingStore(gateways.connection))
    return Roster(
        gateways.events,
        gateways.roster,
        directory,
        Presence(gateways.telnyx, tickets),
        tickets,
        gateways.clock,
        gateways.metrics,
        on_joined,
        on_left,
    )


def _meeting(settings: Settings, gateways: _Gateways, signer: TicketSigner) -> Meeting:
    store = MeetingStore(gateways.connection)
    return Meeting(
        gateways.telnyx,
        Presence(gateways.telnyx, Tickets(signer, store)),
        store,
        gateways.rooms,
        gateways.clock,
        gateways.metrics.removed_after,
        default_ttl=settings.token_ttl_secs,
    )


def _relay(
    settings: Settings,
    gateways: _Gateways,
    directory: Directory,
    moderation: Moderation,
    broker: Broker,
    meeting: Meeting,
    revocations: Revocations,
) -> Relay:
    telnyx, clock = gateways.telnyx, gateways.clock
    finder = Finder(telnyx, directory, moderation, clock)
    rooms = RoomDesk(directory, telnyx, name_prefix=settings.room_name_prefix)
    tokens = TokenDesk(broker, Sealer(settings.service_secrets), finder, clock)
    return Relay(telnyx, finder, rooms, tokens, meeting, revocations)


def _console(settings: Settings) -> Console | None:
    return Console(settings.console_sandbox, settings.admin_scope) if settings.console == "on" else None


def _most_waiting(settings: Settings) -> int:
    return max(1, settings.web_threads * _WAITING_OF_FOUR // 4)


class _App(Flask):
    """No view or hook of ours is a coroutine; the framework would look at each of them anew for every request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def face(services: Services) -> Flask:
    """The WSGI application that lets callers ask ``services``."""
    app = _App("service", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=READ_BYTES, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # A path means one thing: no redirects to tidier ones.
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    app.extensions[EXTENSION] = services
    exchange.install(app)
    cors.install(app, services.allowed_origins)
    gate.install(app)
    problems.install(app, services.jitter)
    user_ids.install(app)
    for area in (ops, join, hooks, logout, meeting, invites, admin, gateway):
        app.register_blueprint(area.blueprint())
    app.register_blueprint(invites.open_blueprint())
    seats = Seats()
    for pages in (docs, console):
        app.register_blueprint(pages.blueprint(seats))
    app.wsgi_app = FastPath(app.wsgi_app, services)  # type: ignore[method-assign]
    return app
