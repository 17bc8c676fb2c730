"""The checker on guests, waiting rooms, bearers of the future, lists that end, and rooms that are swept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.faults.history.facts import Answer, Deletion, Fault, Growth, Listing, Sweep, Write
from tests.faults.history.samples import answer, failed, grant, letters, write


def guests(status: int, word: str = "", began: float = 10.0, **changes: Any) -> Answer:
    """What came of a guest's ban."""
    told = {"verb": "ban", "user": "guest:gus", "about": "ann", **changes}
    return failed(began, status, word, **told)


def invite_ends(began: float, **changes: Any) -> Write:
    return write(began, "invite", user="guest:gus", **changes)


def test_whoever_waits_gets_no_token() -> None:
    """(b) From the beginning on, and after a refusal, until somebody admits them."""
    waits = write(1.0, "admission")
    assert letters(answer(), writes=[waits]) == "b"
    assert letters(answer(), writes=[waits, write(8.0, "admission", allows=True)]) == ""
    admitted = [waits, write(8.0, "admission", allows=True)]
    assert letters(answer(), writes=[*admitted, write(9.5, "admission")]) == "b"


def test_whoever_was_admitted_does_not_wait() -> None:
    """(g) An admission holds."""
    told = failed(10.0, 403, "waiting_for_admission")
    writes = [write(1.0, "admission"), write(8.0, "admission", allows=True)]
    assert letters(told, writes=writes[:1], grants=[]) == ""
    assert letters(told, writes=writes, grants=[]) == "g"


def test_a_guest_who_acts_after_the_invite_is_refused() -> None:
    """(b) Neither a token, nor a ban, nor another guest; and no outage is an excuse for the latter two."""
    ended, outage = [invite_ends(9.5)], [Fault(5.0, 11.0, "redis timeout")]
    assert letters(answer(user="guest:gus"), writes=ended) == "b"
    for verb in ("ban", "redeem"):
        assert letters(guests(200, verb=verb), writes=ended, grants=[], faults=outage) == "b"
    assert letters(guests(404, "room_not_found"), writes=ended, grants=[]) == ""
    assert letters(guests(200), grants=[]) == ""


def test_a_guest_who_is_refused_before_the_invite_ends_is_found() -> None:
    """(g) The invite stands."""
    assert letters(guests(404, "room_not_found"), writes=[invite_ends(20.0)], grants=[]) == "g"


def test_a_ban_that_outlasts_the_guest_s_invite_is_refused() -> None:
    """(g) Also one that was on its way when the invite ended."""
    ban = replace(write(9.0, "ban", by="guest:gus"), ended=9.9)
    banned = failed(10.0, 403, "banned")
    assert letters(banned, writes=[ban], grants=[]) == ""
    assert letters(banned, writes=[ban, invite_ends(9.5)], grants=[]) == "g"
    assert letters(answer(), writes=[ban, invite_ends(9.5)]) == ""
    assert letters(answer(), writes=[ban]) == "b"


def test_a_guest_who_bans_a_host_is_refused() -> None:
    """(h) A refusal needs no fault to explain it where it is about a host, and nowhere else."""
    assert letters(guests(200, about="mo"), grants=[]) == "h"
    assert letters(guests(403, "insufficient_role", about="mo"), grants=[]) == ""
    assert letters(guests(403, "insufficient_role"), grants=[]) == "g"


def test_a_ban_by_a_guest_costs_a_token() -> None:
    """(c) Also that of a host by a claim, whom it does not keep out."""
    anew = [answer(user="hal"), answer(11.0, user="hal", token="t2")]
    assert letters(*anew, grants=[grant(), grant("t2", 10.8)]) == "c"
    assert letters(*anew, guests(200, began=10.5, about="hal"), grants=[grant(), grant("t2", 10.8)]) == ""


