"""A balancer that asks /readyz and never repeats a request, replicas on fixed ports behind it, and callers in front."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import requests

from service.cli import children
from tests.processes import ROOT, free_port, mint, until, workers

CHECK_SECS = 0.1
_PATH = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"


class Replica:
    """The service on a port that stays the same over restarts."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.port = free_port()
        path = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._env = {**path, **env, "PORT": str(self.port)}
        self.log = Path(tempfile.mkstemp(prefix="vts-replica-", suffix=".log")[1])
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "service", "serve"]
            self.process = children.start(command, env=self._env, output=log, cwd=ROOT)

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text("utf-8")
        return self.asks("/readyz") == 200

    def asks(self, path: str) -> int:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=5).status_code

    def restart(self) -> int:
        """As an orchestrator does it; answers the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(40)
        self.start()
        until(self.is_ready, 40, f"a ready replica ({self.log})")
        return code

    def workers(self) -> list[int]:
        """The processes that answer requests."""
        return workers(self.process.pid)

    def stop(self) -> None:
        children.stop(self.process)
        self.log.unlink(missing_ok=True)


class Haproxy:
    """The Debian package, where it is installed."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="vts-haproxy-"))
        servers = "\n".join(f"  server s{port} 127.0.0.1:{port}" for port in ports)
        check = f"check inter {round(CHECK_SECS * 1000)}ms fall 1 rise 1"
        (self._folder / "cfg").write_text(
            "defaults\n  mode http\n  retries 0\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
            f"listen service\n  bind 127.0.0.1:{self.port}\n  balance roundrobin\n  option httpchk GET /readyz\n"
            f"  http-check expect status 200\n  default-server {check}\n{servers}\n",
            "utf-8",
        )
        command = [haproxy() or "haproxy", "-f", str(self._folder / "cfg"), "-db"]
        self._process = children.start(command, output=subprocess.DEVNULL)

    def stop(self) -> None:
        children.stop(self._process, 5)
        shutil.rmtree(self._folder, ignore_errors=True)


class Nginx:
    """The Debian package, where it is installed: it asks no /readyz, keeps connections, repeats what was not sent."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="vts-nginx-"))
        # One worker that dies is no dead replica: by its own count of failures it would leave out each in turn, and for
        # two seconds all three. A replica that is gone refuses connections, and nginx goes to the next one anyway.
        servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in ports)
        folders = "".join(
            f"{kind}_temp_path {self._folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self._folder / "conf").write_text(
            f"daemon off; pid {self._folder}/pid; error_log {self._folder}/error.log; worker_processes 1;\n"
            f"events {{ worker_connections 1000; }}\nhttp {{ access_log off; {folders}\n"
            f"upstream service {{ {servers} keepalive 32; }}\nserver {{ listen 127.0.0.1:{self.port};\n"
            'location / { proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; } } }\n',
            "utf-8",
        )
        command = [nginx() or "nginx", "-p", str(self._folder), "-c", str(self._folder / "conf")]
        self._process = children.start(command, output=subprocess.DEVNULL)

    def stop(self) -> None:
        children.stop(self._process, 5)
        shutil.rmtree(self._folder, ignore_errors=True)


class Relay:
    """Ours, where there is none: each connection goes to the next replica that was ready a moment ago."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listener.getsockname()[1]
        self._ready = dict.fromkeys(ports, False)
        self._turn = itertools.count()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept), *[_started(self._check, port) for port in ports]]
        self._threads[0].start()

    def _check(self, port: int) -> None:
        while not self._over.wait(CHECK_SECS):
            try:
                self._ready[port] = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200
            except requests.RequestException:
                self._ready[port] = False

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            ready = [port for port, is_ready in self._ready.items() if is_ready]
            try:
                service = socket.create_connection(("127.0.0.1", ready[next(self._turn) % len(ready)]), 5)
            except (OSError, ZeroDivisionError):
                caller.close()
                continue
            service.settimeout(None)
            left = itertools.count(1)
            self._threads += [_started(_pump, *pair, left) for pair in ((caller, service), (service, caller))]

    def stop(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)


def _started(work: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=args, daemon=True)
    thread.start()
    return thread


def _pump(source: socket.socket, target: socket.socket, left: Iterator[int]) -> None:
    """One direction; an end is handed on, and who comes second closes both."""
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    for end, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with contextlib.suppress(OSError):
            end.shutdown(how)
    if next(left) == 2:
        source.close()
        target.close()


def haproxy() -> str | None:
    """Where the package is; it is not on everybody's path."""
    return shutil.which("haproxy", path=_PATH)


def nginx() -> str | None:
    """Likewise."""
    return shutil.which("nginx", path=_PATH)


@dataclass(frozen=True)
class Loss:
    """A request that was not answered with a token for its caller."""

    began: float
    ended: float
    what: str

    def overlaps(self, began: float, ended: float) -> bool:
        return self.began < ended and self.ended > began


class Load:
    """Callers who ask for their tokens again and again, each over a connection that is kept."""

    def __init__(self, port: int, alias: str, users: Sequence[str], pause: float) -> None:
        self._port, self._path, self._pause = port, f"/v1/rooms/{alias}/token", pause
        self._over = threading.Event()
        self.answered = dict.fromkeys(users, 0)
        self.lost: list[Loss] = []
        self._threads = [threading.Thread(target=self._ask_on, args=(user,)) for user in users]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def total(self) -> int:
        return sum(self.answered.values())

    def goes_on(self) -> None:
        """Return when every caller has been answered once more."""
        before = dict(self.answered)
        until(lambda: all(self.answered[user] > before[user] for user in before), 30, "an answer for everybody")

    def _ask_on(self, user: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"Authorization": f"Bearer {mint(user)}"}
        wanted = f'"user_id":"{user}"'.encode()
        while not self._over.wait(self._pause):
            began = time.monotonic()
            try:
                connection.request("POST", self._path, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                what = None if answer.status == 200 and wanted in body else f"{answer.status} {body[:200]!r}"
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                what = repr(error)
            if what is None:
                self.answered[user] += 1
            else:
                self.lost.append(Loss(began, time.monotonic(), what))
        connection.close()
