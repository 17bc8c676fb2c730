"""``python -m service.sandbox``: run the stand-in until SIGINT or SIGTERM."""

import argparse
import os
import signal
import sys
from pathlib import Path

from service.sandbox.api import create_app
from service.sandbox.sandbox import Sandbox
from service.sandbox.server import create_server, start_ticking


def main() -> None:
    """Parse the command line and serve until a signal ends the process at once."""
    arguments = parser().parse_args()
    sandbox = Sandbox(arguments.keys, arguments.state)
    if arguments.latency:
        sandbox.faults.add({"operation": "*_*", "fault": "latency", "secs": arguments.latency})
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


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        "python -m service.sandbox",
        description="A stand-in for Telnyx Video.",
        epilog="example:\n  python -m service.sandbox --port 8081 --latency 0.2 --state rooms.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=8081, help="0 takes any free port (default: %(default)s)")
    options.add_argument("--signalling-port", type=int, default=0, help="for client SDKs; 0 takes any free port")
    options.add_argument("--latency", type=float, default=0.0, help="seconds before each answer of /v2")
    options.add_argument(
        "--allow-origin", action="append", default=[], metavar="ORIGIN", help="a page's origin that may use /sandbox"
    )
    options.add_argument("--keys", type=Path, help="a folder that keeps signing keys over restarts")
    options.add_argument("--state", type=Path, help="a file that keeps rooms over restarts")
    return options


if __name__ == "__main__":
    main()
