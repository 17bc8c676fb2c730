"""The console in a real browser: signing in, joining, the life of a token, and what happens when Telnyx fails.

That a window complained of nothing and asked no other host is held by the fixture ``visiting`` for every test here.
"""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Visiting
from tests.console.stage import SECONDS, Stage, Visitor
from tests.processes import fresh, until

pytestmark = pytest.mark.long


# The element that has the keyboard, as an assistive technology would call it, and whether that can be seen.
_FOCUSED = """() => {
  const here = document.activeElement, style = getComputedStyle(here);
  return {name: here.getAttribute("aria-label") ?? here.innerText ?? "", outlined: style.outlineStyle !== "none"};
}"""
# How many elements there are to walk through at most: rooms of other tests are in the list too.
_STOPS = "() => document.querySelectorAll('a, button, input, select, textarea, summary, [tabindex]').length"


def walk_to(page: Page, words: str) -> None:
    """Press Tab until the element with these words has the keyboard; each stop on the way must show itself."""
    for _ in range(page.evaluate(_STOPS)):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        assert focused["outlined"], focused
        if words in focused["name"]:
            return
    raise AssertionError(f"no way to {words!r} by keyboard")


@pytest.mark.short
def test_a_person_joins_with_the_keyboard_alone(visiting: Visiting, alias: str) -> None:
    """From the door into a call and out of it, with Tab and Enter, always seeing where the keyboard is."""
    page = visiting().visit().page
    expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()

    walk_to(page, "Alice Abel")
    page.keyboard.press("Enter")
    expect(page.locator(".room", has_text=alias)).to_be_visible()
    walk_to(page, alias)
    page.keyboard.press("Enter")
    expect(page.locator("#room-title")).to_be_focused()
    walk_to(page, "Join")
    page.keyboard.press("Enter")
    expect(page.locator(".ring")).to_have_attribute("data-state", "in")
    expect(page.get_by_role("button", name="Leave")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".why")).to_have_attribute("data-code", "left")


def test_the_ring_shrinks_and_is_whole_again(visiting: Visiting, alias: str) -> None:
    """It shows the life that is left, goes below two thirds, and is over nine tenths after the renewal."""
    alice = visiting().enter_as("Alice Abel").join(alias)
    first = alice.shares()
    until(lambda: alice.shares() < 0.66, 15, "a ring that shrinks")
    until(lambda: alice.shares() > 0.9, 15, "a ring that is whole again")

    assert first > 0.8
    expect(alice.page.locator(".log .mark.refreshed")).to_have_count(1)
    assert alice.in_call


@pytest.mark.short
def test_a_call_survives_an_outage(visiting: Visiting, stage: Stage) -> None:
    """While Telnyx is down the token is kept (``stale``), and when it is back the same call goes on with a new one."""
    alias = stage.room(fresh("room"), token_ttl_secs=20)
    alice = visiting().enter_as("Alice Abel")
    alice.expected = {503}
    alice.join(alias)
    alice.page.get_by_role("radio", name="Down").check()
    expect(alice.page.locator(".source .mark")).to_have_text("stale", timeout=15 * SECONDS)
    assert alice.in_call
    alice.page.get_by_role("radio", name="Working").check()
    expect(alice.page.locator(".source .mark")).to_have_text("refreshed", timeout=15 * SECONDS)

    assert alice.in_call
    everybody = stage.sandbox.control("GET", "participants")["data"]
    (me,) = [one for one in everybody if one["room_id"] == room_id(stage, alias)]
    assert me["state"] == "joined"


def room_id(stage: Stage, alias: str) -> str:
    return str(stage.ask("ada", "GET", f"/v1/admin/rooms/{alias}").json()["room_id"])


def test_a_join_waits_for_telnyx(visiting: Visiting, stage: Stage) -> None:
    """While Telnyx is down there is no first token; the page says so, asks again, and is in when it is back."""
    alias = stage.room(fresh("room"))
    alice = visiting().enter_as("Alice Abel").open(alias)
    alice.expected = {503}
    alice.page.get_by_role("radio", name="Down").check()
    alice.button("Join").click()
    expect(alice.page.locator(".why.waiting")).to_contain_text("Telnyx cannot be reached")
    alice.page.get_by_role("radio", name="Working").check()

    expect(alice.page.locator(".ring")).to_have_attribute("data-state", "in", timeout=30 * SECONDS)


