"""A page to read ``openapi.yaml`` with, and to try its calls on. Gate: open.

Swagger UI from the files of a package: nothing is loaded from elsewhere, and no script or style is in the page itself.
"""

from pathlib import Path
from typing import Final

import flask_swagger_ui
from flask import Response

from service.web.auth import Gate, GatedBlueprint
from service.web.static_files import PageFiles

_DIST: Final = Path(flask_swagger_ui.__file__).parent / "dist"
_SERVED: Final = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Video token service</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/swagger-ui.css"><link rel="icon" href="/docs/favicon-32x32.png"></head>
<body><div id="ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/init.js"></script></body></html>
"""
_SCRIPT: Final = """SwaggerUIBundle({
  url: "/openapi.yaml", dom_id: "#ui", validatorUrl: null, deepLinking: true, docExpansion: "list",
  displayRequestDuration: true, tryItOutEnabled: true,
});
"""


def blueprint() -> GatedBlueprint:
    """The page and its files."""
    docs = GatedBlueprint("docs", Gate.OPEN)
    packaged = {name: (_DIST / name).read_bytes() for name in _SERVED}
    page = PageFiles({"index.html": _PAGE.encode()}, _POLICY, "no-cache")
    files = PageFiles({**packaged, "init.js": _SCRIPT.encode()}, _POLICY, "public, max-age=3600")

    def get_docs() -> Response:
        """A page to read the document with."""
        return page.answer("index.html")

    def get_docs_file(file: str) -> Response:
        """The scripts and styles of that page."""
        return files.answer(file)

    docs.add_url_rule("/docs", view_func=get_docs, methods=["GET"])
    docs.add_url_rule("/docs/<file>", view_func=get_docs_file, methods=["GET"])
    return docs
