"""The composition root: settings -> gateways -> rules -> blueprints.

Rules for editors:
* this is the only module that knows everything; it decides nothing at request time;
* ``face`` makes the HTTP application of given services, ``create_app`` the services of given settings;
* background threads start here and nowhere else, in the process that will serve (after gunicorn has forked).
"""

from __future__ import annotations

from flask import Flask

from service.routes import admin, cors, exchange, gate, join, ops, problems
from service.routes.incoming import MOST_BYTES
from service.routes.services import EXTENSION, Services


def face(services: Services) -> Flask:
    """The WSGI application that lets callers ask ``services``."""
    app = Flask("service", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MOST_BYTES, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # A path means one thing: no redirects to tidier ones.
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    app.extensions[EXTENSION] = services
    exchange.install(app)
    cors.install(app, services.allowed_origins)
    gate.install(app)
    problems.install(app, services.jitter)
    admin.install(app)
    for blueprint in (ops.blueprint(), join.blueprint(), admin.blueprint()):
        app.register_blueprint(blueprint)
    return app
