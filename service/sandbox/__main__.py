"""``python -m service.sandbox``: run the stand-in until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from service.sandbox.account import Account
from service.sandbox.api import create_app
from service.sandbox.clock import MovableClock
from service.sandbox.faults import Faults
from service.sandbox.idp import IdentityProvider
from service.sandbox.parts import Parts
from service.sandbox.ratelimit import RateLimit
from service.sandbox.record import Record
from service.sandbox.server import serve
from service.sandbox.signalling import Signalling
from service.sandbox.switches import Switches
from service.sandbox.tokens import TokenSigner
from service.sandbox.webhooks import Outbox
from service.sandbox.world import World


def main() -> None:
    """Parse the command line, serve, and end within a second when told to."""
    arguments = _parser().parse_args()
    parts = _made(arguments)
    try:
        parts.signalling.start(arguments.host, arguments.signalling_port)
        server = serve(create_app(parts, arguments.allow_origin), parts, arguments.host, arguments.port)
    except OSError as error:
        sys.exit(f"sandbox: cannot listen on {arguments.host}:{arguments.port}: {error.strerror}")
    address = f"http://{arguments.host}:{server.port}"
    parts.idp.issuer = f"{address}/sandbox/idp"
    parts.world.links.address = address
    print("This is a SANDBOX, a stand-in that is NOT Telnyx: it hands out tokens for the asking.", flush=True)
    print(f"sandbox listening on {address}", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    server.serve_forever()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m service.sandbox", description="A stand-in for Telnyx Video.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8081, help="0 takes any free port (default: %(default)s)")
    parser.add_argument("--signalling-port", type=int, default=0, help="for client SDKs; 0 takes any free port")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer of /v2")
    parser.add_argument(
        "--allow-origin", action="append", default=[], metavar="ORIGIN", help="a page's origin that may use /sandbox"
    )
    parser.add_argument("--keys", type=Path, help="a folder that keeps signing keys over restarts")
    parser.add_argument("--state", type=Path, help="a file that keeps rooms over restarts")
    return parser


def _made(arguments: argparse.Namespace) -> Parts:
    clock, switches, faults = MovableClock(), Switches(), Faults()
    if arguments.keys is not None:
        arguments.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    if arguments.latency:
        faults.add({"operation": "*_*", "fault": "latency", "secs": arguments.latency})
    outbox = Outbox(_kept_key(arguments.keys, "webhook-key.pem"), clock, switches)
    signer = TokenSigner(_kept_key(arguments.keys, "token-key.pem"), str(uuid.uuid4()))
    world = World(Account(clock, switches, outbox.publish), signer, arguments.state)
    idp = IdentityProvider("", clock, arguments.keys)
    return Parts(world, clock, switches, faults, Record(), idp, outbox, RateLimit(clock, switches), Signalling(world))


def _kept_key(folder: Path | None, name: str) -> Ed25519PrivateKey:
    """The key kept in ``folder`` under that name, or a new one."""
    file = folder / name if folder else None
    if file is not None and file.exists():
        key = load_pem_private_key(file.read_bytes(), None)
        if isinstance(key, Ed25519PrivateKey):
            return key
    key = Ed25519PrivateKey.generate()
    if file is not None:
        file.touch(mode=0o600)
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


if __name__ == "__main__":
    main()
