"""The rules of recordings: two for each participant of a room that records, audio and video (docs/telnyx.md 6)."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from service.sandbox.account import Account
from service.sandbox.clock import epoch
from service.sandbox.downloads import Downloads
from service.sandbox.resources import Resource

_CODECS: Final[Mapping[str, str]] = {"audio": "opus", "video": "vp8"}
_MB_PER_SECOND: Final[Mapping[str, float]] = {"audio": 0.01, "video": 0.1}


class Recordings:
    """Recordings of one account."""

    def __init__(self, account: Account, downloads: Downloads) -> None:
        self._account = account
        self._downloads = downloads

    def start(self, participant: Resource, room_id: str) -> None:
        for medium, codec in _CODECS.items():
            recording = self._account.add(
                "recordings",
                codec=codec,
                participant_id=participant["id"],
                room_id=room_id,
                session_id=participant["session_id"],
                type=medium,
            )
            self._publish("started", recording, {})

    def stop(self, participant: Resource) -> None:
        """The participant has left; its recordings complete some time after that."""
        now = self._account.stamp()
        for recording in self._account.where("recordings", participant_id=participant["id"], ended_at=None):
            recording.update(ended_at=now, updated_at=now)
            self._account.since[recording["id"]] = self._account.clock.now()

    def tick(self) -> None:
        """Complete the recordings that are due, and delete those that were kept long enough."""
        processing_secs = self._account.switches["recording_secs"]
        retention_secs = self._account.switches["recording_retention_secs"]
        with self._account.lock:
            for recording in self._account.where("recordings"):
                age = self._account.age(recording)
                if recording["completed_at"] is None:
                    if recording["ended_at"] is not None and age >= processing_secs:
                        self._complete(recording)
                elif retention_secs and age >= retention_secs:
                    del self._account.recordings[recording["id"]]

    def delete(self, idents: Iterable[str]) -> int:
        """How many of them there were."""
        with self._account.lock:
            return sum(self._account.recordings.pop(ident, None) is not None for ident in list(idents))

    def _complete(self, recording: Resource) -> None:
        now = self._account.stamp()
        duration = max(0.0, epoch(recording["ended_at"]) - epoch(recording["started_at"]))
        recording.update(
            completed_at=now,
            updated_at=now,
            status="completed",
            duration_secs=int(duration),
            size_mb=round(max(0.01, duration * _MB_PER_SECOND.get(recording["type"], 0.1)), 2),
        )
        self._account.since[recording["id"]] = self._account.clock.now()
        facts = {name: recording[name] for name in ("size_mb", "codec", "duration_secs")}
        self._publish("completed", recording, {**facts, "download_url": self._downloads.url(recording["id"])})

    def _publish(self, what: str, recording: Resource, more: Mapping[str, Any]) -> None:
        payload = {name: recording[name] for name in ("session_id", "participant_id", "type")}
        payload["recording_id"] = recording["id"]
        self._account.room_event(f"video.room.recording.{what}", recording["room_id"], {**payload, **more})
