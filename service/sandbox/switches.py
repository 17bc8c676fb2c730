"""What the documentation leaves open, as switches with the safest answer as default (UPSTREAM 10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.sandbox import errors


@dataclass(frozen=True, slots=True)
class Switch:
    """One open question: its row in the fact sheet, the possible answers, and the one assumed (the first)."""

    row: int
    question: str
    values: tuple[Any, ...]


SWITCHES: Final[Mapping[str, Switch]] = {
    "ttl_out_of_range": Switch(1, "A TTL outside of its limits", ("refuse", "clamp", "accept")),
    "generate_unknown_room": Switch(2, "Status of generate for a room that is not there", (404, 403)),
    "refresh_refused": Switch(3, "Status of refresh with a bad refresh token", (403, 401, 404, 422)),
    "refresh_other_room": Switch(4, "Refresh at another room's path", ("refuse", "ignore")),
    "refresh_deleted_room": Switch(7, "Status of refresh after the room was deleted", (404, 403)),
    "ratelimit_reset": Switch(11, "x-ratelimit-reset is seconds from now, or epoch seconds", ("delta", "epoch")),
    "missing_credentials": Switch(12, "Status without an Authorization header", (401, 404)),
    "error_shape": Switch(13, "Shape of error bodies", ("array", "bare", "map", "success", "text")),
    "unique_name_filter": Switch(15, "filter[unique_name] is exact or a substring", ("exact", "substring")),
    "page_out_of_range": Switch(19, "A page size or number outside of its limits", ("refuse", "clamp")),
    "absent_sessions": Switch(20, "include_sessions=false: no key, or an empty list", ("absent", "empty")),
}


class Switches:
    """The answers in force."""

    def __init__(self) -> None:
        self._chosen: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._chosen.get(name, SWITCHES[name].values[0])

    def choose(self, changes: Mapping[str, Any]) -> None:
        """Raises ``ApiError`` for a switch or a value there is not."""
        for name, value in changes.items():
            if name not in SWITCHES or value not in SWITCHES[name].values:
                raise errors.invalid(name, "is not a switch with that value; GET /sandbox/switches lists them")
        self._chosen.update(changes)

    def reset(self) -> None:
        self._chosen.clear()

    def to_json(self) -> dict[str, Any]:
        return {
            name: {"row": switch.row, "question": switch.question, "values": list(switch.values), "value": self[name]}
            for name, switch in SWITCHES.items()
        }
