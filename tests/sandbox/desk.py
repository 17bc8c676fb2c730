"""What the tests of the sandbox sit at: its API with a key, its control calls, and a receiver of webhooks."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from tests.processes import API_KEY, Sandbox, until

Json = dict[str, Any]
BLANK_ID = str(uuid.UUID(int=0))
# So long that no slow machine reaches the end of it while a test looks: most tests move the clock there instead.
LONG_SECS = 100_000
# What a slow machine may take for what takes a moment.
PATIENCE_SECS = 60
# Words of the program, which say nothing to a caller.
PROGRAM = re.compile(r"\bNone\b|\bTrue\b|\bFalse\b|<class|[\[({]'|Traceback")


class Desk:
    """One account of one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {API_KEY}"

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> requests.Response:
        """A call of the API; a query member ``a__b`` is ``a[b]``."""
        params = {name.replace("__", "[", 1).replace("__", "][") + "]" * ("__" in name): v for name, v in query.items()}
        return self.session.request(
            method, self.sandbox.api_url + path, json=body, params=params, timeout=PATIENCE_SECS
        )

    def data(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The ``data`` of an answer that must be good."""
        answer = self.ask(method, path, body, **query)
        assert answer.ok, answer.text
        return answer.json()["data"]

    def ids(self, path: str, **query: Any) -> list[str]:
        return [item["id"] for item in self.data("GET", path, **query)]

    def control(self, method: str, path: str, **body: Any) -> Any:
        return self.sandbox.control(method, path, **body)

    def switch(self, **changes: Any) -> None:
        self.control("PUT", "switches", **changes)

    def advance(self, seconds: float) -> None:
        self.control("POST", "clock", advance=seconds)

    def place(self, kind: str, **members: Any) -> Json:
        """An object past the rules; it has the members given and an id."""
        return self.control("POST", f"objects/{kind}", **members)

    def room(self, **members: Any) -> Json:
        return self.data("POST", "/rooms", members)

    def token(self, room: Json, **body: Any) -> Json:
        return self.data("POST", f"/rooms/{room['id']}/actions/generate_join_client_token", body)

    def enter(self, token: str, **members: Any) -> requests.Response:
        """Join as a client would, good or not."""
        body = {"token": token, **members}
        return requests.post(f"{self.sandbox.base}/sandbox/participants", json=body, timeout=PATIENCE_SECS)

    def join(self, room: Json, context: str = "Alice", **members: Any) -> Json:
        return self.control("POST", "participants", token=self.token(room)["token"], context=context, **members)

    def leave(self, participant: Json) -> None:
        self.control("DELETE", f"participants/{participant['id']}")

    def look(self, participant: Json) -> Json:
        return self.control("GET", f"participants/{participant['id']}")

    def act(self, participant: Json, action: str, body: Any = None) -> requests.Response:
        """A moderator's action on the session of a participant."""
        return self.ask("POST", f"/room_sessions/{participant['session_id']}/actions/{action}", body)

    def recorded(self, **members: Any) -> Json:
        """A session with a completed video recording: ``room``, ``participant``, and ``video``, the recording."""
        room = self.room(enable_recording=True, **members)
        participant = self.join(room)
        self.advance(10)
        self.leave(participant)
        self.advance(3)
        video = self.data("GET", "/room_recordings", filter__session_id=participant["session_id"], filter__type="video")
        return {"room": room, "participant": participant, "video": video[0]}


def refusal(answer: requests.Response, status: int) -> Json:
    """The one error of an answer with this status; its detail must be text for people."""
    assert answer.status_code == status, answer.text
    [error] = answer.json()["errors"]
    assert len(error["detail"].split()) > 1, error
    assert PROGRAM.search(error["detail"]) is None, error
    return dict(error)


class Receiver:
    """Somebody's webhook URL: keeps what arrives, and answers what it was told, then 200."""

    def __init__(self) -> None:
        self.arrived: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.moved_to = ""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.arrived.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.send_header("Location", receiver.moved_to)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing on the screen."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def wait(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        until(lambda: len(self.arrived) >= count, PATIENCE_SECS, f"{count} webhooks, {len(self.arrived)} arrived")
        return self.arrived


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()
