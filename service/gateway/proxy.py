"""The one way through: who asks is judged, the request goes on, the answer is held against what was asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from service.clock import Deadline
from service.errors import (
    InsufficientScope,
    InvalidRequest,
    RoomNotFound,
    UpstreamInvalidResponse,
    UpstreamRejected,
    UpstreamRejectedRequest,
)
from service.gateway import filtering
from service.gateway.account_lists import AccountLists, cut
from service.gateway.filtering import Scope
from service.gateway.operations import RETRIEVE_OPERATION, TABLE, Row
from service.gateway.resolver import Found, Resolver
from service.gateway.room_handlers import RoomHandlers
from service.gateway.token_handlers import TokenHandlers
from service.identity.revocations import Revocations
from service.identity.verifier import Principal
from service.meetings.moderation import Meeting, ParticipantSelector
from service.rooms.moderators import Moderator
from service.storage.share_store import COMPOSITIONS, calling
from service.telnyx import NOTHING_RUNS, Answer, Telnyx
from service.tokens.models import IssuedToken

EVERYBODY: Final = "all"
EVERYTHING: Final = "*"
_DELETED: Final = "room_recordings"
_OK: Final = {"data": {"result": "ok"}}
_WEBHOOKS: Final = ("webhook_event_url", "webhook_event_failover_url")


@dataclass(frozen=True, slots=True)
class Call:
    """One request: an operation by its name in ``TABLE``, the id in its path, and what was validated."""

    name: str
    principal: Principal
    target: UUID | None
    query: Mapping[str, str]
    body: Mapping[str, Any]
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class Outcome:
    """A good answer: what to send, the token that goes out in it if one does, and whose room it was about."""

    status: int
    body: dict[str, Any] | None
    issued: IssuedToken | None = None
    alias: str | None = None


class GatewayProxy:
    """The 25 operations. Raises what ``service.errors`` has, never Telnyx's own words."""

    def __init__(
        self,
        telnyx: Telnyx,
        finder: Resolver,
        rooms: RoomHandlers,
        tokens: TokenHandlers,
        meeting: Meeting,
        revocations: Revocations,
    ) -> None:
        self._telnyx = telnyx
        self._finder = finder
        self._lists = AccountLists(telnyx, finder)
        self._rooms = rooms
        self._tokens = tokens
        self._meeting = meeting
        self._revocations = revocations

    def answer(self, call: Call) -> Outcome:
        """The answer to a call of anybody with a good bearer."""
        row = TABLE[call.name]
        if row.role == "participant":
            return self._token(row, call)
        # Before any look-up; tokens have it from the broker, in the round trip that reads the rest.
        self._revocations.check(call.principal)
        if row.role == "admin":
            _require_admin(call)
        try:
            outcome = self._managed(row, call)
        except UpstreamRejected as refusal:
            # The caller's own request was refused, not one of ours: what it named is gone, or does not fit.
            if refusal.upstream_status == HTTPStatus.NOT_FOUND:
                raise RoomNotFound from None
            raise UpstreamRejectedRequest(errors=refusal.extra.get("reasons", ())) from None
        return self._with_names(outcome) if (row.items or row.kind) == "room" else outcome

    def _with_names(self, outcome: Outcome) -> Outcome:
        """The same with the names of rooms that callers know."""
        if outcome.body is None:
            return outcome
        data, show = outcome.body["data"], self._rooms.shown
        return replace(
            outcome, body={**outcome.body, "data": list(map(show, data)) if isinstance(data, list) else show(data)}
        )

    def _token(self, row: Row, call: Call) -> Outcome:
        room_id = _target(call)
        if row.name == "refresh_client_token":
            handed = self._tokens.refresh(call.principal, room_id, call.body, call.deadline)
        else:
            handed = self._tokens.generate(call.principal, room_id, call.deadline)
        return Outcome(row.status, {"data": handed.data}, handed.issued, handed.issued.room.alias)

    def _managed(self, row: Row, call: Call) -> Outcome:
        if row.by == "nothing":
            room, made = self._rooms.create(call.body, call.deadline)
            return Outcome(row.status, filtering.one(made, row.kind), alias=room.alias)
        if row.by == "path":
            return self._in_path(row, call)
        if row.by == "body":
            return self._composed(row, call)
        if row.name == "delete_room_recordings":
            return self._deleted(row, call)
        return self._by_name(row, call) if row.by == "name" else self._listed(row, call)

    def _listed(self, row: Row, call: Call) -> Outcome:
        scope = self._by_filters(call)
        items = row.items or row.kind
        if scope is None:
            return Outcome(row.status, self._lists.page(row.name, items, call.query, call.deadline))
        return Outcome(row.status, filtering.listed(self._ask(call), items, scope))

    def _in_path(self, row: Row, call: Call) -> Outcome:
        target = _target(call)
        if row.kind == "room":
            return self._of_room(row, call, self._finder.room(call.principal, target))
        if row.kind == "session" and row.name != RETRIEVE_OPERATION["session"]:
            return self._of_session(row, call, self._finder.session(call.principal, target, call.deadline))
        showing = call.query if row.name == RETRIEVE_OPERATION[row.kind] else None
        found = self._finder.find(call.principal, row.kind, target, call.deadline, showing)
        alias = found.moderator.room.alias
        if showing is not None:
            return Outcome(row.status, filtering.one(found.answer, row.kind), alias=alias)
        self._ask(call)
        return Outcome(row.status, None, alias=alias)

    def _of_room(self, row: Row, call: Call, moderator: Moderator) -> Outcome:
        room = moderator.room
        if row.name == "delete_room":
            self._rooms.delete(room, call.deadline)
            return Outcome(row.status, None, alias=room.alias)
        if row.name == "update_room":
            body = filtering.one(self._rooms.update(room, call.body, call.deadline), row.kind)
        elif row.items is None:
            body = filtering.one(self._ask(call), row.kind)
        else:
            body = filtering.listed(self._ask(call), row.items, Scope(moderator.room_id))
        return Outcome(row.status, body, alias=room.alias)

    def _of_session(self, row: Row, call: Call, moderator: Moderator) -> Outcome:
        session, alias = _target(call), moderator.room.alias
        if row.items is not None:
            scope = Scope(moderator.room_id, session)
            return Outcome(row.status, filtering.listed(self._ask(call), row.items, scope), alias=alias)
        chosen: frozenset[UUID] = frozenset()
        if call.body:
            call, chosen = self._of_session_only(session, call)
        if row.name == "kick_participants":
            self._kick(moderator, chosen, call)
            return Outcome(row.status, _OK, alias=alias)
        if row.name == "end_session":
            self._meeting.forget_admissions(moderator.room)
        answer = self._ask(call)
        if answer.already_over:
            raise RoomNotFound if answer.status == HTTPStatus.NOT_FOUND else UpstreamRejectedRequest(NOTHING_RUNS)
        return Outcome(row.status, _OK, alias=alias)

    def _of_session_only(self, session: UUID, call: Call) -> tuple[Call, frozenset[UUID]]:
        """The call without ids that are not of its session, as Telnyx passes over them, and whom it means.

        Whose ids they are is not asked. Raises ``RoomNotFound`` where nobody is left whom the body names.
        """
        asked, excluded = call.body["participants"], _ids(call.body.get("exclude", ()))
        everybody = asked == EVERYBODY
        named = frozenset() if everybody else _ids(asked)
        # Only a removal has to know who everybody is.
        whole = everybody and call.name == "kick_participants"
        if everybody and not excluded and not whole:
            return call, frozenset()
        operation, enough = "list_session_participants", None if whole else named | excluded
        people = self._finder.ids(operation, session, {}, session, call.deadline, enough=enough)
        if named and not named & people:
            raise RoomNotFound
        body: dict[str, Any] = {"participants": EVERYBODY if everybody else _texts(named & people)}
        if excluded & people:
            body["exclude"] = _texts(excluded & people)
        return replace(call, body=body), frozenset(people) if everybody else named & people

    def _kick(self, moderator: Moderator, chosen: frozenset[UUID], call: Call) -> None:
        """As the house removes people: a ban first. They are named one by one: another session's stay."""
        excepted = frozenset(call.body.get("exclude", ()))
        everybody = call.body["participants"] == EVERYBODY
        whom = ParticipantSelector(frozenset(), chosen, everybody=everybody, excepted=excepted)
        removal = self._meeting.kick(moderator, whom, None, call.deadline) if chosen else None
        if removal is not None and removal.trouble is not None:
            raise removal.trouble
        if removal is None or not removal.participants:
            # Telnyx was not asked to remove anybody, so it has not said whether there is anything to be removed from.
            found = self._finder.find(call.principal, "session", _target(call), call.deadline)
            if found.answer.data.get("active") is False:
                raise UpstreamRejectedRequest(NOTHING_RUNS)

    def _composed(self, row: Row, call: Call) -> Outcome:
        if not call.principal.admin and any(call.body.get(member) for member in _WEBHOOKS):
            raise InsufficientScope
        if (caller := calling.get()) is not None:
            caller.spend(COMPOSITIONS)
        session = UUID(call.body["session_id"])
        moderator = self._finder.session(call.principal, session, call.deadline)
        regions = (call.body.get("video_layout") or {}).values()
        named = [source for region in regions for source in region.get("video_sources") or ()]
        sources = _ids(source for source in named if source != EVERYTHING)
        if sources:
            query = {"filter[session_id]": str(session)}
            recordings = self._finder.ids("list_room_recordings", None, query, session, call.deadline, enough=sources)
            if not sources <= recordings:
                raise RoomNotFound
        return Outcome(row.status, filtering.one(self._ask(call), row.kind), alias=moderator.room.alias)

    def _by_name(self, row: Row, call: Call) -> Outcome:
        """Administrators list all rooms of the directory; everybody else has to name one."""
        parameter = "filter[unique_name]"
        name = call.query.get(parameter)
        if name is None:
            _require_admin(call)
            return Outcome(row.status, self._lists.page(row.name, row.kind, call.query, call.deadline))
        try:
            scope = Scope(self._finder.named(call.principal, name).room_id)
        except RoomNotFound:
            # To an administrator, who may be about to make it, a room that is not there is an empty list.
            if not call.principal.admin:
                raise
            return Outcome(row.status, cut([], call.query))
        query = {**call.query, parameter: self._rooms.upstream_name(name)}
        return Outcome(row.status, filtering.listed(self._ask(replace(call, query=query)), row.kind, scope))

    def _by_filters(self, call: Call) -> Scope | None:
        """The room that the ids in the filters belong to; all of them must belong to one. ``None`` without an id."""
        asked = {
            name: UUID(call.query[f"filter[{name}]"])
            for name in ("room_id", "session_id", "participant_id")
            if f"filter[{name}]" in call.query
        }
        moderators: list[Moderator] = []
        if "room_id" in asked:
            moderators.append(self._finder.room(call.principal, asked["room_id"]))
        if "session_id" in asked:
            moderators.append(self._finder.session(call.principal, asked["session_id"], call.deadline))
        if "participant_id" in asked:
            moderators.append(self._participant(call, asked["participant_id"]).moderator)
        if not moderators:
            _require_admin(call)
            return None
        rooms = {moderator.room_id for moderator in moderators}
        if len(rooms) > 1:
            raise RoomNotFound
        return Scope(rooms.pop(), asked.get("session_id"), asked.get("participant_id"))

    def _participant(self, call: Call, participant: UUID) -> Found:
        return self._finder.find(call.principal, "participant", participant, call.deadline)

    def _deleted(self, row: Row, call: Call) -> Outcome:
        """Room by room, so that no filter reaches beyond them.

        Never without a filter: what Telnyx makes of that is not documented (docs/telnyx.md 10, row 21).
        """
        if not any(name.startswith("filter[") for name in call.query):
            raise InvalidRequest(errors=[{"field": "filter", "message": "at least one filter is required"}])
        scope = self._by_filters(call)
        if scope is not None:
            rooms = {scope.room_id}
        elif any(name.startswith("page[") for name in call.query):
            # Whether a page bounds a deletion is not documented either, and of several rooms it would be one of each.
            message = "goes only with the id of a room, session or participant"
            raise InvalidRequest(errors=[{"field": "page", "message": message}])
        else:
            passing = self._lists.items("list_room_recordings", row.kind, call.query, call.deadline)
            rooms = {room_id for _, room_id in passing}
        deleted = 0
        for room_id in rooms:
            query = {**call.query, "filter[room_id]": str(room_id)}
            count = self._ask(replace(call, query=query)).data.get(_DELETED)
            if not isinstance(count, int):
                raise UpstreamInvalidResponse
            deleted += count
        return Outcome(row.status, {"data": {_DELETED: deleted}})

    def _ask(self, call: Call) -> Answer:
        body = call.body if TABLE[call.name].method in {"POST", "PATCH"} and call.body else None
        return self._telnyx.call(call.name, call.target, query=call.query or None, body=body, deadline=call.deadline)


def _target(call: Call) -> UUID:
    if call.target is None:
        raise RoomNotFound
    return call.target


def _require_admin(call: Call) -> None:
    if not call.principal.admin:
        raise InsufficientScope


def _texts(ids: Iterable[UUID]) -> list[str]:
    return sorted(str(ident) for ident in ids)


def _ids(texts: Iterable[str]) -> frozenset[UUID]:
    return frozenset(UUID(text) for text in texts)
