"""An identity provider on this machine: publishes keys, counts who asks, and misbehaves as a test tells it."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from service.errors import ServiceError
from service.identity.issuers import IssuerConfig
from service.identity.key_sources import FetchedKeys
from service.identity.verifier import Principal, Verifier
from tests.identity.forge import MovableClock, ask, claims, issuer, jwk, private_key, token, verifier_of
from tests.processes import until

Answer = Callable[["_Request"], None]
KEYS: Final = "/keys"
CONFIGURATION: Final = "/.well-known/openid-configuration"


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: IdentityProvider

    def do_GET(self) -> None:
        with self.server.changing:
            self.server.asked[self.path] += 1
            answer = self.server.answers.get(self.path, status(404))
        with contextlib.suppress(OSError):
            answer(self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class IdentityProvider(ThreadingHTTPServer):
    """``answers`` by path. Leaving the ``with`` block ends everything that hangs."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_address[1]}"
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.asked: Counter[str] = Counter()
        self.answers: dict[str, Answer] = {}
        self.changing = threading.Lock()
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def server_close(self) -> None:
        self.released.set()
        self.shutdown()
        super().server_close()

    def handle_error(self, *_: object) -> None:
        """A caller that hangs up is no news."""

    def answer(self, answer: Answer, path: str = KEYS) -> None:
        with self.changing:
            self.answers[path] = answer

    def publish(self, *entries: dict[str, Any]) -> None:
        self.answer(document({"keys": list(entries)}))

    def fetches(self, path: str = KEYS) -> int:
        with self.changing:
            return self.asked[path]


def body(raw: bytes, code: int = 200, **headers: str) -> Answer:
    def answer(request: _Request) -> None:
        request.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(raw)

    return answer


def document(value: Any) -> Answer:
    return body(json.dumps(value).encode())


def status(code: int, **headers: str) -> Answer:
    """With that status, and in its body a set that nobody may use."""
    return body(json.dumps({"keys": [jwk("EdDSA", "tempting")]}).encode(), code, **headers)


def hang(request: _Request) -> None:
    """Say nothing until the test is over or releases it, and then hang up."""
    request.server.released.wait(60)
    request.close_connection = True


def drip(request: _Request) -> None:
    """A byte now and then, without end."""
    request.send_response(200)
    request.send_header("Content-Length", "100000")
    request.end_headers()
    while not request.server.released.wait(0.02):
        request.wfile.write(b" ")
        request.wfile.flush()


def hang_up(request: _Request) -> None:
    """Close without a word."""
    request.close_connection = True


class Trust:
    """One issuer whose keys are fetched from a provider, and the verifier that trusts it. Time stands still."""

    def __init__(self, idp: IdentityProvider, **members: Any) -> None:
        self.idp = idp
        self.clock = MovableClock()
        if "discovery_url" not in members:
            members = {"jwks_url": idp.url + KEYS, **members}
        self.config: IssuerConfig = issuer(**members)
        self.source = FetchedKeys(self.config, self.clock)
        self.gate: Verifier = verifier_of([self.config], {self.config.name: self.source}, self.clock)

    def start(self) -> Trust:
        self.source.start()
        return self

    def loaded(self) -> Trust:
        """Once the first set is there."""
        self.start()
        until(lambda: self.source.keys, 10, "the first set of keys")
        return self

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    def bearer(self, owner: str = "issuer", *, algorithm: str = "EdDSA", age: float = 0.0, **header: Any) -> str:
        """Issued ``age`` seconds ago, and signed by ``owner``, whose name is the ``kid`` unless the header says so."""
        now = self.clock.wall()
        written = {"kid": owner} | header
        payload = claims(iat=now - age, exp=now + 600, iss=self.config.issuer)
        return token(payload, algorithm=algorithm, key=private_key(algorithm, owner), **written)

    def ask(self, owner: str = "issuer", **options: Any) -> Principal:
        return ask(self.gate, self.bearer(owner, **options))

    def stop(self) -> None:
        self.source.stop()
        for thread in threading.enumerate():
            if thread.name == f"keys-{self.config.name}":
                thread.join(10)


def outcome(ask: Callable[[], object]) -> str:
    """What a caller is told: ``good``, or the code of the refusal."""
    try:
        ask()
    except ServiceError as refusal:
        return refusal.code
    return "good"


@contextlib.contextmanager
def provider() -> Iterator[IdentityProvider]:
    """One that publishes the key of ``issuer``."""
    with IdentityProvider() as idp:
        idp.publish(jwk("EdDSA"))
        yield idp
