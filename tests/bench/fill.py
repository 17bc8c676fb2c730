"""Fills Redis with cached tokens without asking anybody: by the service's own sealing, key names and script.

The commands are those that ``RoomStore.keep`` sends; they are only collected first and sent many at a time, so that a
million of them take minutes and not an hour. That they are what the service reads back is seen by asking for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import redis

from service.clock import Clock
from service.crypto import Sealer
from service.secret import SecretBytes
from service.storage import revocation_store, room_store
from service.storage.fallback import Memory
from service.storage.records import Keep, Permission, Sealed
from service.storage.redis_client import Command, Script
from service.storage.redis_keys import Owner, RoomKeys
from service.storage.room_store import RoomStore
from service.tokens.packing import packed
from service.tokens.policy import DEFAULT_REFRESH_SECS, MAX_TOKEN_SECS, ClientToken
from service.tokens.renewal import CLIENT, REFRESH, Vault

LIFE_SECS: Final = MAX_TOKEN_SECS - 1.0
_MANY: Final = 500


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair as upstream made it, to be given to many: the last letters of the client token are changed for each."""

    token: str
    refresh_token: str

    def token_of(self, number: int) -> str:
        """A client token of the same size as the real one, that nobody else has."""
        mark = f"{number:012d}"
        return self.token[: -len(mark)] + mark


@dataclass(frozen=True, slots=True)
class Place:
    """A room of the service: its name and its id upstream."""

    alias: str
    room_id: UUID


class _Collecting:
    """Stands where the connection is: keeps what is to be written, and finds nobody's bearers revoked."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def read(self, *commands: Command) -> list[list[None]]:
        """As the server answers HMGET of hashes that are not there."""
        return [[None] * (len(command) - 2) for command in commands]

    def send(self, *commands: Command) -> list[bytes]:
        self.commands.extend(commands)
        return [b"kept"] * len(commands)


class Filler:
    """Stores pairs that have ``left`` seconds of ``LIFE_SECS`` to live, in one Redis, for services with one secret."""

    def __init__(self, client: redis.Redis, secret: bytes, pair: Pair) -> None:
        self._client = client
        self._pair = pair
        self._vault = Vault(Sealer([SecretBytes(secret)]))
        self._clock = Clock()
        self._scripts = {name: Script(name) for name in room_store.SCRIPTS}

    def sealed(self, place: Place, people: Iterable[tuple[int, str]], left: float) -> None:
        """Give each of these (number, user) a pair as the service would have stored it."""
        record = self._client.get(RoomKeys(place.alias).record)
        assert isinstance(record, bytes)
        self._client.script_load(self._scripts["keep"].source)
        connection = _Collecting()
        nothing = connection.read(*revocation_store.commands("default", "", None))
        permission = Permission(record, revoked=tuple(revocation_store.moments(nothing)))
        store = self._store(connection)
        for number, user in people:
            owner = Owner("default", user, "")
            store.keep(place.alias, owner, self._keep(permission, place, owner, number, left))
            if len(connection.commands) >= _MANY:
                self._send(connection)
        self._send(connection)

    def plain(self, alias: str, people: Iterable[tuple[int, str]]) -> None:
        """The same for the services that seal nothing: JSON under a key of room and user."""
        with self._client.pipeline(transaction=False) as pipeline:
            for number, user in people:
                answer = {"token": self._pair.token_of(number), "expires_at": "2030-01-01T00:00:00Z"}
                pipeline.set(f"token:{alias}:{user}", json.dumps(answer), ex=int(LIFE_SECS))
            pipeline.execute()

    def _store(self, connection: Any) -> RoomStore:
        lookup: Callable[[str], Script] = self._scripts.__getitem__
        return RoomStore(connection, lookup, Memory(self._clock), self._clock)

    def _keep(self, permission: Permission, place: Place, owner: Owner, number: int, left: float) -> Keep:
        ends = self._clock.wall() + left
        token = ClientToken(self._pair.token_of(number), ends, LIFE_SECS, MAX_TOKEN_SECS, None)
        return Keep(
            permission=permission,
            session=None,
            token=self._sealed(CLIENT, place, owner, token.to_bytes(), left),
            refresh=self._sealed(REFRESH, place, owner, packed(self._pair.refresh_token), DEFAULT_REFRESH_SECS - 1.0),
            lease="",
            unreadable=None,
        )

    def _sealed(self, kind: str, place: Place, owner: Owner, value: bytes, left: float) -> Sealed:
        return Sealed(self._vault.seal(kind, place.alias, owner, place.room_id, value), left)

    def _send(self, connection: _Collecting) -> None:
        commands: Sequence[Command] = connection.commands
        with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers = pipeline.execute()
        assert set(answers) <= {b"kept"}, set(answers)
        connection.commands = []
