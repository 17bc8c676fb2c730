"""``openapi.yaml`` as validators: what each operation's query and body may say.

The document is OpenAPI 3.1, whose schemas are JSON Schema 2020-12, so the validators are compiled from it once and
there is no second description to keep in step. (Frameworks that read OpenAPI were measured and refused: they reject 3.1
or answer errors that are not ours.)

Rules for editors:
* pure: no framework, no clock; the document comes in, ``InvalidRequest`` goes out;
* messages are made from the *schema*, never from what was sent, so that no value of a caller is echoed or logged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, cast

import jsonschema
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.protocols import Validator

from service.errors import InvalidRequest

_MOST_ERRORS: Final = 20
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_INTEGER: Final = re.compile(r"-?\d{1,9}", re.ASCII)
_METHODS: Final = frozenset({"get", "put", "post", "delete", "patch"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the document. ``body`` is ``None`` where none is read; ``query`` maps names to their schemas.

    ``takes_nothing`` and ``asks_nothing`` say that an empty body, or query, is in order.
    """

    body: Validator | None
    body_required: bool
    takes_nothing: bool
    query: Validator
    query_types: Mapping[str, str]
    asks_nothing: bool


class Contract:
    """The operations of a document by ``operationId``."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.operations = {
            operation["operationId"]: _compiled(operation, path_item.get("parameters", []), document)
            for path_item in document["paths"].values()
            for method, operation in path_item.items()
            if method in _METHODS
        }

    @classmethod
    def read(cls, text: bytes) -> Contract:
        """Of a document in YAML; the compiled loader takes 0.04 s for ours, the other one 0.2."""
        return cls(yaml.load(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader))  # noqa: S506

    def check_body(self, operation_id: str, body: object) -> Mapping[str, Any]:
        """``body`` if the operation takes it; raises ``InvalidRequest`` listing what does not fit."""
        operation = self.operations[operation_id]
        if operation.body is None or (body == {} and operation.takes_nothing):
            return {}
        _refuse(_complaints(operation.body, body))
        return cast("Mapping[str, Any]", body)

    def check_query(self, operation_id: str, given: Iterable[tuple[str, list[str]]]) -> Mapping[str, Any]:
        """The query as typed values; raises ``InvalidRequest`` for unknown, repeated or unfit parameters."""
        operation = self.operations[operation_id]
        values: dict[str, Any] = {}
        repeated: list[dict[str, str]] = []
        for name, texts in given:
            if len(texts) > 1:
                repeated.append({"field": name, "message": "must be given once"})
            values[name] = _typed(texts[0], operation.query_types.get(name, "string"))
        if not values and operation.asks_nothing:
            return values
        _refuse(repeated)
        _refuse([{**fault, "field": fault["field"].lstrip("/")} for fault in _complaints(operation.query, values)])
        return values


def _compiled(operation: Mapping[str, Any], shared: list[Any], document: Mapping[str, Any]) -> Operation:
    parameters = [_resolved(parameter, document) for parameter in (*shared, *operation.get("parameters", []))]
    asked = {parameter["name"]: parameter["schema"] for parameter in parameters if parameter["in"] == "query"}
    query = _validator({"type": "object", "properties": asked, "additionalProperties": False}, document)
    # A body of another type has a reader of its own, beside its view.
    sent = operation.get("requestBody", {}).get("content", {}).get("application/json")
    body = _validator(sent["schema"], document) if sent else None
    return Operation(
        body=body,
        body_required=bool(sent and operation["requestBody"].get("required")),
        takes_nothing=body is not None and body.is_valid({}),
        query=query,
        query_types={name: schema["type"] for name, schema in asked.items()},
        asks_nothing=query.is_valid({}),
    )


def _resolved(item: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A parameter, or the component that it refers to."""
    found: Any = item
    while "$ref" in found:
        pointer, found = found["$ref"], document
        for step in pointer.removeprefix("#/").split("/"):
            found = found[step]
    return cast("Mapping[str, Any]", found)


