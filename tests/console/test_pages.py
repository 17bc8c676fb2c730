"""The pages in a real browser: for everybody (axe, 320 px, less motion), and for nobody else (policies)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.console.conftest import Visiting
from tests.console.stage import Stage, Visitor
from tests.processes import fresh

NARROW = {"width": 320, "height": 640}


@pytest.fixture
def busy(stage: Stage) -> str:
    """A room with names as long as they may be and somebody kept out, in which people and an impostor can be."""
    alias = stage.room(fresh("busy").ljust(63, "a"), enable_recording=True)
    long = fresh("dave").ljust(128, "e")
    for user in ("dave", long):
        assert stage.ask("alice", "PUT", f"/v1/rooms/{alias}/bans/{user}", json={}).ok
    assert stage.ask("ada", "PUT", f"/v1/admin/rooms/{alias}/members/{long}", json={"role": "participant"}).ok
    return alias


# What reaches beyond the page, where the page can be scrolled sideways: the elements, as they are written.
WIDE = """document.documentElement.scrollWidth <= innerWidth ? [] :
    [document.documentElement.scrollWidth, ...[...document.querySelectorAll("*")]
        .filter((one) => one.getBoundingClientRect().right > innerWidth)
        .map((one) => one.outerHTML.slice(0, 200))]"""


def views(visitor: Visitor, alias: str) -> Iterator[str]:
    """Walk through every view, stopping at each."""
    page = visitor.visit().page
    expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()
    page.get_by_text("Or paste a bearer token").click()
    yield "the door"
    visitor.enter_as("Alice Abel").join(alias)
    visitor.button("Bob Brandt").click()
    visitor.button("Somebody without a ticket").click()
    expect(page.locator(".people .mark")).to_have_count(3)
    yield "a meeting"
    visitor.button("Invite").click()
    yield "an invite's form"
    visitor.button("Make the invite").click()
    expect(page.locator(".qr")).to_be_visible()
    yield "an invite"
    visitor.button("Done").click()
    visitor.button("Leave").click()
    expect(page.locator(".why")).to_be_visible()
    yield "after a call"
    visitor.button("Sign out").click()
    visitor.enter_as("Ada Admin").link("Administration").click()
    visitor.link(f"Members of {alias}").click()
    expect(page.locator(".person")).not_to_have_count(0)
    yield "administration"


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_axe_finds_nothing(visiting: Visiting, busy: str, scheme: str) -> None:
    """No violation of what axe knows, contrast included, in any view."""
    visitor = visiting(color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    found = {}
    for view in views(visitor, busy):
        rules = Axe().run(visitor.page).response["violations"]
        found[view] = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in rules]

    assert len(found) == 6
    assert {view: rules for view, rules in found.items() if rules} == {}


def test_axe_would_find_something(visiting: Visiting) -> None:
    """A button without a name is found, so that finding none means something."""
    visitor = visiting(bypass_csp=True).visit()
    expect(visitor.page.get_by_role("heading", name="Who are you?")).to_be_visible()
    visitor.page.evaluate("document.querySelector('main').append(document.createElement('button'))")

    assert [rule["id"] for rule in Axe().run(visitor.page).response["violations"]] == ["button-name"]


def test_nothing_is_wider_than_a_small_phone(visiting: Visiting, busy: str) -> None:
    """At 320 px no view scrolls sideways (WCAG 2.2, 1.4.10)."""
    visitor = visiting(viewport=NARROW)
    wide = {view: visitor.page.evaluate(WIDE) for view in views(visitor, busy)}

    assert len(wide) == 6
    assert {view: found for view, found in wide.items() if found} == {}


def test_less_motion_is_none(visiting: Visiting, busy: str) -> None:
    """Where the system asks for less motion, nothing on the page moves by itself."""
    visitor = visiting(reduced_motion="reduce").enter_as("Alice Abel").join(busy)
    moving = "[...document.querySelectorAll('*')].filter((one) => one.getAnimations().length).length"

    assert visitor.page.evaluate(moving) == 0
    assert visitor.page.evaluate("getComputedStyle(document.querySelector('.ring .arc')).transitionDuration") == "0s"


def test_the_console_may_ask_nobody_else(visiting: Visiting) -> None:
    """Its policy refuses a question to any other host before it leaves the browser."""
    visitor = visiting().visit()

    assert visitor.is_refused_another_host()


@pytest.mark.parametrize(
    "work",
    [
        "document.body.innerHTML = '<b>bold</b>'",
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))",
    ],
    ids=["elements", "code"],
)
def test_text_never_becomes_code_or_elements(visiting: Visiting, work: str) -> None:
    """The console's own policy makes an error of every such attempt, its own scripts' too."""
    visitor = visiting().visit()
    refused = visitor.page.evaluate(f"(() => {{ try {{ {work}; return 'done'; }} catch {{ return 'refused'; }} }})()")
    visitor.complaints.clear()

    assert refused == "refused"


def test_the_documentation_tries_calls_out(visiting: Visiting, stage: Stage) -> None:
    """With a pasted bearer a call of the document is made from its page, as its example is, and its answer is shown."""
    alias = stage.room(fresh("stand"))
    reader = visiting().visit(f"{stage.origin}/docs")
    page = reader.page
    page.locator(".btn.authorize").first.click()
    page.locator(".auth-container input").fill(stage.bearer("alice"))
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".auth-btn-wrapper .btn-done").click()
    call = page.locator("#operations-joining-listMyRooms")
    call.locator("button.opblock-summary-control").click()
    call.locator("button.execute").click()
    answer = call.locator(".live-responses-table")

    expect(answer.locator("td.response-col_status:not(.col_header)")).to_have_text("200")
    text = answer.locator(".highlight-code").first.inner_text()
    shown = json.loads(text[text.index("{") :])
    assert alias in {entry["alias"] for entry in shown["data"]}
    assert reader.hosts() == {stage.origin}


@pytest.mark.long
def test_the_documentation_shows_every_call(visiting: Visiting, stage: Stage) -> None:
    """The page loads the document, and has an entry for each of its operations."""
    reader = visiting().visit(f"{stage.origin}/docs")
    expect(reader.page.locator(".opblock").first).to_be_visible()
    document = "fetch('/openapi.yaml').then((answer) => answer.text())"
    written = reader.page.evaluate(document).count("operationId: ")

    assert reader.page.locator(".opblock").count() == written


@pytest.mark.long
def test_the_documentation_may_ask_nobody_else(visiting: Visiting, stage: Stage) -> None:
    """Its policy refuses a question to any other host before it leaves the browser."""
    reader = visiting().visit(f"{stage.origin}/docs")

    assert reader.is_refused_another_host()
