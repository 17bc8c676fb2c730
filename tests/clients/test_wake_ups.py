"""What a real browser tells a keeper: that its page is shown again, came back, or is online again.

The keeper's timers are taken away, so that it goes on by these signals alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.clients.pages import Site
from tests.console.browser import OPTIONS, NoBrowser, executable

pytestmark = pytest.mark.long


_KEEPER = """async () => {
  const { TokenKeeper } = await import("/client/keeper.js");
  const { browser } = await import("/client/clock.js");
  const fetch = async () => {
    window.asked += 1;
    return new Response(null, { status: 503 });
  };
  const options = { service: "", room: "standup", getBearer: () => "bearer", patienceSeconds: 3600, fetch };
  window.asked = 0;
  window.keeper = new TokenKeeper(options, { ...browser(), timer: () => () => {} });
  window.keeper.start().catch(() => {});
}"""
# Between two tries there is a second, whatever happens.
_PAUSE_MS = 1100


@pytest.fixture(scope="module")
def page(built: Path) -> Iterator[Page]:
    """A page with a keeper that has failed once."""
    assert built.exists()
    site = Site()
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=executable(), args=OPTIONS, handle_sigint=False)
            made = browser.new_page()
            made.goto(site.origin)
            made.evaluate(_KEEPER)
            made.wait_for_function("window.asked === 1")
            yield made
            browser.close()
    except NoBrowser as why:
        pytest.skip(str(why))
    finally:
        site.stop()


def asked_before(page: Page) -> int:
    """How often the keeper has asked, once it might ask again."""
    page.wait_for_timeout(_PAUSE_MS)
    asked: int = page.evaluate("window.asked")
    return asked


def asks_after(page: Page, happening: str) -> None:
    """Fails unless the keeper asks because of what happens."""
    before = asked_before(page)
    page.evaluate(happening)
    page.wait_for_function("(before) => window.asked > before", arg=before)


def does_not_ask_after(page: Page, happening: str) -> None:
    """Fails if the keeper asks because of what happens."""
    before = asked_before(page)
    page.evaluate(happening)
    page.wait_for_timeout(200)
    assert page.evaluate("window.asked") == before


@pytest.mark.short
def test_a_page_that_is_shown_again_asks(page: Page) -> None:
    """A tab that was in the background."""
    asks_after(page, "document.dispatchEvent(new Event('visibilitychange'))")


def test_a_page_that_is_hidden_does_not_ask(page: Page) -> None:
    """The same event tells of both."""
    page.evaluate("Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true })")

    does_not_ask_after(page, "document.dispatchEvent(new Event('visibilitychange'))")
    page.evaluate("delete document.visibilityState")


def test_a_page_that_comes_back_from_the_cache_asks(page: Page) -> None:
    """As after *Back*."""
    asks_after(page, "window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")


def test_a_page_that_is_online_again_asks(page: Page) -> None:
    """By the browser's own event."""
    page.context.set_offline(True)
    page.wait_for_function("!navigator.onLine")
    before = asked_before(page)
    page.context.set_offline(False)

    page.wait_for_function("(before) => window.asked > before", arg=before)


def test_a_keeper_that_was_stopped_does_not_ask(page: Page) -> None:
    """The last of these tests: nothing listens any more."""
    page.evaluate("window.keeper.stop()")

    does_not_ask_after(page, "document.dispatchEvent(new Event('visibilitychange'))")
    does_not_ask_after(page, "window.dispatchEvent(new Event('online'))")
