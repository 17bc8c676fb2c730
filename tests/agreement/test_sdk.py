"""The official client against our sandbox: what it asks, and what it makes of the answers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
import telnyx.types
from telnyx.types.shared import RoomParticipant

from tests.agreement.asked import complaints_of_request, forget, members_of, path_names, query_of, record
from tests.agreement.forms import World, listed, target
from tests.agreement.sdk import METHODS, official
from tests.agreement.wire import Exchange, as_meant, as_sent
from tests.processes import Sandbox
from tests.sandbox.agreement import OBJECTS, OPERATIONS, complaints

MODELS: Mapping[str, type[telnyx.BaseModel]] = {
    "Room": telnyx.types.Room,
    "RoomSession": telnyx.types.RoomSession,
    "RoomParticipant": RoomParticipant,
    "RoomRecording": telnyx.types.RoomRecording,
    "RoomComposition": telnyx.types.RoomComposition,
    "VideoRegion": telnyx.types.VideoRegion,
}
OWN_ARGUMENTS = {"extra_headers", "extra_query", "extra_body", "timeout"}
PLACED = {
    "list_rooms": "rooms",
    "list_room_sessions_of_room": "sessions",
    "list_room_sessions": "sessions",
    "list_session_participants": "participants",
    "list_room_participants": "participants",
    "list_room_recordings": "recordings",
    "list_room_compositions": "compositions",
}


def as_read(value: Any, written: Any) -> Any:
    """What the official client should make of a value of an answer."""
    if isinstance(written, dict):
        return {name: as_read(value[name], member) for name, member in written.items()}
    if isinstance(written, list):
        return [as_read(one, item) for one, item in zip(value, written, strict=True)]
    return datetime.fromisoformat(written) if isinstance(value, datetime) else written


def test_it_asks_what_we_ask(theirs: Exchange) -> None:
    """Method, path, query and body are those of the form, and so those of our own client."""
    assert as_sent(theirs.seen) == as_meant(theirs.form, theirs.call)


def test_what_it_asks_is_in_the_document(theirs: Exchange) -> None:
    """Path, query parameters and body arrive as declared."""
    assert complaints_of_request(theirs.form.operation, theirs.seen) == []


def test_what_it_is_answered_is_in_the_document(theirs: Exchange) -> None:
    """Declared status, members and types, on the wire."""
    assert complaints(theirs.form.operation, theirs.status, theirs.body) == []


def test_it_reads_every_member_of_an_answer(theirs: Exchange) -> None:
    """Types and formats pass its own strict validation, and no member is lost or changed."""
    read = made_of(theirs)

    assert read == (None if read is None else as_read(read, theirs.body))


def test_it_reads_moments_as_moments(theirs: Exchange) -> None:
    """Every time of an answer is in a format that it takes for one."""
    assert moments(made_of(theirs)) == moments_written(theirs.body)


def made_of(theirs: Exchange) -> Any:
    return None if theirs.result is None else theirs.result.to_dict(mode="python", use_api_names=True)


def moments(value: Any) -> int:
    """How many moments there are in what was read."""
    if isinstance(value, dict | list):
        return sum(moments(one) for one in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, datetime)


def moments_written(value: Any) -> int:
    """How many members of an answer are moments by their name."""
    if isinstance(value, list):
        return sum(moments_written(one) for one in value)
    if not isinstance(value, dict):
        return 0
    return sum(
        moments_written(one) + (name.endswith("_at") and isinstance(one, str) and len(one) > 0)
        for name, one in value.items()
    )


@pytest.mark.parametrize("name", MODELS)
def test_its_types_have_the_members_of_the_document(name: str) -> None:
    """Neither knows a member that the other does not."""
    assert set(MODELS[name].model_fields) == set(OBJECTS[name])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_its_methods_have_the_parameters_of_the_document(stand_in: Sandbox, operation: str) -> None:
    """Neither knows a query parameter, a member of a body or an id in a path that the other does not."""
    with official(stand_in.api_url) as client:
        names = set(inspect.signature(METHODS[operation](client)).parameters) - OWN_ARGUMENTS
    query = {name.split("[")[0] if "filter" in name else name for name in query_of(operation)}
    flat = {name.replace("[", "_").removesuffix("]") for name in query}

    assert names == flat | set(members_of(operation)) | set(path_names(operation))


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("operation", PLACED)
def test_its_iterator_walks_all_pages(world: World, operation: str, size: int) -> None:
    """Each page is asked for once, the last one too if it is not full, and everything is found once."""
    kind = PLACED[operation]
    links = {"sessions": {"room_id": world.room["id"]}, "participants": {"session_id": world.session["id"]}}
    ids = {world.desk.place(kind, **links.get(kind, {}))["id"] for _ in range(6)} | {listed(world, operation)["id"]}
    forget(world.desk.sandbox)

    with official(world.desk.sandbox.api_url) as client:
        found = [item.id for item in METHODS[operation](client)(*path_of(world, operation), page_size=size)]

    pages = [dict(as_sent(seen)["query"]).get("page[number]") for seen in record(world.desk.sandbox)]
    assert len(found) == len(set(found))
    assert ids <= set(found)
    assert pages == [None, *(str(number) for number in range(2, -(-len(found) // size) + 1))]


@pytest.mark.parametrize("operation", PLACED)
def test_its_iterator_ends_at_an_empty_list(world: World, operation: str) -> None:
    """One request, and nothing."""
    path = path_of(world, operation)
    for thing in world.desk.control("GET", f"objects/{PLACED[operation]}")["data"]:
        world.desk.control("DELETE", f"objects/{PLACED[operation]}/{thing['id']}")
    forget(world.desk.sandbox)

    with official(world.desk.sandbox.api_url) as client:
        assert list(METHODS[operation](client)(*path)) == []

    assert len(record(world.desk.sandbox)) == 1


def path_of(world: World, operation: str) -> tuple[str, ...]:
    ident = target(world, operation)
    return () if ident is None else (str(ident),)
