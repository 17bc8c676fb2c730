"""The five kinds of objects that the API shows, with every member that each can have (docs/telnyx.md 3).

The tables of an account keep all members, ``None`` where nothing is set. ``shown`` decides which of them an answer has.
"""

import uuid
from collections.abc import Mapping
from typing import Any, Final

Resource = dict[str, Any]

_WEBHOOKS: Final[Mapping[str, Any]] = {
    # A URL that is not set is an empty text, as captured.
    "webhook_event_failover_url": "",
    "webhook_event_url": "",
    "webhook_timeout_secs": None,
}
# The members of each kind that have a value from the beginning.
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "rooms": {"record_type": "room", "enable_recording": False, "max_participants": 10, **_WEBHOOKS},
    "sessions": {"record_type": "room_session", "active": True},
    "participants": {"record_type": "room_participant"},
    "recordings": {"record_type": "room_recording", "status": "processing", "type": "video"},
    "compositions": {
        "record_type": "room_composition",
        "status": "enqueued",
        "format": "mp4",
        "resolution": "1280x720",
        **_WEBHOOKS,
    },
}
_MEDIA: Final = ("completed_at", "created_at", "download_url", "duration_secs", "ended_at", "room_id", "session_id",
                 "size_mb", "started_at", "updated_at")  # fmt: skip
# And those that are not set.
_UNSET: Final[Mapping[str, tuple[str, ...]]] = {
    "rooms": ("active_session_id", "created_at", "unique_name", "updated_at"),
    "sessions": ("created_at", "ended_at", "room_id", "updated_at"),
    "participants": ("context", "joined_at", "left_at", "session_id", "updated_at"),
    "recordings": (*_MEDIA, "codec", "participant_id"),
    "compositions": (*_MEDIA, "user_id"),
}
KINDS: Final = ("rooms", "sessions", "participants", "recordings", "compositions")
# Times that are set when an object is made.
_BIRTH_TIMES: Final = ("created_at", "joined_at", "started_at", "updated_at")
# Members that an answer has even where they are null, as captured or as in the document's examples.
_SHOWN_NULL: Final[Mapping[str, tuple[str, ...]]] = {
    "room": ("active_session_id", "unique_name", "webhook_timeout_secs"),
    "room_composition": ("download_url", "webhook_timeout_secs"),
}


def new_id() -> str:
    return str(uuid.uuid4())


def blank(kind: str) -> Resource:
    """An object of one of ``KINDS`` with a new id and nothing else set, its members in alphabetical order."""
    members = {**dict.fromkeys(_UNSET[kind]), **_DEFAULTS[kind], "id": new_id()}
    if kind == "rooms":
        members["video_codecs"] = ["h264", "vp8"]
    elif kind == "compositions":
        members["video_layout"] = {}
    return dict(sorted(members.items()))


def begin(resource: Resource, now: str) -> None:
    """Set the times that an object has from its beginning, unless it has them."""
    for name in _BIRTH_TIMES:
        if name in resource and resource[name] is None:
            resource[name] = now


def shown(resource: Resource, unset_members: str) -> Resource:
    """A copy as answers have it: members that are not set are left out (``absent``) or null (``null``)."""
    if unset_members == "null":
        return dict(resource)
    kept = _SHOWN_NULL.get(resource["record_type"], ())
    return {name: value for name, value in dict(resource).items() if value is not None or name in kept}
