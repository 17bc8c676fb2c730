"""Providers behind a company's own authority, and behind its egress proxy."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.secret import Secret
from tests.cli.cli import run
from tests.config.test_settings import faults, read
from tests.identity.certificates import company, pem_certificate
from tests.identity.egress import EgressProxy, egress
from tests.identity.forge import jwk
from tests.identity.idp import KEYS, IdentityProvider, Trust
from tests.identity.tables import settings_with
from tests.processes import AUDIENCE, Sandbox, Valkey, free_port, until

HOST = "login.company.test"  # no name server knows it
PASSWORD = "egress-canary-Zx7Qw3"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    return company(tmp_path_factory.mktemp("company"), "127.0.0.1", HOST)


@pytest.fixture(scope="module")
def bundle(tls: tuple[ssl.SSLContext, str]) -> str:
    return tls[1]


@pytest.fixture(scope="module")
def inside(tls: tuple[ssl.SSLContext, str]) -> Iterator[IdentityProvider]:
    """A provider to whom only the company's authority vouches."""
    with IdentityProvider(tls[0]) as idp:
        idp.publish(jwk("EdDSA"))
        yield idp


@pytest.fixture(scope="module")
def proxy(inside: IdentityProvider) -> Iterator[EgressProxy]:
    with egress(inside, f"video:{PASSWORD}") as running_proxy:
        yield running_proxy


def with_user(proxy: EgressProxy) -> str:
    return f"http://video:{PASSWORD}@{proxy.place}"


def row(name: str, url: str, **members: str) -> dict[str, str]:
    return {"name": name, "issuer": f"https://{name}.test", "audience": AUDIENCE, "jwks_url": url, **members}


@dataclass(frozen=True)
class Checked:
    """What ``check`` says of the keys of each issuer, by its name, and what came of it at the proxy."""

    said: Mapping[str, str]
    asked: list[str]
    seconds: float


@pytest.fixture(scope="module")
def checked(
    sandbox: Sandbox, valkey: Valkey, inside: IdentityProvider, proxy: EgressProxy, bundle: str, tmp_path_factory: Any
) -> Iterator[Checked]:
    """One issuer for each way to the provider, and each way that leads nowhere."""
    folder = tmp_path_factory.mktemp("others")
    other_bundle = folder / "other.pem"
    other_bundle.write_text(pem_certificate("ES256", "other authority"))
    far, way = f"https://{HOST}{KEYS}", {"ca_bundle": bundle, "proxy": with_user(proxy)}
    with contextlib.ExitStack() as stack:
        elsewhere = stack.enter_context(IdentityProvider(company(folder, "127.0.0.9")[0]))
        here = stack.enter_context(IdentityProvider())
        here.publish(jwk("EdDSA"))
        silent = stack.enter_context(egress(inside, hangs=True))
        table = [
            row("near", inside.url + KEYS, ca_bundle=bundle),
            row("stranger", inside.url + KEYS),
            row("other-host", elsewhere.url + KEYS, ca_bundle=str(folder / "company.pem")),
            row("other-bundle", inside.url + KEYS, ca_bundle=str(other_bundle)),
            row("far", far, **way),
            row("far-stranger", far, proxy=with_user(proxy)),
            row("password", far, ca_bundle=bundle, proxy=f"http://video:{PASSWORD}x@{proxy.place}"),
            row("nowhere", far, ca_bundle=bundle, proxy=f"http://video:{PASSWORD}@127.0.0.1:{free_port()}"),
            row("silent", far, ca_bundle=bundle, proxy=f"http://{silent.place}"),
            row("plain", here.url + KEYS, **way),
        ]
        began = time.monotonic()
        done = run(settings_with(sandbox, valkey, *table), "check")
        assert PASSWORD not in done.stdout + done.stderr
        lines = [line for line in done.stdout.splitlines() if ": issuer " in line]
        said = {one["name"]: line for one, line in zip(table, lines, strict=True)}
        yield Checked(said, list(proxy.asked), time.monotonic() - began)


@pytest.mark.parametrize("name", ["stranger", "other-host", "other-bundle", "far-stranger"])
def test_a_certificate_that_nobody_vouches_for_is_the_shown_reason(name: str, checked: Checked) -> None:
    """And not that there was no connection: no authority, another host's, another authority alone, through a proxy."""
    assert checked.said[name].startswith(f"FAULT  AUTH_JWKS_URL: issuer {name}: no keys from https://")
    assert checked.said[name].endswith(" (certificate)")


