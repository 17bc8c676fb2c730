"""The rules of compositions: what may be composed, and how it goes on from enqueued to completed (UPSTREAM 3.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from service.sandbox import errors, values
from service.sandbox.account import Account, Record, new_id
from service.sandbox.clock import epoch
from service.sandbox.recordings import Links, span

STATUSES: Final = ("completed", "processing", "enqueued")
_RESOLUTION: Final = re.compile(r"([0-9]{1,4})x([0-9]{1,4})")
_SIDE, _AREA, _MOST_REGIONS = (16, 1280), 1280 * 720, 2
_REGION_LIMITS: Final[Mapping[str, tuple[int | None, int | None]]] = {
    "x_pos": (None, None),
    "y_pos": (None, None),
    "z_pos": (-99, 99),
    "width": (16, None),
    "height": (16, None),
    "max_columns": (1, 1000),
    "max_rows": (1, 1000),
}
_MB_PER_SEC: Final = 0.1


def blank_composition() -> Record:
    """A composition with nothing set."""
    return {
        "completed_at": None,
        "created_at": None,
        "download_url": None,
        "duration_secs": None,
        "ended_at": None,
        "format": "mp4",
        "id": new_id(),
        "record_type": "room_composition",
        "resolution": "1280x720",
        "room_id": None,
        "session_id": None,
        "size_mb": None,
        "started_at": None,
        "status": "enqueued",
        "updated_at": None,
        "user_id": None,
        "video_layout": {},
        "webhook_event_failover_url": "",
        "webhook_event_url": None,
        "webhook_timeout_secs": None,
    }


class Compositions:
    """Compositions of one account."""

    def __init__(self, account: Account, links: Links, user_id: str) -> None:
        self._account = account
        self._links = links
        self._user_id = user_id

    def create(self, body: Mapping[str, Any]) -> Record:
        """Needs a completed video recording of the session (UPSTREAM 6)."""
        with self._account.lock:
            if body.get("session_id") is None:
                raise errors.missing("session_id")
            session = self._account.sessions.get(values.ident(body["session_id"], "session_id"))
            if session is None:
                raise errors.invalid("session_id", "does not exist")
            videos = self._videos(session["id"])
            if not videos:
                raise errors.invalid("session_id", "has no completed video recording")
            now = self._account.stamp()
            started, ended = span(videos.values())
            composition = {
                **blank_composition(),
                "created_at": now,
                "duration_secs": int(epoch(ended) - epoch(started)),
                "ended_at": ended,
                "format": _format(body.get("format")),
                "resolution": _resolution(body.get("resolution")),
                "room_id": session["room_id"],
                "session_id": session["id"],
                "started_at": started,
                "updated_at": now,
                "user_id": self._user_id,
                "video_layout": _layout(body.get("video_layout"), set(videos)),
                **values.webhook_fields(body),
                **_audio(body),
            }
            self._account.compositions[composition["id"]] = composition
            return composition

    def tick(self) -> None:
        """Half of the time it waits, half of the time it is worked on."""
        switches = self._account.switches
        with self._account.lock:
            now, secs = self._account.clock.now(), switches["composition_secs"]
            for composition in self._account.all("compositions"):
                age = now - epoch(composition["created_at"])
                if composition["status"] == "enqueued" and age >= secs / 2:
                    composition.update(status="processing", updated_at=self._account.stamp())
                done = age >= secs and switches["composition_outcome"] == "completes"
                if composition["status"] == "processing" and done:
                    self._complete(composition)

    def delete(self, ident: str) -> None:
        with self._account.lock:
            del self._account.compositions[self._account.find("compositions", ident)["id"]]

    def shown(self, composition: Record) -> Record:
        """With a fresh link, if there is something to load."""
        copy = dict(composition)
        if copy["status"] == "completed" and copy["download_url"] is None:
            copy["download_url"] = self._links.made(copy["id"])
        return self._account.shown(copy)

    def _videos(self, session_id: str) -> dict[str, Record]:
        return {
            recording["id"]: recording
            for recording in self._account.all("recordings")
            if (recording["session_id"], recording["type"], recording["status"]) == (session_id, "video", "completed")
        }

    def _complete(self, composition: Record) -> None:
        now = self._account.stamp()
        size = round(max(0.1, (composition["duration_secs"] or 0) * _MB_PER_SEC), 2)
        composition.update(status="completed", completed_at=now, updated_at=now, size_mb=size)
        names = ("duration_secs", "format", "resolution", "room_id", "session_id", "size_mb")
        payload = {
            "composition_id": composition["id"],
            "download_url": self._links.made(composition["id"]),
            **{name: composition[name] for name in names},
        }
        self._account.publish("video.room.composition.completed", payload, composition)


def _format(value: Any) -> str:
    if value not in {None, "mp4"}:
        raise errors.not_one_of("format", ["mp4"])
    return "mp4"


def _resolution(value: Any) -> str:
    if value is None:
        return "1280x720"
    found = _RESOLUTION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise errors.invalid("resolution", "must be WIDTHxHEIGHT")
    width, height = int(found[1]), int(found[2])
    if not all(_SIDE[0] <= side <= _SIDE[1] for side in (width, height)) or width * height > _AREA:
        raise errors.out_of_range("resolution", *_SIDE)
    return str(value)


def _layout(value: Any, videos: set[str]) -> Record:
    """Without one, everybody in one region over the whole picture."""
    if value is None:
        return {"first": {"video_sources": ["*"], "x_pos": 0, "y_pos": 0, "z_pos": 0}}
    if not isinstance(value, dict):
        raise errors.invalid("video_layout", "must be an object")
    if len(value) > _MOST_REGIONS:
        raise errors.out_of_range("video_layout", 0, _MOST_REGIONS)
    return {name: _region(region, f"video_layout/{name}", videos) for name, region in value.items()}


def _region(value: Any, field: str, videos: set[str]) -> Record:
    if not isinstance(value, dict):
        raise errors.invalid(field, "must be an object")
    region: Record = {"x_pos": 0, "y_pos": 0, "z_pos": 0}
    for name, (least, most) in _REGION_LIMITS.items():
        if value.get(name) is not None:
            region[name] = values.integer(value[name], f"{field}/{name}", least, most)
    sources = value.get("video_sources")
    if sources is not None:
        region["video_sources"] = sources if sources == ["*"] else values.idents(sources, f"{field}/video_sources")
        if sources != ["*"] and not set(region["video_sources"]) <= videos:
            raise errors.invalid(f"{field}/video_sources", "names no completed video recording of the session")
    return region


def _audio(body: Mapping[str, Any]) -> Record:
    """Undocumented, and without it there is no sound: all of it or none (UPSTREAM 3.3)."""
    if "audio_sources" not in body:
        return {}
    if body["audio_sources"] not in (None, "*", ["*"]):
        raise errors.not_one_of("audio_sources", ["*"])
    return {"audio_sources": body["audio_sources"]}
