"""Where verification keys come from: fixed ones, or a set behind a URL that a background thread keeps fresh.

A request reads an immutable snapshot without a lock and never fetches. PyJWT's own client fetches on the request path
under a lock, so that one unknown ``kid`` and a slow endpoint make holders of good tokens wait (measured: 40 s for 20
bad tokens), and it has no answer once its set is old; hence this module.

Rules for editors:
* the last good set is used for up to an hour through an outage; after that nobody can tell (``KeysUnavailable``);
* while a set is there, there is at most one fetch per 30 s, counted from the attempt, whether an unknown
  ``kid`` or a failure is its cause, and few requests wait for it;
* it is certainly bad only if the set was fetched after the bearer was issued, or after it arrived;
* a ``kid`` that keys have selects these and no others, and what they did not sign is certainly bad;
* with a ``kid`` that no key has, keys without one are tried (RFC 7517 section 4.5 makes it optional); a bearer that
  they did not sign is of an unknown key all the same, and so is one without a ``kid`` that no key signed.
"""

import json
import logging
import random
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from service.clock import Clock
from service.errors import KeysUnavailable
from service.http_client import Transport, TransportError
from service.identity.issuers import IssuerConfig
from service.identity.keys import UnusableSet, VerificationKey, algorithms_of, read_set
from service.identity.refusal import Reason, RefusedToken, shown
from service.identity.setting import read_url

FETCH_SECS: Final = 3.0
REFETCH_SECS: Final = 300.0
STALE_SECS: Final = 3600.0
UNKNOWN_KID_EVERY_SECS: Final = 30.0
WAIT_SECS: Final = 1.0
MAX_WAITING: Final = 4
BACKOFF_SECS: Final = (1.0, 30.0)
_OK: Final = 200

_log: Final = logging.getLogger(__name__)


