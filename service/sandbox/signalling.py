"""A stand-in for Telnyx's signalling: the WebSocket that client SDKs talk to, on its own port (docs/telnyx.md 5.4).

The official web SDK has one host built in, ``video.telnyx.com``, and speaks TLS only. So this server shows a
certificate of its own making for that name, and ``describe`` has the options that lead a Chromium to it. The
certificate lives as long as the process.

One thread with an event loop serves all connections. Two threads that read and write one TLS connection at the same
time lose data now and then: seen with this library's threaded half under load.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import re
import socket
import ssl
import tempfile
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol
from werkzeug.serving import make_ssl_devcert

from service.sandbox.signalling_session import JanusSession, Refused
from service.sandbox.signalling_streams import StreamRegistry
from service.sandbox.world import World

HOST: Final = "video.telnyx.com"
_SUBPROTOCOL: Final = "janus-protocol"
_POLL_SECS: Final = 0.1
_BACKLOG: Final = 128
_POLICY_VIOLATION: Final = 1008


class Signalling:
    """The server and its address."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._registry = StreamRegistry(world.account)
        self._path = re.compile(r"/([0-9A-Fa-f-]{36})/janus")
        self._socket: socket.socket | None = None
        self._spki_sha256 = ""

    def start(self, host: str, port: int) -> None:
        """Listen, and serve in a thread. Raises ``OSError``. 0 takes any free port."""
        listening = self._socket = socket.create_server((host, port), backlog=_BACKLOG)
        serving = self._serve(listening, self._tls())
        threading.Thread(target=asyncio.run, args=(serving,), name="sandbox-signalling", daemon=True).start()

    def describe(self) -> dict[str, Any]:
        """Where the signalling of client SDKs listens, and the options that lead a Chromium to it."""
        if self._socket is None:
            return {"listening": None}
        address, port = self._socket.getsockname()[:2]
        return {
            "listening": f"{address}:{port}",
            "host": HOST,
            "spki_sha256": self._spki_sha256,
            "chromium": [
                f"--host-resolver-rules=MAP {HOST}:443 {address}:{port}",
                f"--ignore-certificate-errors-spki-list={self._spki_sha256}",
            ],
        }

    async def _serve(self, listening: socket.socket, tls: ssl.SSLContext) -> None:
        quiet = logging.getLogger("sandbox.signalling")
        quiet.setLevel(logging.CRITICAL)
        async with serve(
            self._converse,
            sock=listening,
            ssl=tls,
            subprotocols=[Subprotocol(_SUBPROTOCOL)],
            process_request=self._check_path,
            compression=None,
            logger=quiet,
        ) as server:
            await server.serve_forever()

    def _check_path(self, connection: ServerConnection, request: Request) -> Response | None:
        if self._path.fullmatch(request.path) is None:
            return connection.respond(HTTPStatus.NOT_FOUND, "There is no room at this path\n")
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        """Serve one client until either side ends the connection."""
        path = self._path.fullmatch(connection.request.path if connection.request else "")
        session = JanusSession(self._world, self._registry, path[1] if path else "")
        reason = "network_error"
        try:
            while True:
                await self._exchange(connection, session)
        except Refused as refused:
            with contextlib.suppress(ConnectionClosed):
                await connection.send(json.dumps(refused.frame))
                await connection.close(_POLICY_VIOLATION, "refused")
        except ConnectionClosedOK:
            reason = "user_initiated"
        except ConnectionClosed:
            pass
        finally:
            session.disconnect(reason)

    async def _exchange(self, connection: ServerConnection, session: JanusSession) -> None:
        """Reply to the client's next frame, if there is one, and send it what has happened."""
        try:
            frame = _read(await asyncio.wait_for(connection.recv(), _POLL_SECS))
        except TimeoutError:
            pass
        else:
            for reply in session.replies(frame):
                await connection.send(json.dumps(reply))
        for event in session.events():
            await connection.send(json.dumps(event))

    def _tls(self) -> ssl.SSLContext:
        """A new certificate; ``_spki_sha256`` is the hash of its public key by which a Chromium accepts it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # The libraries pass them in files only.
        with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
            certificate, key = make_ssl_devcert(str(Path(folder, HOST)), host=HOST)
            context.load_cert_chain(certificate, key)
            public = x509.load_pem_x509_certificate(Path(certificate).read_bytes()).public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._spki_sha256 = base64.b64encode(hashlib.sha256(der).digest()).decode()
        return context


def _read(text: str | bytes) -> dict[str, Any]:
    """A frame; an empty one if it is none, which is then refused because it has no token."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return frame if isinstance(frame, dict) else {}
