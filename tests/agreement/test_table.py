"""All four parties side by side: our client, the sandbox, the published document, and the official client."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.agreement.conftest import opened
from tests.agreement.table import PARTIES, PROPERTY, Table, drawn, missing, row
from tests.processes import Sandbox
from tests.sandbox.agreement import OPERATIONS
from tests.sandbox.desk import Desk


@pytest.fixture(scope="module")
def table(stand_in: Sandbox) -> Table:
    rows: Table = {}
    for operation in OPERATIONS:
        with opened(stand_in) as desk:
            rows[operation] = row(desk, operation)
    return rows


def fault(name: str, **params: object) -> Callable[[Desk], None]:
    return lambda desk: desk.sandbox.fault("*", name, **params)


@pytest.mark.parametrize(
    ("operation", "spoil", "left"),
    [
        ("list_rooms", fault("status", status=500), set()),
        ("refresh_client_token", fault("garbage", kind="token_not_string"), set()),
        ("create_room_composition", lambda desk: desk.switch(unset_members="null"), set(PARTIES) - {"document"}),
    ],
)
def test_a_disagreement_leaves_a_cell_empty(
    desk: Desk, operation: str, spoil: Callable[[Desk], None], left: set[str]
) -> None:
    """An answer that a party cannot take is no agreement, and neither is one that the document does not have."""
    spoil(desk)

    assert set(row(desk, operation)) == left


def test_no_cell_is_missing(table: Table, record_property: Callable[[str, object], None]) -> None:
    """25 operations, four parties."""
    record_property(PROPERTY, drawn(table))

    assert len(table) == 25
    assert missing(table) == []
