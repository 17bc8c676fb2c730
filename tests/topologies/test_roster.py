"""The acceptance tests of webhooks' effects once more, with a Cluster where one server was.

A command with keys of more than one slot is refused by a real cluster, and each of these would fail.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance import hooked as hooks
from tests.acceptance.test_roster import *  # noqa: F403 - the same tests, on other servers
from tests.acceptance.test_roster import _clear  # noqa: F401 - a fixture that a star leaves out
from tests.processes import running
from tests.topologies.servers import ClusterTopology

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")  # type: ignore[no-redef]  # in place of that of the star
def hooked() -> Iterator[hooks.Hooked]:
    """As there, with servers of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hooks, "Valkey", ClusterTopology)
        yield from running(hooks.Hooked())
