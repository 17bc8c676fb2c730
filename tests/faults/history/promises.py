"""The invariants (h) to (j): of guests who moderate, of lists that have an end, of rooms that are swept. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from tests.faults.history.facts import Answer, Growth, History, Listing
from tests.faults.history.index import Index, who

LONGEST_PAGE = 200
# Refusals that say what is so, whatever the faults are: (h) and (i) look at them, or what was to go was gone.
_GUEST_AND_HOST = "insufficient_role"
_FULL = frozenset({"limit_reached", "too_many_invites"})
_GONE = frozenset({"ban_not_found", "member_not_found", "invite_not_found"})


def is_due(answer: Answer, history: History) -> bool:
    """Whether a refusal needs no fault to explain it."""
    if answer.verb == "ban":
        return answer.word == _GUEST_AND_HOST and answer.about in history.hosts
    return answer.verb == "moderate" and answer.word in _FULL | _GONE


def _hosts_stay(index: Index) -> Iterator[str]:
    """(h) No guest bans a moderator who is none."""
    for answer in index.history.answers:
        if answer.verb == "ban" and answer.exercises_power and answer.about in index.history.hosts:
            yield f"{who(answer)} was done, and that is a host"


def _lists_end(index: Index) -> Iterator[str]:
    """(i) A list holds no more than it may, in pages, and exactly what was confirmed; full is only what is full."""
    growths: dict[str, list[Growth]] = defaultdict(list)
    for growth in index.history.growths:
        growths[growth.what].append(growth)
    for listing in index.history.listings:
        for complaint in _wrong_with(listing, growths[listing.what], index.history.caps[listing.what]):
            yield f"{listing.began:.2f} the list of {listing.what} {complaint}"
    for what, found in growths.items():
        for growth in found:
            if growth.full and (most := _most_there(growth, found)) + len(growth.names) <= index.history.caps[what]:
                yield f"{growth.began:.2f} the list of {what} was called full with {most} names at most"


def _wrong_with(listing: Listing, growths: list[Growth], cap: int) -> Iterator[str]:
    names = set(listing.names)
    if len(listing.names) > cap:
        yield f"has {len(listing.names)} names, {cap} are the most"
    if len(names) < len(listing.names):
        yield "names somebody twice"
    if listing.longest > LONGEST_PAGE:
        yield f"has a page of {listing.longest}"
    missing, possible, unknown = _expected(listing, growths)
    if missing - names:
        yield f"lacks {sorted(missing - names)[:5]}"
    if len(ghosts := names - possible) > unknown:
        yield f"has {sorted(ghosts)[:5]}, whom nobody put there, or who were taken off"


def _expected(listing: Listing, growths: list[Growth]) -> tuple[set[str], set[str], int]:
    """Names that must be listed, those that may be, and how many may be whose names nobody was told."""
    known = [growth for growth in growths if growth.began <= listing.ended and not growth.full]
    taken: dict[str, list[Growth]] = {name: [] for growth in known if not growth.adds for name in growth.names}
    must, may, unknown = set[str](), set[str](), 0
    for growth in known:
        for name in taken.keys() & growth.names:
            taken[name].append(growth)
        left = set(growth.names) - taken.keys()
        unknown += "" in left
        may |= left
        must |= left if growth.sure and growth.ended <= listing.began else set()
    for name, found in taken.items():
        if any(one.adds and one.sure and one.ended <= listing.began and not _undone(one, found) for one in found):
            must.add(name)
        if any(one.adds and not _surely_gone(one, found, listing.began) for one in found):
            may.add(name)
    return must - {""}, may - {""}, unknown


def _undone(put: Growth, found: list[Growth]) -> bool:
    """Whether the name may have been taken off again, then or before it was put there late."""
    return any(not other.adds and other.ended >= put.began for other in found)


def _surely_gone(put: Growth, found: list[Growth], by: float) -> bool:
    if not put.sure:
        return False
    return any(not other.adds and other.sure and put.ended <= other.began and other.ended <= by for other in found)


def _most_there(refused: Growth, growths: list[Growth]) -> int:
    """How many names may have been on the list when it was called full."""
    moment = Listing(refused.began, refused.ended, refused.what, (), 0)
    _, possible, unknown = _expected(moment, growths)
    return len(possible) + unknown


def _rooms_live(index: Index) -> Iterator[str]:
    """(j) No room is deleted while a token of it lives, and nobody is sent to one that was.

    A replica that cannot reach the store goes by what it read, and the store does not hear of its tokens.
    """
    deleted = {deletion.room_id: deletion for deletion in index.history.deletions}
    for answer in index.history.answers:
        grant = index.grants.get(answer.token)
        deletion = deleted.get(grant.room_id) if grant is not None else None
        if grant is None or deletion is None or index.store_failing(answer):
            continue
        if deletion.ended < answer.began:
            yield f"{who(answer)} got a token of a room deleted {answer.began - deletion.ended:.2f} s before"
        elif grant.dies > deletion.began:
            yield f"{who(answer)} got a token with {grant.dies - deletion.began:.2f} s left when its room was deleted"


PROMISES: Mapping[str, Callable[[Index], Iterator[str]]] = {"h": _hosts_stay, "i": _lists_end, "j": _rooms_live}
