"""For load balancers, operators and developers (DESIGN 4.6). Gate: open.

Rules for editors:
* ``/healthz`` touches nothing; ``/readyz`` reads what this process knows already and asks nobody;
* readiness fails only while draining or without any verification key: an outage of Redis or Telnyx hits all replicas
  alike, and failing readiness would turn a degradation into a black-out;
* the documentation page loads nothing from elsewhere and runs no inline script.
"""

from __future__ import annotations

import mimetypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import flask_swagger_ui
from flask import Response, jsonify, request

from service.errors import Overloaded, RouteNotFound
from service.routes.gate import Gate, GatedBlueprint
from service.routes.services import services
from service.telemetry import VERSION

_DIST: Final = Path(flask_swagger_ui.__file__).parent / "dist"
_SERVED: Final = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"})
# The only answers too large for a connection's buffer: who does not read them holds the thread that writes them.
_MOST_READERS: Final = 4
_DOCS_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_DOCS_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Video token service</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"><link rel="icon" href="/docs/favicon-32x32.png"></head>
<body><div id="ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/init.js"></script></body></html>
"""
_DOCS_SCRIPT: Final = """SwaggerUIBundle({url: "/openapi.yaml", dom_id: "#ui", validatorUrl: null});\n"""


def blueprint() -> GatedBlueprint:
    """The calls that anybody may make."""
    ops = GatedBlueprint("ops", Gate.OPEN)
    get_docs_file = _docs_files()
    for path, view in (
        ("/healthz", get_health),
        ("/readyz", get_readiness),
        ("/version", get_version),
        ("/openapi.yaml", get_openapi),
        ("/docs", get_docs),
        ("/docs/<file>", get_docs_file),
        ("/.well-known/jwks.json", get_ticket_keys),
    ):
        ops.add_url_rule(path, view_func=view, methods=["GET"])
    return ops


def get_health() -> Response:
    """The process is alive; that is all it says."""
    return jsonify({"status": "ok"})


def get_readiness() -> Response:
    """Whether to send requests here, and the state of what this replica depends on."""
    asked = services()
    states = {name: source.state() for name, source in asked.key_sources.items()}
    status = "ready"
    if not any(state.loaded for state in states.values()):
        status = "no_keys"
    if asked.drain_file is not None and asked.drain_file.exists():
        status = "draining"
    response = jsonify(
        {
            "status": status,
            "redis": "up" if asked.store.up else "down",
            "telnyx": asked.telnyx.breaker_states(),
            "keys": {name: {"loaded": state.loaded, "keys": state.keys} for name, state in states.items()},
        }
    )
    response.status_code = 200 if status == "ready" else 503
    return response


def get_version() -> Response:
    """Which release this is."""
    return jsonify({"name": "video-token-service", "version": VERSION})


def get_openapi() -> Response:
    """The document that requests are validated against."""
    response = Response(services().openapi, mimetype="application/yaml")
    response.headers["Cache-Control"] = "no-cache"
    return response


def get_docs() -> Response:
    """A page to read the document with."""
    return _docs(_DOCS_PAGE, "text/html")


def _docs_files() -> Callable[[str], Response]:
    files = {name: (_DIST / name).read_bytes() for name in _SERVED}
    seats = threading.BoundedSemaphore(_MOST_READERS)

    def get_docs_file(file: str) -> Response:
        """The scripts and styles of that page."""
        if file == "init.js":
            return _docs(_DOCS_SCRIPT, "text/javascript")
        if file not in files:
            raise RouteNotFound
        if not seats.acquire(blocking=False):
            raise Overloaded
        response = Response(files[file], mimetype=mimetypes.guess_type(file)[0])
        response.call_on_close(seats.release)
        response.headers["Cache-Control"] = "public, max-age=3600"
        response.add_etag()
        response.make_conditional(request)
        return response

    return get_docs_file


def get_ticket_keys() -> Response:
    """The public keys of context tickets (RFC 7517)."""
    response = jsonify(services().ticket_keys)
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


def _docs(text: str, media_type: str) -> Response:
    response = Response(text, mimetype=media_type)
    response.headers["Content-Security-Policy"] = _DOCS_CSP
    return response
