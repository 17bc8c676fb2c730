"""The table of agreement: 25 operations by four parties, each cell filled from what that party was seen to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.agreement.asked import complaints_of_request
from tests.agreement.forms import fullest
from tests.agreement.wire import Exchange, as_meant, as_sent, asked_by_them, asked_by_us
from tests.sandbox.agreement import OPERATIONS, complaints
from tests.sandbox.desk import Desk

PARTIES = ("client", "sandbox", "document", "official client")
# By this name a test hands the table to the process that prints it (tests/conftest.py).
PROPERTY = "agreement"
Row = dict[str, str]
Table = dict[str, Row]


def row(desk: Desk, operation: str) -> Row:
    """What the four make of the fullest form of an operation; a party that disagrees has no cell."""
    ours = _try(desk, asked_by_us, operation)
    theirs = _try(desk, asked_by_them, operation)
    exchanges = [one for one in (ours, theirs) if one is not None]
    cells = {}
    if ours is not None and as_sent(ours.seen) == as_meant(ours.form, ours.call):
        cells["client"] = f"{ours.seen['method']} with {_names(ours.call.query, ours.call.body)} names"
    if len(exchanges) == 2 and {one.seen["operation"] for one in exchanges} == {operation}:
        cells["sandbox"] = " and ".join(sorted({str(one.status) for one in exchanges}))
    if len(exchanges) == 2 and not any(_wrong(one) for one in exchanges):
        cells["document"] = f"{sum(_names(one.body) for one in exchanges)} names answered"
    if theirs is not None and as_sent(theirs.seen) == as_meant(theirs.form, theirs.call):
        cells["official client"] = "nothing" if theirs.result is None else type(theirs.result).__name__
    return cells


def _try(desk: Desk, ask: Callable[..., Exchange], operation: str) -> Exchange | None:
    """An exchange, unless the client would not have the answer, or the request did not arrive."""
    for room in desk.control("GET", "objects/rooms")["data"]:
        # Its name is needed anew.
        desk.control("DELETE", f"objects/rooms/{room['id']}")
    try:
        return ask(desk, fullest(operation))
    except Exception:  # noqa: BLE001  whatever it is, there is no agreement
        return None


def _wrong(one: Exchange) -> list[str]:
    operation = one.form.operation
    return [*complaints_of_request(operation, one.seen), *complaints(operation, one.status, one.body)]


def _names(*values: Any) -> int:
    """How many members there are, at any depth."""
    count = 0
    for value in values:
        if isinstance(value, dict):
            count += len(value) + _names(*value.values())
        elif isinstance(value, list):
            count += _names(*value)
    return count


def missing(table: Table) -> list[str]:
    """The cells that no party has filled."""
    return [f"{operation}, {party}" for operation in OPERATIONS for party in PARTIES if not table[operation].get(party)]


def drawn(table: Table) -> list[str]:
    """The table for people."""
    rows = [["operation", *PARTIES]] + [
        [operation, *(cells.get(party, "MISSING") for party in PARTIES)] for operation, cells in table.items()
    ]
    widths = [max(len(line[column]) for line in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in rows]
