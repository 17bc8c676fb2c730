"""The composition root: settings -> Redis and Telnyx -> rules -> blueprints.

Rules for editors:
* this is the only module that knows everything; it decides nothing at request time;
* ``wsgi_app`` makes the HTTP application of given services, ``create_app`` the services of given settings;
* background work starts here, in the process that will serve (after gunicorn has forked); but for the watch over silent
  connections, which needs gunicorn's worker (``cli/gunicorn.conf.py``). docs/architecture.md lists all tasks.
"""

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flask import Flask
from prometheus_client import CollectorRegistry

from service.clock import Clock
from service.config.settings import Settings
from service.crypto import GuestSigner, Sealer, TicketSigner
from service.gateway.proxy import GatewayProxy
from service.gateway.resolver import Resolver
from service.gateway.room_handlers import RoomHandlers
from service.gateway.token_handlers import TokenHandlers
from service.identity import key_sources
from service.identity.key_sources import KeySource
from service.identity.revocations import KEEP_SECS, Revocations
from service.identity.verifier import OnOutcome, Verifier
from service.meetings.moderation import Meeting
from service.meetings.participants import Presence
from service.meetings.reconciler import Reconciler
from service.observability.telemetry import Metrics
from service.rooms.directory import Directory
from service.rooms.guests import Guests, guest_issuer
from service.rooms.housekeeping import Housekeeping
from service.rooms.provisioning import WEBHOOK_PATH, Provisioning
from service.storage import redis_url
from service.storage.cooldown_store import Cooldowns
from service.storage.directory_store import DirectoryStore
from service.storage.event_store import EventStore
from service.storage.fallback import LocalFallback
from service.storage.meeting_store import MeetingStore
from service.storage.outcome_store import OutcomeStore
from service.storage.redis_client import RedisClient
from service.storage.revocation_store import RevocationStore
from service.storage.room_store import RoomStore
from service.storage.round_trip import TimeLimits
from service.storage.share_store import Shares
from service.telnyx import Telnyx
from service.tokens.broker import Broker
from service.tokens.models import HeldToken
from service.tokens.renewal import Renewal
from service.tokens.single_flight import SingleFlight
from service.tokens.vault import Vault
from service.web import (
    admin,
    auth,
    callbacks,
    cors,
    gateway,
    join,
    meetings,
    ops,
    pages,
    problems,
    request_lifecycle,
    resources,
)
from service.web.openapi import OpenApiValidator
from service.web.services import EXTENSION, Services
from service.web.token_endpoint import TokenEndpoint

OPENAPI: Final = Path(__file__).parents[1] / "openapi.yaml"
# Calls to Redis that a worker has under way at a time.
MAX_REDIS_CALLS: Final = 64


def create_from_env() -> Flask:
    """For gunicorn. ``DRAIN_FILE``, set by the supervisor, names the file that exists while this replica drains."""
    drain_file = os.environ.get("DRAIN_FILE")
    return create_app(Settings.from_env(os.environ), drain_file=Path(drain_file) if drain_file else None)


def create_app(settings: Settings, *, drain_file: Path | None = None) -> Flask:
    """The whole service, connected and serving; it starts, and answers health, without Redis or Telnyx."""
    backends = _open_backends(settings)
    clock, metrics, redis, telnyx = backends.clock, backends.metrics, backends.redis, backends.telnyx
    redis.follow_removals()
    store = DirectoryStore(redis)
    provisioning = _provisioning(settings, telnyx)
    directory = Directory(store, provisioning, clock)
    revocations = Revocations(RevocationStore(redis, KEEP_SECS), clock)
    Housekeeping(directory.idle_rooms, revocations, store).start()
    sources = key_sources.build(settings.issuers, clock)
    for source in sources.values():
        source.start()
    signer, guest_signer = TicketSigner(settings.service_secrets), GuestSigner(settings.service_secrets)
    verifier = verifier_of(settings, sources, guest_signer, clock, metrics.verification)
    meeting, reconciler = _meeting(settings, backends, directory, signer)
    reconciler.start()
    broker = _broker(settings, backends, directory, provisioning, signer, reconciler)
    openapi = OPENAPI.read_bytes()
    return wsgi_app(
        Services(
            clock=clock,
            jitter=backends.jitter,
            metrics=metrics,
            contract=OpenApiValidator.read(openapi),
            openapi=openapi,
            allowed_origins=frozenset(settings.allowed_origins),
            drain_file=drain_file,
            console=settings.console_sandbox or "" if settings.console == "on" else None,
            ticket_keys=signer.jwks(),
            key_sources=sources,
            verifier=verifier,
            revocations=revocations,
            redis=redis,
            telnyx=telnyx,
            directory=directory,
            broker=broker,
            guests=Guests(store, guest_signer, clock),
            meeting=meeting,
            outcomes=OutcomeStore(redis),
            sealer=Sealer(settings.service_secrets),
            gateway=_gateway_proxy(settings, backends, directory, broker, meeting, revocations),
            shares=Shares(redis, token_calls=settings.token_rate_limit_per_minute),
            reconciler=reconciler,
        )
    )


def open_directory(settings: Settings) -> Directory:
    """The directory alone, for the command line."""
    backends = _open_backends(settings)
    return Directory(DirectoryStore(backends.redis), _provisioning(settings, backends.telnyx), backends.clock)


