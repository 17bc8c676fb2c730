"""Compares requests with what Telnyx publishes about them, as ``tests.sandbox.agreement`` does with answers."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

import requests

from tests.processes import Sandbox
from tests.sandbox.agreement import BODIES, CAPTURED_MEMBERS, OPERATIONS, Json, misfits, schema_of

# For other suites, which look the members up here.
__all__ = [
    "CAPTURED_MEMBERS",
    "Json",
    "complaints_of_request",
    "forget",
    "members_of",
    "path_names",
    "query_of",
    "record",
]


def path_names(operation: str) -> list[str]:
    """The names of the ids in the path."""
    return re.findall(r"{(\w+)}", OPERATIONS[operation]["call"])


def query_of(operation: str) -> dict[str, str]:
    """The type of each query parameter by its name on the wire."""
    query: dict[str, str] = OPERATIONS[operation]["query"]
    return query


def members_of(operation: str) -> dict[str, str]:
    """The type of each member of the body; none if the operation has no body."""
    members: dict[str, str] = BODIES.get(OPERATIONS[operation]["body"], {})
    return members


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
    pairs = zip(parts, given, strict=True)
    return [
        f"{part} of the path is {value!r}"
        for part, value in pairs
        if (misfits(value, schema_of("uuid")) if part.startswith("{") else part != value)
    ]


def _of_query(operation: str, text: str) -> list[str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    declared = query_of(operation)
    faults = [] if len(pairs) == len(dict(pairs)) else [f"a parameter is given twice: {text}"]
    for name, value in pairs:
        if name not in declared:
            faults.append(f"{name} is not in the document")
        elif misfits(_typed(value, declared[name]), schema_of(declared[name])):
            faults.append(f"{name} is no {declared[name]}: {value!r}")
    return faults


def _of_body(operation: str, body: Any) -> list[str]:
    name = OPERATIONS[operation]["body"]
    if name is None:
        return [] if body is None else [f"{operation} takes no body"]
    return misfits(body, schema_of(name))


def _typed(value: str, declared: str) -> Any:
    """A query parameter's value is text, whatever its type."""
    if declared == "boolean" and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return int(value) if declared.startswith("integer") and value.isdecimal() else value


def forget(sandbox: Sandbox) -> None:
    """The record begins anew."""
    sandbox.control("DELETE", "requests")


def record(sandbox: Sandbox) -> list[Json]:
    """All requests of the API, in order."""
    answer = requests.get(f"{sandbox.base}/sandbox/requests", timeout=10)
    data: list[Json] = answer.json()["data"]
    return data