def test_joining_again_comes_from_the_cache(visiting: Visiting, stage: Stage) -> None:
    """Who leaves and comes back gets the same token, without a call to Telnyx."""
    alias = stage.room(fresh("room"))
    alice = visiting().enter_as("Alice Abel").join(alias)
    expect(alice.page.locator(".source .mark")).to_have_text("issued")
    alice.button("Leave").click()
    alice.button("Join again").click()

    expect(alice.page.locator(".source .mark")).to_have_text("cache")


def test_a_room_that_has_filled_up_says_so(visiting: Visiting, stage: Stage) -> None:
    """Who comes back with a token in hand is told by the platform, in the words of the service."""
    alias = stage.room(fresh("room"), max_participants=2)
    alice = visiting().enter_as("Alice Abel").join(alias)
    alice.button("Leave").click()
    expect(alice.button("Join again")).to_be_visible()
    for user in ("bob", "carol"):
        given = stage.ask(user, "POST", f"/v1/rooms/{alias}/token").json()
        stage.sandbox.control("POST", "participants", token=given["token"], context=given["context"])
    alice.expected = {403, 409}
    alice.button("Join again").click()

    expect(alice.page.locator(".why")).to_contain_text("The room is full")


def test_a_room_that_is_not_open_says_when(visiting: Visiting, stage: Stage) -> None:
    """The list and the room tell why not, and there is nothing to press."""
    alias = stage.room(fresh("later"), opens_at="2099-01-02T09:00:00Z")
    alice = visiting().enter_as("Alice Abel").open(alias)

    expect(alice.page.locator(".why")).to_contain_text(re.compile(r"Opens .*2099"))
    expect(alice.button("Join")).to_be_disabled()


def test_the_list_marks_the_room_that_is_open(visiting: Visiting, stage: Stage) -> None:
    """At once, not with the next answer of the service."""
    first, second = stage.room(fresh("a")), stage.room(fresh("b"))
    alice = visiting().enter_as("Alice Abel").open(first).open(second)

    assert alice.page.locator(".room[aria-current] code").all_inner_texts() == [second]


def test_a_stranger_is_told_that_there_is_no_such_room(visiting: Visiting, stage: Stage) -> None:
    """Asked for by its name, a room of others is as good as none."""
    alias = stage.room(fresh("secret"), access=[{"members": True}])
    carol = visiting().enter_as("Carol Chen")
    carol.expected = {404}
    carol.page.get_by_label("Another room").fill(alias)
    carol.button("Ask").click()

    expect(carol.page.get_by_role("alert")).to_contain_text("No such room")


def test_a_reload_asks_for_no_second_sign_in(visiting: Visiting) -> None:
    """The demo user's name outlives a reload, and signing out forgets it."""
    alice = visiting().enter_as("Alice Abel")
    alice.page.reload()
    expect(alice.page.get_by_role("heading", name="Your rooms")).to_be_visible()
    alice.button("Sign out").click()
    alice.page.reload()

    expect(alice.page.get_by_role("heading", name="Who are you?")).to_be_visible()


@pytest.mark.short
def test_every_view_has_an_address(visiting: Visiting, stage: Stage) -> None:
    """A reload and a link show the same room again, and Back goes where one was before."""
    first, second = (stage.room(fresh(name)) for name in ("first", "second"))
    alice = visiting().enter_as("Alice Abel").open(first).open(second)
    alice.page.reload()
    expect(alice.page.locator("#room-title")).to_have_text(second)
    alice.page.go_back()
    expect(alice.page.locator("#room-title")).to_have_text(first)


