"""What each part of an answer costs: samples of the worker's stack, sorted by what it was at work on.

A sample belongs to the first part in ``PARTS`` that any of its frames names, so what a library does for a part counts
as that part, and nothing counts twice; what is left is the web server's. The names are those of the code measured:
where they change, a part costs nothing, and a test says so.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Final

from tests.bench.load import family
from tests.processes import until

# A frame's ``module.qualified_name``, of the service or of ``apps/equal.py``.
PARTS: Final = {
    "ticket": r"TicketSigner\.|\._?ticket$|^service\.tokens\.context\.",
    "sealing": r"Sealer\.|Vault\.|\.apps\.equal\.(un)?seal$",
    "bearer": r"^service\.identity\.|^jwt\.",
    "metrics": r"^prometheus_client\.|Metrics\.",
    "audit and access line": r"^logging\.|^service\.observability\.|\._audit$|request_lifecycle\.record$",
    "permission": r"^service\.rooms\.|authori[sz]ed?$",
    "Redis": r"^redis\.|^service\.storage\.",
    "call to Telnyx": r"^(requests|urllib3)\.|^service\.(telnyx|http_client)\.",
    "the endpoint itself": r"^service\.|^tests\.bench\.apps\.",
}
REST: Final = "web server"


def sampled(server: int, folder: Path, work: Callable[[], object]) -> dict[str, float]:
    """Each part's share of the processor time that a worker of ``server`` needs while ``work`` is called."""
    # The last in line: what forked it has a file too, if it was forked itself before it became another program.
    worker = [pid for pid in family(server) if (folder / str(pid)).exists()][-1]
    os.kill(worker, signal.SIGRTMIN)
    work()
    os.kill(worker, signal.SIGRTMIN)
    file = folder / f"{worker}.stacks"
    until(file.exists, 10, "the samples")
    seen = shares(file.read_text("utf-8").splitlines())
    file.unlink()
    return seen


def shares(lines: Iterable[str]) -> dict[str, float]:
    """The share of each part in samples as ``sampler`` writes them."""
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        counts[_part_of(stack)] += int(count)
    every = max(1, counts.total())
    return {part: counts[part] / every for part in (*PARTS, REST)}


def _part_of(stack: str) -> str:
    frames = stack.split(";")
    return next((part for part in PARTS if any(_names(part, frame) for frame in frames)), REST)


@cache
def _names(part: str, frame: str) -> bool:
    return re.search(PARTS[part], frame) is not None
