"""The checker itself: a history in order passes, and one that breaks an invariant is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.faults.history.checker import excused
from tests.faults.history.facts import Event, Fault
from tests.faults.history.samples import answer, failed, grant, history, letters, write


def test_a_history_in_order_passes() -> None:
    """A token from the cache, a refusal with a reason, an outage with its answer."""
    bob = failed(12.0, 404, "room_not_found", user="bob")
    down = failed(21.0, 503, "store_unavailable", user="carl")
    assert (
        letters(
            answer(),
            bob,
            down,
            writes=[write(5.0, "member", user="bob")],
            faults=[Fault(20.0, 22.0, "redis frozen")],
            events=[Event("e1", acknowledged=True, effects=1), Event("e2", acknowledged=False, effects=0)],
        )
        == ""
    )


def test_another_users_token_is_refused() -> None:
    """(a) One token, two users."""
    assert letters(answer(), answer(11.0, user="bob")) == "a"


def test_another_rooms_token_is_refused() -> None:
    """(a) One token, two rooms: also upstream made it for one only."""
    assert letters(answer(room="other")) == "a"


def test_another_devices_token_is_refused() -> None:
    """(a) Devices are kept apart too."""
    assert letters(answer(), answer(11.0, device="phone")) == "a"


def test_a_token_that_upstream_never_made_is_refused() -> None:
    """(a) Whatever it is, it opens nothing."""
    assert letters(answer(token="t9"), grants=[]) == "a"


def test_a_token_for_the_banned_is_refused() -> None:
    """(b) From the ban's confirmation on."""
    assert letters(answer(), writes=[write(9.5, "ban")]) == "b"


def test_a_token_for_a_former_member_is_refused() -> None:
    """(b) As for the banned."""
    assert letters(answer(), writes=[write(9.5, "member")]) == "b"


def test_a_token_for_a_closed_room_is_refused() -> None:
    """(b) Of whoever it is."""
    assert letters(answer(), writes=[write(9.5, "window")]) == "b"


def test_a_token_for_a_revoked_bearer_is_refused() -> None:
    """(b) In any room."""
    assert letters(answer(), writes=[write(9.5, "revocation", room="")]) == "b"


def test_a_token_after_a_new_sign_in_passes() -> None:
    """A revocation is of the bearers from before it."""
    assert letters(answer(generation=1), writes=[write(9.5, "revocation", room="")]) == ""


def test_a_lobby_that_says_open_to_the_banned_is_refused() -> None:
    """(b) Holds for the pre-check too."""
    check = answer(verb="check", word="open", token="")
    assert letters(check, writes=[write(9.5, "ban")], grants=[]) == "b"


def test_a_token_while_the_ban_is_written_passes() -> None:
    """Between call and confirmation either is right."""
    assert letters(answer(), writes=[write(9.95, "ban")]) == ""


def test_a_token_after_the_ban_is_lifted_passes() -> None:
    """From the beginning of the lifting on."""
    assert letters(answer(), writes=[write(9.1, "ban"), write(9.8, "ban", allows=True)]) == ""


def test_a_ban_that_was_not_confirmed_binds_nobody() -> None:
    """It may have been written or not."""
    assert letters(answer(), writes=[write(9.5, "ban", sure=False)]) == ""


def test_a_replica_cut_off_from_the_store_may_not_know_of_a_ban() -> None:
    """It decides by what it read at most 300 s ago (docs/decisions/redis.md); the others may not."""
    facts: dict[str, Any] = {"writes": [write(9.5, "ban")], "faults": [Fault(9.0, 11.0, "redis timeout", 0)]}
    assert letters(answer(), **facts) == ""
    assert letters(answer(replica=1), **facts) == "b"
    assert excused(history(answer(), **facts)) == 1


def test_a_replica_that_was_cut_off_later_knows_of_a_ban() -> None:
    """It heard of it before the ban was confirmed."""
    facts: dict[str, Any] = {"writes": [write(9.0, "ban")], "faults": [Fault(9.7, 11.0, "redis killed", -1)]}
    assert letters(answer(), **facts) == "b"


def test_two_calls_in_a_row_are_refused() -> None:
    """(c) Where there was no reason."""
    assert letters(answer(), answer(11.0, token="t2"), grants=[grant(), grant("t2", 10.5)]) == "c"


def test_two_calls_half_a_life_apart_pass() -> None:
    """The second is a renewal."""
    assert letters(answer(), answer(30.0, token="t2"), grants=[grant(), grant("t2", 29.0)]) == ""


def test_a_second_call_with_a_reason_passes() -> None:
    """The user had the first token forgotten."""
    forgotten = failed(10.3, 204, "", verb="forget")
    assert letters(answer(), forgotten, answer(11.0, token="t2"), grants=[grant(), grant("t2", 10.5)]) == ""


def test_more_calls_than_a_reason_explains_are_refused() -> None:
    """(c) One for each process and half life, and no more."""
    many = [grant(f"t{number}", 9.0 + number / 100) for number in range(1, 20)]
    answers = [answer(10.0 + number / 100, token=f"t{number}") for number in range(1, 20)]
    assert letters(*answers, grants=many, faults=[Fault(9.0, 9.5, "worker killed", 0)]) == "c"


