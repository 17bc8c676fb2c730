"""What is sent to Redis: a Lua script of this package on named keys, which proves that its reply is its own.

A connection that is one reply behind (a proxy that mixed two up, a library that read half an answer) hands one caller
another's permission without anybody noticing. So every call carries a random number, and its reply begins and ends with
it: what is between is whole.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

Reply = Any

# The file says what is to be done, and sees its own arguments only.
_WRAPPED: Final = (
    "local nonce = table.remove(ARGV)\nlocal function run()\n{source}\nend\nreturn {{nonce, run() or false, nonce}}"
)
_READS: Final = {
    *("GET", "PTTL", "HGET", "HMGET", "HVALS", "HGETALL", "SMEMBERS"),
    *("ZCARD", "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE"),
}


class ForeignReply(Exception):
    """The reply of another call. Nothing that comes on this connection can be trusted any more."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua source and the SHA-1 by which the server knows it."""

    source: str
    sha: str

    def on(
        self, keys: Sequence[str], args: Sequence[Any] = (), *, reads: bool = False, repeatable: bool = True
    ) -> Call:
        """The call that runs it on ``keys``, all of one hash slot. See ``Call`` for the rest."""
        nonce = b"%x" % random.getrandbits(64)
        return Call(self, tuple(keys), tuple(args), reads, repeatable, nonce)


@lru_cache
def script(*names: str) -> Script:
    """The script in ``lua/<name>.lua``, after those that it builds on."""
    folder = files("service.storage") / "lua"
    text = "".join((folder / f"{name}.lua").read_text("utf-8") for name in names)
    source = _WRAPPED.format(source=text)
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def command(name: str, key: str, *args: Any, more_keys: Sequence[str] = (), repeatable: bool = True) -> Call:
    """One plain command, as a script: ``name key more_keys... args...``."""
    return script("command").on((key, *more_keys), (name, *args), reads=name in _READS, repeatable=repeatable)


@dataclass(frozen=True, slots=True)
class Call:
    """``reads``: it changes nothing that anybody relies on. ``repeatable``: running it twice does no harm, so it may be
    sent again when nobody knows whether it was run.
    """

    script: Script
    keys: tuple[str, ...]
    args: tuple[Any, ...]
    reads: bool
    repeatable: bool
    nonce: bytes

    def by_hash(self) -> tuple[Any, ...]:
        """The command for a server that knows the script."""
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args, self.nonce)

    def by_source(self) -> tuple[Any, ...]:
        """The command for a server that has lost it, or never had it."""
        return ("EVAL", self.script.source, len(self.keys), *self.keys, *self.args, self.nonce)

    def result(self, reply: Reply) -> Reply:
        """What the script answered; raises ``ForeignReply`` unless it answered this call. Nothing is ``None``."""
        match reply:
            case [self.nonce, found, self.nonce]:
                return found
        raise ForeignReply
