"""The command line: ``python -m service COMMAND``. Each command's ``--help`` says what it does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from service.commands import dev, serve


def main() -> int:
    """Run the command named; answers the exit code."""
    parser = argparse.ArgumentParser("python -m service", description="The token service for Telnyx Video rooms.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add = commands.add_parser("serve", help="serve in production: settings come from the environment")
    add.set_defaults(run=lambda _: serve.run())
    add = commands.add_parser("dev", help="run everything on this machine, without an account (make run)")
    add.add_argument("--real", action="store_true", help="use the account of TELNYX_API_KEY instead of the sandbox")
    add.set_defaults(run=lambda given: dev.run(Path(".run").resolve(), real=given.real))
    arguments = parser.parse_args()
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
