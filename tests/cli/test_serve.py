"""``serve`` where a machine is not as it should be, or not as usual."""

from __future__ import annotations

import base64
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from service.config.settings import Settings, SettingsError
from tests.cli.cli import BASE, run_here
from tests.edge.balancing import Replica
from tests.edge.wire import request, said_to, statuses
from tests.processes import ROOT, Sandbox, ServiceProcess, Valkey, environment, free_port, running, until

pytestmark = pytest.mark.processes


NO_TEMPORARY_FOLDER = (
    "import sys, tempfile; tempfile.tempdir = sys.argv.pop(); from service.__main__ import main; sys.exit(main())"
)


def test_without_a_folder_for_temporary_files_it_says_so(tmp_path: Path) -> None:
    """One line with advice, and exit code 2."""
    done = subprocess.run(
        [sys.executable, "-c", NO_TEMPORARY_FOLDER, "serve", str(tmp_path / "none")],
        env={**BASE, **environment(None, "redis://127.0.0.1:1")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    advice = "make /tmp writable, or name another in TMPDIR"
    assert (done.returncode, done.stderr) == (
        2,
        f"No folder for temporary files (No such file or directory): {advice}\n",
    )


@pytest.mark.skipif(not Path("/dev/shm").exists(), reason="this system has no such folder")
def test_a_read_only_machine_is_told_about() -> None:
    """Where neither /tmp nor /dev/shm nor anything else can be written, it says so at once."""
    bare = ["unshare", "--mount", "sh", "-c"]
    if subprocess.run([*bare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root may take write access away")
    take = "for place in / /tmp /var/tmp /dev/shm; do mount --bind $place $place; mount -o remount,ro,bind $place; done"
    command = f'{take} 2>/dev/null; exec "{sys.executable}" -B -m service serve'
    env = {**BASE, **environment(None, "redis://127.0.0.1:1")}
    done = subprocess.run([*bare, command], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("No folder for temporary files (")
    assert "Traceback" not in done.stderr


def test_every_port_that_is_taken_is_named_at_once() -> None:
    """``PORT`` and ``METRICS_PORT`` in one line."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        port, metrics = (str(listener.getsockname()[1]) for listener in (one, other))
        done = run_here(environment(None, "redis://127.0.0.1:1", PORT=port, METRICS_PORT=metrics), "serve")

    assert (done.returncode, done.stderr) == (
        2,
        f"PORT {port} and METRICS_PORT {metrics} cannot be listened on at HOST 127.0.0.1: choose another\n",
    )


def test_one_port_for_both_is_refused() -> None:
    """Before anything is started."""
    port = str(free_port())
    done = run_here(environment(None, "redis://127.0.0.1:1", PORT=port, METRICS_PORT=port), "serve")

    assert (done.returncode, done.stderr) == (2, "PORT is METRICS_PORT: choose another\n")


@pytest.fixture(scope="module")
def wide(valkey: Valkey, sandbox: Sandbox) -> Iterator[Replica]:
    """Reached in every way that this machine has, behind a balancer elsewhere."""
    host = "::" if socket.has_dualstack_ipv6() else "127.0.0.1"
    replica = Replica(environment(sandbox, valkey.url, HOST=host, PROXY_PROTOCOL_FROM="192.0.2.7"))
    for _ in running(replica):
        until(replica.is_ready, 40, "the service over IPv4")
        yield replica


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_two_colons_mean_both_kinds_of_addresses(wide: Replica) -> None:
    """``HOST=::`` is reached over IPv6 and over IPv4."""
    urls = [f"http://{host}:{wide.port}/healthz" for host in ("[::1]", "127.0.0.1")]

    assert [requests.get(url, timeout=5).status_code for url in urls] == [200, 200]


PROXIED: Mapping[str, bytes] = {
    "version 1": b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n",
    "version 2": bytes.fromhex("0d0a0d0a000d0a515549540a 2111000c c0000201 c0000202 03e8 0050"),
    "none": b"",
}


def said_by(port: int) -> list[list[int]]:
    """The statuses for somebody who says by each version whose the connection is, and for one who does not."""
    raw = request("GET", "/healthz", "Connection: close")
    return [statuses(said_to(port, first + raw)) for first in PROXIED.values()]


def test_the_proxy_protocol_is_spoken_with_those_who_may(valkey: Valkey, sandbox: Sandbox) -> None:
    """A balancer that is named says whose a connection is."""
    replica = Replica(environment(sandbox, valkey.url, PROXY_PROTOCOL_FROM="127.0.0.0/8"))
    for _ in running(replica):
        until(replica.is_ready, 40, "the service")
        assert said_by(replica.port) == [[200], [200], [200]]


def test_the_proxy_protocol_is_refused_to_others(wide: Replica) -> None:
    """Anybody who is not named cannot say whose a connection is."""
    assert said_by(wide.port) == [[403], [403], [200]]


def test_where_nobody_may_the_proxy_protocol_is_no_request(service: ServiceProcess) -> None:
    """It is not spoken unless a setting says with whom."""
    assert said_by(service.port) == [[400], [400], [200]]


@pytest.mark.parametrize("text", ["10.0.0.1/8", "balancer.internal", "10.0.0.0/33", "*"])
def test_what_is_no_network_is_refused(text: str) -> None:
    """By the name of the setting, before anything is started."""
    with pytest.raises(SettingsError, match="PROXY_PROTOCOL_FROM: must be addresses or networks"):
        Settings.from_env(environment(None, "redis://127.0.0.1:1", PROXY_PROTOCOL_FROM=text))


def key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def test_the_variable_of_the_sdks_is_a_public_key() -> None:
    """``TELNYX_PUBLIC_KEY``, which Telnyx's SDKs read, means the same here; beside ours it is not looked at."""
    theirs, ours = key(), key()
    alone = Settings.from_env(environment(None, "redis://127.0.0.1:1", TELNYX_PUBLIC_KEY=theirs))
    both = Settings.from_env(
        environment(None, "redis://127.0.0.1:1", TELNYX_PUBLIC_KEY=theirs, TELNYX_PUBLIC_KEYS=ours)
    )
    assert alone.telnyx_public_keys == (base64.b64decode(theirs),)
    assert both.telnyx_public_keys == (base64.b64decode(ours),)


@pytest.mark.parametrize(
    "variable", ["TELNYX_BASE_URL", "TELNYX_CLIENT_ID", "TELNYX_CLIENT_SECRET", "TELNYX_CUSTOM_HEADERS"]
)
def test_what_else_the_sdks_read_stops_nobody(variable: str) -> None:
    """It is theirs, and no misspelling of a setting of ours."""
    Settings.from_env(environment(None, "redis://127.0.0.1:1", **{variable: "x"}))
