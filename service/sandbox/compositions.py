"""The rules of compositions: what can be composed, and the way from enqueued to completed (docs/telnyx.md 3.3)."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from service.sandbox import errors, fields
from service.sandbox.account import Account
from service.sandbox.clock import epoch, micros
from service.sandbox.downloads import Downloads
from service.sandbox.resources import Resource

STATUSES: Final = ("completed", "processing", "enqueued")
_RESOLUTION: Final = re.compile(r"([0-9]{1,4})x([0-9]{1,4})")
_MIN_SIDE, _MAX_SIDE, _MAX_AREA = 16, 1280, 1280 * 720
_MAX_REGIONS: Final = 2
_EVERYTHING: Final = ["*"]
_REGION_LIMITS: Final[Mapping[str, tuple[int | None, int | None]]] = {
    "x_pos": (None, None),
    "y_pos": (None, None),
    "z_pos": (-99, 99),
    "width": (16, None),
    "height": (16, None),
    "max_columns": (1, 1000),
    "max_rows": (1, 1000),
}
_MB_PER_SECOND: Final = 0.1


def _format(value: Any, field: str) -> str:
    return str(fields.one_of("mp4" if value is None else value, field, ["mp4"]))


def _resolution(value: Any, field: str) -> str:
    if value is None:
        return "1280x720"
    found = _RESOLUTION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise errors.invalid(field, "must be WIDTHxHEIGHT")
    width, height = int(found[1]), int(found[2])
    if not all(_MIN_SIDE <= side <= _MAX_SIDE for side in (width, height)):
        raise errors.out_of_range(field, _MIN_SIDE, _MAX_SIDE)
    if width * height > _MAX_AREA:
        raise errors.invalid(field, f"width times height must be at most {_MAX_AREA}")
    return str(value)


def _audio_sources(value: Any, field: str) -> Any:
    """Not documented, and without it there is no sound: all of it or none (docs/telnyx.md 3.3)."""
    return fields.one_of(value, field, [_EVERYTHING, "*", None])


def _layout(value: Any, field: str) -> Resource:
    """Regions by name. Without a layout, everybody is in one region over the whole picture."""
    if value is None:
        return {"first": {"video_sources": _EVERYTHING, "x_pos": 0, "y_pos": 0, "z_pos": 0}}
    if len(fields.mapping(value, field)) > _MAX_REGIONS:
        raise errors.out_of_range(field, 0, _MAX_REGIONS)
    return {name: _region(region, f"{field}/{name}") for name, region in value.items()}


def _region(value: Any, field: str) -> Resource:
    given = {name: member for name, member in fields.mapping(value, field).items() if member is not None}
    region: Resource = {"x_pos": 0, "y_pos": 0, "z_pos": 0}
    for name, limits in _REGION_LIMITS.items():
        if name in given:
            region[name] = fields.integer(given[name], f"{field}/{name}", *limits)
    sources = given.get("video_sources")
    if sources is not None:
        region["video_sources"] = (
            sources if sources == _EVERYTHING else fields.idents(sources, f"{field}/video_sources")
        )
    return region


# What a request can say, beside the session.
_MEMBERS: Final[Mapping[str, fields.Reader]] = {
    "audio_sources": _audio_sources,
    "format": _format,
    "resolution": _resolution,
    "video_layout": _layout,
    **fields.WEBHOOK_MEMBERS,
}


class Compositions:
    """Compositions of one account, made by its user."""

    def __init__(self, account: Account, downloads: Downloads, user_id: str) -> None:
        self._account = account
        self._switches = account.switches
        self._downloads = downloads
        self._user_id = user_id

    def create(self, body: Mapping[str, Any]) -> Resource:
        """By default it needs a session that exists and has a completed video recording (docs/telnyx.md 6)."""
        with self._account.lock:
            session = self._session(body.get("session_id"))
            videos = self._videos(session)
            members = {"video_layout": _layout(None, ""), **fields.read_members(body, _MEMBERS)}
            if self._switches["composition_recordings"] == "required":
                _check_recordings(members["video_layout"], session, [video["id"] for video in videos])
            return self._account.add(
                "compositions",
                **members,
                **self._span(videos if session else []),
                room_id=session and session["room_id"],
                session_id=session and session["id"],
                user_id=self._user_id,
            )

    def tick(self) -> None:
        """Half of the time a composition is enqueued, and half of the time it is processed."""
        step_secs = self._switches["composition_secs"] / 2
        with self._account.lock:
            for composition in self._account.where("compositions", status="enqueued"):
                if self._account.age(composition) >= step_secs:
                    composition.update(status="processing", updated_at=self._account.stamp())
                    self._account.since[composition["id"]] += step_secs
            if self._switches["composition_outcome"] == "hangs":
                return
            for composition in self._account.where("compositions", status="processing"):
                if self._account.age(composition) >= step_secs:
                    self._complete(composition)

    def delete(self, ident: object) -> None:
        with self._account.lock:
            del self._account.compositions[self._account.find("compositions", ident)["id"]]

    def _session(self, ident: Any) -> Resource | None:
        """The session to compose; ``None`` if there is none and none is needed."""
        session = None if ident is None else self._account.sessions.get(fields.ident(ident, "session_id"))
        if session is None and self._switches["composition_session"] == "required":
            raise errors.missing("session_id") if ident is None else errors.invalid("session_id", "does not exist")
        return session

    def _videos(self, session: Resource | None) -> list[Resource]:
        """The recordings that may be composed: the session's, or without a session all."""
        of_session = {"session_id": session["id"]} if session else {}
        return self._account.where("recordings", type="video", status="completed", **of_session)

    def _span(self, videos: Collection[Resource]) -> Resource:
        """From the first start to the last end of the recordings; no time at all if there are none."""
        now = self._account.clock.now()
        started = min((epoch(video["started_at"]) for video in videos), default=now)
        ended = max((epoch(video["ended_at"]) for video in videos), default=now)
        return {"started_at": micros(started), "ended_at": micros(ended), "duration_secs": int(ended - started)}

    def _complete(self, composition: Resource) -> None:
        now = self._account.stamp()
        size = round(max(0.1, (composition["duration_secs"] or 0) * _MB_PER_SECOND), 2)
        composition.update(status="completed", completed_at=now, updated_at=now, size_mb=size)
        names = ("duration_secs", "format", "resolution", "room_id", "session_id", "size_mb")
        payload = {
            "composition_id": composition["id"],
            "download_url": self._downloads.url(composition["id"]),
            **{name: composition[name] for name in names},
        }
        self._account.publish("video.room.composition.completed", payload, composition)


def _check_recordings(layout: Resource, session: Resource | None, known: Collection[str]) -> None:
    if session is not None and not known:
        raise errors.invalid("session_id", "has no completed video recording")
    for name, region in layout.items():
        sources = region.get("video_sources", _EVERYTHING)
        if sources != _EVERYTHING and not set(sources) <= set(known):
            detail = "names a recording that is no completed video of the session"
            raise errors.invalid(f"video_layout/{name}/video_sources", detail)
