"""One sandbox for the agreement of all parties; each form is asked once by either client, for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.agreement.forms import ALL, World, build
from tests.agreement.wire import Exchange, asked_by_them, asked_by_us
from tests.processes import API_KEY, Sandbox, running
from tests.sandbox.desk import Desk
from tests.telnyx.rig import Rig


@pytest.fixture(scope="package")
def stand_in() -> Iterator[Sandbox]:
    yield from running(Sandbox())


@contextmanager
def opened(sandbox: Sandbox) -> Iterator[Desk]:
    sandbox.control("POST", "reset")
    desk = Desk(sandbox)
    yield desk
    desk.session.close()


@pytest.fixture
def desk(stand_in: Sandbox) -> Iterator[Desk]:
    """An account just opened."""
    with opened(stand_in) as made:
        yield made


@pytest.fixture
def world(desk: Desk) -> World:
    return build(desk)


@pytest.fixture
def rig(stand_in: Sandbox) -> Iterator[Rig]:
    """Our client."""
    made = Rig(stand_in.api_url, API_KEY)
    yield made
    made.close()


@pytest.fixture(scope="module", params=ALL, ids=str)
def ours(stand_in: Sandbox, request: pytest.FixtureRequest) -> Exchange:
    """Each form, asked by our client."""
    with opened(stand_in) as made:
        return asked_by_us(made, request.param)


@pytest.fixture(scope="module", params=ALL, ids=str)
def theirs(stand_in: Sandbox, request: pytest.FixtureRequest) -> Exchange:
    """Each form, asked by the official client."""
    with opened(stand_in) as made:
        return asked_by_them(made, request.param)
