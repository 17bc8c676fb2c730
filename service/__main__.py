"""The command line: ``python -m service COMMAND``. Each command's ``--help`` says what it does."""

import argparse
import os
import signal
import sys
from pathlib import Path

from gevent import monkey

# The imports below take a third of a second. To process 1 of a container a signal before there is a handler for it is
# lost; a blocked one waits until ``main`` or, with its handlers in place, ``serve`` lets it through.
if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

# Whoever asks servers does it under ``service.clock.time_limit``, which can interrupt cooperative sockets only.
_ASKING = {"apply", "check", "export"}
if __name__ == "__main__" and set(sys.argv[1:2]) & _ASKING:
    monkey.patch_all()

from service.cli import backup, check, dev, mint, serve  # noqa: E402 - what patches comes first

_DAY_SECS = 86_400


def main() -> int:
    """Run the command named; answers the exit code."""
    if sys.argv[1:2] != ["serve"]:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    # What follows ``sandbox`` is the sandbox's own command line; it shares no code with the service.
    if sys.argv[1:2] == ["sandbox"]:
        os.execv(sys.executable, [sys.executable, "-m", "service.sandbox", *sys.argv[2:]])  # noqa: S606
    arguments = _parser().parse_args()
    return int(arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m service", description="The token service for Telnyx Video rooms.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")

    command("serve", "serve in production; settings come from the environment").set_defaults(run=lambda _: serve.run())
    add = command("dev", "run everything on this machine, without an account (make run)")
    add.add_argument("--real", action="store_true", help="use the account of TELNYX_API_KEY instead of the sandbox")
    add.set_defaults(run=lambda given: dev.run(Path(".run").resolve(), real=given.real))
    check_text = "check settings, Redis, key sources, clock and API keys; exit code 2 if anything is wrong"
    add = command("check", check_text)
    bearer_text = "check this bearer instead, and say why it is refused; - reads it from standard input"
    add.add_argument("--bearer", metavar="TOKEN", help=bearer_text)
    add.set_defaults(run=lambda given: check.run(given.bearer))
    _add_mint(command("mint", "print a development user token, signed with AUTH_HS256_SECRET"))
    add = command("apply", "create and replace the rooms and members of a TOML file")
    add.add_argument("file", type=Path, metavar="FILE")
    add.set_defaults(run=lambda given: backup.apply(given.file))
    command("export", "print all rooms and members as TOML for apply").set_defaults(run=lambda _: backup.export())
    command("sandbox", "run the local stand-in for Telnyx Video; --help shows its options")
    return parser


def _add_mint(add: argparse.ArgumentParser) -> None:
    add.add_argument("user", metavar="USER", help="the user id")
    add.add_argument("--name", help="the display name")
    add.add_argument("--scope", action="append", default=[], help="a scope, for example rooms:admin; may be repeated")
    add.add_argument("--group", action="append", default=[], help="a group; may be repeated")
    add.add_argument(
        "--room", action="append", default=[], metavar="ALIAS=ROLE", help="an entry of the rooms claim; may be repeated"
    )
    add.add_argument("--ttl", type=int, default=3600, metavar="SECS", help="life in seconds (default: %(default)s)")
    add.set_defaults(run=mint.run)


if __name__ == "__main__":
    sys.exit(main())
