"""Answers ``POST /v1/rooms/{room}/token`` and ``.../token/refresh``, the calls that running meetings make, and their
refusals, before the framework sees them. Everything else goes to the framework.

Finding a view, wrapping request and answer and calling hooks costs in the framework as much as all that these calls are
about (measured; see ``tests/bench/README.md`` and ``docs/decisions/token-endpoint.md``).

Rules for editors:
* this is the only implementation of these two calls; the framework knows their paths, for preflights and refusals of
  other methods, and no view of theirs;
* nothing is decided here: the verifier, the broker, the checks of query and body, the problems, the audit line and the
  headers are those of all other calls;
* the order of refusals is that of the gates: who asks, then what is asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from service.clock import Deadline
from service.errors import RoomNotFound
from service.identity.verifier import Principal
from service.observability import telemetry
from service.rooms.aliases import is_alias
from service.tokens.models import IssuedToken, TokenRequest
from service.web import cors, problems, request_lifecycle
from service.web.request_body import JSON, MAX_TOKEN_CALL_BYTES, document, size
from service.web.request_lifecycle import REQUEST_SECONDS, TOKEN_HEADERS, UNREAD_BODY, CompletedRequest
from service.web.services import Services
from service.web.token_response import record_issued, to_json

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATH: Final = re.compile(r"/v1/rooms/([^/]+)/token(/refresh)?")
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


@dataclass(slots=True)
class _Call:
    """A call under way; ``principal`` is there once it is known who asks."""

    alias: str
    refresh: bool
    started: float
    principal: Principal | None = None

    def completed(self, status: int, now: float, code: str | None = None) -> CompletedRequest:
        route = "/v1/rooms/<alias>/token" + ("/refresh" if self.refresh else "")
        return CompletedRequest(
            route, "POST", status, now - self.started, self.principal.user if self.principal else None, code
        )


class TokenEndpoint:
    """Around ``framework``, the application that answers everything else."""

    def __init__(self, framework: WSGIApplication, services: Services) -> None:
        self._framework = framework
        self._services = services

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        found = _PATH.fullmatch(environ["PATH_INFO"])
        if found is None or environ["REQUEST_METHOD"] != "POST":
            return self._framework(environ, start_response)
        call = _Call(found[1], found[2] is not None, self._services.clock.monotonic())
        try:
            request_lifecycle.begin(environ)
            status, headers, body = self._answer(environ, call)
        except Exception as error:  # noqa: BLE001 - whatever it is, callers and operators are told of it
            status, headers, body = self._refusal(environ, call, error)
        all_headers = [
            ("Content-Length", str(len(body))),
            ("X-Request-Id", telemetry.request_id.get() or ""),
            *TOKEN_HEADERS,
            *headers,
            *cors.marks(environ.get("HTTP_ORIGIN"), self._services.allowed_origins),
        ]
        request_lifecycle.close_if_unread(environ)
        request_lifecycle.end()
        start_response(f"{status} {HTTPStatus(status).phrase}", all_headers)
        return [body]

    def _answer(self, environ: WSGIEnvironment, call: _Call) -> tuple[int, list[tuple[str, str]], bytes]:
        issued = self._issue(environ, call)
        body = b"%s\n" % _ENCODER.encode(to_json(issued)).encode()
        completed = call.completed(HTTPStatus.OK, self._services.clock.monotonic())
        request_lifecycle.record(self._services.metrics, completed, logged=False)
        assert call.principal is not None  # noqa: S101 - it was issued to somebody
        headers = record_issued(issued, call.principal, self._services.metrics, completed.to_log())
        return HTTPStatus.OK, [("Content-Type", JSON), *headers], body

    def _issue(self, environ: WSGIEnvironment, call: _Call) -> IssuedToken:
        services = self._services
        authorization = environ.get("HTTP_AUTHORIZATION")
        call.principal = services.verifier.verify([] if authorization is None else [authorization])
        services.shares.begin(call.principal.user, admin=call.principal.admin, reads=False)
        wanted = self._wanted(environ, call)
        if not is_alias(call.alias):
            # No room can have this name, so nothing is looked up.
            raise RoomNotFound
        request = TokenRequest(
            principal=call.principal,
            owner=call.principal.owner(wanted.get("device_id")),
            alias=call.alias,
            display_name=wanted.get("display_name"),
            min_ttl_secs=wanted.get("min_ttl_secs"),
            force=call.refresh,
            deadline=Deadline(services.clock, call.started + REQUEST_SECONDS),
        )
        return services.broker.issue(request)

    def _wanted(self, environ: WSGIEnvironment, call: _Call) -> Any:
        operation = "refreshToken" if call.refresh else "issueToken"
        if environ["QUERY_STRING"]:
            given = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
            self._services.contract.check_query(operation, given.items())
        if not environ[UNREAD_BODY]:
            return {}
        value = document(environ, max_bytes=MAX_TOKEN_CALL_BYTES)
        return self._services.contract.check_body(operation, value, size(environ))

    def _refusal(
        self, environ: WSGIEnvironment, call: _Call, error: Exception
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        known = problems.as_service_error(error, self._services.metrics)
        problem = problems.render(known, environ["PATH_INFO"], self._services.jitter)
        completed = call.completed(problem.status, self._services.clock.monotonic(), known.code)
        request_lifecycle.record(self._services.metrics, completed)
        return problem.status, problem.headers, problem.body
