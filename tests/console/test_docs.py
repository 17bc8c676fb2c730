"""The documentation page in a real browser."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from tests.console.conftest import Visiting
from tests.console.stage import Stage
from tests.processes import fresh


def test_the_documentation_tries_calls_out(visiting: Visiting, stage: Stage) -> None:
    """With a pasted bearer a call of the document is made from its page, and its answer is shown."""
    alias = stage.room(fresh("a"))
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


def test_the_documentation_shows_every_call(visiting: Visiting, stage: Stage) -> None:
    """The page loads the document, and has an entry for each of its operations."""
    reader = visiting().visit(f"{stage.origin}/docs")
    expect(reader.page.locator(".opblock").first).to_be_visible()
    document = "fetch('/openapi.yaml').then((answer) => answer.text())"
    written = reader.page.evaluate(document).count("operationId: ")

    assert reader.page.locator(".opblock").count() == written


def test_the_documentation_may_ask_nobody_else(visiting: Visiting, stage: Stage) -> None:
    """Its policy refuses a question to any other host before it leaves the browser."""
    reader = visiting().visit(f"{stage.origin}/docs")

    assert reader.is_refused_another_host()
