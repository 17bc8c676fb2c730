"""The console: a page to see one's rooms, join, and run a meeting, with nothing but the calls of the API. Gate: open.

The page is of plain files without secrets: whoever uses it signs in on it, with a bearer. It talks to our own origin
alone, and to the sandbox where ``make run`` says that there is one. Without a sandbox, and with a bundle of the
vendor's SDK as ``sdk.js`` among the files, it really joins; with neither, it hands tokens over:

    npx esbuild ./node_modules/@telnyx/video --bundle --format=esm --outfile=service/console/sdk.js
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from flask import Response

from service.errors import RouteNotFound
from service.web.auth import Gate, GatedBlueprint
from service.web.services import services
from service.web.static_files import PageFiles

_FOLDER: Final = Path(__file__).parents[1] / "console"
_SERVED: Final = frozenset({".html", ".css", ".js", ".mjs", ".svg"})
# Trusted types turn every attempt to make elements of text into an error, whoever writes it into a script of ours.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{besides}; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
# The vendor's web SDK, which the repository does not hold; it speaks to one host only (docs/telnyx.md 5.4).
_SDK: Final = "sdk.js"
# Control of the sandbox is no more in the image for production than the sandbox is.
_SANDBOX: Final = "sandbox.js"
_SIGNALLING: Final = "wss://video.telnyx.com"
_FRESH: Final = "no-cache"


def blueprint() -> GatedBlueprint:
    """The page and its files."""
    console = GatedBlueprint("console", Gate.OPEN)
    files = {file.name: file.read_bytes() for file in sorted(_FOLDER.rglob("*")) if file.suffix in _SERVED}
    get_console, get_console_file = _views(files)
    console.add_url_rule("/console", view_func=get_console, methods=["GET"], strict_slashes=False)
    console.add_url_rule("/console/<file>", view_func=get_console_file, methods=["GET"])
    return console


def _views(files: dict[str, bytes]) -> tuple[Callable[[], Response], Callable[[str], Response]]:
    def get_console() -> Response:
        """The page."""
        return get_console_file("index.html")

    def get_console_file(file: str) -> Response:
        """What the page is made of; ``config.json`` tells it where the sandbox is."""
        asked = services().console
        if asked is None:
            raise RouteNotFound
        sandbox = asked.sandbox if _SANDBOX in files else None
        sdk = sandbox is None and _SDK in files
        config = json.dumps({"sandbox": sandbox, "sdk": sdk}).encode()
        policy = _POLICY.format(besides=f" {_SIGNALLING}" if sdk else f" {sandbox}" if sandbox else "")
        return PageFiles({**files, "config.json": config}, policy, _FRESH).answer(file)

    return get_console, get_console_file
