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
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from service.clock import Deadline
from service.errors import RoomNotFound
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


class TokenEndpoint:
    """Around ``framework``, the application that answers everything else."""

    def __init__(self, framework: WSGIApplication, services: Services) -> None:
        self._framework = framework
        self._services = services

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        found = _PATH.fullmatch(environ["PATH_INFO"])
        if found is None or environ["REQUEST_METHOD"] != "POST":
            return self._framework(environ, start_response)
        alias, suffix, started = found[1], found[2] or "", self._services.clock.monotonic()
        try:
            request_lifecycle.begin(environ)
            issued = self._issue(environ, alias, started, force=bool(suffix))
            status, headers, body = self._answer(issued, suffix, started)
        except Exception as error:  # noqa: BLE001 - whatever it is, callers and operators are told of it
            status, headers, body = self._refusal(environ["PATH_INFO"], suffix, started, error)
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

    def _answer(self, issued: IssuedToken, suffix: str, started: float) -> tuple[int, list[tuple[str, str]], bytes]:
        body = b"%s\n" % _ENCODER.encode(to_json(issued)).encode()
        completed = self._completed(suffix, started, HTTPStatus.OK)
        request_lifecycle.record(self._services.metrics, completed, logged=False)
        headers = record_issued(issued, self._services.metrics, completed.to_log())
        return HTTPStatus.OK, [("Content-Type", JSON), *headers], body

    def _issue(self, environ: WSGIEnvironment, alias: str, started: float, *, force: bool) -> IssuedToken:
        services = self._services
        authorization = environ.get("HTTP_AUTHORIZATION")
        principal = services.verifier.verify([] if authorization is None else [authorization])
        services.shares.begin(principal.user, admin=principal.admin, reads=False)
        wanted = self._wanted(environ, "refreshToken" if force else "issueToken")
        if not is_alias(alias):
            # No room can have this name, so nothing is looked up.
            raise RoomNotFound
        request = TokenRequest(
            principal=principal,
            owner=principal.owner(wanted.get("device_id")),
            alias=alias,
            display_name=wanted.get("display_name"),
            min_ttl_secs=wanted.get("min_ttl_secs"),
            force=force,
            deadline=Deadline(services.clock, started + REQUEST_SECONDS),
        )
        return services.broker.issue(request)

    def _wanted(self, environ: WSGIEnvironment, operation: str) -> Any:
        if environ["QUERY_STRING"]:
            given = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
            self._services.contract.check_query(operation, given.items())
        if not environ[UNREAD_BODY]:
            return {}
        value = document(environ, max_bytes=MAX_TOKEN_CALL_BYTES)
        return self._services.contract.check_body(operation, value, size(environ))

    def _refusal(
        self, path: str, suffix: str, started: float, error: Exception
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        known = problems.as_service_error(error, self._services.metrics)
        problem = problems.render(known, path, self._services.jitter)
        completed = self._completed(suffix, started, problem.status, known.code)
        request_lifecycle.record(self._services.metrics, completed)
        return problem.status, problem.headers, problem.body

    def _completed(self, suffix: str, started: float, status: int, code: str | None = None) -> CompletedRequest:
        seconds = self._services.clock.monotonic() - started
        return CompletedRequest("/v1/rooms/<alias>/token" + suffix, "POST", status, seconds, code)
