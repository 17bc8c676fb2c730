"""The same service as ``equal`` in views of Flask's, as most would write it."""

from __future__ import annotations

import uuid

from flask import Flask, Response, jsonify, request

from tests.bench.apps import equal


def create_app() -> Flask:
    app, service = Flask("equal_flask"), equal.create_app()

    @app.post("/v1/rooms/<alias>/token")
    def token(alias: str) -> Response:  # noqa: ARG001 - the service reads the path itself
        request_id = uuid.uuid4().hex
        status, answer = service.recorded_answer(request.environ, request_id)
        response = jsonify(answer)
        response.status = status
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Request-Id"] = request_id
        return response

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(service.metrics.exposition(), mimetype="text/plain")

    return app
