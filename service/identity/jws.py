"""The syntax gate: what an Authorization header must look like before any cryptography is done with it.

PyJWT reads more than a bearer may be: padding, repeated members (the last wins), numbers without bound, UTF-16. A
gateway in front of us may read such a token differently, so it is refused here. Everything in this module is
unverified, and named so. Pure: bytes in, ``RefusedToken`` or parts out.
"""

import base64
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from service.errors import MalformedRequest, MissingCredentials
from service.identity.refusal import Reason, RefusedToken, json_type

MAX_BYTES: Final = 7 * 1024
MAX_DEPTH: Final = 16
_SEGMENT_COUNT: Final = 3
_SCHEME: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_MAX_DIGITS: Final = 20  # those of 64 bits, which some issuers' ids have


@dataclass(frozen=True, slots=True)
class UnverifiedBearer:
    """A bearer that is well-formed and nothing more: its parts, and of what it has a signature."""

    unverified_header: dict[str, Any]
    unverified_claims: dict[str, Any]
    signed: bytes
    signature: bytes


def bearer_text(authorization: Sequence[str]) -> str:
    """The token of the one Authorization header (RFC 6750 section 2.1).

    Raises ``MissingCredentials`` without a header or with another scheme, ``MalformedRequest`` for several
    credentials (which of them counts must not depend on the reader), ``RefusedToken`` if there is no single word.
    """
    if not authorization:
        raise MissingCredentials
    if len(authorization) > 1 or "," in authorization[0]:
        raise MalformedRequest("Send exactly one Authorization header with one bearer token")
    found = _SCHEME.fullmatch(authorization[0].strip(" \t"))
    if found is None:
        if authorization[0].lower().startswith("bearer"):
            raise RefusedToken(Reason.NOT_A_JWT, expected="one word after Bearer")
        raise MissingCredentials
    return found.group(1)


def parse(text: str) -> UnverifiedBearer:
    """A compact JWS (RFC 7515 section 7.1) with a JSON object in its header and one in its payload.

    Raises ``RefusedToken`` for any other text: over 7 KiB, not three segments, any character outside of base64url,
    text that is not UTF-8, repeated members at any depth, ``crit`` or ``b64``, a ``kid`` that is not a string.
    """
    if len(text) > MAX_BYTES:
        raise RefusedToken(Reason.TOO_LONG, expected=f"at most {MAX_BYTES} bytes", found=f"{len(text)} bytes")
    segments = text.split(".")
    if len(segments) != _SEGMENT_COUNT:
        # Opaque tokens are one segment, encrypted ones five.
        raise RefusedToken(Reason.NOT_A_JWT, expected=f"{_SEGMENT_COUNT} segments", found=f"{len(segments)}")
    header, claims, signature = _json_object(segments[0]), _json_object(segments[1]), _decoded(segments[2])
    for name in ("crit", "b64"):
        if name in header:
            raise RefusedToken(Reason.UNSUPPORTED_HEADER, expected=f"no {name}", found=name)
    for name, default in (("alg", None), ("kid", ""), ("typ", "")):
        value = header.get(name, default)
        if not isinstance(value, str):
            raise RefusedToken(Reason.UNSUPPORTED_HEADER, expected=f"{name}: a text", found=json_type(value))
    return UnverifiedBearer(header, claims, text.rpartition(".")[0].encode(), signature)


def _decoded(segment: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
        # A decoder drops some bits, and characters outside of its alphabet: one token would have several spellings
        # (RFC 4648 section 3.5).
        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != segment:
            raise ValueError("another spelling")
    except ValueError:
        raise RefusedToken(Reason.MALFORMED, expected="base64url without padding") from None
    return raw


def _json_object(segment: str) -> dict[str, Any]:
    text = _decoded(segment)
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_without_repeats,
            parse_constant=_finite,
            parse_int=_integer,
            parse_float=_finite,
        )
        _check_depth(value, MAX_DEPTH)
        if not isinstance(value, dict):
            raise TypeError
    except (ValueError, TypeError, RecursionError):
        raise RefusedToken(Reason.MALFORMED, expected="JSON objects in UTF-8, no member twice") from None
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member")
    return members


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_DIGITS:
        raise ValueError("number out of range")
    return int(digits)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


def _check_depth(value: object, levels: int) -> None:
    if levels == 0:
        raise ValueError("nested too deeply")
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        if isinstance(item, dict | list):
            _check_depth(item, levels - 1)