@dataclass(frozen=True, slots=True)
class _Backends:
    """The ways to the outside that many share, and what these need."""

    clock: Clock
    jitter: random.Random
    metrics: Metrics
    redis: RedisClient
    rooms: RoomStore
    telnyx: Telnyx


def _open_backends(settings: Settings) -> _Backends:
    clock, jitter, metrics = Clock(), random.Random(), Metrics(CollectorRegistry())
    redis = redis_client(settings, clock, metrics)
    telnyx = telnyx_client(settings, redis, clock, metrics, jitter)
    redis.start()
    rooms = RoomStore(redis, LocalFallback(clock, redis.removals), clock)
    return _Backends(clock, jitter, metrics, redis, rooms, telnyx)


def redis_client(settings: Settings, clock: Clock, metrics: Metrics) -> RedisClient:
    """Connects once it is started."""
    limits = TimeLimits(settings.redis_call_ms / 1000, settings.redis_connect_ms / 1000)
    return RedisClient(redis_url.of(settings.redis_url), clock, metrics, max_calls=MAX_REDIS_CALLS, limits=limits)


def telnyx_client(
    settings: Settings, redis: RedisClient, clock: Clock, metrics: Metrics, jitter: random.Random
) -> Telnyx:
    """Shares its cool-downs by Redis."""
    return Telnyx(
        settings.telnyx_api_url,
        settings.telnyx_api_keys,
        clock=clock,
        random=jitter,
        cooldowns=Cooldowns(redis, clock),
        metrics=metrics,
        concurrency=settings.upstream_concurrency,
    )


def verifier_of(
    settings: Settings, sources: Mapping[str, KeySource], guest_signer: GuestSigner, clock: Clock, observe: OnOutcome
) -> Verifier:
    """For bearers of the issuers, whose keys ``sources`` have, and of guests."""
    # Guests are no issuer that readiness speaks of: keys of our own are always there.
    guests = guest_issuer(guest_signer.public_keys())
    every_source = {**sources, **key_sources.build([guests], clock)}
    return Verifier((*settings.issuers, guests), every_source, clock, settings.admin_scope, observe)


def _provisioning(settings: Settings, telnyx: Telnyx) -> Provisioning:
    webhook_url = settings.public_url + WEBHOOK_PATH if settings.public_url else None
    return Provisioning(telnyx, name_prefix=settings.room_name_prefix, webhook_url=webhook_url)


def _meeting(
    settings: Settings, backends: _Backends, directory: Directory, signer: TicketSigner
) -> tuple[Meeting, Reconciler]:
    clock, metrics, redis, telnyx = backends.clock, backends.metrics, backends.redis, backends.telnyx
    store = MeetingStore(redis)
    presence = Presence(telnyx, signer, store)
    meeting = Meeting(
        telnyx,
        presence,
        store,
        backends.rooms,
        clock,
        metrics,
        default_ttl=settings.token_ttl_secs,
        kicks_impostors=settings.impostor_policy == "kick",
    )
    events, keys = EventStore(redis), settings.telnyx_public_keys
    return meeting, Reconciler(keys, events, store, directory, presence, meeting, clock, metrics)


def _broker(
    settings: Settings,
    backends: _Backends,
    directory: Directory,
    provisioning: Provisioning,
    signer: TicketSigner,
    reconciler: Reconciler,
) -> Broker:
    clock, metrics, telnyx = backends.clock, backends.metrics, backends.telnyx
    vault = Vault(Sealer(settings.service_secrets))
    single_flight: SingleFlight[HeldToken] = SingleFlight(clock)
    return Broker(
        backends.rooms,
        directory,
        Renewal(backends.rooms, provisioning, telnyx, vault, clock, metrics),
        single_flight,
        vault,
        signer,
        clock,
        metrics,
        backends.jitter.random,
        reconciler,
        default_ttl=settings.token_ttl_secs,
        calls_per_minute=settings.token_rate_limit_per_minute,
    )


def _gateway_proxy(
    settings: Settings,
    backends: _Backends,
    directory: Directory,
    broker: Broker,
    meeting: Meeting,
    revocations: Revocations,
) -> GatewayProxy:
    telnyx, clock = backends.telnyx, backends.clock
    resolver = Resolver(telnyx, directory, clock)
    rooms = RoomHandlers(directory, telnyx, name_prefix=settings.room_name_prefix)
    tokens = TokenHandlers(broker, Sealer(settings.service_secrets), resolver, clock)
    return GatewayProxy(telnyx, resolver, rooms, tokens, meeting, revocations)


class _App(Flask):
    """No view or hook of ours is a coroutine; the framework would look at each of them anew for every request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def wsgi_app(services: Services) -> Flask:
    """The WSGI application that lets callers ask ``services``."""
    app = _App("service", static_folder=None)
    app.config.update(PROVIDE_AUTOMATIC_OPTIONS=False)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # A path means one thing: no redirects to tidier ones.
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    app.extensions[EXTENSION] = services
    request_lifecycle.install(app)
    cors.install(app, services.allowed_origins)
    app.before_request(auth.refuse_ungated)
    problems.install(app, services.jitter, services.metrics)
    app.url_map.converters["user_id"] = resources.UserIdConverter
    for area in (ops, join, callbacks, meetings, admin, gateway, pages):
        app.register_blueprint(area.blueprint())
    app.register_blueprint(join.open_blueprint())
    app.wsgi_app = TokenEndpoint(app.wsgi_app, services)  # type: ignore[method-assign]
    return app
