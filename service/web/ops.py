"""For load balancers, operators and developers. Gate: open.

Rules for editors:
* ``/healthz`` touches nothing; ``/readyz`` reads what this replica knows already and asks nobody;
* readiness fails only while draining or without any verification key: an outage of Redis or Telnyx hits all replicas
  alike, and failing readiness would turn a degradation into a black-out.
"""

from typing import Final

from flask import Response, jsonify

from service.observability.telemetry import VERSION
from service.web.auth import Gate, GatedBlueprint, Routes
from service.web.services import services

_FRESH: Final = {"Cache-Control": "no-cache"}


def blueprint() -> GatedBlueprint:
    routes: Routes = {
        "GET /healthz": get_health,
        "GET /readyz": get_readiness,
        "GET /version": get_version,
        "GET /openapi.yaml": get_openapi,
        "GET /openapi.json": get_openapi_json,
        "GET /.well-known/jwks.json": get_ticket_keys,
    }
    return GatedBlueprint("ops", Gate.OPEN, routes)


def get_health() -> Response:
    """The process is alive; that is all it says."""
    return jsonify({"status": "ok"})


def get_readiness() -> Response:
    """Whether to send requests here, and the state of what this replica depends on.

    As the worst of its workers knows it: of one of them a stranger learns nothing, and each probe reaches another.
    """
    asked = services()
    workers = asked.metrics.breakers_of_workers()
    keys = {name: len(source.keys or ()) for name, source in asked.key_sources.items()}
    status = "ready"
    if not any(keys.values()):
        status = "no_keys"
    if asked.drain_file is not None and asked.drain_file.exists():
        status = "draining"
    response = jsonify(
        {
            "status": status,
            "redis": "down" if workers.get("redis") == "open" else asked.redis.state,
            "telnyx": {name: workers.get(name, own) for name, own in asked.telnyx.breaker_states().items()},
            "keys": {name: {"loaded": count > 0, "keys": count} for name, count in keys.items()},
        }
    )
    response.status_code = 200 if status == "ready" else 503
    return response


def get_version() -> Response:
    return jsonify({"name": "video-token-service", "version": VERSION})


def get_openapi() -> Response:
    """The document that requests are validated against."""
    return Response(services().openapi, mimetype="application/yaml", headers=_FRESH)


def get_openapi_json() -> Response:
    """The same for tools that read no YAML."""
    return Response(services().contract.as_json, mimetype="application/json", headers=_FRESH)


def get_ticket_keys() -> Response:
    """The public keys of context tickets (RFC 7517)."""
    response = jsonify(services().ticket_keys)
    response.headers["Cache-Control"] = "public, max-age=300"
    return response
