"""The list of rooms, the templates, the members: state, written by administrators and read by everybody. And invites,
which moderators write.

The record of an invite never changes once it is written; how often it was used is counted beside it, so that the coming
of one guest does not unsettle what was decided for another.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, cast
from uuid import UUID

from service.storage import redis_keys, revocation_store
from service.storage.records import AccessRecords, read_access, read_as, sha1
from service.storage.redis_client import RedisClient
from service.storage.redis_keys import Owner, RoomKeys, UserKeys
from service.storage.removals import Removal
from service.storage.room_store import access_call
from service.storage.scripts import Call, command, script

_HOUR_MS: Final = 3_600_000
# Of tokens that were stored without their life: the longest that Telnyx grants.
_MAX_LIFE_SECS: Final = 3600

MemberWrite = Literal["new", "replaced", "changed", "full"]


class DirectoryStore:
    """Every method raises ``StoreUnavailable`` while Redis does not answer, or takes no writes where it writes."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    def record(self, alias: str) -> bytes | None:
        return cast("bytes | None", self._redis.run(command("GET", RoomKeys(alias).record)))

    def records(self, aliases: Sequence[str]) -> list[bytes | None]:
        """The records of many rooms in one round trip, in order."""
        return self._redis.read_bulk([command("GET", RoomKeys(alias).record) for alias in aliases]) if aliases else []

    def access_records(self, aliases: Sequence[str], owner: Owner) -> list[AccessRecords]:
        """What the rooms say of one user, in one round trip and in order."""
        looks = [access_call(alias, owner) for alias in aliases]
        revocations = revocation_store.calls(owner)
        replies = self._redis.read_bulk([*looks, *revocations])
        revoked = revocation_store.moments(replies[len(looks) :])
        return [read_access(reply, revoked) for reply in replies[: len(looks)]]

    def aliases(self, after: str, limit: int) -> list[str]:
        """Up to ``limit`` names of rooms that sort after ``after``."""
        start = f"({after}" if after else "-"
        return _names(self._redis.run(command("ZRANGEBYLEX", redis_keys.ROOM_INDEX, start, "+", "LIMIT", 0, limit)))

    def count_rooms(self) -> int:
        """How many rooms and templates there are."""
        return cast("int", self._redis.run(command("ZCARD", redis_keys.ROOM_INDEX)))

    def write(self, alias: str, record: bytes, room_id: UUID | None, seen: bytes | None) -> bool:
        """Create or replace a room; ``False`` if its record is not what was ``seen`` any more.

        The record goes first: an index entry without one is passed over by readers.
        """
        write = script("replace_record").on((RoomKeys(alias).record,), (sha1(seen), record))
        written = bool(self._redis.run_removal(write, Removal(alias)) != b"changed")
        if written:
            self._list(alias, room_id)
        return written

    def write_new(self, alias: str, record: bytes, room_id: UUID | None) -> None:
        """Create a room unless it is there."""
        self._redis.run_replicated(command("SET", RoomKeys(alias).record, record, "NX"))
        self._list(alias, room_id)

    def _list(self, alias: str, room_id: UUID | None) -> None:
        self._redis.run(command("ZADD", redis_keys.ROOM_INDEX, 0, alias))
        if room_id is not None:
            self._redis.run(command("HSET", redis_keys.ROOM_IDS, room_id.hex, alias))

    def aliases_with(self, room_id: UUID) -> list[str]:
        """The rooms that were recorded under an upstream id, or adopted as it, at some time."""
        return _names(self._redis.run_all(_calls_for_aliases(room_id)))

    def list_name(self, name: str, alias: str) -> None:
        """Remember the room of a name that is not its alias; whoever reads it checks that the room still has it."""
        self._redis.run(command("HSET", redis_keys.ROOM_NAMES, redis_keys.digest(name), alias))

    def forget_name(self, name: str, alias: str) -> None:
        """The room is not called so any more; another one may be."""
        self._redis.run(script("erase_field").on((redis_keys.ROOM_NAMES,), (redis_keys.digest(name), alias)))

    def alias_named(self, name: str) -> str | None:
        """The room that a name was last given to."""
        found = self._redis.run(command("HGET", redis_keys.ROOM_NAMES, redis_keys.digest(name)))
        return None if found is None else read_as(str, found)

    def aliases_with_any(self, room_ids: Collection[UUID]) -> list[str]:
        """As ``aliases_with``, of many in one round trip."""
        return _names(self._redis.read_bulk([call for one in room_ids for call in _calls_for_aliases(one)]))

    def room_and_adopted(self, alias: str) -> tuple[bytes | None, bytes | None]:
        """A room's record, and what was adopted for it."""
        keys = RoomKeys(alias)
        record, adopted = self._redis.run_all([command("GET", keys.record), command("GET", keys.adopted)])
        return record, adopted

    def rooms_and_adopted(self, aliases: Sequence[str]) -> list[tuple[bytes | None, bytes | None]]:
        """As ``room_and_adopted``, of many in one round trip."""
        keys = [RoomKeys(alias) for alias in aliases]
        found = self._redis.read_bulk([command("GET", name) for one in keys for name in (one.record, one.adopted)])
        return list(zip(found[::2], found[1::2], strict=True))

    def erase(self, alias: str, room_id: UUID | None) -> None:
        """Remove a room with its members, bans and the rest; its sealed tokens end by themselves."""
        keys = RoomKeys(alias)
        if room_id is not None:
            self._redis.run(command("HDEL", redis_keys.ROOM_IDS, room_id.hex))
        names = (keys.bans, keys.used, keys.life, *keys.contents)
        self._redis.run_removal(command("DEL", keys.record, more_keys=names), Removal(alias))
        self._redis.run(command("ZREM", redis_keys.ROOM_INDEX, alias))

    def sweep(self, alias: str, record: bytes, room_id: UUID, unused_since: float, ended_before: float) -> bool:
        """Remove a room, but for its bans, if ``record`` is its record, no token was made ``unused_since`` and none
        lives that ends later than ``ended_before`` (epoch seconds). Guests' bans go with its invites. Until
        ``forget_swept`` its ``room_id`` is kept.
        """
        keys = RoomKeys(alias)
        names = (keys.record, keys.used, keys.life, keys.swept, keys.bans, *keys.contents)
        args = (record, unused_since, ended_before, str(room_id), _MAX_LIFE_SECS)
        if not self._redis.run_removal(script("sweep_room").on(names, args), Removal(alias)):
            return False
        self._redis.run(command("ZREM", redis_keys.ROOM_INDEX, alias))
        return True

    def swept_id(self, alias: str) -> UUID | None:
        """The id at Telnyx of a room that was swept, and is perhaps still there."""
        found = self._redis.run(command("GET", RoomKeys(alias).swept))
        return read_as(UUID, found) if found is not None else None

    def forget_swept(self, alias: str, room_id: UUID) -> None:
        """It is gone there too."""
        self._redis.run(command("HDEL", redis_keys.ROOM_IDS, room_id.hex))
        self._redis.run(command("DEL", RoomKeys(alias).swept))

    def last_use(self, alias: str) -> tuple[float, float] | None:
        """When the last new token was made, and until when a token lives, epoch seconds."""
        keys = RoomKeys(alias)
        used, life = self._redis.run_all([command("GET", keys.used), command("GET", keys.life)])
        if used is None:
            return None
        last = read_as(float, used)
        return last, last + (read_as(float, life) if life else _MAX_LIFE_SECS)

    def members_of(self, aliases: Sequence[str]) -> list[list[bytes]]:
        """The members of many rooms in one round trip, in order."""
        return self._redis.read_bulk([command("HVALS", RoomKeys(alias).members) for alias in aliases])

    def member(self, alias: str, user: str) -> bytes | None:
        return cast("bytes | None", self._redis.run(command("HGET", RoomKeys(alias).members, redis_keys.digest(user))))

    def write_member(self, alias: str, user: str, record: bytes, most: int) -> MemberWrite:
        """Create or replace a member; a room has at most so many."""
        return self._write_member(alias, user, record, "*", most)

    def replace_member(self, alias: str, user: str, record: bytes, seen: bytes | None, most: int) -> MemberWrite:
        """As ``write_member``; ``changed`` if the record is not what was ``seen`` any more."""
        return self._write_member(alias, user, record, sha1(seen), most)

    def _write_member(self, alias: str, user: str, record: bytes, seen: str, most: int) -> MemberWrite:
        args = (seen, record, redis_keys.digest(user), most)
        write = script("replace_record").on((RoomKeys(alias).members,), args)
        return cast("MemberWrite", self._redis.run_removal(write, Removal(alias, user)).decode())

    def write_members(self, alias: str, records: Mapping[str, bytes], most: int) -> int | None:
        """Create or replace many by user id, all or none; how many are new, ``None`` if that would be too many."""
        pairs = [part for user, record in records.items() for part in (redis_keys.digest(user), record)]
        write = script("write_members").on((RoomKeys(alias).members,), (most, *pairs))
        new = cast("int", self._redis.run_removal(write, Removal(alias)))
        return None if new < 0 else new

    def erase_member(self, alias: str, user: str) -> bool:
        """Remove a member, and the tokens that were made for it; says whether there was one."""
        keys, field = RoomKeys(alias), redis_keys.digest(user)
        removed = self._redis.run_removal(command("HDEL", keys.members, field), Removal(alias, user))
        self._redis.run(script("forget_tokens").on((keys.devices(field),), (keys.base,)))
        return bool(removed)

    def add_invite(
        self, alias: str, invite: str, record: bytes, *, most: int, ended: Sequence[str]
    ) -> Literal["added", "full", "gone"]:
        """Write an invite, in place of those that have ended; ``gone`` if there is no such room any more."""
        keys = RoomKeys(alias)
        call = script("add_invite").on((keys.record, keys.invites, keys.invite_uses), (invite, record, most, *ended))
        return cast('Literal["added", "full", "gone"]', self._redis.run(call).decode())

    def invites(self, alias: str) -> list[tuple[bytes, int]]:
        """Records of a room, each with the number of its uses."""
        keys = RoomKeys(alias)
        records, uses = self._redis.read_bulk([command("HGETALL", keys.invites), command("HGETALL", keys.invite_uses)])
        used = dict(zip(uses[::2], uses[1::2], strict=True))
        return [
            (record, read_as(int, used.get(name, b"0")))
            for name, record in zip(records[::2], records[1::2], strict=True)
        ]

    def invite(self, alias: str, invite: str) -> bytes | None:
        return cast("bytes | None", self._redis.run(command("HGET", RoomKeys(alias).invites, invite)))

    def use_invite(self, alias: str, invite: str, record: bytes, most: int) -> bool:
        """Count one use; says whether there was one left and the invite still stands as ``record``."""
        keys = RoomKeys(alias)
        # A use that nobody knows of is counted once too often, never twice.
        call = script("use_invite").on((keys.invites, keys.invite_uses), (invite, record, most), repeatable=False)
        return bool(self._redis.run(call))

    def erase_invite(self, alias: str, invite: str) -> bool:
        """Says whether there was one. The bans of its guests go with it."""
        keys = RoomKeys(alias)
        call = script("erase_invite").on((keys.invites, keys.invite_uses, keys.bans), (invite,))
        return bool(self._redis.run_removal(call, Removal(alias, invite=invite)))

    def templates(self) -> list[str]:
        """Aliases of the templates (``consult-*``); their records lie where those of rooms do."""
        return _names(self._redis.run(command("SMEMBERS", redis_keys.TEMPLATES)))

    def delist_template(self, alias: str) -> None:
        """It is a template no more; its rooms stay."""
        self._redis.run(command("SADD", redis_keys.FORMER_TEMPLATES, alias))
        self._redis.run(command("SREM", redis_keys.TEMPLATES, alias))

    def former_templates(self) -> list[str]:
        """Those that are gone, and may have left rooms."""
        return _names(self._redis.run(command("SMEMBERS", redis_keys.FORMER_TEMPLATES)))

    def forget_template(self, alias: str) -> None:
        """It is gone, and so are its rooms."""
        self._redis.run(command("SREM", redis_keys.FORMER_TEMPLATES, alias))

    def list_template(self, alias: str) -> None:
        """Make a record known as a template."""
        self._redis.run(command("SADD", redis_keys.TEMPLATES, alias))

    def reserve(self, template: str, alias: str, now: float, most: int) -> Literal["none", "new", "taken"]:
        """Take a place under a template for a room; ``taken`` if this room has one already."""
        reply = self._redis.run(
            script("reserve_instance").on((redis_keys.instances(template),), (alias, int(now), most))
        )
        return cast('Literal["none", "new", "taken"]', reply.decode())

    def unreserve(self, template: str, alias: str) -> None:
        self._redis.run(command("ZREM", redis_keys.instances(template), alias))

    def instances(self, template: str) -> list[str]:
        """Names of the rooms made from a template."""
        (found,) = self._redis.read_bulk([command("ZRANGE", redis_keys.instances(template), 0, -1)])
        return _names(found)

    def count_creation(self, user: str) -> int:
        """One more room that this user had created; how many within the hour."""
        key = UserKeys(user).created
        self._redis.run(command("SET", key, 0, "PX", _HOUR_MS, "NX"))
        return cast("int", self._redis.run(command("INCR", key, repeatable=False)))

    def lease(self, name: str, owner: str, seconds: int) -> bool:
        """Take a lease that ends by itself; for what one of all replicas should do."""
        return self._redis.run(command("SET", redis_keys.lease(name), owner, "EX", seconds, "NX")) is not None


def _calls_for_aliases(room_id: UUID) -> list[Call]:
    return [command("HGET", redis_keys.ROOM_IDS, room_id.hex), command("GET", redis_keys.stand_in(room_id))]


def _names(found: list[bytes | None]) -> list[str]:
    return [read_as(str, name) for name in found if name is not None]
