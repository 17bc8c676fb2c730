"""X.509 certificates made by hand: of keys that sign bearers, of an authority, of a provider's server."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.identity.forge import private_key

DAY = dt.timedelta(days=1)
_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def certificate(key: Any, name: str, by: str | None = None, by_key: Any = None, **changes: Any) -> x509.Certificate:
    """Of ``key``, signed by itself unless by another; ``places`` make it a server's, and it may have ``ended``."""
    issuer, subject = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (by or name, name))
    end = dt.datetime.now(dt.UTC) + (-DAY if changes.get("ended") else DAY)
    signer = by_key or key
    building = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    building = building.not_valid_before(end - 10 * DAY).not_valid_after(end)
    building = building.add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    # Newer versions of Python insist on these (RFC 5280 section 4.2.1).
    usage = dict.fromkeys(_USES, False) | {"key_cert_sign": by is None, "digital_signature": by is not None}
    for extension in (
        x509.KeyUsage(**usage),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
    ):
        building = building.add_extension(extension, critical=False)
    if places := changes.get("places"):
        names = [_place(place) for place in places]
        building = building.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return building.sign(signer, None if isinstance(signer, Ed25519PrivateKey) else hashes.SHA256())


def _place(place: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(place)) if place[0].isdigit() else x509.DNSName(place)


@cache
def pem_certificate(algorithm: str, owner: str = "issuer", **changes: Any) -> str:
    """That of a key of ``forge``, as operators paste it."""
    made = certificate(private_key(algorithm, owner), owner, **changes)
    return made.public_bytes(Encoding.PEM).decode()


def company(folder: Path, *places: str) -> tuple[ssl.SSLContext, str]:
    """The side of a server at these addresses that a company's own authority vouches for, and the file with that."""
    authority, key = private_key("ES256", "authority"), private_key("ES256", "server")
    root = certificate(authority, "Company CA")
    served = certificate(key, "provider", "Company CA", authority, places=places)
    bundle, both = folder / "company.pem", folder / "server.pem"
    bundle.write_bytes(root.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both.write_bytes(secret + served.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, str(bundle)
