"""The framework's limit: a Flask route that answers the same bytes to everybody."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask, Response


def create_app() -> Flask:
    app = Flask("bare")
    constant = Path(os.environ["BENCH_ANSWER"]).read_bytes()

    @app.post("/v1/rooms/<alias>/token")
    def token(alias: str) -> Response:  # noqa: ARG001 - the route is the same for all
        return Response(constant, mimetype="application/json")

    return app
