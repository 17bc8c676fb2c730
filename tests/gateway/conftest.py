"""A world of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.world import World, build
from tests.processes import Sandbox, ServiceProcess


@pytest.fixture
def world(service: ServiceProcess, sandbox: Sandbox) -> Iterator[World]:
    yield build(service, sandbox)
    sandbox.clear_faults()
