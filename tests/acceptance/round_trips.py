"""How many round trips to Redis a call takes, asked of the server itself."""

import time
from collections.abc import Callable

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


def _reads(valkey: Valkey) -> int:
    return int(valkey.client.info("stats")["total_reads_processed"])