@pytest.mark.short
def test_on_a_phone_the_list_and_a_room_are_two_views(visiting: Visiting, stage: Stage) -> None:
    """Join is on the first screen of a room, and a link leads back to the list."""
    alias = stage.room(fresh("phone"))
    alice = visiting(viewport={"width": 360, "height": 640}).enter_as("Alice Abel").open(alias)
    join = alice.button("Join").bounding_box()
    assert join is not None
    assert join["y"] + join["height"] <= 640
    expect(alice.page.get_by_role("heading", name="Your rooms")).to_be_hidden()
    alice.link("All your rooms").click()
    expect(alice.page.get_by_role("heading", name="Your rooms")).to_be_visible()


def test_a_pasted_bearer_is_kept_nowhere(visiting: Visiting, stage: Stage) -> None:
    """It signs in, and a reload forgets it: nothing of it is in the browser's storage."""
    bearer = stage.bearer("alice")
    alice = visiting().sign_in_with(bearer)
    expect(alice.page.get_by_role("heading", name="Your rooms")).to_be_visible()

    assert alice.page.evaluate("[sessionStorage.length, localStorage.length, document.cookie.length]") == [0, 0, 0]
    alice.page.reload()
    expect(alice.page.get_by_role("heading", name="Who are you?")).to_be_visible()


@pytest.mark.parametrize("bad", ["nonsense", "a.b.c"])
def test_a_bad_bearer_is_refused_in_words(visiting: Visiting, bad: str) -> None:
    """The door stays shut and says why."""
    nobody = visiting()
    nobody.expected = {401}
    nobody.sign_in_with(bad)

    expect(nobody.page.get_by_role("alert")).to_contain_text("Not signed in")


# What the vendor's SDK looks like to a page; it writes down what it is asked.
_SDK = """
window.told = [];
export async function initialize(config) {
  window.told.push(["initialize", config]);
  const listeners = {};
  window.dropped = (reason) => listeners.disconnected(reason);
  const said = (name) => async (...given) => { window.told.push([name, ...given]); };
  return { on: (name, listener) => { listeners[name] = listener; },
    connect: said("connect"), updateClientToken: said("update"), disconnect: said("disconnect") };
}
"""


def test_with_an_sdk_the_call_is_its(visiting: Visiting, stage: Stage, alias: str) -> None:
    """It gets room, token and context as they came, each new token in turn, and a drop of its ends the call."""
    alice = visiting()
    alone = {"sandbox": None, "sdk": True}
    alice.page.route("**/console/config.json", lambda route: route.fulfill(json=alone))
    alice.page.route("**/console/sdk.js", lambda route: route.fulfill(body=_SDK, content_type="text/javascript"))
    alice.sign_in_with(stage.bearer("alice")).join(alias)
    until(lambda: len(alice.page.evaluate("told")) == 3, 15, "a second token")
    told = alice.page.evaluate("told")
    alice.page.evaluate("dropped('network_lost')")
    expect(alice.page.locator(".why")).to_have_attribute("data-code", "network_lost")

    assert [name for name, *_ in told] == ["initialize", "connect", "update"]
    given = told[0][1]
    assert given["roomId"] == room_id(stage, alias)
    assert json.loads(given["context"])["id"] == "alice"
    assert given["clientToken"].count(".") == told[2][1].count(".") == 2
    assert given["clientToken"] != told[2][1]


def test_without_a_sandbox_the_token_is_handed_over(visiting: Visiting, stage: Stage) -> None:
    """As in production: no demo users, no switches, a bearer to paste, and a token to copy for an SDK."""
    alias = stage.room(fresh("room"))
    alice: Visitor = visiting(permissions=["clipboard-read", "clipboard-write"])
    alone = {"sandbox": None, "sdk": False}
    alice.page.route("**/console/config.json", lambda route: route.fulfill(json=alone))
    alice.sign_in_with(stage.bearer("alice")).join(alias).button("Copy for the SDK").click()

    expect(alice.page.locator("#said")).to_have_text("Room, token and context are copied")
    assert room_id(stage, alias) in alice.page.evaluate("navigator.clipboard.readText()")
    assert alice.page.get_by_role("heading", name="Sandbox").count() == 0
    assert alice.hosts() == {stage.origin}
