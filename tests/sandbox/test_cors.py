"""Which pages may use the control calls from a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.processes import Sandbox, running

CONSOLE = "http://127.0.0.1:8080"
ALLOWED = "Access-Control-Allow-Origin"


@pytest.fixture(scope="module")
def open_to_console() -> Iterator[Sandbox]:
    yield from running(Sandbox(f"--allow-origin={CONSOLE}"))


def ask(sandbox: Sandbox, method: str, path: str, origin: str) -> requests.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Authorization": "Bearer KEY-1"}
    return requests.request(method, sandbox.base + path, headers=headers, timeout=10)


def test_the_console_may_control_it(open_to_console: Sandbox) -> None:
    """Its preflight names the methods of the path, and its answers may be read."""
    preflight = ask(open_to_console, "OPTIONS", "/sandbox/faults", CONSOLE)

    assert preflight.headers[ALLOWED] == CONSOLE
    assert {"GET", "POST", "DELETE"} <= set(preflight.headers["Access-Control-Allow-Methods"].split(", "))
    assert ask(open_to_console, "GET", "/sandbox/faults", CONSOLE).headers[ALLOWED] == CONSOLE


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8081", "https://127.0.0.1:8080", "null", "http://evil.example"])
def test_no_other_page_may(open_to_console: Sandbox, origin: str) -> None:
    """An origin counts letter for letter."""
    for method in ("OPTIONS", "GET"):
        assert ALLOWED not in ask(open_to_console, method, "/sandbox/faults", origin).headers


def test_telnyx_itself_is_for_no_page(open_to_console: Sandbox) -> None:
    """Under /v2 the sandbox is as Telnyx is."""
    assert ALLOWED not in ask(open_to_console, "GET", "/v2/rooms", CONSOLE).headers


def test_the_demo_users_are_told(open_to_console: Sandbox) -> None:
    """By id and name, for a page on which one is picked."""
    users = requests.get(f"{open_to_console.base}/sandbox/idp/users", timeout=10).json()["data"]

    assert {user["user"]: user["name"] for user in users}["alice"] == "Alice Abel"
