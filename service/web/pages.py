"""Pages for browsers: the document with its calls, one about each error, and the console. Gate: open.

What an error means is read from ``service.errors``, and so is the table in docs/reference/errors.md, which a test
compares. The document is shown by Swagger UI, from the files of a package.

The console is a page to see one's rooms, join, and run a meeting, with nothing but the calls of the API. Whoever uses
it signs in on it, with a bearer. It talks to our own origin alone, and to the sandbox where ``make run`` says that
there is one. Without a sandbox, and with a bundle of the vendor's SDK as ``sdk.js`` among the files, it really joins;
with neither, it hands tokens over:

    npx esbuild ./node_modules/@telnyx/video --bundle --format=esm --outfile=service/console/sdk.js

Rules for editors:
* all files are without secrets and read once, at start; a name is looked up in a table and never made into a path;
* nothing is loaded from elsewhere, and no script or style is in a page itself;
* every file comes with its page's Content-Security-Policy: a worker or a picture of vectors has a policy of its own.
"""

import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path, PurePath
from typing import Final

import flask_swagger_ui
from flask import Response, request

from service.errors import OwnTrouble, RouteNotFound, ServiceError
from service.web.auth import Gate, GatedBlueprint, Routes
from service.web.problems import TYPE_PREFIX
from service.web.services import services

# Not the machine's own table, which differs from one to the next.
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_FRESH: Final = "no-cache"
_AN_HOUR: Final = "public, max-age=3600"

_SWAGGER_UI: Final = Path(flask_swagger_ui.__file__).parent / "dist"
_SWAGGER_FILES: Final = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_DOCS_POLICY: Final = _POLICY + "; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
_DOCS: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Video token service</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/swagger-ui.css"><link rel="icon" href="/docs/favicon-32x32.png"></head>
<body><div id="ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/init.js"></script></body></html>
"""
_DOCS_SCRIPT: Final = """SwaggerUIBundle({
  url: "/openapi.yaml", dom_id: "#ui", validatorUrl: null, deepLinking: true, docExpansion: "list",
  displayRequestDuration: true, tryItOutEnabled: true,
});
"""

_PROBLEM: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{code}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><main><h1>{title}</h1><p><code>{code}</code>, status {status}</p><p>{meaning}.</p><p>{advice}.</p>
<p><a href="/docs">All calls and their errors</a></p></main></body></html>
"""
# By code, else by status.
_ADVICE: Final[dict[str | int, str]] = {
    "missing_credentials": "Send the user's token as Authorization: Bearer",
    "invalid_token": "Renew the token; if a fresh one is refused too, the log line `token refused` says why",
    "insufficient_scope": "Ask `GET /v1/me`: `why_not_admin` says which of the two it is",
    "room_not_found": "Check the alias and who may enter; `GET /v1/rooms` lists the rooms of a user",
    "not_open_yet": "Tell the user when it opens",
    "waiting_for_admission": "Show the user that they wait, and ask again after `Retry-After` seconds",
    "room_full": "Tell the user, and try again after a while",
    "too_many_invites": "Revoke some that nobody needs",
    "precondition_failed": "Read the record again, and make the change to what it is now",
    "upstream_rejected_credentials": "Operators: `python -m service check` tells whether Telnyx takes TELNYX_API_KEY",
    "webhooks_not_configured": "Operators: set TELNYX_PUBLIC_KEY",
    401: "Sign the user in again",
    403: "Tell the user; it is refused until somebody changes what stands in the way",
    404: "Check the name",
    500: "Tell whoever runs the service, with `request_id`",
    502: "Tell whoever runs the service, with `request_id`",
}
_AGAIN: Final = "Send the same again after `Retry-After` seconds; go on with the token that you have"
_MEND: Final = "Change the request; the same one is refused again"

