"""A process of people who do more than ask for tokens, each in a thread, beside the callers of a storm.

``python -m tests.faults.history.actors`` reads a JSON document (``scenes.Scenes.spec``) from its input's first line,
and ends when its input does; then it writes down what it did as facts. Its sockets are cooperative, for one of the
actors sweeps rooms as housekeeping does.
"""

from __future__ import annotations

import gevent
from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

import json
import random
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.history.crowd import Writer
from tests.faults.history.guests import Bystander, GuestAtWork
from tests.faults.history.people import Actor, Stage
from tests.faults.history.visitors import Visitors
from tests.faults.history.waiters import Doorkeeper, FromTheFuture, Waiter

JOIN_SECS = 40.0
CAST: tuple[type[Actor], ...] = (
    *(GuestAtWork, Bystander, Bystander, Doorkeeper, Waiter, Waiter, FromTheFuture, Visitors),
    *(Writer, Writer, Writer, Writer),
)


def main() -> None:
    spec: dict[str, Any] = json.loads(sys.stdin.readline())
    stage = Stage(spec, threading.Event())
    cast = [made(stage, random.Random(f"{spec['seed']}/{number}"), number) for number, made in enumerate(CAST)]
    for actor in cast:
        actor.start()
    # In a real thread, or nobody would act meanwhile.
    gevent.get_hub().threadpool.apply(sys.stdin.read)
    stage.over.set()
    for actor in cast:
        actor.join(JOIN_SECS)
    facts = {name: [asdict(fact) for fact in found] for name, found in vars(stage.facts).items()}
    Path(spec["file"]).write_text(json.dumps(facts), "utf-8")


if __name__ == "__main__":
    main()
