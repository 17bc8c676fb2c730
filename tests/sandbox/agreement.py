"""Compares answers with the document that Telnyx publishes, reduced to names and types (``published.json``).

A type is a name of ``SIMPLE``, ``integer 1..250`` (either end may be open), choices (``audio|video``), the name of an
object, ``[type]`` for an array or ``{type}`` for an object with any names; ``type?`` may be null too, and ``a or b`` is
either. ``[eq|gte|lte]`` in a name stands for three names. ``CAPTURED_...`` are the known differences of the live API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

Json = dict[str, Any]
PUBLISHED: Json = json.loads((Path(__file__).parent / "published.json").read_text("utf-8"))
OBJECTS: Json = PUBLISHED["objects"]
BODIES: Json = PUBLISHED["bodies"]
REQUIRED = {"Error": ["code", "title"], "Refresh": ["refresh_token"]}
# Null where the document has none: seen in captured answers and in the document's own examples.
CAPTURED_NULL = {"Room": ("active_session_id", "unique_name"), "RoomComposition": ("download_url",)}
# Members that answers and bodies have beside the document's.
CAPTURED_MEMBERS: dict[str, Json] = {
    "Room": {"video_codecs": {"type": "array"}},
    "TokenPair": {"recort_type": {"const": "client_token"}},
    "RoomComposition": {"audio_sources": {"const": ["*"]}},
    "Composition": {"audio_sources": {"const": ["*"]}},
}
# All the recordings of a session are one item, which is no id.
EVERYBODY = "*"
RANGE = re.compile(r"integer (-?\d*)\.\.(-?\d*)")
SIMPLE: dict[str, Json] = {
    "text": {"type": "string"},
    "uuid": {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
    "date": {"type": "string", "format": "date"},
    "moment": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"},
    # The default of a failover URL is the empty text.
    "uri": {"type": "string", "pattern": "^$|^[a-z]+://"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "object": {"type": "object"},
}


def _names(query: Mapping[str, str]) -> dict[str, str]:
    """The type of each query parameter by its name on the wire."""
    names: dict[str, str] = {}
    for name, declared in query.items():
        stem, _, endings = name.removesuffix("]").rpartition("[")
        split = endings.split("|") if "|" in endings else []
        names.update({f"{stem}[{ending}]": declared for ending in split} or {name: declared})
    return names


OPERATIONS: dict[str, Json] = {
    name: {**operation, "query": _names(operation["query"])} for name, operation in PUBLISHED["operations"].items()
}


def complaints(operation: str, status: int, body: Any) -> list[str]:
    """What is wrong with an answer; nothing if the document declares it so."""
    answers = OPERATIONS[operation]["answers"]
    if str(status) not in answers:
        return [f"{operation} has no {status}"]
    declared = answers[str(status)]
    return [] if declared is None else misfits(body, _schema(declared))


def misfits(value: Any, schema: Json) -> list[str]:
    """What of a value does not fit a schema, and where."""
    found = Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(value)
    return [f"body/{'/'.join(map(str, error.path))}: {error.message}" for error in found]


def schema_of(declared: str) -> Json:
    """A type of ``published.json`` as a JSON schema."""
    if declared.endswith("?"):
        return {"anyOf": [{"type": "null"}, schema_of(declared[:-1])]}
    if " or " in declared:
        return {"oneOf": [schema_of(choice) for choice in declared.split(" or ")]}
    if declared in OBJECTS or declared in BODIES:
        return _named_object(declared)
    if declared[0] == "{":
        return {"type": "object", "additionalProperties": schema_of(declared[1:-1])}
    if declared[0] == "[":
        items = schema_of(declared[1:-1])
        return {"type": "array", "items": {"anyOf": [{"const": EVERYBODY}, items]} if declared == "[uuid]" else items}
    return _simple(declared)


def _simple(declared: str) -> Json:
    if found := RANGE.fullmatch(declared):
        limits = {"minimum": found[1], "maximum": found[2]}
        return {"type": "integer", **{name: int(limit) for name, limit in limits.items() if limit}}
    return SIMPLE.get(declared) or {"enum": declared.split("|")}


def _schema(declared: str | Json) -> Json:
    if isinstance(declared, str):
        return schema_of(declared)
    members = {name: _schema(member) for name, member in declared.items()}
    return {"type": "object", "properties": members, "additionalProperties": False}


def _named_object(name: str) -> Json:
    members = {member: _schema(declared) for member, declared in {**OBJECTS, **BODIES}[name].items()}
    for member in CAPTURED_NULL.get(name, ()):
        members[member] = {"anyOf": [{"type": "null"}, members[member]]}
    return {
        "type": "object",
        "required": REQUIRED.get(name, []),
        "properties": {**members, **CAPTURED_MEMBERS.get(name, {})},
        "additionalProperties": False,
    }
