"""Whether an HTTP/1.1 request has arrived whole (RFC 9112 sections 2 and 6), and nothing else about it.

Rule for editors: a request that is broken counts as arrived as soon as that shows: it is for the parser to refuse it.
"""

from __future__ import annotations

import re
from typing import Final

MOST_HEAD: Final = 32 * 1024
# A body over the service's own limit is refused unread, so nobody need wait for it.
MOST_BODY: Final = 64 * 1024
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n")
_CODING: Final = re.compile(rb"(?i)\r\ntransfer-encoding:")
_EXPECT: Final = re.compile(rb"(?i) HTTP/1\.1\r\n(?:.*\r\n)?expect:[ \t]*100-continue[ \t]*\r\n", re.DOTALL)
_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,8}")


class Arrival:
    """The bytes of a request so far (and of those behind it)."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.complete = False
        self._head = 0  # where the body begins, once that is known
        self._length: int | None = None  # of the body, or None where it comes in chunks
        self._chunk = 0  # where the first chunk begins that is not whole
        self._told = False

    @property
    def too_large(self) -> bool:
        """Whether this can only be a head that nobody should read."""
        return not self._head and len(self.data) > MOST_HEAD

    def add(self, piece: bytes) -> None:
        """More of it."""
        before = len(self.data)
        self.data += piece
        if not self._head:
            # An empty line in front is allowed, and the four bytes of the end may come in two pieces.
            self._find_head(max(2 if self.data.startswith(b"\r\n") else 0, before - 3))
        if self._head:
            self.complete = self._body_is_whole()

    def wants_continue(self) -> bool:
        """Whether the caller waits to be told to send the body: once true."""
        if self._told or not self._head:
            return False
        self._told = True
        return _EXPECT.search(self.data, 0, self._head) is not None

    def _find_head(self, since: int) -> None:
        end = self.data.find(b"\r\n\r\n", since)
        if end < 0:
            return
        self._head = self._chunk = end + 4
        if _CODING.search(self.data, 0, self._head) is None:
            found = _LENGTH.search(self.data, 0, self._head)
            self._length = int(found[1]) if found else 0

    def _body_is_whole(self) -> bool:
        have = len(self.data) - self._head
        if self._length is not None:
            return self._length > MOST_BODY or have >= self._length
        return have > MOST_BODY or self._chunks_are_whole()

    def _chunks_are_whole(self) -> bool:
        while (end := self.data.find(b"\r\n", self._chunk)) >= 0:
            size = _SIZE.fullmatch(self.data[self._chunk : end].partition(b";")[0].strip())
            if size is None:
                return True
            length = int(size[0], 16)
            if length == 0:
                return self.data.find(b"\r\n\r\n", end) >= 0
            behind = end + 2 + length + 2
            if length > MOST_BODY:
                return True
            if len(self.data) < behind:
                return False
            self._chunk = behind
        return False
