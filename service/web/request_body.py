"""Reading a request: bytes to JSON without surprises, then held against the document. Runs behind the gate.

Rules for editors:
* the body is read once, here, under one guard: a web server's complaint about framing is the caller's 400, not our 500;
* JSON is read strictly (RFC 8259 section 4 leaves repeated names to the reader: we refuse them);
* views take ``body()`` and ``query()`` and never look at ``flask.request`` for either.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any, BinaryIO, Final, cast

from flask import g, request
from werkzeug.http import parse_options_header

from service.clock import let_others_run, time_limit
from service.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    InvalidRequest,
    MalformedRequest,
    RequestTimeout,
    UnsupportedMediaType,
)
from service.web.request_lifecycle import UNREAD_BODY, deadline
from service.web.services import services

MAX_BYTES: Final = 64 * 1024
# The calls that everybody makes, some of them nobody yet, need a few short texts.
MAX_TOKEN_CALL_BYTES: Final = 4 * 1024
ARRIVAL_SECS: Final = 10.0
MAX_DEPTH: Final = 16
# With their names. The largest body that fits a schema holds 200 members of a room, of eleven each.
MAX_VALUES: Final = 5000
# Beyond it not every integer is a number of its own (RFC 8259 section 6).
_EXACT: Final = 2**53
_LARGE_BYTES: Final = 4 * 1024
_PIECE_BYTES: Final = 256
JSON: Final = "application/json"
_UNSTORABLE: Final = re.compile(r"[\x00\ud800-\udfff]")
_WORD_START: Final = re.compile(r"_([a-z])")


def check_request(max_bytes: int = MAX_BYTES) -> None:
    """Read and validate the query and the body of the operation that this request is; keep them for the view."""
    contract, called = services().contract, operation_id(request.endpoint or "")
    operation = contract.operations[called]
    g.query = contract.check_query(called, request.args.lists() if request.query_string else ())
    g.body = {}
    if operation.body is not None:
        raw = _json_text(request.environ, max_bytes, required=operation.body_required)
        with _turn(raw):
            g.body = contract.check_body(called, strict_json(raw) if raw else {}, len(raw))


def body() -> Mapping[str, Any]:
    """The validated body; empty where none was sent and none is required."""
    return cast("Mapping[str, Any]", g.body)


def query() -> Mapping[str, Any]:
    """The validated query parameters that were given."""
    return cast("Mapping[str, Any]", g.query)


def strict_json(raw: bytes) -> object:
    """The value of a JSON text. Raises ``MalformedRequest`` for anything that two readers could understand differently:
    repeated names, NaN, numbers out of range, another encoding than UTF-8, more than 16 levels.

    Raises ``InvalidRequest`` for text that cannot be stored or sent on (NUL and lone surrogates), and for more values
    than any call needs, before each of them is held against a schema.
    """
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_without_repeats,
            parse_constant=_number,
            parse_float=_number,
        )
    except (ValueError, RecursionError):
        raise MalformedRequest("The body is not valid JSON") from None
    _check_values(value)
    return value


def operation_id(endpoint: str) -> str:
    """What the document calls the view of an endpoint: ``join.issue_token`` is ``issueToken``."""
    name = endpoint.rpartition(".")[2]
    return _WORD_START.sub(lambda match: match.group(1).upper(), name)


def document(environ: dict[str, Any], max_bytes: int) -> object:
    """The JSON value of a request's body; an empty object where there is none.

    Raises ``UnsupportedMediaType``, and what ``read_body`` and ``strict_json`` raise.
    """
    raw = _json_text(environ, max_bytes)
    return strict_json(raw) if raw else {}


def _json_text(environ: dict[str, Any], max_bytes: int, *, required: bool = False) -> bytes:
    """The body, if it says that it is JSON; raises as ``document``, and ``InvalidRequest`` for a ``required`` one."""
    raw = read_body(environ, max_bytes)
    if not raw and required:
        raise InvalidRequest.at("", "a body is required")
    if raw and parse_options_header(environ.get("CONTENT_TYPE"))[0].lower() != JSON:
        raise UnsupportedMediaType("The body must be application/json")
    return raw


@contextmanager
def _turn(raw: bytes) -> Iterator[None]:
    """Take large bodies one at a time, each after what is small and ready.

    Otherwise the event loop goes through all that have arrived before it looks for newcomers (measured: with 64 callers
    that send 64 KiB each, ``/healthz`` waited for 64 bodies).
    """
    if len(raw) <= _LARGE_BYTES:
        yield
        return
    turn = services().large_bodies
    if not turn.acquire(timeout=deadline().remaining()):
        raise DeadlineExceeded
    try:
        let_others_run()
        yield
    finally:
        turn.release()


def size(environ: dict[str, Any]) -> int:
    """The bytes that a body may have."""
    return MAX_BYTES if "HTTP_TRANSFER_ENCODING" in environ else int(environ.get("CONTENT_LENGTH") or 0)


def read_body(environ: dict[str, Any], max_bytes: int = MAX_BYTES) -> bytes:
    """The body as it was sent, once.

    Raises ``BodyTooLarge``, ``RequestTimeout`` where it does not arrive within 10 s, and ``MalformedRequest`` where the
    framing is broken.
    """
    if not environ.get(UNREAD_BODY):
        return b""
    announced = _announced(environ)
    if announced is not None and announced > max_bytes:
        raise BodyTooLarge(f"The body is larger than {max_bytes // 1024} KiB")
    try:
        with time_limit(ARRIVAL_SECS):
            source = environ["wsgi.input"]
            raw = _chunked(source, max_bytes + 1) if announced is None else bytes(source.read(announced))
    except TimeoutError:
        raise RequestTimeout from None
    except Exception:  # noqa: BLE001 - each web server has its own exceptions for a body that it cannot read
        raise MalformedRequest("The body could not be read") from None
    if len(raw) > max_bytes:
        raise BodyTooLarge(f"The body is larger than {max_bytes // 1024} KiB")
    if announced is not None and len(raw) < announced:
        raise MalformedRequest("The body is shorter than announced")
    environ[UNREAD_BODY] = False
    return raw


def _chunked(source: BinaryIO, most: int) -> bytes:
    """Up to ``most`` bytes, with turns of others in between: each byte can have come as a chunk of its own."""
    found = b""
    while len(found) < most and (piece := source.read(min(_PIECE_BYTES, most - len(found)))):
        found += piece
        let_others_run()
    return found


def _announced(environ: dict[str, Any]) -> int | None:
    """The length of the body, ``None`` where it comes in chunks; raises ``MalformedRequest`` for another text."""
    if "HTTP_TRANSFER_ENCODING" in environ:
        return None
    text = environ.get("CONTENT_LENGTH", "0")
    if not text.isascii() or not text.isdecimal():
        raise MalformedRequest("The length of the body is not a number")
    return int(text)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated name")
    return members


def _number(text: str) -> float | int:
    """Of a fraction, or of a name that JSON does not have: NaN and Infinity are none."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("out of range")
    # 60.0 is an integer to JSON Schema, so views get it as one. To make one of 1e300 takes longer than to refuse it.
    return int(value) if value.is_integer() and abs(value) <= _EXACT else value


def _check_values(value: object) -> None:
    """Level by level: recursion takes ten times as long."""
    level, left = [value], MAX_VALUES
    for _ in range(MAX_DEPTH + 1):
        left -= len(level)
        if left < 0:
            raise InvalidRequest(f"The body holds more than {MAX_VALUES} values")
        if _UNSTORABLE.search("".join(one for one in level if isinstance(one, str))):
            raise InvalidRequest("A text holds a character that cannot be stored (NUL or half a surrogate pair)")
        holders = [one for one in level if isinstance(one, dict | list)]
        if not holders:
            return
        level = [inner for one in holders for inner in (chain(one, one.values()) if isinstance(one, dict) else one)]
    raise MalformedRequest("The body is nested too deeply")
