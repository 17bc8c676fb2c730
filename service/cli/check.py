"""``check``: whether this environment would work, before it has to: settings, Redis, keys, clock, API keys.

Asks every dependency once, with calls that only read, and shows each answer as it comes. A fault names the variable to
change and what to do; secrets stay masked. Of one bearer it tells what the service would find, and why it is refused.
"""

import json
import os
import random
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, cast

import redis
from prometheus_client import CollectorRegistry

from service import app
from service.cli.failed import CONFIGURATION_EXIT
from service.clock import Clock, Deadline, time_limit
from service.config.settings import Settings, SettingsError, masked
from service.crypto import GuestSigner
from service.errors import KeysUnavailable, ServiceError, UpstreamError, UpstreamRejectedCredentials
from service.identity import key_sources
from service.identity.issuers import IssuerConfig
from service.identity.key_sources import KeySource
from service.identity.refusal import RefusedToken, shown
from service.observability.telemetry import Metrics
from service.storage.availability import SAFE_POLICY
from service.storage.redis_client import RedisClient
from service.telnyx import Telnyx

LEAST_REDIS: Final = (6, 2)
_INFO_SECS: Final = 0.5
MOST_CLOCK_SECS: Final = 5.0
_KEYS_SECS: Final = 8.0
_CALL_SECS: Final = 8.0
_ADVICE: Final = {
    "AuthenticationError": "the server refuses the password: check the user and password in the URL",
    "TimeoutError": "no answer in time: check host, port, TLS (rediss://) and the way there",
    "ConnectionError": "cannot connect: check host, port and TLS (rediss://), and that the server runs",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen of one variable; ``level`` is ``ok``, ``note`` or ``fault``."""

    level: str
    variable: str
    message: str


def run(bearer: str | None = None, *, as_json: bool = False) -> int:
    """Print every finding, or those about one ``bearer`` (``-`` stands for standard input); answers the exit code."""
    found = []
    try:
        for finding in _report(Settings.from_env(os.environ), bearer):
            found.append(finding)
            if not as_json:
                level = "FAULT" if finding.level == "fault" else finding.level
                print(f"{level:6} {finding.variable}: {finding.message}", flush=True)
    except SettingsError as error:
        if not as_json:
            raise
        found = [_fault(fault.variable, fault.message) for fault in error.faults]
    good = all(finding.level != "fault" for finding in found)
    if as_json:
        print(json.dumps({"ok": good, "findings": [asdict(finding) for finding in found]}, indent=2))
    return 0 if good else CONFIGURATION_EXIT


def _ok(variable: str, message: str) -> Finding:
    return Finding("ok", variable, message)


def _fault(variable: str, message: str) -> Finding:
    return Finding("fault", variable, message)


def _report(settings: Settings, bearer: str | None) -> Iterator[Finding]:
    yield _ok("settings", "complete")
    for warning in settings.warnings():
        yield Finding("note", warning.variable, warning.message)
    if bearer is not None:
        yield from of_bearer(settings, sys.stdin.read() if bearer == "-" else bearer, settings.issuers)
        return
    clock, metrics = Clock(), Metrics(CollectorRegistry())
    client = app.redis_client(settings, clock, metrics)
    yield _redis(client, masked(settings.redis_url.reveal()))
    sources = key_sources.build(settings.issuers, clock)
    for issuer in settings.issuers:
        yield _keys_of(issuer, sources[issuer.name])
    for index, key in enumerate(settings.telnyx_api_keys, 1):
        name = f"key {index} of {len(settings.telnyx_api_keys)}"
        with_one_key = replace(settings, telnyx_api_keys=(key,))
        telnyx = app.telnyx_client(with_one_key, client, clock, metrics, random.Random())
        yield from _telnyx(telnyx, name, settings.telnyx_api_url, clock)
    client.stop()


def of_bearer(settings: Settings, text: str, asked: Iterable[IssuerConfig]) -> Iterator[Finding]:
    """What the service would find of a bearer, last, after the keys of the issuers ``asked`` were fetched."""
    clock, outcomes = Clock(), []
    sources = key_sources.build(settings.issuers, clock)
    for issuer in asked:
        yield _keys_of(issuer, sources[issuer.name])
    guest_signer = GuestSigner(settings.service_secrets)
    verifier = app.verifier_of(settings, sources, guest_signer, clock, lambda *outcome: outcomes.append(outcome))
    text = text.strip()
    bearer = text[len("bearer ") :].lstrip() if text.lower().startswith("bearer ") else text
    try:
        caller = verifier.verify([f"Bearer {bearer}"])
    except ServiceError as refusal:
        yield _fault("bearer", f"issuer {outcomes[-1][0]}: {_why(refusal)}")
        return
    admin = "an administrator" if caller.admin else "no administrator"
    missing = " and ".join(caller.untrusted)
    vain = f"; asks for {missing}, with which the issuer is not trusted (AUTH_TRUST)" if missing else ""
    yield _ok("bearer", f"issuer {caller.issuer}: good, user {shown(caller.user)}, {admin}{vain}")


def _why(refusal: ServiceError) -> str:
    if isinstance(refusal, RefusedToken):
        facts = refusal.facts()
        return "; ".join([f"refused, {facts.pop('reason')}", *(f"{name} {text}" for name, text in facts.items())])
    if isinstance(refusal, KeysUnavailable):
        return "cannot be judged now, its key may be younger than the keys in hand: try again in a moment"
    return f"refused, {refusal.code}: {refusal.detail}"


def _redis(client: RedisClient, url: str) -> Finding:
    client.start()
    if not client.up:
        reason = client.availability.reason
        return _fault("REDIS_URL", f"{url}: {_ADVICE.get(reason, reason)}")
    if client.availability.no_writes:
        return _fault("REDIS_URL", f"{url}: takes no writes ({client.availability.no_writes})")
    servers = [_told(server.client) for server in client.servers.each()]
    for told in servers:
        version = str(told.get("redis_version", "6.2"))
        if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < LEAST_REDIS:
            return _fault("REDIS_URL", f"{url}: {_server_name(told)} is too old, 6.2 or later is needed")
    names = ", ".join(sorted({_server_name(told) for told in servers}))
    policy = client.availability.policy
    about = (
        f"maxmemory-policy {policy}" if policy else f"its maxmemory-policy cannot be read: make sure of {SAFE_POLICY}"
    )
    masters = f"{len(servers)} masters, " if len(servers) > 1 else ""
    return _ok("REDIS_URL", f"{url}: {masters}{names}, {about}")


def _told(server: redis.Redis) -> dict[str, Any]:
    """What a server says of itself; one that refuses is none the worse for it."""
    try:
        with time_limit(_INFO_SECS):
            return dict(cast("Any", server.info("server")))
    except (redis.RedisError, OSError):
        return {}


def _server_name(server: Mapping[str, Any]) -> str:
    version = server.get("valkey_version", server.get("redis_version", "of an unknown version"))
    return f"{server.get('server_name', 'redis')} {version}"


def _keys_of(issuer: IssuerConfig, source: KeySource) -> Finding:
    source.start()
    end = time.monotonic() + _KEYS_SECS
    while not (source.keys or source.last_error) and time.monotonic() < end:
        time.sleep(0.02)
    source.stop()
    variable = "AUTH_JWKS_URL" if issuer.jwks_url else "AUTH_DISCOVERY_URL" if issuer.discovery_url else "AUTH_ISSUER"
    if keys := source.keys:
        # Two secrets with a comma between, or one that holds a comma.
        both = ": new, old, and both as one secret that holds a comma" if len(issuer.hs256_secrets) > 2 else ""  # noqa: PLR2004
        return _ok(variable, f"issuer {issuer.name}: {len(keys)} key(s){both}")
    where = issuer.jwks_url or issuer.discovery_url or ""
    why = source.last_error or "no answer"
    return _fault(variable, f"issuer {issuer.name}: no keys from {masked(where)} ({why})")


def _telnyx(client: Telnyx, name: str, url: str, clock: Clock) -> Iterator[Finding]:
    try:
        answer = client.call("list_rooms", query={"page[size]": "1"}, deadline=Deadline.after(clock, _CALL_SECS))
    except UpstreamRejectedCredentials as refusal:
        why = f"{name} is refused by {url} (status {refusal.upstream_status})"
        yield _fault("TELNYX_API_KEYS", f"{why}: make a new key in the Telnyx portal")
    except UpstreamError as trouble:
        status = f", status {trouble.upstream_status}" if trouble.upstream_status else ""
        why = f"{url} gives no usable answer ({trouble.code}{status})"
        yield _fault("TELNYX_API_URL", f"{why}: check the URL and the way there")
    else:
        yield _ok("TELNYX_API_KEYS", f"{name} is accepted by {url}")
        yield _clock(answer.date, clock)


def _clock(upstream: float | None, clock: Clock) -> Finding:
    if upstream is None:
        return _ok("clock", "upstream sent no Date to compare with")
    # Date has whole seconds: half of one is the best guess.
    off = clock.wall() - upstream - 0.5
    if abs(off) <= MOST_CLOCK_SECS:
        return _ok("clock", f"within {MOST_CLOCK_SECS:.0f} s of upstream's")
    return _fault("clock", f"{off:+.0f} s from upstream's: set this machine's time (NTP)")
