"""The command line: ``python -m service COMMAND``. Each command's ``--help`` says what it does."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gevent import monkey

# The imports below take a third of a second. To process 1 of a container a signal before there is a handler for it is
# lost; a blocked one waits until ``main`` or, with its handlers in place, ``serve`` lets it through.
if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

# What supervises the workers stays as long as they do, and needs a quarter of what the other commands import.
if __name__ == "__main__" and sys.argv[1:] == ["serve"]:
    from service.cli import serve
    from service.cli.failed import exit_code

    sys.exit(exit_code(serve.run))

# Whoever asks servers does it under ``service.clock.time_limit``, which can interrupt cooperative sockets only.
_ASKING = {"apply", "check", "export", "mint"}
if __name__ == "__main__" and set(sys.argv[1:2]) & _ASKING:
    monkey.patch_all()

from service.cli import apply, check, dev, mint, serve  # noqa: E402 - what patches comes first
from service.cli.failed import CONFIGURATION_EXIT, TROUBLE_EXIT, exit_code  # noqa: E402 - as above
from service.observability.telemetry import VERSION  # noqa: E402 - as above

# Adds a command: its name, what it does, and examples.
Command = Callable[..., argparse.ArgumentParser]
_PROGRAM = "python -m service"


def main() -> int:
    """Run the command named; answers the exit code."""
    if sys.argv[1:2] != ["serve"]:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    # What follows ``sandbox`` is the sandbox's own command line; it shares no code with the service.
    if sys.argv[1:2] == ["sandbox"]:
        os.execv(sys.executable, [sys.executable, "-m", "service.sandbox", *sys.argv[2:]])  # noqa: S606
    # What the log of the service would say, a command says by itself.
    logging.getLogger("service").addHandler(logging.NullHandler())
    # Where ``apply`` answers 2, there is something to do.
    return exit_code(_run, TROUBLE_EXIT if sys.argv[1:2] == ["apply"] else CONFIGURATION_EXIT)


def _run() -> int:
    given = parser().parse_args()
    return int(given.run(given))


def parser() -> argparse.ArgumentParser:
    """The command line. The arguments of a command have its function as ``run``."""
    parser = argparse.ArgumentParser(
        _PROGRAM, description="The token service for Telnyx Video rooms.", **_examples("COMMAND --help", "--version")
    )
    parser.add_argument("--version", action="version", version=f"video-token-service {VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, text: str, *examples: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", **_examples(*examples)
        )

    add = command("serve", "serve in production; settings come from the environment", "serve")
    add.set_defaults(run=lambda _: serve.run())
    add = command("dev", "run everything on this machine, without an account (make run)", "dev", "dev --real")
    add.add_argument("--real", action="store_true", help="use the account of TELNYX_API_KEY instead of the sandbox")
    add.set_defaults(run=lambda given: dev.run(Path(".run").resolve(), real=given.real))
    _add_check(command)
    _add_mint(command)
    _add_directory(command)
    command("sandbox", "run the local stand-in for Telnyx Video; --help shows its options", "sandbox --port 8081")
    return parser


def _examples(*examples: str) -> dict[str, Any]:
    lines = [f"  {_PROGRAM} {example}" for example in examples]
    return {"epilog": "\n".join(["examples:", *lines]), "formatter_class": argparse.RawDescriptionHelpFormatter}


def _add_check(command: Command) -> None:
    add = command(
        "check",
        "check settings, Redis, key sources, clock and API keys; exit code 2 if anything is wrong",
        *("check", "check --json", "check --bearer - < bearer.txt"),
    )
    bearer_text = "check this bearer instead, and say why it is refused; - reads it from standard input"
    add.add_argument("--bearer", metavar="TOKEN", help=bearer_text)
    add.add_argument("--json", action="store_true", help="print the findings as one JSON object")
    add.set_defaults(run=lambda given: check.run(given.bearer, as_json=given.json))


def _add_mint(command: Command) -> None:
    add = command(
        "mint",
        "print a development user token, signed with AUTH_HS256_SECRET, or by the sandbox beside make run",
        *(
            "mint alice --name 'Alice Abel'",
            "mint ada --scope rooms:admin --ttl 600",
            "mint bob --room standup=moderator",
        ),
    )
    add.add_argument("user", metavar="USER", help="the user id")
    add.add_argument("--name", help="the display name")
    add.add_argument("--scope", action="append", default=[], help="a scope, for example rooms:admin; may be repeated")
    add.add_argument("--group", action="append", default=[], help="a group; may be repeated")
    add.add_argument(
        "--room", action="append", default=[], metavar="ALIAS=ROLE", help="an entry of the rooms claim; may be repeated"
    )
    add.add_argument("--ttl", type=int, default=3600, metavar="SECS", help="life in seconds (default: %(default)s)")
    add.set_defaults(run=mint.run)


def _add_directory(command: Command) -> None:
    add = command(
        "apply",
        "show what a TOML file of rooms and members changes, and change it; exit code 1 if anything is wrong",
        *("apply --dry-run rooms.toml", "apply rooms.toml", "apply --prune rooms.toml", "apply - < rooms.toml"),
    )
    add.add_argument("--dry-run", action="store_true", help="only show it; exit code 2 if there are changes, 0 if none")
    add.add_argument("--prune", action="store_true", help="remove rooms and members that the file does not have")
    all_text = "write all rooms of the file, also those that are as it says; at Telnyx too"
    add.add_argument("--all", action="store_true", help=all_text)
    add.add_argument("file", metavar="FILE", help="the file; - reads standard input")
    add.set_defaults(
        run=lambda given: apply.apply(given.file, dry_run=given.dry_run, prune=given.prune, rewrite=given.all)
    )
    add = command("export", "print all rooms and members as TOML for apply", "export > rooms.toml")
    add.set_defaults(run=lambda _: apply.export())


if __name__ == "__main__":
    sys.exit(main())
