"""One sandbox for all tests of it, as new for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import Sandbox, running
from tests.sandbox.desk import Desk, Receiver, receiving


@pytest.fixture(scope="session")
def stand_in() -> Iterator[Sandbox]:
    yield from running(Sandbox())


@pytest.fixture
def desk(stand_in: Sandbox) -> Iterator[Desk]:
    stand_in.control("POST", "reset")
    made = Desk(stand_in)
    yield made
    made.session.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made
