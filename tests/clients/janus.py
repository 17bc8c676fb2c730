"""A client of the sandbox's signalling without a browser: frames as the web SDK sends them, and what comes back."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import uuid
from typing import Any

import requests
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.processes import Sandbox

Frame = dict[str, Any]
KEY = {"Authorization": "Bearer KEY-of-a-test"}


def room(sandbox: Sandbox, **spec: Any) -> str:
    """A new room's id."""
    made = requests.post(f"{sandbox.api_url}/rooms", json=spec, headers=KEY, timeout=10)
    assert made.ok, made.text
    return str(made.json()["data"]["id"])


def token(sandbox: Sandbox, room_id: str, ttl: int = 600) -> str:
    """A client token for a room."""
    url = f"{sandbox.api_url}/rooms/{room_id}/actions/generate_join_client_token"
    made = requests.post(url, json={"token_ttl_secs": ttl}, headers=KEY, timeout=10)
    assert made.ok, made.text
    return str(made.json()["data"]["token"])


def act(sandbox: Sandbox, session_id: str, action: str, **body: Any) -> None:
    """What a moderator asks Telnyx for."""
    url = f"{sandbox.api_url}/room_sessions/{session_id}/actions/{action}"
    done = requests.post(url, json=body, headers=KEY, timeout=10)
    assert done.ok, done.text


class Client:
    """One WebSocket. ``told``: the frames that came without being asked for."""

    def __init__(self, sandbox: Sandbox, room_id: str, client_token: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        where = sandbox.control("GET", "signalling")["listening"]
        protocols = [Subprotocol("janus-protocol")]
        url = f"wss://{where}/{room_id}/janus"

        async def connected() -> ClientConnection:
            return await connect(url, ssl=context, subprotocols=protocols, ping_interval=None)

        self._runner = asyncio.Runner()
        try:
            self._socket = self._runner.run(connected())
        except BaseException:
            self._runner.close()
            raise
        self.room_id = room_id
        self.token = client_token
        self.told: list[Frame] = []
        self._over = False
        self.session_id: int | None = None

    def ask(self, **frame: Any) -> list[Frame]:
        """Send a frame; its replies, up to the one that settles it."""
        transaction = uuid.uuid4().hex
        session = {"session_id": self.session_id} if self.session_id is not None else {}
        sent = json.dumps({"client_token": self.token, "transaction": transaction, **session, **frame})
        self._runner.run(self._socket.send(sent))
        replies: list[Frame] = []
        while not replies or (frame["janus"] == "message" and replies[-1]["janus"] == "ack"):
            got = self.next()
            if "status_code" in got:
                return [got]
            (replies if got.get("transaction") == transaction else self.told).append(got)
        return replies

    def next(self, seconds: float = 5.0) -> Frame:
        """The next frame of any kind."""
        frame: Frame = json.loads(self._runner.run(asyncio.wait_for(self._socket.recv(), seconds)))
        return frame

    def until(self, plugin: str, seconds: float = 5.0) -> Frame:
        """The data of the next event that was not asked for, of the plugin of this name."""
        while True:
            for frame in self.told:
                if plugin in frame["plugindata"]["data"]:
                    self.told.remove(frame)
                    data: Frame = frame["plugindata"]["data"]
                    return data
            self.told.append(self.next(seconds))

    def create(self) -> Frame:
        made = self.ask(janus="create")[0]
        self.session_id = made.get("data", {}).get("id")
        return made

    def attach(self, plugin: str) -> int:
        return int(self.ask(janus="attach", plugin=f"janus.plugin.{plugin}")[0]["data"]["id"])

    def join(self, context: str | None = None) -> str:
        """All that the SDK does until it is told of others; answers the participant's id."""
        chosen = str(uuid.uuid4())
        self.create()
        sound = self.attach("audiobridge")
        joined = self.ask(janus="message", handle_id=sound, body=self._join(participantId=chosen, external=context))[-1]
        assert joined["plugindata"]["data"]["audiobridge"] == "joined", joined
        video = self.attach("videoroom")
        self.ask(janus="message", handle_id=video, body=self._join(participantId=chosen))
        return chosen

    def publish(self, participant_id: str) -> int:
        """A stream; answers its number."""
        handle = self.attach("videoroom")
        body = self._join(participantId=participant_id, stream={"id": "1", "key": "self"})
        return int(self.ask(janus="message", handle_id=handle, body=body)[-1]["plugindata"]["data"]["id"])

    def _join(self, **shown: Any) -> Frame:
        display = base64.b64encode(json.dumps(shown).encode()).decode()
        return {"request": "join", "room": self.room_id, "display": display}

    def closed(self) -> int | None:
        """The code with which the server ended the connection."""
        try:
            while True:
                self.next()
        except ConnectionClosed as over:
            return over.rcvd.code if over.rcvd else None

    def leave(self) -> None:
        """Hang up; nothing if it is done."""
        if not self._over:
            self._over = True
            self._runner.run(self._socket.close())
            self._runner.close()
