"""What the documentation leaves open, as switches with the safest answer as default (docs/telnyx.md 10).

Where the sandbox refuses something that the published document allows, a switch here allows it too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.sandbox import errors


@dataclass(frozen=True, slots=True)
class Switch:
    """One open question: its row in the fact sheet, the possible answers, and the default (the first answer).

    With ``number``, any number from 0 upwards is an answer and ``values`` are examples. Row 0 is a question that the
    table of the fact sheet does not have.
    """

    row: int
    question: str
    values: tuple[Any, ...]
    number: bool = False

    def accepts(self, value: Any) -> bool:
        if self.number:
            return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        return value in self.values


SWITCHES: Final[Mapping[str, Switch]] = {
    "ttl_out_of_range": Switch(1, "A TTL outside of its limits", ("refuse", "clamp", "accept")),
    "generate_unknown_room": Switch(2, "Status of generate for a room that is not there", (404, 403)),
    "refresh_refused": Switch(3, "Status of refresh with a bad refresh token", (403, 401, 404, 422)),
    "refresh_unknown": Switch(3, "A refresh token that is not valid", ("refuse", "accept")),
    "refresh_other_room": Switch(4, "Refresh at a path with another id than the room's", ("refuse", "ignore")),
    "longer_than_refresh": Switch(5, "A client token that would outlive its refresh token", ("allow", "cap")),
    "old_after_refresh": Switch(6, "The previous client token after a refresh", ("valid", "revoked")),
    "refresh_deleted_room": Switch(7, "Status of refresh after the room was deleted", (404, 403)),
    "joins": Switch(8, "How often a client token is good for joining", ("many", "one")),
    "participant_id_taken": Switch(8, "Joining with the id of somebody who is in", ("replace", "refuse")),
    "participant_id": Switch(9, "Who chooses the id of a participant", ("client", "server")),
    "ratelimit_headers": Switch(10, "Rate limit headers, and retry-after on 429", ("all", "no_retry_after", "none")),
    "ratelimit_reset": Switch(11, "x-ratelimit-reset is seconds from now, or epoch seconds", ("delta", "epoch")),
    "missing_credentials": Switch(12, "Status without an Authorization header", (401, 404)),
    "error_shape": Switch(13, "Shape of error bodies", ("array", "document", "bare", "map", "success", "text")),
    "duplicate_name": Switch(14, "A name that is taken: a 422 of which shape, or allowed", ("array", "map", "allow")),
    "unique_name_filter": Switch(15, "filter[unique_name] is exact or a substring", ("exact", "substring")),
    "name_after_delete": Switch(16, "The name of a deleted room", ("free", "taken")),
    "name_null": Switch(16, "A room without a name", ("allow", "refuse")),
    "patch_absent": Switch(17, "Members that a PATCH leaves out", ("keep", "reset")),
    "list_order": Switch(18, "Order of lists", ("newest", "oldest")),
    "filter_utc_offset": Switch(18, "Time zone of date filters, hours east of UTC", (0, -6, 9)),
    "page_out_of_range": Switch(19, "A page size or number outside of its limits", ("refuse", "clamp")),
    "page_past_end": Switch(19, "A page after the last one", ("empty", "refuse")),
    "not_included": Switch(20, "include_* not set: no key, or an empty list", ("absent", "empty")),
    "nested_participants": Switch(20, "participants of a session inside of a room", ("listed", "empty", "absent")),
    "bulk_delete_unfiltered": Switch(21, "Bulk delete without any filter", ("refuse", "delete")),
    "bulk_delete_page": Switch(21, "page[...] of a bulk delete", ("ignore", "obey")),
    "action_nobody": Switch(22, "Kick, mute, unmute without participants", ("refuse", "all", "nobody")),
    "action_unknown_ids": Switch(22, "Kick, mute, unmute of ids that are not in", ("ignore", "refuse")),
    "action_on_ended": Switch(23, "Status of acting on a session that is over", (422, 404)),
    "session_actions_key": Switch(24, "Whether end, kick, mute, unmute need the key", ("required", "optional")),
    "rejoin": Switch(25, "Joining again with the same token after a kick or an end", ("allow", "refuse")),
    "full_room": Switch(26, "Joining a room that is full", ("refuse", "admit")),
    "idempotency_key": Switch(27, "An Idempotency-Key on creating a room", ("ignore", "obey")),
    "webhook_attempts": Switch(28, "Attempts for each webhook URL", (3, 1, 5), number=True),
    "webhook_timeout_secs": Switch(28, "Webhook timeout where none is set", (2, 0.5, 10), number=True),
    "webhook_backoff_secs": Switch(28, "Wait before the first retry, doubled each time", (1, 0, 5), number=True),
    "webhook_retry_4xx": Switch(28, "A webhook answered 4xx, but not 408 or 429", ("retry", "fail_over")),
    "composition_outcome": Switch(29, "How a composition goes on", ("completes", "hangs")),
    "request_id": Switch(30, "An x-request-id on each answer", ("sent", "absent")),
    "recording_retention_secs": Switch(31, "Life of a completed recording, 0 is forever", (0, 3600), number=True),
    "recording_secs": Switch(0, "From the end of a recording to its completion", (2, 0, 30), number=True),
    "composition_secs": Switch(0, "From a composition's request to its completion", (4, 0, 60), number=True),
    "composition_session": Switch(0, "Whether a composition needs a session that exists", ("required", "optional")),
    "composition_recordings": Switch(0, "Whether it needs completed videos of the session", ("required", "optional")),
    "download_url_secs": Switch(0, "Life of a download_url", (3600, 10), number=True),
    "unset_members": Switch(0, "Times and figures that are not known yet", ("absent", "null")),
    "unknown_filter": Switch(0, "A filter that the list does not have", ("refuse", "ignore")),
}


class Switches:
    """The current answers."""

    def __init__(self) -> None:
        self._chosen: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._chosen.get(name, SWITCHES[name].values[0])

    def choose(self, changes: Mapping[str, Any]) -> None:
        """Raises ``ApiError`` for a switch or a value that does not exist."""
        for name, value in changes.items():
            if name not in SWITCHES or not SWITCHES[name].accepts(value):
                raise errors.invalid(name, "is not a switch with that value; GET /sandbox/switches lists them")
        self._chosen.update(changes)

    def reset(self) -> None:
        self._chosen.clear()

    def to_json(self) -> dict[str, Any]:
        """The questions that the documentation leaves open, and the current answers."""
        return {
            name: {
                "row": switch.row,
                "question": switch.question,
                "values": list(switch.values),
                "number": switch.number,
                "value": self[name],
            }
            for name, switch in SWITCHES.items()
        }
