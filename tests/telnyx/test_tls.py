"""The same client over TLS, which is how it is used: trust, reuse and the end of the time."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service.errors import DeadlineExceeded, UpstreamUnavailable
from service.http_client import Transport
from tests.telnyx.conftest import MakeRig
from tests.telnyx.peer import answers, drips, hangs, peer, sends, wire
from tests.telnyx.rig import Rig

pytestmark = pytest.mark.cooperative


def make_certificate(folder: Path, address: str) -> tuple[ssl.SSLContext, str]:
    """A server's side of TLS for an address, and the file by which a client trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    both = folder / f"{address}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    trusted = folder / f"{address}.crt"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, str(trusted)


def trusting(client: Rig, trusted: str) -> Rig:
    client.telnyx._transport = Transport(8, ca_bundle=trusted)
    return client


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    return make_certificate(tmp_path, "127.0.0.1")


def test_calls_share_a_connection_over_tls(tls: tuple[ssl.SSLContext, str], rig: MakeRig) -> None:
    """One handshake serves call after call."""
    context, trusted = tls
    with peer(answers(), tls=context) as upstream:
        client = trusting(rig(upstream.url), trusted)
        for _ in range(3):
            assert client.generate().status == 201

        assert (upstream.accepts, len(upstream.requests)) == (1, 3)


def test_the_authorities_are_read_once(tls: tuple[ssl.SSLContext, str]) -> None:
    """Not for each connection, which takes tens of milliseconds in which nobody else runs."""
    context, trusted = tls
    with peer(sends(wire()), tls=context) as upstream:
        sender = Transport(1, ca_bundle=trusted)
        Path(trusted).unlink()
        for _ in range(2):
            assert sender.send("GET", upstream.url, headers={}, seconds=5.0).status == 201
        sender.close()

        assert upstream.accepts == 2


@pytest.mark.parametrize("name", ["retrieve_room", "create_room"])
def test_a_certificate_that_nobody_vouches_for_gets_no_request(
    name: str, tls: tuple[ssl.SSLContext, str], rig: MakeRig
) -> None:
    """The key is not shown to somebody who cannot be Telnyx; the environment cannot vouch for him either."""
    context, _ = tls
    with peer(answers(), tls=context) as upstream:
        client = rig(upstream.url)
        error = client.failure(name)

        assert upstream.requests == []
    assert isinstance(error, UpstreamUnavailable)
    assert client.reports.calls == [(name, "certificate")] * 2


def test_the_environment_does_not_vouch(
    tls: tuple[ssl.SSLContext, str], rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that name other roots have no say."""
    context, trusted = tls
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted)
    monkeypatch.setenv("CURL_CA_BUNDLE", trusted)
    with peer(answers(), tls=context) as upstream:
        rig(upstream.url).failure("retrieve_room")

        assert upstream.requests == []


def test_a_certificate_of_another_address_gets_no_request(tmp_path: Path, rig: MakeRig) -> None:
    """It must be made out to whom we call."""
    context, trusted = make_certificate(tmp_path, "127.0.0.9")
    with peer(answers(), tls=context) as upstream:
        client = trusting(rig(upstream.url), trusted)
        client.failure("retrieve_room")

        assert upstream.requests == []
    assert client.reports.calls == [("retrieve_room", "certificate")] * 2


@pytest.mark.parametrize("behaviour", [hangs, drips(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 2000)], ids=["hang", "drip"])
def test_a_slow_peer_is_cut_over_tls(behaviour: object, tls: tuple[ssl.SSLContext, str], rig: MakeRig) -> None:
    """The time ends as it does without TLS, also on a connection that has served before."""
    context, trusted = tls
    with peer(answers(), behaviour, tls=context) as upstream:  # type: ignore[arg-type]
        client = trusting(rig(upstream.url), trusted)
        client.generate()
        error, took = client.timed("retrieve_room", 0.4)

        assert upstream.accepts == 1
    assert isinstance(error, DeadlineExceeded)
    assert took < 8.0


def test_a_cut_connection_is_replaced_over_tls(tls: tuple[ssl.SSLContext, str], rig: MakeRig) -> None:
    """After a cut the next call has a new one."""
    context, trusted = tls
    with peer(hangs, answers(), tls=context) as upstream:
        client = trusting(rig(upstream.url), trusted)
        client.failure("create_room", 0.4)

        assert client.generate().status == 201
        assert upstream.accepts == 2
