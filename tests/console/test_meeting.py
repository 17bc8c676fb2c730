"""The console in a real browser: removing, inviting, and who is who, as the people concerned see it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.console.conftest import Visiting
from tests.console.stage import Stage
from tests.processes import fresh


def test_who_is_removed_sees_why(visiting: Visiting, meeting: str) -> None:
    """A moderator removes somebody, whose own window then says ``banned`` and lets them join no more."""
    bob = visiting().enter_as("Bob Brandt").join(meeting)
    alice = visiting().enter_as("Alice Abel").open(meeting)
    alice.person("Bob Brandt").get_by_role("button", name="Remove").click()
    alice.confirm("Remove")

    expect(bob.page.locator(".why")).to_have_attribute("data-code", "banned")
    expect(bob.page.locator(".why")).to_contain_text("You have been removed")
    expect(bob.button("Join again")).to_be_disabled()
    expect(alice.person("Bob Brandt")).to_have_count(0)


def test_impostors_are_told_from_the_proven(visiting: Visiting, meeting: str) -> None:
    """Who shows a ticket of the service is proven; who shows none is not, who shows somebody else's is an impostor."""
    alice = visiting().enter_as("Alice Abel").join(meeting)
    marks = alice.page.locator(".people .mark")
    expect(marks).to_have_text(["proven"])
    alice.button("Somebody without a ticket").click()
    expect(marks).to_have_text(["proven", "unproven: shows no ticket"])
    alice.button("Somebody with your ticket").click()

    expect(marks).to_have_text(["proven", "unproven: shows no ticket", "impostor: shows somebody else's ticket"])


def test_an_invited_guest_gets_in(visiting: Visiting, meeting: str) -> None:
    """The link of an invite, opened in another window, asks for a name and leads into the room as a guest."""
    alice = visiting().enter_as("Alice Abel").open(meeting)
    alice.button("Invite").click()
    alice.button("Make the invite").click()
    link = alice.page.get_by_label("Link of the invite").input_value()
    expect(alice.page.get_by_role("img", name="The link as a QR code")).to_be_visible()
    guest = visiting().visit(link)
    guest.page.get_by_label("Your name").fill("Grace Hopper")
    guest.button("Enter as a guest").click()
    guest.join(meeting)
    alice.confirm("Done")

    expect(alice.person("Grace Hopper").locator(".mark")).to_have_text("proven")
    assert "invite" not in guest.page.url


def test_what_others_write_stays_text(visiting: Visiting, stage: Stage) -> None:
    """A title and a name that are markup are shown letter by letter, and nothing of them runs."""
    title = "<img src=x onerror=alert(1)><b>bold</b>"
    alias = stage.room(fresh("text"), title=title)
    alice = visiting().enter_as("Alice Abel")
    alice.page.locator(".room", has_text=alias).click()

    expect(alice.page.locator("#room-title")).to_have_text(title)
    assert alice.page.locator("main b, main img").count() == 0
