"""A balancer that asks /readyz and never repeats a request, replicas on fixed ports behind it, and callers in front."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import requests

from service.commands import children
from tests.processes import ROOT, free_port, mint, until

CHECK_SECS = 0.1


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
        """The processes that answer requests: children of the web server that the supervisor runs."""
        return [worker for server in _children(self.process.pid) for worker in _children(server)]

    def stop(self) -> None:
        children.stop(self.process)
        self.log.unlink(missing_ok=True)


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


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


class Relay:
    """Ours, where there is none: each connection goes to the next replica that was ready a moment ago."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.port = free_port()
        self._ready: dict[int, bool] = dict.fromkeys(ports, False)
        self._turn = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._loop.create_task(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self._checks = [self._loop.create_task(self._check(port)) for port in self._ready]
        self._loop.run_forever()

    async def _check(self, port: int) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self._ready[port] = b" 200 " in await asyncio.wait_for(reader.readline(), 2)
                writer.close()
            except (OSError, TimeoutError):
                self._ready[port] = False
            await asyncio.sleep(CHECK_SECS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = [port for port, is_ready in self._ready.items() if is_ready]
        try:
            there, back = await asyncio.open_connection("127.0.0.1", ready[next(self._turn) % len(ready)])
        except (OSError, ZeroDivisionError):
            writer.close()
            return
        await asyncio.gather(_pump(reader, back), _pump(there, writer))

    def stop(self) -> None:
        async def end() -> None:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def haproxy() -> str | None:
    """Where the package is; it is not on everybody's path."""
    return shutil.which("haproxy", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")


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
