"""The Flask application: ``/v2`` as the published document has it, and ``/sandbox`` to control it."""

from collections.abc import Collection

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from service.sandbox import errors
from service.sandbox.control import add_control
from service.sandbox.exchange import add_hooks
from service.sandbox.sandbox import Sandbox
from service.sandbox.spoil import error_response
from service.sandbox.v2 import add_operations


def create_app(sandbox: Sandbox, origins: Collection[str] = ()) -> Flask:
    """The application; web pages of ``origins`` may use the control calls."""
    app = Flask("sandbox", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # A dropped connection and a bug are the server's to see.
    app.config["PROPAGATE_EXCEPTIONS"] = True

    def answer(error: errors.ApiError) -> Response:
        return error_response(error, sandbox.switches["error_shape"])

    def answer_http(error: HTTPException) -> Response:
        """The errors of the framework in the API's words."""
        response = answer(_api_error(error))
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response

    app.register_error_handler(errors.ApiError, answer)
    app.register_error_handler(HTTPException, answer_http)
    # The hooks see an answer after all others have changed it.
    add_hooks(app, sandbox)
    app.after_request(lambda response: _let_pages_read(response, origins))
    add_operations(app, sandbox.world)
    add_control(app, sandbox)
    return app


def _api_error(error: HTTPException) -> errors.ApiError:
    if isinstance(error, NotFound):
        return errors.not_found()
    if isinstance(error, MethodNotAllowed):
        return errors.method_not_allowed(request.method)
    return errors.ApiError(error.code or 500, "10027", error.name, error.description or error.name)


def _let_pages_read(response: Response, origins: Collection[str]) -> Response:
    """The control calls only, and pages of exactly these origins: the console of ``make run``. Never ``/v2``, as at
    Telnyx.
    """
    if request.path.startswith("/sandbox"):
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin in origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            if request.method == "OPTIONS":
                response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
                response.headers["Access-Control-Allow-Headers"] = "Content-Type"
    return response