def test_the_companys_authority_is_believed_where_it_is_named(checked: Checked) -> None:
    """By the path of its certificate."""
    assert checked.said["near"] == "ok     AUTH_JWKS_URL: issuer near: 1 key(s)"


def test_a_host_that_only_the_proxy_knows_is_reached_through_it(checked: Checked) -> None:
    """With the user and password in its URL; TLS goes through to the provider."""
    assert checked.said["far"] == "ok     AUTH_JWKS_URL: issuer far: 1 key(s)"
    assert any(line.startswith(f"CONNECT {HOST}:443 ") for line in checked.asked)


@pytest.mark.parametrize("name", ["password", "nowhere"])
def test_a_proxy_that_lets_nobody_through_is_the_shown_reason(name: str, checked: Checked) -> None:
    """One that wants another password, and one that is not there."""
    assert checked.said[name].endswith(" (proxy)")


def test_a_proxy_that_hangs_is_cut_in_the_end(checked: Checked) -> None:
    """The time of a fetch is one total, on whichever way."""
    assert checked.said["silent"].endswith(" (timeout)")
    assert checked.seconds < 30


def test_what_is_not_encrypted_does_not_go_through_the_proxy(checked: Checked) -> None:
    """Keys over http are for this machine alone."""
    assert checked.said["plain"] == "ok     AUTH_JWKS_URL: issuer plain: 1 key(s)"
    assert all(line.startswith("CONNECT ") for line in checked.asked)


def test_a_single_issuer_has_variables_for_both(bundle: str) -> None:
    """AUTH_CA_BUNDLE and AUTH_PROXY; the password shows nowhere."""
    given = {
        "AUTH_JWKS_URL": f"https://{HOST}{KEYS}",
        "AUTH_CA_BUNDLE": bundle,
        "AUTH_PROXY": f"http://u:{PASSWORD}@p:1",
    }
    (config,) = read(AUTH_HS256_SECRET=None, **given).issuers

    assert (config.ca_bundle, config.proxy) == (bundle, Secret(f"http://u:{PASSWORD}@p:1"))
    assert PASSWORD not in repr(config)


def test_the_environments_own_variables_have_no_say(
    inside: IdentityProvider,
    proxy: EgressProxy,
    bundle: str,
    trusting: Callable[..., Trust],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of other programs neither lead through a proxy nor vouch for anybody."""
    before = len(proxy.asked)
    for name, value in (("HTTPS_PROXY", with_user(proxy)), ("REQUESTS_CA_BUNDLE", bundle), ("SSL_CERT_FILE", bundle)):
        monkeypatch.setenv(name, value)
    trust = trusting(jwks_url=inside.url + KEYS).start()
    until(lambda: trust.source.last_error, what="an error for operators")

    assert trust.source.last_error == "certificate"
    assert len(proxy.asked) == before


@pytest.mark.parametrize("kind", ["missing", "a folder", "empty", "no certificate", "certificates themselves"])
def test_a_bundle_that_holds_no_certificate_refuses_the_start(kind: str, tmp_path: Path, bundle: str) -> None:
    """By its variable, and what it should be."""
    file = tmp_path / "bundle.pem"
    contents = {"empty": "", "no certificate": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}
    if kind in contents:
        file.write_text(contents[kind])
    value = {"a folder": str(tmp_path), "certificates themselves": Path(bundle).read_text()}.get(kind, str(file))

    assert faults(AUTH_CA_BUNDLE=value) == {"AUTH_CA_BUNDLE": "must be the path of a file with certificates as PEM"}


@pytest.mark.parametrize(
    "value",
    [
        "proxy.example.com:3128",
        f"socks5://u:{PASSWORD}@proxy:1080",
        f"http://u:{PASSWORD}@",
        "http://proxy:3128/path",
        "http://proxy:3128?x",
        "http://a b:3128",
        f"http://u:{PASSWORD}@proxy:port",
        "ftp://proxy",
    ],
)
def test_what_is_no_proxy_refuses_the_start(value: str) -> None:
    """By its variable, with an example, and without its password."""
    found = faults(AUTH_PROXY=value)

    assert list(found) == ["AUTH_PROXY"]
    assert found["AUTH_PROXY"].startswith("must be like http://proxy.example.com:3128")
    assert PASSWORD not in found["AUTH_PROXY"]


@pytest.mark.parametrize("value", ["http://proxy:3128", "http://u:p%40@proxy.example.com", "http://[::1]:3128/"])
def test_proxies_are_taken_as_they_are_written(value: str) -> None:
    """With a user or without one, a port or none."""
    assert read(AUTH_PROXY=value).issuers[0].proxy == Secret(value)
