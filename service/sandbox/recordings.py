"""The rules of recordings: two for each participant of a room that records, audio and video (UPSTREAM 6)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Final

from service.sandbox.account import Account, Record, new_id
from service.sandbox.clock import epoch, micros

_CODECS: Final[Mapping[str, str]] = {"audio": "opus", "video": "vp8"}
_MB_PER_SEC: Final[Mapping[str, float]] = {"audio": 0.01, "video": 0.1}


def blank_recording() -> Record:
    """A recording with nothing set."""
    return {
        "codec": None,
        "completed_at": None,
        "created_at": None,
        "download_url": None,
        "duration_secs": None,
        "ended_at": None,
        "id": new_id(),
        "participant_id": None,
        "record_type": "room_recording",
        "room_id": None,
        "session_id": None,
        "size_mb": None,
        "started_at": None,
        "status": "processing",
        "type": "video",
        "updated_at": None,
    }


class Links:
    """Download URLs that are signed and end, as the real ones. ``address``: where the sandbox listens."""

    def __init__(self, account: Account) -> None:
        self.address = ""
        self._account = account
        self._key = secrets.token_bytes(16)

    def made(self, ident: str) -> str:
        expires = int(self._account.clock.now() + self._account.switches["download_url_secs"])
        return f"{self.address}/sandbox/media/{ident}?expires={expires}&signature={self._signature(ident, expires)}"

    def good(self, ident: str, expires: str, signature: str) -> bool:
        if not (expires.isascii() and expires.isdigit()) or int(expires) <= self._account.clock.now():
            return False
        return hmac.compare_digest(self._signature(ident, int(expires)).encode(), signature.encode())

    def _signature(self, ident: str, expires: int) -> str:
        return hmac.new(self._key, f"{ident}|{expires}".encode(), hashlib.sha256).hexdigest()


class Recordings:
    """Recordings of one account."""

    def __init__(self, account: Account, links: Links) -> None:
        self._account = account
        self._links = links

    def start(self, participant: Record, room_id: str) -> None:
        now = self._account.stamp()
        for medium, codec in _CODECS.items():
            recording = {
                **blank_recording(),
                "codec": codec,
                "created_at": now,
                "participant_id": participant["id"],
                "room_id": room_id,
                "session_id": participant["session_id"],
                "started_at": now,
                "type": medium,
                "updated_at": now,
            }
            self._account.recordings[recording["id"]] = recording
            self._tell("started", recording, {})

    def stop(self, participant: Record) -> None:
        """The participant left; its recordings complete some time after that."""
        now = self._account.stamp()
        for recording in self._account.all("recordings"):
            if recording["participant_id"] == participant["id"] and recording["ended_at"] is None:
                recording.update(ended_at=now, updated_at=now)

    def tick(self) -> None:
        """Complete what is due, and forget what was kept long enough."""
        switches = self._account.switches
        with self._account.lock:
            now = self._account.clock.now()
            for recording in self._account.all("recordings"):
                ended, completed = recording["ended_at"], recording["completed_at"]
                retention = switches["recording_retention_secs"]
                if completed is None and ended is not None and epoch(ended) + switches["recording_secs"] <= now:
                    self._complete(recording)
                elif completed is not None and retention and epoch(completed) + retention <= now:
                    del self._account.recordings[recording["id"]]

    def delete(self, idents: Iterable[str]) -> int:
        """How many of them there were."""
        with self._account.lock:
            return sum(self._account.recordings.pop(ident, None) is not None for ident in list(idents))

    def shown(self, recording: Record) -> Record:
        """With a fresh link, if there is something to load."""
        copy = dict(recording)
        if copy["status"] == "completed" and copy["download_url"] is None:
            copy["download_url"] = self._links.made(copy["id"])
        return self._account.shown(copy)

    def _complete(self, recording: Record) -> None:
        now = self._account.stamp()
        lasted = epoch(recording["ended_at"]) - epoch(recording["started_at"])
        recording.update(
            completed_at=now,
            updated_at=now,
            status="completed",
            duration_secs=int(lasted),
            size_mb=round(max(0.01, lasted * _MB_PER_SEC.get(recording["type"], 0.1)), 2),
        )
        facts = {name: recording[name] for name in ("size_mb", "codec", "duration_secs")}
        self._tell("completed", recording, {**facts, "download_url": self._links.made(recording["id"])})

    def _tell(self, what: str, recording: Record, more: Mapping[str, Any]) -> None:
        payload = {name: recording[name] for name in ("session_id", "participant_id", "type")}
        payload["recording_id"] = recording["id"]
        self._account.room_event(f"video.room.recording.{what}", recording["room_id"], {**payload, **more})


def span(recordings: Iterable[Record]) -> tuple[str, str]:
    """From the first start to the last end of completed recordings."""
    times = [(epoch(recording["started_at"]), epoch(recording["ended_at"])) for recording in recordings]
    return micros(min(start for start, _ in times)), micros(max(end for _, end in times))
