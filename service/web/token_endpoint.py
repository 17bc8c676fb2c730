"""The call that running meetings make, a client token for a room, answered before the framework.

Ours, because of what the framework takes to find a view, to wrap a request and an answer and to call its hooks: as much
as all that the call is about (measured; see ``tests/bench``). Nothing is decided here: the same verifier, broker,
check of the body, audit, measurement and headers are asked as in ``join``.

Rules for editors:
* whatever is out of the ordinary goes to the framework as it came: a bearer not seen before, a query, another type;
* a request that fails is told so by the framework, which finds here why (``TROUBLE``): the broker is not asked twice.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from service.clock import Deadline
from service.errors import StoreUnavailable
from service.identity.verifier import Principal
from service.observability import telemetry
from service.rooms.models import is_alias
from service.storage import line
from service.tokens.broker import Ask
from service.tokens.models import Grant
from service.web import cors, request_lifecycle
from service.web.join import TROUBLE, shown
from service.web.request_body import JSON, MOST_BYTES, strict_json
from service.web.request_lifecycle import PERSONAL, REQUEST_SECONDS, STARTED, USUAL, Done
from service.web.services import Services
from service.web.token_response import handed_out

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# How many calls can be begun before the first is answered: each has a connection to the store.
AT_ONCE: Final = line.AT_ONCE
_PATH: Final = re.compile(r"/v1/rooms/([^/]+)/token", re.ASCII)
_ROUTE: Final = "/v1/rooms/<alias>/token"
_OPERATION: Final = "issueToken"
_LENGTH: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
# In the environment of a request: what ``begin`` made of it.
_CALL: Final = "service.call"
CONSTANT: Final = (("Content-Type", JSON), *request_lifecycle.FIXED, USUAL[0], *PERSONAL)


@dataclass(slots=True)
class _Call:
    """A call for a token by somebody known, begun at the monotonic moment ``started``; ``ask``: the store was asked."""

    caller: Principal
    alias: str
    started: float
    wanted: dict[str, Any]
    ask: Ask | None = None


class FastPath:
    """Around ``framework``, the application that answers everything else."""

    def __init__(self, framework: WSGIApplication, services: Services) -> None:
        self._framework = framework
        self._services = services

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        call = environ.pop(_CALL, None) or self._read(environ)
        if call is None:
            return self._framework(environ, start_response)
        request_lifecycle.begin(environ)
        try:
            grant = self._granted(call)
        except Exception as trouble:  # noqa: BLE001 - the framework tells callers and operators of it, whatever it is
            request_id = telemetry.request_id.get()
            environ |= {TROUBLE: trouble, STARTED: call.started, "HTTP_X_REQUEST_ID": request_id}
            return self._framework(environ, start_response)
        else:
            return [self._told(environ, start_response, call, grant)]
        finally:
            request_lifecycle.end()

    def begin(self, environ: WSGIEnvironment) -> bool:
        """Ask the store for what the answer takes, without waiting for anything: whether that could be done.

        ``at_once`` is to be called next, or the application.
        """
        call = environ[_CALL] = self._read(environ)
        if call is None:
            return False
        try:
            call.ask = self._services.broker.ask(call.caller, call.alias, **call.wanted, at_once=True)
        except StoreUnavailable:
            return False
        return True

    def at_once(self, environ: WSGIEnvironment, start_response: StartResponse, within: float) -> bytes | None:
        """The answer, if the store tells what it takes ``within`` seconds and nothing else is to be waited for. Else
        nothing was begun, and the application goes on where this left it.
        """
        call = environ[_CALL]
        request_lifecycle.begin(environ)
        try:
            grant = self._services.broker.at_once(call.ask, within)
        except Exception:  # noqa: BLE001 - the application comes upon it too, and tells of it
            return None
        else:
            return None if grant is None else self._told(environ, start_response, call, grant)
        finally:
            request_lifecycle.end()

    def _read(self, environ: WSGIEnvironment) -> _Call | None:
        """What is asked for, if it is the call for a token and nothing about it is unusual."""
        found = _PATH.fullmatch(environ["PATH_INFO"])
        if found is None or environ["REQUEST_METHOD"] != "POST" or not is_alias(found.group(1)):
            return None
        started = self._services.clock.monotonic()
        caller = self._caller(environ)
        asked = None if caller is None else self._body(environ)
        if caller is None or asked is None:
            return None
        wanted = {
            "device_id": asked.get("device_id"),
            "display_name": asked.get("display_name"),
            "min_ttl_secs": asked.get("min_ttl_secs"),
            "force": False,
            "deadline": Deadline(self._services.clock, started + REQUEST_SECONDS),
        }
        return _Call(caller, found.group(1), started, wanted)

    def _granted(self, call: _Call) -> Grant:
        broker = self._services.broker
        return broker.token(call.caller, call.alias, **call.wanted) if call.ask is None else broker.answer(call.ask)

    def _told(self, environ: WSGIEnvironment, start_response: StartResponse, call: _Call, grant: Grant) -> bytes:
        body = b"%s\n" % _ENCODER.encode(shown(grant)).encode()
        start_response("200 OK", self._headers(environ, call.caller, grant, len(body)))
        self._record(call.caller, call.started)
        return body

    def _caller(self, environ: WSGIEnvironment) -> Principal | None:
        """Who asks, if that needs no looking into."""
        authorization = environ.get("HTTP_AUTHORIZATION")
        return None if authorization is None else self._services.verifier.remembered((authorization,))

    def _body(self, environ: WSGIEnvironment) -> Mapping[str, Any] | None:
        """What is asked for in the body, if it is as it should be; the framework can read it again."""
        if environ["QUERY_STRING"] or "HTTP_TRANSFER_ENCODING" in environ:
            return None
        length = environ.get("CONTENT_LENGTH", "")
        if length in {"", "0"}:
            return {}
        if environ.get("CONTENT_TYPE") != JSON or _LENGTH.fullmatch(length) is None or int(length) > MOST_BYTES:
            return None
        try:
            raw = environ["wsgi.input"].read(int(length))
            environ["wsgi.input"] = io.BytesIO(raw)
            if len(raw) < int(length):
                return None
            return self._services.contract.check_body(_OPERATION, strict_json(raw))
        except Exception:  # noqa: BLE001 - as when the framework reads: each web server has its own exceptions
            return None

    def _headers(self, environ: WSGIEnvironment, caller: Principal, grant: Grant, length: int) -> list[tuple[str, str]]:
        return [
            ("Content-Length", str(length)),
            ("X-Request-Id", telemetry.request_id.get() or ""),
            *CONSTANT,
            *handed_out(grant, caller, self._services.metrics),
            *cors.marks(environ.get("HTTP_ORIGIN"), self._services.allowed_origins),
        ]

    def _record(self, caller: Principal, started: float) -> None:
        metrics = self._services.metrics
        metrics.verification(caller.issuer, "good")
        request_lifecycle.record(
            metrics, Done(_ROUTE, "POST", 200, self._services.clock.monotonic() - started, caller.user)
        )
