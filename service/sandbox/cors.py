"""The web pages that may use the control calls: the console of ``make run``. Never ``/v2``, as at Telnyx."""

from collections.abc import Collection

from flask import Flask, Response, request


def add_cors(app: Flask, origins: Collection[str]) -> None:
    """Let pages of exactly these origins read the answers of ``/sandbox``."""

    def allow(response: Response) -> Response:
        if not request.path.startswith("/sandbox"):
            return response
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin in origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            if request.method == "OPTIONS":
                response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
                response.headers["Access-Control-Allow-Headers"] = "Content-Type"
        return response

    app.after_request(allow)