def test_a_token_made_for_nobody_is_refused() -> None:
    """(c) A call whose token reached no caller, and nothing was wrong."""
    assert letters(answer(), grants=[grant(), grant("t2", 100.0)]) == "c"


def test_a_token_that_is_nearly_over_is_refused() -> None:
    """(d) Below the never-line, an eighth of its life."""
    assert letters(answer(expires_in=1), grants=[grant(began=-27.0)]) == "d"


def test_a_token_that_dies_on_the_way_is_refused() -> None:
    """(d) Good when it was asked for, of no use when it came."""
    assert letters(answer(ended=15.0, expires_in=1), grants=[grant(began=-24.0)]) == "d"


def test_a_life_that_was_overstated_is_refused() -> None:
    """(d) The client would come back too late."""
    assert letters(answer(expires_in=60)) == "d"


def test_an_acknowledged_event_without_effect_is_refused() -> None:
    """(e) It was lost."""
    assert letters(answer(), events=[Event("e1", acknowledged=True, effects=0)]) == "e"


def test_an_event_with_two_effects_is_refused() -> None:
    """(e) Acknowledged or not."""
    assert letters(answer(), events=[Event("e1", acknowledged=False, effects=2)]) == "e"


def test_an_answer_past_the_deadline_is_refused() -> None:
    """(f) Whatever the fault."""
    late = failed(10.0, 504, "deadline_exceeded", ended=18.6)
    assert letters(late, faults=[Fault(9.0, 20.0, "upstream hang")], grants=[]) == "f"
    faults = [Fault(9.0, 20.0, "upstream hang"), Fault(9.0, 11.0, "replica killed", 0)]
    assert letters(late, faults=faults, grants=[]) == ""
    assert letters(late, failed(10.0, 403, "banned"), faults=faults, grants=[], writes=[write(1.0, "ban")]) == "f"


def test_a_status_500_is_refused() -> None:
    """(g) Whatever the fault."""
    faults = [Fault(9.0, 20.0, name) for name in ("upstream 500", "redis killed", "replica killed")]
    assert letters(failed(10.0, 500, "internal_error"), faults=faults, grants=[]) == "g"


def test_an_error_that_no_fault_explains_is_refused() -> None:
    """(g) Another replica's trouble is no reason, nor is trouble of another kind, or long ago."""
    told = failed(50.0, 503, "store_unavailable")
    for fault in (
        Fault(49.0, 51.0, "redis timeout", 1),
        Fault(49.0, 51.0, "upstream 500"),
        Fault(40.0, 45.0, "redis killed"),
    ):
        assert letters(told, faults=[fault], grants=[]) == "g"
    assert letters(told, faults=[Fault(49.0, 51.0, "redis timeout", 0)], grants=[]) == ""


def test_a_refusal_for_our_own_fault_is_refused() -> None:
    """(g) An outage is never a 401, nor does it turn members away."""
    outage = [Fault(9.0, 11.0, "redis killed")]
    for status, word in ((401, "invalid_token"), (401, "session_revoked"), (404, "room_not_found"), (403, "banned")):
        assert letters(failed(10.0, status, word), faults=outage, grants=[]) == "g"


def test_a_refusal_on_another_ground_is_refused() -> None:
    """(g) Banned is not closed."""
    assert letters(failed(10.0, 403, "closed"), writes=[write(9.0, "ban")], grants=[]) == "g"


def test_a_connection_that_ends_without_an_answer_is_refused() -> None:
    """(g) Unless its process was killed; one dialled after that has no excuse."""
    kill = [Fault(9.0, 10.0, "worker killed", 0)]
    assert letters(failed(10.5, 0, ""), grants=[]) == "g"
    assert letters(failed(10.5, 0, "", dialled=10.2), faults=kill, grants=[]) == "g"
    assert letters(failed(10.5, 0, "", dialled=8.0), faults=kill, grants=[]) == ""


def test_an_error_in_place_of_a_token_in_hand_is_refused() -> None:
    """(g) Upstream is down, and a token with life left was there (N2)."""
    down = [Fault(11.0, 13.0, "upstream 500")]
    told = failed(12.0, 503, "upstream_unavailable")
    assert letters(answer(), told, faults=down) == "g"
    assert letters(told, faults=down, grants=[]) == ""


def test_a_token_that_was_forgotten_is_not_in_hand() -> None:
    """Whoever had it dropped is told of the trouble."""
    down = [Fault(11.0, 13.0, "upstream 500")]
    forgotten = failed(10.5, 204, "", verb="forget")
    assert letters(answer(), forgotten, failed(12.0, 503, "upstream_unavailable"), faults=down) == ""


def test_a_replica_that_stood_still_is_not_the_store() -> None:
    """Where three others waited as long beside it, the machine was short; where nobody did, it is a bug."""
    told = failed(12.0, 503, "store_unavailable", user="bob", ended=12.3)
    beside = [answer(12.0 + number / 100, ended=12.3) for number in range(3)]
    assert letters(told, *beside) == ""
    assert letters(told, *beside[:2]) == "g"
    assert letters(told, *[replace(one, replica=1) for one in beside]) == "g"
    assert letters(replace(told, ended=12.1), *beside) == "g"
