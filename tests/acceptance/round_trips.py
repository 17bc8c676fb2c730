"""How many round trips to Redis a call takes, asked of the server itself."""

import threading
import time
from collections.abc import Callable

from service.storage.redis_keys import RoomKeys, UserKeys
from tests.processes import Valkey

# More than none, and fewer than two: the service's own look-ups are not as regular as a clock.
ONE = (0.7, 1.6)


def round_trips(valkey: Valkey, ask: Callable[[], object], times: int) -> float:
    """The server's reads for each of so many calls. What it reads without them in as long a time is taken off."""
    before, began = _reads(valkey), time.monotonic()
    for _ in range(times):
        ask()
    reads, took = _reads(valkey) - before, time.monotonic() - began
    before = _reads(valkey)
    time.sleep(took)
    return (reads - (_reads(valkey) - before)) / times


def commands_for(valkey: Valkey, alias: str, user: str, ask: Callable[[], object], times: int) -> list[str]:
    """The commands on keys of this room and user that so many calls send, without what their scripts do."""
    commands: list[str] = []
    with valkey.client.monitor() as log:

        def listen() -> None:
            for entry in log.listen():
                # Not what the service does for itself.
                mine = any(key in entry["command"] for key in (RoomKeys(alias).base, UserKeys(user).revoked))
                if entry["client_type"] != "lua" and mine:
                    commands.append(entry["command"].split()[0].upper())
                if entry["command"].startswith("ECHO"):
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        for _ in range(times):
            ask()
        valkey.client.echo("done")
        thread.join(10)
    return commands


def _reads(valkey: Valkey) -> int:
    return int(valkey.client.info("stats")["total_reads_processed"])
