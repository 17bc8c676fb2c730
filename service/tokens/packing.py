"""Tokens in few bytes: a JSON Web Token without the third that base64url adds (RFC 7515 section 3.1), other text as is.

Whatever goes in comes out again, byte for byte.
"""

import base64
from typing import Final

_TEXT: Final = b"t"
_PIECES: Final = b"p"
_LENGTH_BYTES: Final = 2
_LONGEST: Final = 2 ** (8 * _LENGTH_BYTES) - 1


def packed(token: str) -> bytes:
    """``token`` in as few bytes as are easily had."""
    pieces = [_decoded(piece) for piece in token.split(".")]
    if None in pieces:
        return _TEXT + token.encode("utf-8", "surrogatepass")
    return _PIECES + b"".join(
        len(piece).to_bytes(_LENGTH_BYTES, "big") + piece for piece in pieces if piece is not None
    )


def unpacked(raw: bytes) -> str:
    """What was ``packed``."""
    if raw[:1] == _TEXT:
        return raw[1:].decode("utf-8", "surrogatepass")
    pieces, at = [], 1
    while at < len(raw):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(raw[at:begin], "big")
        pieces.append(base64.urlsafe_b64encode(raw[begin:at]).rstrip(b"="))
    return b".".join(pieces).decode()


def _decoded(piece: str) -> bytes | None:
    """The bytes behind a piece, if it is how they are written and no other way."""
    try:
        raw = base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4))
    except ValueError:
        return None
    written = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return raw if len(raw) <= _LONGEST and written == piece else None