class FixedKeys:
    """One key, or two while one follows the other; ``kid`` selects nothing among them. See ``FetchedKeys``."""

    last_error = None

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self.keys = tuple(keys)

    def candidates(self, kid: str | None, algorithm: str, issued_at: float) -> Iterator[VerificationKey]:
        del issued_at
        yield from (key for key in self.keys if key.algorithm == algorithm)
        if algorithm not in (algorithms := [key.algorithm for key in self.keys]):
            raise RefusedToken(Reason.WRONG_ALGORITHM, expected=", ".join(algorithms), found=algorithm)
        raise RefusedToken(Reason.BAD_SIGNATURE, found=_selector(kid, algorithm))

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> None:
        """Nothing to end."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    keys: tuple[VerificationKey, ...]
    fetched_at: float
    fetched_monotonic: float


class FetchedKeys:
    """The keys of a JWK set behind a URL, or behind the ``jwks_uri`` of an OpenID configuration. ``last_error`` is why
    the last fetch failed, ``None`` if it did not, or there was none.
    """

    def __init__(self, issuer: IssuerConfig, clock: Clock) -> None:
        self._issuer = issuer
        self._clock = clock
        proxy = issuer.proxy.reveal() if issuer.proxy is not None else None
        self._transport = Transport(pool_size=1, ca_bundle=issuer.ca_bundle, proxy=proxy)
        self._last_snapshot: _Snapshot | None = None
        self.last_error: str | None = None
        self._attempted = float("-inf")
        self._attempts = 0
        self._fetching = False
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._stopped = False
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)

    def start(self) -> None:
        """Fetch now and from then on, on a thread of its own, in the process that will verify."""
        threading.Thread(target=self._run, name=f"keys-{self._issuer.name}", daemon=True).start()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    @property
    def keys(self) -> tuple[VerificationKey, ...] | None:
        """Those that count now, another object whenever others do; ``None`` while none does."""
        snapshot = self._snapshot()
        return None if snapshot is None else snapshot.keys

    def candidates(self, kid: str | None, algorithm: str, issued_at: float) -> Iterator[VerificationKey]:
        """Keys that a bearer may have been signed with, to be tried in turn. When none is left it raises
        ``RefusedToken`` if the bearer is certainly bad, else ``KeysUnavailable``.
        """
        arrived = self._clock.monotonic()
        known = self._known(kid, algorithm)
        yield from known
        if kid is not None and any(key.kid == kid for key in known):
            raise RefusedToken(Reason.BAD_SIGNATURE, found=_selector(kid, algorithm))
        self._ask_for_fetch()
        yield from (key for key in self._known(kid, algorithm) if key not in known)
        snapshot = self._snapshot()
        # Issuers drop the fraction of ``iat``, so a bearer may be up to a second younger than it says.
        if snapshot and (snapshot.fetched_monotonic > arrived or snapshot.fetched_at >= issued_at + 1.0):
            published = shown([_selector(key.kid, key.algorithm) for key in snapshot.keys])
            raise RefusedToken(Reason.UNKNOWN_KEY, expected=published, found=_selector(kid, algorithm))
        raise KeysUnavailable

    def _snapshot(self) -> _Snapshot | None:
        """The last good set, unless it is too old."""
        snapshot = self._last_snapshot
        fresh = snapshot and self._clock.monotonic() - snapshot.fetched_monotonic <= STALE_SECS
        return snapshot if fresh else None

    def _known(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        fitting = [key for key in self.keys or () if key.algorithm == algorithm]
        if kid is None:
            return fitting
        return [key for key in fitting if key.kid == kid] or [key for key in fitting if key.kid is None]

    def _ask_for_fetch(self) -> None:
        """Have the set fetched if it has not been tried lately, and wait a moment for a fetch under way."""
        with self._changed:
            due = self._clock.monotonic() - self._attempted >= UNKNOWN_KID_EVERY_SECS
            if not due and not self._fetching:
                return
            seen = self._attempts
            if due and not self._fetching:
                # Counted from here, so that a flood of unknown keys wakes the thread once.
                self._attempted = self._clock.monotonic()
                self._fetching = True
                self._wake.set()
        if self._waiting.acquire(blocking=False):
            try:
                with self._changed:
                    self._changed.wait_for(lambda: self._attempts > seen, WAIT_SECS)
            finally:
                self._waiting.release()

    def _run(self) -> None:
        failures = 0
        while not self._stopped:
            failures = 0 if self._fetch_once() else failures + 1
            self._wake.wait(self._pause(failures))
            self._wake.clear()

    def _pause(self, failures: int) -> float:
        """Seconds until the next regular fetch, which is soon only where there are no keys at all."""
        jitter = random.uniform(1.0, 1.1)
        if not failures:
            return REFETCH_SECS * jitter
        least, most = BACKOFF_SECS
        backoff = min(most, least * 2.0 ** min(failures - 1, 8))
        return jitter * (max(backoff, UNKNOWN_KID_EVERY_SECS) if self.keys else backoff)

    def _fetch_once(self) -> bool:
        began, began_monotonic = self._clock.wall(), self._clock.monotonic()
        with self._changed:
            self._attempted = began_monotonic
            self._fetching = True
        snapshot = error = None
        try:
            keys = read_set(fetch_json(self._jwks_url(), self._transport), self._issuer.algorithms)
            snapshot = _Snapshot(keys, began, began_monotonic)
        except UnusableSet as why:
            error = str(why)
        except Exception as why:  # noqa: BLE001 - a thread that ends would leave this source as it is for good
            error = type(why).__name__
        with self._changed:
            self._fetching = False
            self._attempts += 1
            self.last_error = error
            self._last_snapshot = snapshot or self._last_snapshot
            self._changed.notify_all()
        if error is not None:
            _log.warning("keys could not be fetched", extra={"issuer": self._issuer.name, "why": error})
        return snapshot is not None

    def _jwks_url(self) -> str:
        """Where the set is; raises where the configuration is another issuer's (OpenID Connect Discovery 4.3)."""
        if self._issuer.jwks_url is not None:
            return self._issuer.jwks_url
        document = fetch_json(self._issuer.discovery_url or "", self._transport)
        if not isinstance(document, dict) or document.get("issuer") != self._issuer.issuer:
            raise UnusableSet("the OpenID configuration is of another issuer")
        try:
            return read_url(str(document.get("jwks_uri")))
        except ValueError as why:
            raise UnusableSet(str(why)) from None


KeySource = FixedKeys | FetchedKeys


def build(issuers: Iterable[IssuerConfig], clock: Clock) -> Mapping[str, KeySource]:
    """A source for each issuer, by its name."""
    sources: dict[str, KeySource] = {}
    for issuer in issuers:
        keys = [VerificationKey(None, "HS256", secret.reveal().encode()) for secret in issuer.hs256_secrets]
        for key in issuer.public_keys:
            algorithm = next(name for name in issuer.algorithms if name in algorithms_of(key))
            keys.append(VerificationKey(None, algorithm, key))
        sources[issuer.name] = FixedKeys(keys) if keys else FetchedKeys(issuer, clock)
    return sources


def _selector(kid: str | None, algorithm: str) -> str:
    """How a header names a key, or what a set publishes of one."""
    return f"{algorithm} without kid" if kid is None else f"{algorithm} kid {shown(kid)}"


def fetch_json(url: str, transport: Transport) -> Any:
    """The document at ``url``, within 3 s and 256 KiB, redirects not followed. Raises ``UnusableSet``."""
    try:
        reply = transport.send("GET", url, headers={}, seconds=FETCH_SECS)
    except TransportError as error:
        raise UnusableSet(error.kind) from None
    if reply.status != _OK:
        raise UnusableSet(f"status {reply.status}")
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        raise UnusableSet("not JSON") from None
