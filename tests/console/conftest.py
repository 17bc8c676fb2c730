"""One browser and one stage for all tests of the pages; a window for each person in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.console import browser
from tests.console.stage import Stage, Visitor
from tests.processes import Valkey, fresh, running

Visiting = Callable[..., Visitor]
# Where something does not come, it never does; where it does, a busy machine may take its time.
expect.set_options(timeout=30_000)


# Its driver keeps an event loop in this thread, which other packages' tests have loops of their own in.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Skipped, and only then, where there is no Chromium and none can be installed."""
    try:
        browser.executable()
    except browser.NoBrowser as why:
        pytest.skip(str(why))
    with browser.started() as started:
        yield started


@pytest.fixture(scope="session")
def stage(valkey: Valkey) -> Iterator[Stage]:
    yield from running(Stage(valkey.url))


@pytest.fixture
def visiting(chromium: Browser, stage: Stage) -> Iterator[Visiting]:
    """Makes windows. None of them may have complained, or asked another host, by the end of any test."""
    made: list[Visitor] = []

    def visit(**options: Any) -> Visitor:
        made.append(Visitor(chromium, stage, **options))
        return made[-1]

    yield visit
    complaints = [complaint for visitor in made for complaint in visitor.complaints]
    hosts = {host for visitor in made for host in visitor.hosts()}
    for visitor in made:
        visitor.close()
    if any(visitor.expected for visitor in made):
        stage.settle()
    else:
        stage.sandbox.clear_faults()
    assert complaints == []
    assert hosts <= {stage.origin, stage.sandbox.base}


@pytest.fixture
def alias(stage: Stage) -> str:
    """A room with tokens of ten seconds, which everybody may enter and alice moderates."""
    return stage.room(fresh("room"), token_ttl_secs=10)


@pytest.fixture
def meeting(stage: Stage) -> str:
    """A room with tokens of ten minutes."""
    return stage.room(fresh("room"))
