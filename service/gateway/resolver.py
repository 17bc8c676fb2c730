"""From an id to the room that it belongs to, for those who moderate that room.

Rules for editors:
* a room's own id is found here in the house; any other id is looked up at Telnyx, and only for callers who moderate
  something at all;
* an id that was looked up is there for its room's moderators and for nobody else: every other refusal is 404;
* what is remembered spares calls and decides nothing: permission is asked for every time.
"""

from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from service.clock import Clock, Deadline
from service.errors import DeadlineExceeded, Refused, RoomNotFound, UpstreamInvalidResponse, UpstreamNotFound
from service.fair_semaphore import FairSemaphore
from service.gateway.operations import Call, Kind
from service.identity.verifier import Principal
from service.rooms.access import Moderator
from service.rooms.directory import MOST_LOOKED_AT, Directory
from service.rooms.models import Role
from service.storage.share_store import UNKNOWN_IDS, calling
from service.telnyx import Answer, Telnyx
from service.telnyx.client import MOST_ON_A_PAGE
from service.ttl_cache import Expiring

REMEMBERED: Final = 4096
# Which room a session is of, and what our name for an upstream id is, does not change.
KEPT_SECS: Final = 3600.0
# For so long an id that Telnyx does not know is not asked for again.
UNKNOWN_SECS: Final = 30.0
# So many look-ups at a time may each caller have under way in a process.
MAX_AT_ONCE: Final = 4
# For so long whoever may moderate something may have ids looked up.
TRUSTED_SECS: Final = 60.0


