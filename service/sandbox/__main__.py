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
from service.sandbox.ratelimit import RateLimit
from service.sandbox.record import RequestLog
from service.sandbox.sandbox import Sandbox
from service.sandbox.server import create_server, start_ticking
from service.sandbox.signalling import Signalling
from service.sandbox.switches import Switches
from service.sandbox.tokens import TokenSigner
from service.sandbox.webhooks import WebhookSender
from service.sandbox.world import World


def main() -> None:
    """Parse the command line and serve until a signal ends the process at once."""
    arguments = _parser().parse_args()
    sandbox = _create_sandbox(arguments)
    try:
        sandbox.signalling.start(arguments.host, arguments.signalling_port)
        server = create_server(create_app(sandbox, arguments.allow_origin), arguments.host, arguments.port)
    except OSError as error:
        sys.exit(f"sandbox: cannot listen on {arguments.host}:{arguments.port}: {error.strerror}")
    address = f"http://{arguments.host}:{server.port}"
    sandbox.idp.issuer = f"{address}/sandbox/idp"
    sandbox.world.downloads.address = address
    start_ticking(sandbox.world)
    sandbox.webhooks.start()
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


def _create_sandbox(arguments: argparse.Namespace) -> Sandbox:
    clock, switches, faults = MovableClock(), Switches(), Faults()
    if arguments.keys is not None:
        arguments.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    if arguments.latency:
        faults.add({"operation": "*_*", "fault": "latency", "secs": arguments.latency})
    webhooks = WebhookSender(_load_key(arguments.keys, "webhook-key.pem"), clock, switches)
    signer = TokenSigner(_load_key(arguments.keys, "token-key.pem"), str(uuid.uuid4()))
    world = World(Account(clock, switches, webhooks.publish), signer, arguments.state)
    return Sandbox(
        world=world,
        clock=clock,
        switches=switches,
        faults=faults,
        requests=RequestLog(),
        idp=IdentityProvider("", clock, arguments.keys),
        webhooks=webhooks,
        ratelimit=RateLimit(clock, switches),
        signalling=Signalling(world),
    )


def _load_key(folder: Path | None, name: str) -> Ed25519PrivateKey:
    """The key that ``folder`` keeps under this name, or a new one."""
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
