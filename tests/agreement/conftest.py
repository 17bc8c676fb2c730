"""One sandbox for the agreement of all parties, and clients of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agreement.forms import World, build
from tests.processes import API_KEY, Sandbox, running
from tests.sandbox.desk import Desk
from tests.upstream.rig import Rig


@pytest.fixture(scope="package")
def stand_in() -> Iterator[Sandbox]:
    yield from running(Sandbox())


@pytest.fixture
def desk(stand_in: Sandbox) -> Iterator[Desk]:
    """An account just opened."""
    stand_in.control("POST", "reset")
    made = Desk(stand_in)
    yield made
    made.session.close()


@pytest.fixture
def world(desk: Desk) -> World:
    return build(desk)


@pytest.fixture
def rig(stand_in: Sandbox) -> Iterator[Rig]:
    """Our client."""
    made = Rig(stand_in.api_url, API_KEY)
    yield made
    made.close()