def test_a_bearer_of_the_future_that_was_used_is_void_after_a_revocation() -> None:
    """(b) One that nobody has shown yet, or whose use nobody could take note of, cannot be told from a new sign-in."""
    revoked = [write(9.5, "revocation", room="", ahead=True)]
    used = answer(9.2)
    assert letters(used, answer(), writes=revoked) == "b"
    assert letters(answer(), writes=revoked) == ""
    assert letters(used, answer(), writes=revoked, faults=[Fault(9.0, 9.3, "redis timeout")]) == ""


def put(*names: str, began: float = 1.0, adds: bool = True, sure: bool = True, full: bool = False) -> Growth:
    return Growth(began, began + 0.1, "bans", names, adds, sure, full)


def listed(*names: str, longest: int = 3) -> Listing:
    return Listing(10.0, 10.1, "bans", names, longest)


def lists(*growths: Growth, listing: Listing | None = None) -> str:
    """The invariants that a list breaks."""
    return letters(answer(), growths=growths, listings=[listing] if listing else [])


def test_a_list_in_order_passes() -> None:
    """What may have been taken off or put there may be on it or not."""
    perhaps = [put("bob", began=2.0, adds=False, sure=False), put("carl", sure=False)]
    assert lists(put("ann", "bob"), *perhaps, listing=listed("ann")) == ""
    assert lists(put("ann", "bob"), *perhaps, listing=listed("ann", "bob", "carl")) == ""
    assert lists(put("", sure=False), listing=listed("a-name-that-nobody-was-told")) == ""


def test_a_list_over_its_cap_is_refused() -> None:
    """(i) In names, on a page, and by a name that comes twice."""
    names = ("ann", "bob", "carl", "dora")
    assert lists(put(*names), listing=listed(*names)) == "i"
    assert lists(put("ann"), listing=listed("ann", longest=201)) == "i"
    assert lists(put("ann"), listing=listed("ann", "ann")) == "i"


def test_a_list_that_lacks_or_invents_a_name_is_refused() -> None:
    """(i) What was confirmed counts, both ways."""
    assert lists(put("ann", "bob"), listing=listed("ann")) == "i"
    assert lists(put("ann"), listing=listed("ann", "eve")) == "i"
    assert lists(put("ann"), put("ann", began=2.0, adds=False), listing=listed("ann")) == "i"


def test_a_list_that_is_called_full_too_early_is_refused() -> None:
    """(i) What may be on it counts."""
    refused = put("eve", began=5.0, sure=False, full=True)
    assert lists(put("ann", "bob"), refused) == "i"
    assert lists(put("ann", "bob"), put("carl", sure=False), refused) == ""


def test_a_room_that_is_deleted_while_a_token_of_it_lives_is_refused() -> None:
    """(j) And so is a token of a room that is gone; of a replica that cannot reach the store nobody knows."""
    visit = answer(room="visit", room_id="id-1")
    for deletion in (Deletion(12.0, 12.1, "id-1"), Deletion(8.0, 8.1, "id-1")):
        assert letters(visit, deletions=[deletion]) == "j"
        assert letters(visit, deletions=[deletion], faults=[Fault(5.0, 11.0, "redis timeout")]) == ""
    assert letters(visit, deletions=[Deletion(60.0, 60.1, "id-1")]) == ""


def test_a_token_of_another_room_than_the_answer_says_is_refused() -> None:
    """(a) Of a room that a template makes only the answer knows the id."""
    assert letters(answer(room="visit", room_id="id-2")) == "a"


def test_a_room_that_is_swept_costs_a_call_and_perhaps_a_repeat() -> None:
    """(c) and (g) A sweep is a reason for a new token, and for asking those who came meanwhile to come again."""
    sweep, later = Sweep(10.5, 12.0, "visit"), grant("t2", 11.0, room_id="id-3", path_id="id-3")
    visits = [answer(room="visit", room_id="id-1"), answer(11.2, room="visit", token="t2", room_id="id-3")]
    assert letters(*visits, grants=[grant(), later]) == "c"
    assert letters(*visits, grants=[grant(), later], sweeps=[sweep]) == ""
    again = failed(11.0, 503, "store_unavailable", room="visit", user="bob")
    assert letters(again, grants=[]) == "g"
    assert letters(again, grants=[], sweeps=[sweep]) == ""
