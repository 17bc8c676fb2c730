"""The one way through: who asks is judged, the request goes on, the answer is held against what was asked for."""

from collections.abc import Iterable
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from service.errors import (
    InsufficientRole,
    InsufficientScope,
    InvalidRequest,
    RoomNotFound,
    UpstreamInvalidResponse,
    UpstreamNotFound,
    UpstreamRejected,
    UpstreamRejectedRequest,
)
from service.gateway.filtering import AccountLists, Scope, cut, listed, one
from service.gateway.operations import Call, Outcome, Row
from service.gateway.resolver import Resolver
from service.gateway.room_handlers import RoomHandlers
from service.gateway.token_handlers import TokenHandlers
from service.identity.revocations import Revocations
from service.identity.verifier import Principal
from service.meetings.moderation import Meeting, ParticipantSelector
from service.rooms.access import Moderator
from service.storage.share_store import COMPOSITIONS, calling
from service.telnyx import NOTHING_RUNS, Answer, Telnyx

EVERYBODY: Final = "all"
EVERYTHING: Final = "*"
_DELETED: Final = "room_recordings"
_OK: Final = {"data": {"result": "ok"}}
_WEBHOOKS: Final = ("webhook_event_url", "webhook_event_failover_url")


class GatewayProxy:
    """The 25 operations. Raises what ``service.errors`` has, never Telnyx's own words."""

    def __init__(
        self,
        telnyx: Telnyx,
        resolver: Resolver,
        rooms: RoomHandlers,
        tokens: TokenHandlers,
        meeting: Meeting,
        revocations: Revocations,
    ) -> None:
        self._telnyx = telnyx
        self._resolver = resolver
        self._lists = AccountLists(telnyx, resolver)
        self._rooms = rooms
        self._tokens = tokens
        self._meeting = meeting
        self._revocations = revocations

    def check_caller(self, row: Row, principal: Principal) -> None:
        """What can be refused before it is known what exactly is asked for."""
        if row.role == "participant":
            # The broker has it in the round trip that reads the rest.
            return
        self._revocations.check(principal)
        if row.role == "admin" and not principal.admin:
            raise InsufficientScope
        if not row.reads and row.kind != "room":
            self._resolver.check_moderates(principal)

    def answer(self, call: Call) -> Outcome:
        """The answer to a call of anybody whom ``check_caller`` does not refuse."""
        row = call.row
        if row.role == "participant":
            return self._tokens.answer(call)
        # A refusal is of the caller's own request, not of one of ours: what it named is gone, or does not fit.
        try:
            outcome = self._managed(call)
        except UpstreamNotFound:
            raise RoomNotFound from None
        except UpstreamRejected as refusal:
            raise refusal.of_caller() from None
        if outcome.body is None or (row.items or row.kind) != "room":
            return outcome
        return replace(outcome, body={**outcome.body, "data": self._rooms.shown(outcome.body["data"])})

    def _managed(self, call: Call) -> Outcome:
        match call.row.name:
            case "create_room":
                room, made = self._rooms.create(call.body, call.deadline)
                return Outcome(one(made, "room"), room.alias)
            case "create_room_composition":
                return self._composed(call)
            case "delete_room_recordings":
                return self._deleted(call)
        return self._listed(call) if call.target is None else self._in_path(call)

    def _listed(self, call: Call) -> Outcome:
        if call.row.name == "list_rooms":
            return self._by_name(call)
        scope = self._by_filters(call)
        if scope is not None:
            return self._relayed(call, scope)
        return Outcome(self._lists.page(call.row.name, call.row.kind, call.query, call.deadline))

    def _in_path(self, call: Call) -> Outcome:
        kind, retrieves = call.row.kind, call.row.name.startswith("retrieve_")
        if kind == "room":
            return self._of_room(call, self._resolver.room(call.principal, call.ident))
        if kind == "session" and not retrieves:
            return self._of_session(call, self._resolver.session(call, call.ident))
        moderator, shown = self._resolver.find(call, kind, call.ident, call.query if retrieves else None)
        if retrieves:
            return Outcome(one(shown, kind), moderator.room.alias)
        if moderator.invite is not None:
            # What is deleted would be so after the guest's invite too.
            raise InsufficientRole
        self._ask(call)
        return Outcome(None, moderator.room.alias)

    def _of_room(self, call: Call, moderator: Moderator) -> Outcome:
        room = moderator.room
        match call.row.name:
            case "delete_room":
                self._rooms.delete(room, call.deadline)
                return Outcome(None, room.alias)
            case "update_room":
                return Outcome(one(self._rooms.update(room, call.body, call.deadline), "room"), room.alias)
        return self._relayed(call, Scope(moderator.room_id), room.alias)

    def _of_session(self, call: Call, moderator: Moderator) -> Outcome:
        alias = moderator.room.alias
        if call.row.items is not None:
            return self._relayed(call, Scope(moderator.room_id, call.ident), alias)
        chosen: frozenset[UUID] = frozenset()
        if call.body:
            call, chosen = self._of_session_only(call)
        match call.row.name:
            case "kick_participants":
                self._kick(moderator, chosen, call)
                return Outcome(_OK, alias)
            case "end_session":
                self._meeting.forget_admissions(moderator.room)
        answer = self._ask(call)
        if answer.already_over:
            raise RoomNotFound if answer.status == HTTPStatus.NOT_FOUND else UpstreamRejectedRequest(NOTHING_RUNS)
        return Outcome(_OK, alias)

    def _of_session_only(self, call: Call) -> tuple[Call, frozenset[UUID]]:
        """The call without ids that are not of its session, as Telnyx passes over them, and whom it means.

        Whose ids they are is not asked. Raises ``RoomNotFound`` where nobody is left whom the body names.
        """
        asked, excluded = call.body["participants"], _ids(call.body.get("exclude", ()))
        everybody = asked == EVERYBODY
        named = frozenset() if everybody else _ids(asked)
        # Only a removal has to know who everybody is.
        whole = everybody and call.row.name == "kick_participants"
        if everybody and not excluded and not whole:
            return call, frozenset()
        operation, session, enough = "list_session_participants", call.ident, None if whole else named | excluded
        people = self._resolver.ids(operation, session, {}, session, call.deadline, enough=enough)
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
            _, shown = self._resolver.find(call, "session", call.ident)
            if shown.data.get("active") is False:
                raise UpstreamRejectedRequest(NOTHING_RUNS)

    def _composed(self, call: Call) -> Outcome:
        if not call.principal.admin and any(call.body.get(member) for member in _WEBHOOKS):
            raise InsufficientScope
        if (caller := calling.get()) is not None:
            caller.spend(COMPOSITIONS)
        session = UUID(call.body["session_id"])
        moderator = self._resolver.session(call, session)
        regions = (call.body.get("video_layout") or {}).values()
        named = [source for region in regions for source in region.get("video_sources") or ()]
        sources = _ids(source for source in named if source != EVERYTHING)
        if sources:
            query = {"filter[session_id]": str(session)}
            recordings = self._resolver.ids("list_room_recordings", None, query, session, call.deadline, enough=sources)
            if not sources <= recordings:
                raise RoomNotFound
        return self._relayed(call, Scope(moderator.room_id), moderator.room.alias)

    def _by_name(self, call: Call) -> Outcome:
        """Administrators list all rooms of the directory; everybody else has to name one."""
        parameter = "filter[unique_name]"
        name = call.query.get(parameter)
        if name is None:
            _require_admin(call)
            return Outcome(self._lists.page("list_rooms", "room", call.query, call.deadline))
        try:
            scope = Scope(self._resolver.named(call.principal, name).room_id)
        except RoomNotFound:
            # To an administrator, who may be about to make it, a room that is not there is an empty list.
            if not call.principal.admin:
                raise
            return Outcome(cut([], call.query))
        query = {**call.query, parameter: self._rooms.upstream_name(name)}
        return self._relayed(replace(call, query=query), scope)

    def _by_filters(self, call: Call) -> Scope | None:
        """The room that the ids in the filters belong to; all of them must belong to one. ``None`` without an id."""
        asked = {
            name: UUID(call.query[f"filter[{name}]"])
            for name in ("room_id", "session_id", "participant_id")
            if f"filter[{name}]" in call.query
        }
        moderators: list[Moderator] = []
        if "room_id" in asked:
            moderators.append(self._resolver.room(call.principal, asked["room_id"]))
        if "session_id" in asked:
            moderators.append(self._resolver.session(call, asked["session_id"]))
        if "participant_id" in asked:
            moderators.append(self._resolver.find(call, "participant", asked["participant_id"])[0])
        if not moderators:
            _require_admin(call)
            return None
        rooms = {moderator.room_id for moderator in moderators}
        if len(rooms) > 1:
            raise RoomNotFound
        return Scope(rooms.pop(), asked.get("session_id"), asked.get("participant_id"))

    def _deleted(self, call: Call) -> Outcome:
        """Room by room, so that no filter reaches beyond them.

        Never without a filter: what Telnyx makes of that is not documented (docs/telnyx.md 10, row 21).
        """
        if not any(name.startswith("filter[") for name in call.query):
            raise InvalidRequest.at("filter", "at least one filter is required")
        scope = self._by_filters(call)
        if scope is not None:
            rooms = {scope.room_id}
        elif any(name.startswith("page[") for name in call.query):
            # Whether a page bounds a deletion is not documented either, and of several rooms it would be one of each.
            raise InvalidRequest.at("page", "goes only with the id of a room, session or participant")
        else:
            passing = self._lists.items("list_room_recordings", "recording", call.query, call.deadline)
            rooms = {room_id for _, room_id in passing}
        deleted = 0
        for room_id in rooms:
            query = {**call.query, "filter[room_id]": str(room_id)}
            count = self._ask(replace(call, query=query)).data.get(_DELETED)
            if not isinstance(count, int):
                raise UpstreamInvalidResponse
            deleted += count
        return Outcome({"data": {_DELETED: deleted}})

    def _relayed(self, call: Call, scope: Scope, alias: str | None = None) -> Outcome:
        """What Telnyx answers, as far as it belongs to ``scope``."""
        answer, items = self._ask(call), call.row.items
        return Outcome(one(answer, call.row.kind) if items is None else listed(answer, items, scope), alias)

    def _ask(self, call: Call) -> Answer:
        name, query, body = call.row.name, call.query or None, call.body or None
        return self._telnyx.call(name, call.target, query=query, body=body, deadline=call.deadline)


def _require_admin(call: Call) -> None:
    if not call.principal.admin:
        raise InsufficientScope


def _texts(ids: Iterable[UUID]) -> list[str]:
    return sorted(str(ident) for ident in ids)


def _ids(texts: Iterable[str]) -> frozenset[UUID]:
    return frozenset(UUID(text) for text in texts)
