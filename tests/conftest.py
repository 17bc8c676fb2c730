"""One embedded server, one sandbox and one service for the whole run; tests keep apart by names of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import Sandbox, ServiceProcess, Valkey, environment, running


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    yield from running(Valkey())


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    yield from running(Sandbox())


@pytest.fixture(scope="session")
def service(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    yield from running(ServiceProcess(environment(sandbox, valkey.url)))
