"""A world of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.storage import redis_keys
from tests.gateway.world import World, build
from tests.processes import Sandbox, ServiceProcess, Valkey, environment, running


@pytest.fixture
def world(service: ServiceProcess, sandbox: Sandbox, valkey: Valkey) -> Iterator[World]:
    # Rooms of other tests whose turn it is to be compared with upstream's list would be seen in its record.
    # And in a directory of many rooms not all are looked at to learn whether somebody moderates one.
    valkey.client.delete(redis_keys.ROOMS_DUE, redis_keys.ROOM_INDEX)
    yield build(service, sandbox)
    sandbox.clear_faults()


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A store whose cool-downs nobody else meets."""
    yield from running(Valkey())


@pytest.fixture
def alone(own_valkey: Valkey, sandbox: Sandbox) -> Iterator[World]:
    """A service whose breakers nobody else meets."""
    service = ServiceProcess(environment(sandbox, own_valkey.url, WEB_CONCURRENCY="2"))
    try:
        yield build(service, sandbox)
    finally:
        sandbox.clear_faults()
        own_valkey.thaw()
        service.stop()
