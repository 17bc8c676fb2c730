from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.observability.promql import Exported
from tests.observability.stage import Watched
from tests.processes import running


@pytest.fixture(scope="session")
def watched() -> Iterator[Watched]:
    """A service of its own, whose store may be stopped."""
    yield from running(Watched())


@pytest.fixture(scope="session")
def exported(watched: Watched) -> Exported:
    """What it exports after a bad day."""
    watched.trouble()
    return Exported.of(watched.metrics())
