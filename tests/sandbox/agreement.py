"""Holds answers against what Telnyx publishes about them (``published.json``), reduced to names and types.

A type ends in ``?`` where null is allowed. ``CAPTURED`` are the differences that the live API is known to have.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text("utf-8"))
OPERATIONS: dict[str, Any] = PUBLISHED["operations"]
OBJECTS: dict[str, Any] = PUBLISHED["objects"]
REQUIRED = {"Error": {"code", "title"}}
# Null where the document has none: seen in captured answers and in the document's own examples.
CAPTURED_NULL = {"Room.active_session_id", "Room.unique_name", "RoomComposition.download_url"}
# Members that answers have beside the document's, and the one item that is no id.
CAPTURED_MEMBERS = {"Room.video_codecs", "data.recort_type", "RoomComposition.audio_sources"}
EVERYBODY = "*"
RANGE = re.compile(r"integer (-?\d+)\.\.(-?\d*)")


def complaints(operation: str, status: int, body: Any) -> list[str]:
    """What is wrong with an answer; nothing if the document declares it so."""
    answers = OPERATIONS[operation]["answers"]
    if str(status) not in answers:
        return [f"{operation} has no {status}"]
    declared = answers[str(status)]
    return [] if declared is None else list(_wrong(body, declared, "answer"))


def _wrong(value: Any, declared: Any, where: str) -> list[str]:
    if isinstance(declared, dict):
        return _wrong_members(value, declared, where)
    if declared.endswith("?"):
        return [] if value is None else _wrong(value, declared[:-1], where)
    if declared in OBJECTS:
        return _wrong_members(value, OBJECTS[declared], declared)
    if declared[0] in "[{":
        items = value.values() if declared[0] == "{" and isinstance(value, dict) else value
        if not isinstance(value, dict if declared[0] == "{" else list):
            return [f"{where} is no {declared}"]
        return [fault for item in items for fault in _wrong(item, declared[1:-1], where)]
    return [] if _fits(value, declared) else [f"{where} is no {declared}: {value!r}"]


def _wrong_members(value: Any, declared: dict[str, Any], where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where} is no object: {value!r}"]
    faults = [f"{where}.{name} is missing" for name in REQUIRED.get(where, set()) - value.keys()]
    for name, member in value.items():
        place = f"{where}.{name}"
        if place in CAPTURED_MEMBERS or (member is None and place in CAPTURED_NULL):
            continue
        if name not in declared:
            faults.append(f"{place} is not in the document")
            continue
        faults += _wrong(member, declared[name], name if isinstance(declared[name], dict) else place)
    return faults


def _fits(value: Any, declared: str) -> bool:
    found = RANGE.fullmatch(declared)
    if found or declared == "integer":
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and (found is None or int(found[1]) <= value <= int(found[2] or value))
    simple = {"boolean": bool, "number": (int, float), "text": str, "object": dict}
    if declared in simple:
        return isinstance(value, simple[declared]) and (declared == "boolean" or not isinstance(value, bool))
    return isinstance(value, str) and _fits_text(value, declared)


def _fits_text(value: str, declared: str) -> bool:
    if declared == "uuid":
        return value == EVERYBODY or _reads(lambda: str(uuid.UUID(value)) == value)
    if declared == "moment":
        return value.endswith("Z") and _reads(lambda: datetime.fromisoformat(value) is not None)
    if declared == "uri":
        return not value or "://" in value
    return value in declared.split("|")


def _reads(reading: Any) -> bool:
    try:
        return bool(reading())
    except ValueError:
        return False