def _validator(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Validator:
    checker = FormatChecker(formats=())
    checker.checks("date-time", raises=(ValueError, OverflowError))(_is_timestamp)
    strict = jsonschema.validators.extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
    return cast("Validator", strict(_inlined(schema, document), format_checker=checker))


def _inlined(schema: Any, document: Mapping[str, Any]) -> Any:
    """``schema`` with what it refers to in its place: the library looks references up anew for each value."""
    if isinstance(schema, list):
        return [_inlined(item, document) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    beside = {name: _inlined(value, document) for name, value in schema.items() if name != "$ref"}
    return {**_inlined(_resolved(schema, document), document), **beside} if "$ref" in schema else beside


def _is_timestamp(value: object) -> bool:
    """RFC 3339 with seconds and a zone, of a moment that has a UTC date."""
    if not isinstance(value, str):
        return True
    if _TIMESTAMP.fullmatch(value) is None:
        return False
    datetime.fromisoformat(value).astimezone(UTC)
    return True


@lru_cache(maxsize=256)
def _whole(pattern: str) -> re.Pattern[str]:
    # ECMA-262's $ is the end of the text; Python's also matches before a last line feed.
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern)


def _pattern(
    _validator: Validator, pattern: str, instance: object, _schema: object
) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str) and _whole(pattern).search(instance) is None:
        yield jsonschema.ValidationError("pattern")


def _typed(text: str, kind: str) -> object:
    """A query value as its schema's type; text that is none stays text and fails the schema."""
    if kind == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    return text


def _complaints(validator: Validator, instance: Any) -> list[dict[str, str]]:
    faults: list[dict[str, str]] = []
    for error in validator.iter_errors(instance):
        faults += [fault for fault in _fault(error) if fault not in faults]
        if len(faults) >= _MOST_ERRORS:
            break
    return faults


def _fault(error: jsonschema.ValidationError) -> list[dict[str, str]]:
    path = [_escaped(step) for step in error.absolute_path]
    schema, limit, instance = cast("Any", error.schema), cast("Any", error.validator_value), cast("Any", error.instance)
    if error.validator == "additionalProperties":
        unknown = [name for name in instance if name not in schema.get("properties", {})]
        return [{"field": _pointer([*path, _escaped(name)]), "message": "is not known here"} for name in unknown]
    if error.validator == "required":
        missing = [name for name in limit if name not in instance]
        return [{"field": _pointer([*path, name]), "message": "is required"} for name in missing]
    say = _MESSAGES.get(str(error.validator))
    return [{"field": _pointer(path), "message": say(limit) if say else "does not fit the schema"}]


def _pointer(steps: list[str]) -> str:
    """A JSON Pointer (RFC 6901) into the body."""
    return "".join("/" + step for step in steps)


def _escaped(step: object) -> str:
    return str(step)[:64].replace("~", "~0").replace("/", "~1")


_MESSAGES: Final[Mapping[str, Callable[[Any], str]]] = {
    "type": lambda kind: f"must be of type {kind if isinstance(kind, str) else ' or '.join(kind)}",
    "enum": lambda values: "must be one of " + ", ".join(str(value) for value in values),
    "minimum": lambda bound: f"must be at least {bound}",
    "maximum": lambda bound: f"must be at most {bound}",
    "minLength": lambda bound: f"must have at least {bound} characters",
    "maxLength": lambda bound: f"must have at most {bound} characters",
    "minItems": lambda bound: f"must have at least {bound} items",
    "maxItems": lambda bound: f"must have at most {bound} items",
    "pattern": lambda pattern: f"must match {pattern}",
    "format": lambda name: f"must be a {name}",
    "oneOf": lambda _: "must fit exactly one of the allowed forms",
}


def _refuse(faults: list[dict[str, str]]) -> None:
    if faults:
        raise InvalidRequest(errors=faults[:_MOST_ERRORS])
