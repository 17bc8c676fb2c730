"""Holds requests against what Telnyx publishes about them (``asked.json``), reduced to names and types.

A type ends in ``?`` where null is allowed, and ``[eq|gte|lte]`` in a name stands for three names. ``CAPTURED`` is what
official clients send although the document has it otherwise.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator, FormatChecker

from tests.sandbox.agreement import OPERATIONS

Json = dict[str, Any]
ASKED: Json = json.loads((Path(__file__).parent / "asked.json").read_text("utf-8"))
BODIES: Json = ASKED["bodies"]
CAPTURED_MEMBERS: dict[str, Json] = {"Composition": {"audio_sources": {"const": ["*"]}}}
EVERYBODY = "*"
RANGE = re.compile(r"integer (-?\d*)\.\.(-?\d*)")
SIMPLE: dict[str, Json] = {
    "text": {"type": "string"},
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    # The default of a failover URL is the empty text.
    "uri": {"type": "string", "pattern": "^$|^[a-z]+://"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
}


def query_of(operation: str) -> dict[str, str]:
    """The type of each query parameter by its name on the wire."""
    names: dict[str, str] = {}
    for name, declared in ASKED["operations"][operation]["query"].items():
        stem, _, endings = name.removesuffix("]").rpartition("[")
        split = endings.split("|") if "|" in endings else []
        names.update({f"{stem}[{ending}]": declared for ending in split} or {name: declared})
    return names


def members_of(operation: str) -> dict[str, str]:
    """The type of each member of the body; none if the operation has no body."""
    body = ASKED["operations"][operation]["body"]
    return {} if body is None else BODIES[body]["members"]


def complaints_of_request(operation: str, seen: Json) -> list[str]:
    """What is wrong with a request as the sandbox has recorded it; nothing if the document declares it so."""
    return [*_of_path(operation, seen), *_of_query(operation, seen["query"]), *_of_body(operation, seen["body"])]


def _of_path(operation: str, seen: Json) -> list[str]:
    method, path = OPERATIONS[operation]["call"].split(" ")
    if seen["method"] != method:
        return [f"{operation} is no {seen['method']}"]
    parts, given = path.split("/"), seen["path"].removeprefix("/v2").split("/")
    if len(parts) != len(given):
        return [f"{operation} is not at {seen['path']}"]
    declared = ASKED["operations"][operation]["path"]
    return [
        f"{part} of the path is {value!r}"
        for part, value in zip(parts, given, strict=True)
        if (part[1:-1] in declared and not _fits(value, declared[part[1:-1]]))
        or (part[1:-1] not in declared and part != value)
    ]


def _of_query(operation: str, text: str) -> list[str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    declared = query_of(operation)
    faults = [] if len(pairs) == len(dict(pairs)) else [f"a parameter is given twice: {text}"]
    for name, value in pairs:
        if name not in declared:
            faults.append(f"{name} is not in the document")
        elif not _fits(_read(value, declared[name]), declared[name]):
            faults.append(f"{name} is no {declared[name]}: {value!r}")
    return faults


def _of_body(operation: str, body: Any) -> list[str]:
    name = ASKED["operations"][operation]["body"]
    if name is None:
        return [] if body is None else [f"{operation} takes no body"]
    found = Draft202012Validator(_object(name), format_checker=FormatChecker()).iter_errors(body)
    return [f"body/{'/'.join(map(str, error.path))}: {error.message}" for error in found]


def _read(value: str, declared: str) -> Any:
    """A query parameter's value is text, whatever its type."""
    if declared == "boolean" and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return int(value) if declared.startswith("integer") and value.isdecimal() else value


def _fits(value: Any, declared: str) -> bool:
    return Draft202012Validator(schema_of(declared), format_checker=FormatChecker()).is_valid(value)


def _object(name: str) -> Json:
    members = {member: schema_of(declared) for member, declared in BODIES[name]["members"].items()}
    return {
        "type": "object",
        "required": BODIES[name]["required"],
        "properties": {**members, **CAPTURED_MEMBERS.get(name, {})},
        "additionalProperties": False,
    }


def schema_of(declared: str) -> Json:
    """A type of ``asked.json`` as a JSON schema."""
    if declared.endswith("?"):
        return {"anyOf": [{"type": "null"}, schema_of(declared[:-1])]}
    if " or " in declared:
        return {"oneOf": [schema_of(choice) for choice in declared.split(" or ")]}
    if declared[0] == "{":
        return {"type": "object", "additionalProperties": _object(declared[1:-1])}
    if declared[0] == "[":
        # All the recordings of a session are one item, which is no id.
        return {"type": "array", "items": {"anyOf": [{"const": EVERYBODY}, schema_of(declared[1:-1])]}}
    if found := RANGE.fullmatch(declared):
        limits = {"minimum": found[1], "maximum": found[2]}
        return {"type": "integer", **{name: int(limit) for name, limit in limits.items() if limit}}
    return SIMPLE.get(declared) or {"enum": declared.split("|")}
