"""A service with its console and the sandbox that it controls, and people in front of it."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests
from playwright.sync_api import Browser, ConsoleMessage, Locator, Request, Response, expect

from tests.processes import Sandbox, ServiceProcess, environment, free_port, fresh, until

# What a browser says of its own accord about an answer that a test asks for: a refusal, or an outage.
_ABOUT_AN_ANSWER = "Failed to load resource: the server responded with a status of "
SECONDS = 1000


class Stage:
    """One service, one sandbox; rooms are of each test's own."""

    def __init__(self, redis_url: str) -> None:
        port = free_port()
        self.origin = f"http://127.0.0.1:{port}"
        self.sandbox = Sandbox(f"--allow-origin={self.origin}")
        # One worker, for each has breakers of its own and ``settle`` must find them all.
        options = {"CONSOLE": "on", "CONSOLE_SANDBOX": self.sandbox.base, "WEB_CONCURRENCY": "1"}
        env = environment(self.sandbox, redis_url, **options)
        del env["AUTH_HS256_SECRET"]
        env |= {"AUTH_ISSUER": self.sandbox.idp, "AUTH_DISCOVERY_URL": "true"}
        self.service = ServiceProcess(env, port)
        self.url = f"{self.origin}/console/"

    def bearer(self, user: str, **facts: Any) -> str:
        """A bearer of the demo issuer."""
        return str(self.sandbox.control("POST", "idp/token", user=user, **facts)["token"])

    def ask(self, user: str, method: str, path: str, **options: Any) -> requests.Response:
        """A call that somebody makes without a browser."""
        headers = {"Authorization": f"Bearer {self.bearer(user)}"}
        return requests.request(method, self.origin + path, headers=headers, timeout=15, **options)

    def room(self, alias: str, *, moderator: str = "alice", **spec: Any) -> str:
        """A room that everybody may enter and somebody moderates; answers its alias."""
        spec = {"access": [{"members": True}, {"authenticated": True, "role": "participant"}], "title": alias, **spec}
        # The breaker of an outage that another test made closes in its own time.
        until(lambda: self.ask("ada", "PUT", f"/v1/admin/rooms/{alias}", json=spec).ok, 30, "the room")
        member = f"/v1/admin/rooms/{alias}/members/{moderator}"
        assert self.ask("ada", "PUT", member, json={"role": "moderator"}).ok
        return alias

    def settle(self) -> None:
        """End all faults and wait for the breakers that they have opened: those close with a call that succeeds."""
        self.sandbox.clear_faults()
        room = f"/v1/rooms/{self.room(fresh('probe'))}"
        until(lambda: self.ask("ada", "POST", f"{room}/token").ok, 30, "a token")
        until(lambda: self.ask("ada", "GET", f"{room}/participants").ok, 30, "who is in")

    def stop(self) -> None:
        self.service.stop()
        self.sandbox.stop()


class Visitor:
    """Somebody's own window of the console. Whatever it complains of, and whomever it asks, is remembered."""

    def __init__(self, browser: Browser, stage: Stage, **options: Any) -> None:
        self._stage = stage
        self._context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self._context.new_page()
        self.page.set_default_timeout(15 * SECONDS)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.expected: Collection[int] = ()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._saw)
        self.page.on("response", self._answered)

    def _heard(self, message: ConsoleMessage) -> None:
        about = message.text.removeprefix(_ABOUT_AN_ANSWER)
        if message.type in {"error", "warning"} and not (about != message.text and int(about[:3]) in self.expected):
            self.complaints.append(message.text)

    def _answered(self, response: Response) -> None:
        if response.status >= HTTPStatus.BAD_REQUEST and response.status not in self.expected:
            self.complaints.append(f"{response.status} to {response.request.method} {response.url}")

    def _saw(self, request: Request) -> None:
        self.asked.append(request.url)

    def visit(self, address: str | None = None) -> Visitor:
        self.page.goto(address or self._stage.url)
        return self

    def enter_as(self, name: str) -> Visitor:
        """Sign in as a demo user."""
        self.visit().button(name).click()
        expect(self.page.get_by_role("heading", name="Your rooms")).to_be_visible()
        return self

    def sign_in_with(self, bearer: str) -> Visitor:
        """Paste a bearer."""
        self.visit().page.get_by_label("Bearer token").or_(self.page.get_by_text("Or paste")).first.click()
        self.page.get_by_label("Bearer token").fill(bearer)
        self.button("Sign in").click()
        return self

    def open(self, alias: str) -> Visitor:
        """Choose a room of the list by its alias."""
        self.page.locator(".room", has=self.page.locator("code", has_text=alias)).click()
        expect(self.page.locator("#room-title")).to_have_text(alias)
        return self

    def join(self, alias: str) -> Visitor:
        self.open(alias).button("Join").click()
        expect(self.page.locator(".ring")).to_have_attribute("data-state", "in")
        return self

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True).or_(
            self.page.locator("button.face", has=self.page.get_by_text(name, exact=True))
        )

    def person(self, name: str) -> Locator:
        """Somebody in the list of who is in."""
        return self.page.locator(".person", has=self.page.get_by_text(name, exact=True))

    @property
    def in_call(self) -> bool:
        return self.page.locator(".ring").get_attribute("data-state") == "in"

    def shares(self) -> float:
        """How much of the ring is drawn, from 0 to 1."""
        drawn, whole = str(self.page.locator(".ring .arc").get_attribute("stroke-dasharray")).split(" ")
        return float(drawn) / float(whole)

    def hosts(self) -> set[str]:
        """The origins asked for anything so far."""
        return {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in self.asked if not url.startswith("blob:")}

    def confirm(self, word: str) -> None:
        """Press a button of the dialog that is open."""
        self.page.locator("dialog").get_by_role("button", name=word, exact=True).click()

    def is_refused_another_host(self) -> bool:
        """Whether the page's policy stops a question to another host. What the browser says of that is forgotten."""
        answer = self.page.evaluate("fetch('http://127.0.0.2:9/').then(() => 'asked', () => 'refused')")
        said = [complaint for complaint in self.complaints if "Content Security Policy" in complaint]
        self.complaints.clear()
        self.asked.clear()
        return answer == "refused" and said != []

    def close(self) -> None:
        self._context.close()
