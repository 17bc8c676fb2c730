"""Clients of raw peers and of a sandbox of this folder's own, so that its faults meet nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.processes import Sandbox, running
from tests.telnyx.rig import KEY, Rig

MakeRig = Callable[..., Rig]


@pytest.fixture
def rig() -> Iterator[MakeRig]:
    """Makes clients and closes them."""
    made: list[Rig] = []

    def make(url: str, *keys: str, cooldowns: Any = None, concurrency: int = 32) -> Rig:
        made.append(Rig(url, *keys, cooldowns=cooldowns, concurrency=concurrency))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="package")
def sandbox_process() -> Iterator[Sandbox]:
    yield from running(Sandbox())


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Iterator[Sandbox]:
    """Its world, faults, switches and record are new for each test."""
    sandbox_process.control("POST", "reset")
    yield sandbox_process
    sandbox_process.control("POST", "reset")


@pytest.fixture
def upstream(sandbox: Sandbox, rig: MakeRig) -> Rig:
    """A client of the sandbox."""
    return rig(sandbox.api_url, KEY)
