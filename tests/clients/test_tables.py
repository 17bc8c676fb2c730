"""The table of codes in clients/README.md, the three packages and the service's own errors say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import errors
from tests.document import document

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "clients"
BY_RETRYABLE = {True: "retry", False: "report"}


def table() -> dict[str, str]:
    """Code -> reaction, as the README has it."""
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| ([a-z ]+) \|", (CLIENTS / "README.md").read_text("utf-8"), re.MULTILINE)
    return {code: reaction for codes, reaction in rows for code in re.findall(r"`([a-z_]+)`", codes)}


def web() -> dict[str, str]:
    text = (CLIENTS / "web" / "src" / "problems.js").read_text("utf-8")
    return dict(re.findall(r'^  ([a-z_]+): "([a-z_]+)",$', text, re.MULTILINE))


def by_case(path: str, line: str) -> dict[str, str]:
    """Codes and the reaction on one line of a ``when`` or ``switch``."""
    found = re.findall(line, (CLIENTS / path).read_text("utf-8"), re.MULTILINE)
    return {code: reaction for codes, reaction in found for code in re.findall(r'"([a-z_]+)"', codes)}


def android() -> dict[str, str]:
    return by_case(
        "android/src/main/kotlin/videotoken/client/Problem.kt", r'^    ((?:"[a-z_]+",? ?)+) -> Reaction\.([A-Z_]+)$'
    )


def ios() -> dict[str, str]:
    return by_case(
        "ios/Sources/VideoTokenClient/Problem.swift", r'^    case ((?:"[a-z_]+",? ?)+): return \.([a-zA-Z]+)$'
    )


def all_errors(root: type[errors.ServiceError] = errors.ServiceError) -> Iterator[type[errors.ServiceError]]:
    yield root
    for below in root.__subclasses__():
        yield from all_errors(below)


def answered() -> set[str]:
    """Codes of the examples that the document has for the token call."""
    text = ""
    for response in document()["paths"]["/v1/rooms/{alias}/token"]["post"]["responses"].values():
        name = response.get("$ref", "").rpartition("/")[2]
        text += str(document()["components"]["responses"][name] if name else response)
    return set(re.findall(r"'code': '([a-z_]+)'", text))


@pytest.mark.parametrize("package", [web, android, ios], ids=["web", "Android", "iOS"])
def test_a_package_reacts_to_each_code_as_the_table_says(package: object) -> None:
    """To those, that is, that ask for more than a look at ``retryable``."""
    assert callable(package)
    written = {code: re.sub(r"[_ ]", "", reaction).lower() for code, reaction in package().items()}
    special = {code: reaction.replace(" ", "") for code, reaction in table().items()}

    assert written == {code: reaction for code, reaction in special.items() if reaction not in {"retry", "report"}}


def test_what_is_left_to_retryable_is_so_in_the_service() -> None:
    """A code that the table repeats or reports is, or is not, retryable in the service's own tree."""
    retryable = {one.code: BY_RETRYABLE[one.retryable] for one in all_errors()}
    left = {code: reaction for code, reaction in table().items() if reaction in {"retry", "report"}}

    assert left == {code: retryable[code] for code in left}


def test_the_table_has_every_code_that_the_token_call_answers() -> None:
    """By the examples of the document, and all that is our own trouble."""
    own = {one.code for one in all_errors(errors.OwnTrouble)}
    # The class of them all is raised by nobody.
    own -= {errors.OwnTrouble.code, errors.WebhooksNotConfigured.code}

    assert (answered() | own) - table().keys() == set()
    assert len(answered()) > 10
