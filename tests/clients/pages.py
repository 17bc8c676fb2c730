"""A Chromium in which the vendor's web SDK, unmodified, takes the sandbox for Telnyx and finds no other host at all."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.clients import packages
from tests.console.browser import OPTIONS, executable
from tests.processes import Sandbox

_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript"}
_HTML = b'<!doctype html><html lang="en"><title>...</title><script type="module" src="/page.js"></script></html>'


class Site:
    """The files of the app, on an origin of their own."""

    def __init__(self) -> None:
        client = packages.web() / "src"
        files = {
            "/": (".html", _HTML),
            "/page.js": (".js", (packages.HERE / "page.js").read_bytes()),
            **{f"/client/{path.name}": (".js", path.read_bytes()) for path in client.glob("*.js")},
            "/sdk.mjs": (".mjs", (packages.MODULES / "@telnyx" / "video" / "lib" / "index.mjs").read_bytes()),
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """One of the files."""
                kind, content = files.get(self.path, ("", b""))
                self.send_response(200 if kind else 204)
                if kind:
                    self.send_header("Content-Type", _TYPES[kind])
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(slots=True)
class App:
    """One page. ``hosts``: whom it talked to; ``errors``: what it complained of."""

    page: Page
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def told(self) -> list[dict[str, Any]]:
        """All that has happened in it."""
        told: list[dict[str, Any]] = self.page.evaluate("app.told")
        return told

    def of(self, *whats: str) -> list[dict[str, Any]]:
        """What has happened of some kinds."""
        return [entry for entry in self.told() if entry["what"] in whats]

    def wait(self, what: str, times: int = 1, seconds: float = 20.0) -> list[dict[str, Any]]:
        """All of a kind, once there are so many."""
        condition = "([what, times]) => app.told.filter((entry) => entry.what === what).length >= times"
        self.page.wait_for_function(condition, arg=[what, times], timeout=seconds * 1000)
        return self.of(what)

    def until(self, seconds: float) -> None:
        """Nothing until the page is so old."""
        self.page.wait_for_function("(seconds) => app.seconds() >= seconds", arg=seconds, timeout=120_000)

    def join(self, **options: Any) -> None:
        """Through the package; what comes of it is told."""
        self.page.evaluate("(options) => void app.join(options)", options)

    def join_once(self, given: Mapping[str, Any]) -> None:
        """Through the SDK alone, with a token that is never renewed."""
        options = {"roomId": given["room"]["id"], "clientToken": given["token"], "context": given["context"]}
        self.page.evaluate("(options) => app.joinOnce(options)", options)


@contextlib.contextmanager
def browser(sandbox: Sandbox, *more: str) -> Iterator[Browser]:
    """One that is led to this sandbox, with more options. Raises ``NoBrowser``."""
    path, told = executable(), sandbox.control("GET", "signalling")
    led = f"MAP {told['host']}:443 {told['listening']}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    trusted = f"--ignore-certificate-errors-spki-list={told['spki_sha256']}"
    with sync_playwright() as driver:
        made = driver.chromium.launch(
            executable_path=path, args=[*OPTIONS, f"--host-resolver-rules={led}", trusted, *more], handle_sigint=False
        )
        yield made
        made.close()


@contextlib.contextmanager
def opened(browser: Browser, site: Site) -> Iterator[App]:
    """A page of the app, ready."""
    page = browser.new_page()
    app = App(page)
    page.on("request", lambda request: app.hosts.add(request.url.split("/")[2]))
    page.on("websocket", lambda socket: app.hosts.add(socket.url.split("/")[2]))
    page.on("pageerror", lambda error: app.errors.append(str(error)))
    page.goto(site.origin)
    page.wait_for_function("document.title === 'ready'")
    yield app
    page.close()
