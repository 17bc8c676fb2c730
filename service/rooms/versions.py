"""Versions of records: what somebody has seen of one, and whether it still is that (RFC 9110 section 13.1)."""

import hashlib
from collections.abc import Callable
from typing import Any, Protocol

from service.errors import PreconditionFailed
from service.rooms.models import dump

# Whether a record may be changed that is of this version now; ``None``: there is no such record.
Precondition = Callable[[str | None], bool]


class Record(Protocol):
    """What administrators and users are shown as it is."""

    def to_json(self) -> dict[str, Any]: ...


def version(record: Record) -> str:
    """Of what administrators see of it, so that a change of the stored form is none of the record."""
    return hashlib.sha256(dump(record.to_json())).hexdigest()[:32]


def check(precondition: Precondition | None, record: Record | None) -> None:
    """Raises ``PreconditionFailed`` unless ``record`` is as it is asked for, if it is."""
    if precondition is not None and not precondition(None if record is None else version(record)):
        raise PreconditionFailed
