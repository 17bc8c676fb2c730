"""Stop signals, one and several, to ``serve`` and ``dev``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from tests.cli.test_dev import Dev
from tests.processes import ROOT, Sandbox, ServiceProcess, Valkey, environment, until

pytestmark = [pytest.mark.long, pytest.mark.processes]


ROUNDS = 200 if os.environ.get("FAULTS") == "full" else 20
WAITING = """
import sys, time
from service.cli.stop_signals import StopSignals
signals = StopSignals()
print("ready", flush=True)
for _ in sys.stdin:
    # Busy, as a supervisor is not: so that signals interrupt what holds locks.
    while not signals.wait(0.0001):
        pass
    print("stopped", signals.wait(0.01), flush=True)
"""


def test_two_signals_of_one_moment_are_one() -> None:
    """Told twice within 100 us, a command hears it once, and never hangs, over and over."""
    command, heard = [sys.executable, "-c", WAITING], []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for number in range(ROUNDS):
            child.stdin.write("go\n")
            child.stdin.flush()
            twice(child.pid, number % 100 / 1e6)
            heard.append(child.stdout.readline())
    assert child.returncode == 0
    assert heard == ["stopped False\n"] * ROUNDS


def twice(pid: int, seconds: float) -> None:
    """SIGTERM, and ``seconds`` later SIGINT."""
    os.kill(pid, signal.SIGTERM)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    os.kill(pid, signal.SIGINT)


def test_serve_drains_when_it_is_told_twice_at_once(valkey: Valkey, sandbox: Sandbox) -> None:
    """Two signals of one moment do not cut draining short; the exit code is 0."""
    service = ServiceProcess(environment(sandbox, valkey.url, DRAIN_SECONDS="3"))
    began = time.monotonic()
    twice(service.process.pid, 75e-6)

    assert service.process.wait(40) == 0
    assert time.monotonic() - began > 3
    service.stop()


@pytest.mark.short
def test_it_serves_on_until_a_second_signal(valkey: Valkey, sandbox: Sandbox) -> None:
    """From the first one on /readyz says so, and other calls are answered as before; whoever asks again does not want
    to wait.
    """
    service = ServiceProcess(environment(sandbox, valkey.url, DRAIN_SECONDS="120"))
    service.process.send_signal(signal.SIGTERM)
    until(lambda: requests.get(f"{service.url}/readyz", timeout=5).status_code == 503, 20, "the end of readiness")
    assert requests.get(f"{service.url}/version", timeout=5).status_code == 200
    service.process.send_signal(signal.SIGTERM)

    assert service.process.wait(40) == 0
    service.stop()


def test_dev_ends_when_it_is_told_twice_at_once(tmp_path: Path) -> None:
    """Ctrl-C and a terminal that closes come together, and everything ends well."""
    dev = Dev(tmp_path).started()
    twice(dev.process.pid, 75e-6)

    assert dev.process.wait(40) == 0
