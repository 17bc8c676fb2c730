"""A connection to one server on which talks are held: the library opens it and logs in, then it is written and read
here.

redis-py asks the kernel before each write and read whether it may, and once more whether a pooled connection is idle;
each of these lets another thread in and waits to be let in again (measured with 32 callers: an eighth of a hit's
processor time). Its time limit starts anew with every byte, so that a server that drips holds a thread for as long as
it likes (measured: 15 s). Here the kernel ends each wait by itself, and there is one time for a whole talk.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import hiredis
import redis
from redis.exceptions import MaxConnectionsError

TIMEOUT_SECS: Final = 0.25
# A process that was kept from running takes what has come meanwhile: that the time is over is not the server's fault.
LAST_LOOK_SECS: Final = 0.001
# For those who do not wait, over what the threads need.
AT_ONCE: Final = 16
# A limit is set anew only where it differs by more than this from the one that is set.
_PRECISION_SECS: Final = 0.01
_PIECE: Final = 16_384
_MORE: Final = object()

Command = tuple[Any, ...]
Reply = Any


class Line:
    """One connection. Raises ``redis.RedisError`` for whatever goes wrong with it, and ``ValueError`` where the bytes
    that come are no replies; after either it has to be closed.
    """

    def __init__(self, connection: Any) -> None:
        connection.connect()
        self._connection = connection
        self._sock: socket.socket = connection.bare_socket
        self._limit = 0.0
        self._ends = 0.0
        self._early: deque[Reply] = deque()
        self.at_once = False
        self._fault: redis.RedisError | ValueError | None = None
        self._reader = hiredis.Reader(
            protocolError=redis.InvalidResponse,
            replyError=connection.refusal,
            notEnoughData=_MORE,
        )
        if not isinstance(self._sock, ssl.SSLSocket):
            self._sock.settimeout(None)

    def write(self, commands: Iterable[Command], ends: float) -> None:
        """Send commands; all replies have to be there by the monotonic moment ``ends``."""
        self._ends = ends
        message = b"".join([hiredis.pack_command(command) for command in commands])
        self._bound()
        try:
            self._sock.sendall(message)
        except (TimeoutError, BlockingIOError):
            raise redis.TimeoutError("not written in time") from None
        except OSError as error:
            raise redis.ConnectionError(type(error).__name__) from None

    def reply(self) -> Reply:
        """The next reply; a refusal of the command is returned, one of the connection raised."""
        if self._early:
            reply = self._early.popleft()
        elif self._fault is not None:
            raise self._fault
        else:
            reply = self._reader.gets()
        while reply is _MORE:
            self._reader.feed(self._piece())
            reply = self._reader.gets()
        if isinstance(reply, redis.ConnectionError):
            raise reply
        return reply

    def arrived(self, replies: int, within: float) -> bool:
        """Whether ``reply`` will not wait: so many are here ``within`` seconds, or the connection has failed."""
        if isinstance(self._sock, ssl.SSLSocket):
            return False
        try:
            while len(self._early) < replies:
                piece = self._at_once(within)
                if piece is None:
                    return False
                self._reader.feed(_some(piece))
                self._parse()
        except OSError as error:
            self._fault = redis.ConnectionError(type(error).__name__)
        except (ValueError, redis.RedisError) as error:
            self._fault = error
        return True

    def _parse(self) -> None:
        while (reply := self._reader.gets()) is not _MORE:
            self._early.append(reply)

    def _at_once(self, within: float) -> bytes | None:
        with contextlib.suppress(BlockingIOError):
            return self._sock.recv(_PIECE, socket.MSG_DONTWAIT)
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return self._sock.recv(_PIECE, socket.MSG_DONTWAIT) if poll.poll(math.ceil(within * 1000)) else None

    def close(self) -> None:
        """Hang up."""
        self._connection.disconnect()

    def _piece(self) -> bytes:
        self._bound()
        try:
            piece = self._sock.recv(_PIECE)
        except (TimeoutError, BlockingIOError):
            raise redis.TimeoutError("not answered in time") from None
        except OSError as error:
            raise redis.ConnectionError(type(error).__name__) from None
        return _some(piece)

    def _bound(self) -> None:
        left = max(LAST_LOOK_SECS, self._ends - time.monotonic())
        if abs(left - self._limit) <= _PRECISION_SECS and left > _PRECISION_SECS:
            return
        self._limit = left
        if isinstance(self._sock, ssl.SSLSocket):
            self._sock.settimeout(left)
            return
        seconds, rest = divmod(left, 1)
        limit = struct.pack("ll", int(seconds), int(rest * 1_000_000))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _some(piece: bytes) -> bytes:
    if not piece:
        raise redis.ConnectionError("closed by the server")
    return piece


class Lines:
    """The connections to one server, as many at most as the library's pool would have made, and ``AT_ONCE``."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool
        self._room = threading.Semaphore(pool.max_connections)
        self._room_at_once = threading.Semaphore(AT_ONCE)
        self._idle: deque[Line] = deque()

    def take(self) -> Line:
        """A connection to talk on, to be given back; raises ``redis.RedisError``."""
        if not self._room.acquire(blocking=False):
            raise MaxConnectionsError
        try:
            return self._idle.pop()
        except IndexError:
            return self._opened()

    def take_open(self) -> Line:
        """As ``take``, but one that is open already; out of a share of its own, so that threads never lack one."""
        if not self._room_at_once.acquire(blocking=False):
            raise MaxConnectionsError
        try:
            line = self._idle.pop()
        except IndexError:
            self._room_at_once.release()
            raise MaxConnectionsError from None
        line.at_once = True
        return line

    def give_back(self, line: Line, *, whole: bool) -> None:
        """After anything but a whole talk it would hand the next caller another's replies, and is closed."""
        room = self._room_at_once if line.at_once else self._room
        line.at_once = False
        if whole:
            self._idle.append(line)
        else:
            line.close()
        room.release()

    def close_idle(self) -> None:
        """Close what is not in use."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _opened(self) -> Line:
        try:
            return Line(self._pool.connection_class(**self._pool.connection_kwargs))
        except BaseException:
            self._room.release()
            raise
