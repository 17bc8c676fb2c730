"""A provider and issuers that trust it; the fetching made quick for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.identity import key_sources
from tests.identity.idp import IdentityProvider, Trust, provider


@pytest.fixture
def idp() -> Iterator[IdentityProvider]:
    with provider() as running:
        yield running


@pytest.fixture
def trusting(idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Trust]]:
    """Makes issuers whose keys come from the provider, and ends them all."""
    # A caller who waits for a fetch sees its end, however busy the machine is.
    monkeypatch.setattr(key_sources, "WAIT_SECS", 20.0)
    made: list[Trust] = []

    def make(**members: Any) -> Trust:
        made.append(Trust(idp, **members))
        return made[-1]

    yield make
    idp.released.set()
    for trust in made:
        trust.stop()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch may take 0.3 s instead of 3 s, and the next one follows at once after a failure."""
    monkeypatch.setattr(key_sources, "FETCH_SECS", 0.3)
    monkeypatch.setattr(key_sources, "BACKOFF_SECS", (0.02, 0.05))


@pytest.fixture
def _on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first fetch only bearers cause another."""
    monkeypatch.setattr(key_sources, "BACKOFF_SECS", (10_000.0, 10_000.0))