class Resolver:
    """Raises ``RoomNotFound``, ``StoreUnavailable`` and, where ids are looked up, the ``UpstreamError`` family."""

    def __init__(self, telnyx: Telnyx, directory: Directory, clock: Clock) -> None:
        self._telnyx = telnyx
        self._directory = directory
        self._rooms_of_sessions: Expiring[UUID, UUID] = Expiring(clock, most=REMEMBERED)
        self._aliases: Expiring[UUID, str] = Expiring(clock, most=REMEMBERED)
        self._moderators: Expiring[tuple[str, str], bool] = Expiring(clock, most=REMEMBERED)
        self._unknown: Expiring[tuple[Kind, UUID], bool] = Expiring(clock, most=REMEMBERED)
        self._places: Expiring[str, FairSemaphore] = Expiring(clock, most=REMEMBERED)

    def alias(self, room_id: UUID) -> str:
        """Our name for a room; whoever uses it checks that the room of that name still has this id."""
        alias = self._aliases.value(room_id)
        if alias is None:
            alias = self._directory.find_by_upstream_id(room_id).alias
            self._aliases.put(room_id, alias, KEPT_SECS)
        return alias

    def room(self, principal: Principal, room_id: UUID) -> Moderator:
        """The caller as a moderator of the room with this id; raises what ``Directory.moderator`` raises."""
        moderator = self._directory.moderator(principal, self.alias(room_id))
        if moderator.room.room_id != room_id:
            raise RoomNotFound
        return moderator

    def named(self, principal: Principal, name: str) -> Moderator:
        """The same by the room's name."""
        room = self._directory.writer.find_by_name(name)
        if room is None:
            raise RoomNotFound
        return self._directory.moderator(principal, room.alias)

    def session(self, call: Call, session: UUID) -> Moderator:
        """The caller as a moderator of a session's room."""
        room_id = self._rooms_of_sessions.value(session)
        if room_id is not None:
            return self._looked_up(call.principal, room_id)
        return self.find(call, "session", session)[0]

    def find(
        self, call: Call, kind: Kind, ident: UUID, query: Mapping[str, str] | None = None
    ) -> tuple[Moderator, Answer]:
        """Look up anything but a room; ``query`` goes with the call. The caller as a moderator of its room, and what
        Telnyx shows of it. Raises ``RateLimited`` after many in vain.
        """
        self.check_moderates(call.principal)
        places = self._places.value(call.principal.user) or FairSemaphore(MAX_AT_ONCE)
        self._places.put(call.principal.user, places, TRUSTED_SECS)
        try:
            with places.place(call.deadline.remaining()):
                # Not before: of those who wait here nobody has used anything yet.
                return self._found(call, kind, ident, query)
        except TimeoutError:
            raise DeadlineExceeded from None

    def _found(self, call: Call, kind: Kind, ident: UUID, query: Mapping[str, str] | None) -> tuple[Moderator, Answer]:
        if self._unknown.value((kind, ident)):
            raise RoomNotFound
        caller = calling.get()
        if caller is not None:
            caller.require(UNKNOWN_IDS)
        try:
            answer = self._look(kind, ident, call.deadline, query)
            session = ident if kind == "session" else uuid_of(answer.data.get("session_id"))
            room_id = uuid_of(answer.data.get("room_id")) or self._room_of(session, call.deadline)
            return self._looked_up(call.principal, room_id), answer
        except RoomNotFound:
            if caller is not None:
                caller.spend(UNKNOWN_IDS)
            raise

    def ids(
        self,
        operation: str,
        target: UUID | None,
        query: Mapping[str, str],
        session: UUID,
        deadline: Deadline,
        *,
        enough: frozenset[UUID] | None,
    ) -> set[UUID]:
        """The ids that a list shows of one session: all of them, or as many pages as it takes to have ``enough``."""
        found: set[UUID] = set()
        for page in self._telnyx.pages(operation, target, query, deadline):
            ids = (uuid_of(item.get("id")) for item in page if uuid_of(item.get("session_id")) == session)
            found |= {ident for ident in ids if ident is not None}
            if enough is not None and enough <= found:
                break
        return found

    def directory_rooms(self, room_ids: Collection[UUID]) -> set[UUID]:
        """Which of these ids are of rooms of the directory."""
        return self._directory.known_upstream(room_ids)

    def rooms_of(self, sessions: Collection[UUID], deadline: Deadline) -> dict[UUID, UUID]:
        """The rooms of many sessions, for administrators: from the account's list, which tells many in one call."""
        known = {session: room_id for session in sessions if (room_id := self._rooms_of_sessions.value(session))}
        missing = set(sessions) - known.keys()
        for page in self._telnyx.pages("list_room_sessions", None, {}, deadline, MOST_ON_A_PAGE) if missing else ():
            for item in page:
                session, room_id = uuid_of(item.get("id")), uuid_of(item.get("room_id"))
                if session in missing and session is not None and room_id is not None:
                    self._rooms_of_sessions.put(session, room_id, KEPT_SECS)
                    known[session] = room_id
            missing -= known.keys()
            if not missing:
                break
        return known

    def _room_of(self, session: UUID | None, deadline: Deadline) -> UUID:
        if session is None:
            raise RoomNotFound
        room_id = self._rooms_of_sessions.value(session)
        room_id = room_id or uuid_of(self._look("session", session, deadline, None).data.get("room_id"))
        if room_id is None:
            raise RoomNotFound
        return room_id

    def _look(self, kind: Kind, ident: UUID, deadline: Deadline, query: Mapping[str, str] | None) -> Answer:
        try:
            answer = self._telnyx.call(f"retrieve_room_{kind}", ident, query=query, deadline=deadline)
        except UpstreamNotFound:
            self._unknown.put((kind, ident), True, UNKNOWN_SECS)
            raise RoomNotFound from None
        if uuid_of(answer.data.get("id")) != ident:
            raise UpstreamInvalidResponse
        if kind == "session" and (room_id := uuid_of(answer.data.get("room_id"))) is not None:
            self._rooms_of_sessions.put(ident, room_id, KEPT_SECS)
        return answer

    def _looked_up(self, principal: Principal, room_id: UUID) -> Moderator:
        try:
            return self.room(principal, room_id)
        except Refused:
            raise RoomNotFound from None

    def check_moderates(self, principal: Principal) -> None:
        """Raises ``RoomNotFound`` for callers who moderate nothing.

        Looks at no more rooms than one page of ``GET /v1/rooms`` does; a caller of whom these say nothing, in a larger
        directory, passes: the room that is found decides in any case.
        """
        if principal.admin or self._moderators.value((principal.issuer, principal.user)):
            return
        page = self._directory.listings(principal, "", MOST_LOOKED_AT)
        if page.cursor is None and not any(entry.open and entry.role is Role.MODERATOR for entry in page.items):
            raise RoomNotFound
        self._moderators.put((principal.issuer, principal.user), True, TRUSTED_SECS)


def uuid_of(value: object) -> UUID | None:
    """An id as Telnyx writes it."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
