"""Redis over TLS: what is trusted, and that each thing that can be wrong with it is named."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.storage.scripts import command
from tests.faults.proxy import Proxy
from tests.identity.certificates import company
from tests.processes import running
from tests.topologies.servers import Server
from tests.topologies.test_connection import Opener, opened

__all__ = ["opened"]

pytestmark = [
    pytest.mark.cooperative,
    # The library leaves the socket of a handshake that failed to the collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    yield from running(Server())


def test_a_server_of_the_company_s_authority_is_used(server: Server, opened: Opener, tmp_path: Path) -> None:
    """The file of the authority is an option of the URL."""
    context, bundle = company(tmp_path, "127.0.0.1")
    for proxy in running(Proxy(server.port, context)):
        client, _ = opened(f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={bundle}")

        assert client.availability.reason == ""
        assert client.run(command("SET", "vts:a", 1)) == b"OK"


def test_an_unknown_authority_is_named(server: Server, opened: Opener, tmp_path: Path) -> None:
    """As the reason why the certificate is not accepted."""
    context, _ = company(tmp_path, "127.0.0.1")
    for proxy in running(Proxy(server.port, context)):
        client, _ = opened(f"rediss://127.0.0.1:{proxy.port}")

        assert "its certificate is not accepted: unable to get local issuer" in client.availability.reason


def test_another_host_s_certificate_is_named(server: Server, opened: Opener, tmp_path: Path) -> None:
    """A certificate of another place is none for this one."""
    context, bundle = company(tmp_path, "redis.company.test")
    for proxy in running(Proxy(server.port, context)):
        client, _ = opened(f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={bundle}")

        assert "its certificate is not accepted: IP address mismatch" in client.availability.reason


def test_a_server_without_tls_is_named(server: Server, opened: Opener) -> None:
    """It answers in the clear what was to be a handshake."""
    began = time.monotonic()
    client, _ = opened(f"rediss://127.0.0.1:{server.port}")

    assert client.availability.reason in {"no TLS with it: WRONG_VERSION_NUMBER", "ConnectionError", "TimeoutError"}
    assert time.monotonic() - began < 3.0


def test_a_server_that_asks_for_a_certificate_is_named(server: Server, opened: Opener, tmp_path: Path) -> None:
    """Of ours, which the URL may name too."""
    context, bundle = company(tmp_path, "127.0.0.1")
    context.load_verify_locations(bundle)
    context.verify_mode = context.verify_mode.CERT_REQUIRED
    for proxy in running(Proxy(server.port, context)):
        client, _ = opened(f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={bundle}")

        # The alert, or the end of the connection before it came.
        assert client.availability.reason.startswith("no TLS with it: ")


def test_a_database_that_is_not_there_is_named(server: Server, opened: Opener) -> None:
    """Once the server has refused it."""
    client, _ = opened(f"redis://127.0.0.1:{server.port}/999")

    assert client.availability.reason == "there is no such database"