_CONSOLE: Final = Path(__file__).parents[1] / "console"
_CONSOLE_FILES: Final = frozenset({".html", ".css", ".js", ".mjs", ".svg"})
# Trusted types turn every attempt to make elements of text into an error, whoever writes it into a script of ours.
_CONSOLE_POLICY: Final = _POLICY + (
    "; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{besides}; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
# The vendor's web SDK, which the repository does not hold; it speaks to one host only (docs/telnyx.md 5.4).
_SDK: Final = "sdk.js"
_SIGNALLING: Final = "wss://video.telnyx.com"
# Control of the sandbox is no more in the image for production than the sandbox is.
_SANDBOX: Final = "sandbox.js"


def blueprint() -> GatedBlueprint:
    swagger = {name: (_SWAGGER_UI / name).read_bytes() for name in _SWAGGER_FILES}
    of_docs = {**swagger, "init.js": _DOCS_SCRIPT.encode()}
    problems = {f"{kind.code}.html": _problem(kind) for kind in kinds()}
    of_console = {file.name: file.read_bytes() for file in _CONSOLE.rglob("*") if file.suffix in _CONSOLE_FILES}

    def get_docs() -> Response:
        return _file({"index.html": _DOCS.encode()}, "index.html", _DOCS_POLICY, _FRESH)

    def get_docs_file(file: str) -> Response:
        return _file(of_docs, file, _DOCS_POLICY, _AN_HOUR)

    def get_problem(code: str) -> Response:
        return _file(problems, f"{code}.html", _POLICY, _AN_HOUR)

    def get_console() -> Response:
        return get_console_file("index.html")

    def get_console_file(file: str) -> Response:
        """What the page is made of; ``config.json`` tells it where the sandbox is."""
        told = services().console
        if told is None:
            raise RouteNotFound
        sandbox = told if told and _SANDBOX in of_console else None
        sdk = sandbox is None and _SDK in of_console
        config = json.dumps({"sandbox": sandbox, "sdk": sdk}).encode()
        policy = _CONSOLE_POLICY.format(besides=f" {_SIGNALLING}" if sdk else f" {sandbox}" if sandbox else "")
        return _file({**of_console, "config.json": config}, file, policy, _FRESH)

    routes: Routes = {
        "GET /docs": get_docs,
        "GET /docs/<file>": get_docs_file,
        f"GET {TYPE_PREFIX}<code>": get_problem,
        "GET /console/<file>": get_console_file,
    }
    pages = GatedBlueprint("pages", Gate.OPEN, routes)
    pages.add_url_rule("/console", view_func=get_console, methods=["GET"], strict_slashes=False)
    return pages


def kinds() -> list[type[ServiceError]]:
    """One class for each code that callers can get, by status and code."""
    found: dict[str, type[ServiceError]] = {}
    for kind in _all(ServiceError):
        found.setdefault(kind.code, kind)
    return sorted(found.values(), key=lambda kind: (kind.status, kind.code))


def table() -> str:
    """The rows of docs/reference/errors.md."""
    rows = [f"| {kind.status} | `{kind.code}` | {_meaning(kind)} | {_advice(kind)} |\n" for kind in kinds()]
    return "| status | code | means | what to do |\n|---|---|---|---|\n" + "".join(rows)


def _file(files: Mapping[str, bytes], name: str, policy: str, cache_control: str) -> Response:
    """The file, or that it has not changed. Raises ``RouteNotFound``."""
    if name not in files:
        raise RouteNotFound
    response = Response(files[name], mimetype=_TYPES[PurePath(name).suffix])
    response.headers["Content-Security-Policy"] = policy
    response.headers["Cache-Control"] = cache_control
    response.add_etag()
    response.make_conditional(request)
    return response


def _all(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    if kind is not OwnTrouble:
        yield kind
    for narrower in kind.__subclasses__():
        yield from _all(narrower)


def _problem(kind: type[ServiceError]) -> bytes:
    texts = {"title": kind.title, "code": kind.code, "meaning": _meaning(kind), "advice": _advice(kind)}
    return _PROBLEM.format(status=kind.status, **{name: escape(text) for name, text in texts.items()}).encode()


def _meaning(kind: type[ServiceError]) -> str:
    """The first sentence of what the class says of itself."""
    return " ".join((kind.__doc__ or kind.title).split()).partition(". ")[0].rstrip(".").replace("``", "`")


def _advice(kind: type[ServiceError]) -> str:
    general = _AGAIN if kind.retryable else _ADVICE.get(kind.status, _MEND)
    return _ADVICE.get(kind.code, general)
