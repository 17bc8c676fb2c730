"""A stand-in for Telnyx's signalling: the WebSocket that the client SDKs talk to (UPSTREAM 5.4), on a port of its own.

The official web SDK has one host built in, ``video.telnyx.com``, and speaks TLS only. So this server shows a
certificate of its own making for that name, and ``told`` has the options with which a Chromium takes that host to be
this one. The certificate lives as long as the process.

One thread with an event loop serves all connections. Two threads that read and write one TLS connection at the same
time lose data now and then: seen with this library's threaded half under load.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import hashlib
import ipaddress
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
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from service.sandbox.signalling_hall import Hall
from service.sandbox.signalling_peer import Peer, Refused
from service.sandbox.world import World

HOST: Final = "video.telnyx.com"
_SUBPROTOCOL: Final = "janus-protocol"
_LOOK_EVERY_SECS: Final = 0.1
_BACKLOG: Final = 128
_VALID_DAYS: Final = 30
_POLICY_VIOLATION: Final = 1008


class Signalling:
    """The server, and where it is to be found."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._hall = Hall(world.account)
        self._path = re.compile(r"/([0-9A-Fa-f-]{36})/janus")
        self._socket: socket.socket | None = None
        self._key = ec.generate_private_key(ec.SECP256R1())

    def start(self, host: str, port: int) -> None:
        """Listen, and serve in a thread. Raises ``OSError``. 0 takes any free port."""
        listening = self._socket = socket.create_server((host, port), backlog=_BACKLOG)
        serving = self._serve(listening, self._tls(host))
        threading.Thread(target=asyncio.run, args=(serving,), name="sandbox-signalling", daemon=True).start()

    def told(self) -> dict[str, Any]:
        """Where it listens, what its certificate's key is, and how a Chromium is led to it."""
        if self._socket is None:
            return {"listening": None}
        address, port = self._socket.getsockname()[:2]
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        key_hash = base64.b64encode(hashlib.sha256(public).digest()).decode()
        return {
            "listening": f"{address}:{port}",
            "host": HOST,
            "spki_sha256": key_hash,
            "chromium": [
                f"--host-resolver-rules=MAP {HOST}:443 {address}:{port}",
                f"--ignore-certificate-errors-spki-list={key_hash}",
            ],
        }

    async def _serve(self, listening: socket.socket, tls: ssl.SSLContext) -> None:
        quiet = logging.getLogger("sandbox.signalling")
        quiet.setLevel(logging.CRITICAL)
        async with serve(
            self._talk,
            sock=listening,
            ssl=tls,
            subprotocols=[Subprotocol(_SUBPROTOCOL)],
            process_request=self._known,
            compression=None,
            logger=quiet,
        ) as server:
            await server.serve_forever()

    def _known(self, connection: ServerConnection, request: Request) -> Response | None:
        if self._path.fullmatch(request.path) is None:
            return connection.respond(HTTPStatus.NOT_FOUND, "There is no room at this path\n")
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        """One client, until either side has enough."""
        asked = self._path.fullmatch(connection.request.path if connection.request else "")
        peer = Peer(self._world, self._hall, asked[1] if asked else "")
        reason = "network_error"
        try:
            while True:
                await self._exchange(connection, peer)
        except Refused as refused:
            with contextlib.suppress(ConnectionClosed):
                await connection.send(json.dumps(refused.frame))
                await connection.close(_POLICY_VIOLATION, "refused")
        except ConnectionClosedOK:
            reason = "user_initiated"
        except ConnectionClosed:
            pass
        finally:
            peer.gone(reason)

    async def _exchange(self, connection: ServerConnection, peer: Peer) -> None:
        """What the client has to say, if anything, and what there is to tell it."""
        try:
            frame = _read(await asyncio.wait_for(connection.recv(), _LOOK_EVERY_SECS))
        except TimeoutError:
            pass
        else:
            for reply in peer.asked(frame):
                await connection.send(json.dumps(reply))
        for told in peer.news():
            await connection.send(json.dumps(told))

    def _tls(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        # The library takes them from files only.
        with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
            file = Path(folder) / "both.pem"
            file.touch(mode=0o600)
            file.write_bytes(self._certificate(host) + key)
            context.load_cert_chain(file)
        return context

    def _certificate(self, host: str) -> bytes:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sandbox, not Telnyx")])
        now = dt.datetime.now(dt.UTC)
        names: list[x509.GeneralName] = [x509.DNSName(HOST), x509.DNSName("localhost")]
        with contextlib.suppress(ValueError):
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=_VALID_DAYS))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(Encoding.PEM)


def _read(text: str | bytes) -> dict[str, Any]:
    """A frame; nothing of it where it is none, which is then refused for want of a token."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return frame if isinstance(frame, dict) else {}
