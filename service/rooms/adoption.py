"""A room at Telnyx that stands in for the recorded one, which is gone there: remembered as cache, by its name.

The directory changes by administrators only, so what ``renewal`` finds is not recorded: it is kept beside the record
until the next search, or until an administrator puts the room again.
"""

from uuid import UUID


def adoption(recorded: UUID, found: UUID) -> bytes:
    """How it is remembered that ``found`` stands in for the room that the directory records."""
    return f"{recorded}>{found}".encode()


def adopted_id(recorded: UUID, value: bytes | None) -> UUID:
    """The upstream id to use; an adoption of another recorded room does not count."""
    if value is None:
        return recorded
    before, _, found = value.decode("ascii", "replace").partition(">")
    if before != str(recorded):
        return recorded
    try:
        return UUID(found)
    except ValueError:
        return recorded
