"""The store of these tests: a Cluster where a test asks for nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import Sandbox, ServiceProcess, environment, running
from tests.topologies.failover import FULL
from tests.topologies.servers import ClusterTopology

# The long ones among the acceptance tests that run here once more.
_LONG = ("refusals", "invites", "roster", "logout")
collect_ignore = [] if FULL else [f"test_{name}.py" for name in _LONG]


@pytest.fixture(scope="module")
def valkey() -> Iterator[ClusterTopology]:
    """Under the name by which the acceptance tests know the one server, so that they run here as they are."""
    yield from running(ClusterTopology())


@pytest.fixture(scope="module")
def service(valkey: ClusterTopology, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    yield from running(ServiceProcess(environment(sandbox, valkey.url)))
