"""The rest of what moderators and administrators do on the console, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.console.conftest import Visiting
from tests.console.stage import SECONDS, Stage
from tests.processes import fresh

pytestmark = pytest.mark.long


# How many of a list the pages ask for at once.
_LISTED = 500


def test_who_was_removed_can_be_let_in_again(visiting: Visiting, stage: Stage, meeting: str) -> None:
    """Those kept out are listed, and letting one in again takes effect on the next question."""
    assert stage.ask("alice", "PUT", f"/v1/rooms/{meeting}/bans/bob", json={}).ok
    alice = visiting().enter_as("Alice Abel").open(meeting)
    alice.button("Let bob in again").click()

    expect(alice.page.locator(".bans li")).to_have_count(0)
    assert stage.ask("bob", "POST", f"/v1/rooms/{meeting}/token", json={}).status_code == 200


def test_a_mute_is_seen(visiting: Visiting, stage: Stage, meeting: str) -> None:
    """The button turns into its opposite, and the sandbox has the participant muted."""
    alice = visiting().enter_as("Alice Abel").join(meeting)
    alice.button("Bob Brandt").click()
    alice.person("Bob Brandt").get_by_role("button", name="Mute").click()

    expect(alice.button("Unmute Bob Brandt")).to_be_visible()
    assert [one["muted"] for one in stage.sandbox.control("GET", "participants")["data"] if one["muted"]] == [True]
    alice.button("Unmute Bob Brandt").click()
    expect(alice.button("Mute Bob Brandt")).to_be_visible()


def test_an_end_is_an_end_for_everybody(visiting: Visiting, meeting: str) -> None:
    """Both windows say that the meeting has ended, and both may join again."""
    bob = visiting().enter_as("Bob Brandt").join(meeting)
    alice = visiting().enter_as("Alice Abel").join(meeting)
    alice.button("End meeting").click()
    alice.confirm("End it")

    for one in (alice, bob):
        expect(one.page.locator(".why")).to_have_attribute("data-code", "session_ended")
        expect(one.button("Join again")).to_be_enabled()


def test_a_participant_has_nothing_to_moderate_with(visiting: Visiting, meeting: str) -> None:
    """Neither the list of who is in nor its buttons are there for them."""
    bob = visiting().enter_as("Bob Brandt").join(meeting)

    assert bob.page.get_by_role("heading", name="In the room").count() == 0
    assert bob.page.get_by_role("link", name="Administration").count() == 0


def test_a_revoked_invite_leads_nowhere(visiting: Visiting, meeting: str) -> None:
    """Revoked where it was made, its link is refused in words."""
    alice = visiting().enter_as("Alice Abel").open(meeting)
    alice.button("Invite").click()
    alice.button("Make the invite").click()
    link = alice.page.get_by_label("Link of the invite").input_value()
    alice.confirm("Revoke")
    alice.page.locator("dialog").last.get_by_role("button", name="Revoke").click()
    expect(alice.page.locator("dialog")).to_have_count(0)
    guest = visiting().visit(link)
    guest.expected = {404}
    guest.button("Enter as a guest").click()

    expect(guest.page.get_by_role("alert")).to_be_visible()


def test_an_administrator_makes_a_room_with_a_member(visiting: Visiting, stage: Stage) -> None:
    """What is filled in on the page is what the directory then has."""
    alias = fresh("made")
    ada = visiting().enter_as("Ada Admin")
    ada.link("Administration").click()
    ada.button("New room").click()
    ada.page.get_by_label("Alias").fill(alias)
    ada.page.get_by_label("Title").fill("Made by hand")
    ada.confirm("Make the room")
    ada.link(f"Members of {alias}").click()
    ada.page.get_by_label("User id").fill("carol")
    ada.page.get_by_label("Role").select_option("moderator")
    ada.button("Add").click()
    expect(ada.page.locator(".person")).to_contain_text("carol · moderator")

    seen = stage.ask("carol", "GET", f"/v1/rooms/{alias}").json()
    assert (seen["role"], seen["title"]) == ("moderator", "Made by hand")


def test_an_administrator_edits_a_room_and_overwrites_none(visiting: Visiting, stage: Stage) -> None:
    """A room is changed by its own form; one of an alias that is taken is refused at the field, and nothing changes."""
    alias = stage.room(fresh("edited"), token_ttl_secs=60)
    ada = visiting().enter_as("Ada Admin")
    ada.expected = {412}
    ada.link("Administration").click()
    ada.button(f"Edit of {alias}").click()
    ada.page.get_by_label("Title").fill("By another name")
    ada.page.get_by_label("Places").fill("20")
    ada.page.get_by_label("Who may enter").select_option("By rules of its own")
    ada.page.get_by_label("Rules").fill('[{"claim": "dept", "equals": "ops", "role": "participant"}]')
    ada.page.get_by_label("Without a ticket one is an impostor").select_option("Yes")
    ada.confirm("Save")
    expect(ada.page.locator("tbody tr", has_text="By another name")).to_contain_text("20")
    ada.button("New room").click()
    ada.page.get_by_label("Alias").fill(alias)
    ada.button("Make the room").click()
    expect(ada.page.get_by_label("Alias")).to_have_js_property(
        "validationMessage", "There is a room of that alias already."
    )

    record = stage.ask("ada", "GET", f"/v1/admin/rooms/{alias}").json()
    assert (record["title"], record["max_participants"], record["token_ttl_secs"]) == ("By another name", 20, 60)
    assert record["access"] == [{"claim": "dept", "equals": "ops", "role": "participant"}]
    assert record["require_ticket"] is True


def test_nobody_removes_themselves(visiting: Visiting, meeting: str) -> None:
    """Whoever looks is told which of the people they are, and is asked for no confirmation to put themselves out."""
    alice = visiting().enter_as("Alice Abel").open(meeting)
    alice.button("Join").click()
    own = alice.page.locator(".person", has_text="Alice Abel (you)")
    expect(own).to_be_visible(timeout=15 * SECONDS)

    expect(own.get_by_role("button", name="Remove")).to_have_count(0)


@pytest.fixture(scope="module")
def crowd(stage: Stage) -> None:
    """More rooms than a page lists, which only dora may enter."""
    for _ in range(_LISTED + 1):
        stage.room(fresh("many"), access=[{"members": True}], moderator="dora")


@pytest.mark.usefixtures("crowd")
def test_a_list_says_that_there_are_more(visiting: Visiting, stage: Stage) -> None:
    """Of more rooms than the page lists, it says so."""
    dora = visiting().sign_in_with(stage.bearer("dora"))

    expect(dora.page.get_by_text(f"The first {_LISTED} are listed; any other is opened by its alias.")).to_be_visible()
    expect(dora.page.locator(".room")).to_have_count(_LISTED)


@pytest.mark.usefixtures("crowd")
def test_an_administrator_finds_any_room(visiting: Visiting, stage: Stage) -> None:
    """Of more rooms than the page lists, it says so; the rest are found by their words, and gone when deleted."""
    alias = stage.room(fresh("zz"))
    ada = visiting().enter_as("Ada Admin")
    ada.link("Administration").click()
    expect(ada.page.get_by_text(f"The first {_LISTED} are listed.")).to_be_visible()
    assert ada.link(f"Members of {alias}").count() == 0
    ada.page.get_by_label("Find a room").fill(alias)
    ada.button("Find").click()
    expect(ada.button(f"Edit of {alias}")).to_be_focused()
    row = ada.page.locator("tbody tr", has=ada.page.get_by_text(alias, exact=True).first)
    row.get_by_role("button", name="Delete").click()
    ada.confirm("Delete")

    expect(ada.page.get_by_text("No room has these words in its alias or title.")).to_be_visible()


def test_an_administrator_sees_all_members(visiting: Visiting, stage: Stage, meeting: str) -> None:
    """Of more members than the page lists at first it lists the rest when asked, at an address of its own."""
    for number in range(_LISTED):
        member = f"/v1/admin/rooms/{meeting}/members/member-{number}"
        assert stage.ask("ada", "PUT", member, json={"role": "participant"}).ok
    ada = visiting().enter_as("Ada Admin")
    ada.link("Administration").click()
    ada.page.get_by_label("Find a room").fill(meeting)
    ada.button("Find").click()
    ada.link(f"Members of {meeting}").click()
    expect(ada.page.locator(".person")).to_have_count(_LISTED)
    ada.button("Show more").click()

    expect(ada.page.locator(".person")).to_have_count(_LISTED + 1)
    expect(ada.button("Show more")).to_have_count(0)
    ada.page.set_viewport_size({"width": 360, "height": 640})
    ada.page.reload()
    expect(ada.page.get_by_role("heading", name=f"Members of {meeting}")).to_be_visible()
    expect(ada.page.get_by_role("heading", name="All rooms")).to_be_hidden()
    ada.link("All rooms").click()
    expect(ada.page.get_by_role("heading", name="All rooms")).to_be_visible()


def test_an_administrator_sees_recordings(visiting: Visiting, stage: Stage) -> None:
    """A call in a room that records leaves a recording, which the page lists and can delete."""
    alias = stage.room(fresh("rec"), enable_recording=True)
    alice = visiting().enter_as("Alice Abel").join(alias)
    alice.button("Leave").click()
    ada = visiting().enter_as("Ada Admin")
    ada.link("Administration").click()
    ada.page.get_by_label("Find a room").fill(alias)
    ada.button("Find").click()
    ada.link(f"Recordings of {alias}").click()
    rows = ada.page.locator(".person")
    expect(rows).not_to_have_count(0)
    before = rows.count()
    rows.first.get_by_role("button", name="Delete").click()
    ada.confirm("Delete")

    expect(rows).to_have_count(before - 1)


def test_an_old_list_says_how_old_it_is(visiting: Visiting, meeting: str) -> None:
    """While Telnyx cannot be asked who is in, the last answer stays, with the time of it and not of the last try."""
    alice = visiting().enter_as("Alice Abel").join(meeting)
    alice.expected = {503}
    expect(alice.person("Alice Abel (you)")).to_be_visible()
    alice.page.get_by_role("radio", name="Down").check()
    note = alice.page.locator("#people-title").locator("xpath=ancestor::section").locator(".note").first
    expect(note).to_contain_text("this is who was in at")
    first = note.inner_text()
    for _ in range(2):
        with alice.page.expect_response(lambda answer: "/participants" in answer.url and answer.status == 503):
            pass  # The second is asked for after the first was shown.

    expect(note).to_have_text(first)
    expect(alice.person("Alice Abel (you)")).to_be_visible()


def test_somebody_waits_until_a_moderator_lets_them_in(visiting: Visiting, stage: Stage, meeting: str) -> None:
    """Whoever waits is told so and is in by themselves once admitted; the moderator sees them until then."""
    assert stage.ask("ada", "PATCH", f"/v1/admin/rooms/{meeting}", json={"waiting_room": "participants"}).ok
    bob = visiting().enter_as("Bob Brandt").open(meeting)
    bob.expected = {403}
    bob.button("Join").click()
    expect(bob.page.locator(".why")).to_have_attribute("data-code", "waiting_for_admission")
    alice = visiting().enter_as("Alice Abel").open(meeting)
    expect(alice.page.locator(".waiting li")).to_contain_text("Bob Brandt")
    alice.button("Admit Bob Brandt").click()

    expect(alice.page.locator(".waiting")).to_be_hidden()
    expect(bob.page.locator(".ring")).to_have_attribute("data-state", "in")


def test_a_refusal_is_told(visiting: Visiting, stage: Stage, meeting: str) -> None:
    """The page of whoever waited says so, and asks no more."""
    assert stage.ask("ada", "PATCH", f"/v1/admin/rooms/{meeting}", json={"host_required": True}).ok
    bob = visiting().enter_as("Bob Brandt").open(meeting)
    bob.expected = {403}
    bob.button("Join").click()
    alice = visiting().enter_as("Alice Abel").open(meeting)
    alice.button("Refuse all").click()
    alice.confirm("Refuse")

    expect(bob.page.locator(".why")).to_have_attribute("data-code", "admission_refused")
    expect(bob.button("Join again")).to_be_disabled()
