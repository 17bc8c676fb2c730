"""The document is sound, and so are its examples; what the service answers, ``test_fuzz`` shows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import requests
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.clock import parse_rfc3339
from tests.document import OPENAPI, contract, document
from tests.processes import Caller, ServiceProcess, fresh, make_room

pytestmark = pytest.mark.processes


JSON = "application/json"


@pytest.fixture(scope="module")
def administrator(service: ServiceProcess) -> Caller:
    """Somebody who may make every call."""
    return Caller(service.url, fresh("admin"), scope="rooms:admin")


def contents() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(operation, status, content) of every answer that has any, references followed."""
    for item in document()["paths"].values():
        for operation in (value for value in item.values() if isinstance(value, dict)):
            for status, answer in operation["responses"].items():
                shared = document()["components"]["responses"].get(answer.get("$ref", "").rpartition("/")[2], answer)
                for media_type, content in shared.get("content", {}).items():
                    yield f"{operation['operationId']} {status} {media_type}", status, content


@pytest.mark.parametrize(("answer", "status", "content"), [pytest.param(*row, id=row[0]) for row in contents()])
def test_every_answer_has_examples_that_fit(answer: str, status: str, content: dict[str, Any]) -> None:
    """An example is what its schema says, and a problem names the status that it is an example of."""
    examples = [example["value"] for example in content.get("examples", {}).values()]
    examples += [content["example"]] if "example" in content else []

    assert examples or answer.endswith("image/png")
    for example in examples:
        jsonschema.validate(example, {**content["schema"], "components": document()["components"]})
        assert not answer.endswith("problem+json") or str(example["status"]) == status


def bodies() -> dict[str, dict[str, Any]]:
    """Examples of the JSON that operations take, by operation."""
    shared = document()["components"]["requestBodies"]
    taken = {
        operation["operationId"]: operation["requestBody"]
        for item in document()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "requestBody" in operation
    }
    found = {name: shared.get(body.get("$ref", "").rpartition("/")[2], body)["content"] for name, body in taken.items()}
    return {name: content["application/json"]["examples"] for name, content in found.items() if JSON in content}


def test_every_body_has_examples_that_fit() -> None:
    """Each example of a request of JSON is one that the service takes."""
    for operation_id, examples in bodies().items():
        for example in examples.values():
            assert contract().check_body(operation_id, example["value"]) == example["value"]


def moments(value: Any) -> Iterator[float]:
    """Epoch seconds of all timestamps in an example."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from moments(item)
        if isinstance(item, str) and re.match(r"\d{4}-\d\d-\d\dT", item):
            yield parse_rfc3339(item)


def test_no_example_of_a_body_is_over() -> None:
    """The documentation's page sends what it shows, and a time that has passed is refused or closes the room."""
    theirs = ("v2", "receive")
    examples = [
        example["value"]
        for name, examples in bodies().items()
        if not name.startswith(theirs)
        for example in examples.values()
    ]

    assert examples
    assert min(moments(examples)) > time.time() + 10 * 365 * 86_400


def test_examples_of_bodies_can_be_sent_as_they_are(administrator: Caller) -> None:
    """In a room that is there all are answered well; left out is what needs a code, a signature or another name."""
    alias, elsewhere = fresh(), {"redeemInvite", "revokeUser", "receiveTelnyxEvent"}
    make_room(administrator.url, alias, access=[{"authenticated": True, "role": "moderator"}])
    calls = [
        (method, path.format(alias=alias, user="bob"), name, example["value"])
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if path.startswith("/v1") and method != "parameters" and operation["operationId"] in bodies().keys() - elsewhere
        for name, example in bodies()[operation["operationId"]].items()
        if name != "template"
    ]

    refused = [
        (path, name, answer.text)
        for method, path, name, body in calls
        if not (answer := administrator.ask(method.upper(), path, json=body)).ok
    ]

    assert len(calls) > 20
    assert refused == []


def test_whatever_takes_a_body_may_get_none_in_time_or_too_much() -> None:
    """408 and 413 are answers of every operation that takes a body."""
    missing = {
        operation["operationId"]: {"408", "413"} - operation["responses"].keys()
        for item in document()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "requestBody" in operation
    }

    assert len(missing) > 10
    assert set().union(*missing.values()) == set()


def test_the_document_is_openapi_31() -> None:
    """It satisfies the specification's own schema."""
    OpenAPIV31SpecValidator(document()).validate()


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in the document."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from schemas(item)


def repeated(node: yaml.Node) -> Iterator[str]:
    """Names that are twice in one mapping, of which readers take one without a word."""
    if isinstance(node, yaml.MappingNode):
        names = [name.value for name, _ in node.value]
        yield from {name for name in names if names.count(name) > 1}
        for _, value in node.value:
            yield from repeated(value)
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        yield from repeated(item)


def test_generators_can_read_it() -> None:
    """No aliases, no name twice, each enumeration of texts only, no form that is told by its required members alone.

    ``tests/contract`` runs the generators.
    """
    found, composed = list(schemas(document())), yaml.compose(OPENAPI.read_text("utf-8"), yaml.CSafeLoader)
    values = [value for one in found if isinstance(one.get("enum"), list) for value in one["enum"]]

    assert not [event for event in yaml.parse(OPENAPI.read_text("utf-8")) if isinstance(event, yaml.AliasEvent)]
    assert composed is not None
    assert not list(repeated(composed))
    assert {type(value) for value in values} == {str}
    assert not [one for one in found if "const" in one or {"oneOf", "properties"} <= one.keys()]


def test_its_two_forms_say_the_same(service: ServiceProcess) -> None:
    """JSON for tools that read no YAML."""
    told = [requests.get(f"{service.url}/openapi.{form}", timeout=10) for form in ("json", "yaml")]

    assert told[0].json() == yaml.load(told[1].content, yaml.CSafeLoader) == document()
    assert told[0].headers["Content-Type"] == JSON
