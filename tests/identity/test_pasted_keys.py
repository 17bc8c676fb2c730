"""Secrets and keys as operators paste them: they mean what their owner meant, or are refused by name at start."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidToken
from service.identity.issuers import read_table
from service.identity.setting import Faults
from tests.config.test_settings import environment
from tests.identity.certificates import certificate, pem_certificate
from tests.identity.command import run_here
from tests.identity.forge import AUDIENCE, ISSUER, UNHURRIED, ask, issuer, pem, private_key, token, verifier
from tests.identity.tables import toml
from tests.identity.weak_keys import WEAK

NEW, OLD = private_key("HS256", "new"), private_key("HS256", "old")
BOTH = f"{NEW},{OLD}"


def fault(**members: Any) -> str:
    """What is wrong with the one member; fails if nothing is, or something else too."""
    with pytest.raises(Faults) as caught:
        issuer(**members)
    assert [found.variable for found in caught.value.faults] == list(members)
    return caught.value.faults[0].message


@pytest.mark.parametrize("signed_by", [BOTH, NEW, OLD], ids=["one secret with a comma", "the new one", "the old one"])
def test_a_comma_may_be_part_of_a_secret_or_part_two(signed_by: str) -> None:
    """Nobody can tell which was meant; bearers of either meaning are good, and of no other."""
    gate = verifier(issuer(hs256_secret=BOTH))

    assert ask(gate, token(key=signed_by)).user == "alice"
    for other in (f"{OLD},{NEW}", f"{NEW}, {OLD}", NEW + OLD, f"{NEW},", private_key("HS256", "other")):
        with pytest.raises(InvalidToken):
            ask(gate, token(key=other))


@pytest.mark.parametrize("around", [" {}", "{} ", "{}\n", ",{}", "{},"])
def test_what_surrounds_a_secret_may_belong_to_it(around: str) -> None:
    """A blank, a line feed or a comma may have slipped in, or its owner signs with it."""
    secret = around.format(NEW)
    gate = verifier(issuer(hs256_secret=secret))

    assert [ask(gate, token(key=key)).user for key in (secret, NEW)] == ["alice", "alice"]


def test_secrets_in_a_list_are_as_they_are() -> None:
    """There a comma or a blank is part of the secret and nothing else."""
    gate = verifier(issuer(hs256_secret=[BOTH, f" {OLD}"]))

    assert [ask(gate, token(key=key)).user for key in (BOTH, f" {OLD}")] == ["alice", "alice"]
    for part in (NEW, OLD):
        with pytest.raises(InvalidToken):
            ask(gate, token(key=part))


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("aB3$xY9,kL2#mN8!pQ4@rS7%tU1^vW5&zC6*", "must be at least 32 bytes"),
        (f"{NEW},{'change-me' * 6}", "guessable"),
        (f"{NEW[:20]},{NEW[20:]}", "must be at least 32 bytes"),
        (f"{BOTH},{NEW[::-1]}", "two secrets at most"),
    ],
    ids=["short halves", "a weak old one", "a long and a short half", "three parts"],
)
def test_a_comma_that_cannot_be_understood_is_refused_by_name(secret: str, said: str) -> None:
    """With what a comma does, where a secret with one goes, and nothing of the secret."""
    found = fault(hs256_secret=secret)

    assert said in found
    assert found.endswith("; a secret that holds a comma itself goes into a list, in an issuers file")
    assert not any(part in found for part in secret.split(","))


@UNHURRIED
@given(st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789, !$%", min_size=40, max_size=90))
def test_a_secret_that_is_taken_verifies_what_it_signed(secret: str) -> None:
    """Whatever it is made of, it is refused at start or its owner's bearers are good."""
    try:
        config = issuer(hs256_secret=secret)
    except Faults:
        return
    assert ask(verifier(config), token(key=secret)).user == "alice"


def test_check_says_how_a_comma_is_read() -> None:
    """As two secrets, and as one that holds a comma."""
    said = run_here(environment(AUTH_HS256_SECRET=BOTH), "check", "--bearer", token()).stdout

    assert "AUTH_ISSUER: issuer default: 3 key(s): new, old, and both as one secret that holds a comma" in said


BREAKS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "escaped": lambda text: text.replace("\n", r"\n"),
    "escaped twice": lambda text: text.replace("\n", r"\\n"),
    "escaped as on Windows": lambda text: text.replace("\n", r"\r\n"),
    "of Windows": lambda text: text.replace("\n", "\r\n"),
    "blanks": lambda text: text.replace("\n", " "),
    "none": lambda text: text.replace("\n", ""),
    "indented": lambda text: text.replace("\n", "\n    "),
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "quoted": lambda text: '"' + text.replace("\n", r"\n") + '"',
    "among words": lambda text: f"subject=CN = x\n{text}\nthe end",
}


@pytest.mark.parametrize("form", ["key", "certificate"])
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("breaks", BREAKS)
def test_pem_is_read_however_its_lines_end(breaks: str, algorithm: str, form: str) -> None:
    """As environments and files of settings hand it over: keys, and the keys of certificates."""
    text = pem(algorithm) if form == "key" else pem_certificate(algorithm)
    gate = verifier(issuer(public_key=BREAKS[breaks](text)))

    assert ask(gate, token(algorithm=algorithm, key=private_key(algorithm))).user == "alice"
    with pytest.raises(InvalidToken):
        ask(gate, token(algorithm=algorithm, key=private_key(algorithm, "thief")))


def test_a_certificate_that_ran_out_is_a_key() -> None:
    """It is trusted because it is in the table, not because somebody vouches for it."""
    gate = verifier(issuer(public_key=pem_certificate("ES256", ended=True)))

    assert ask(gate, token(algorithm="ES256", key=private_key("ES256"))).user == "alice"


@pytest.mark.parametrize("breaks", ["as it is", "escaped", "none"])
def test_two_keys_follow_each_other_as_key_or_certificate(breaks: str) -> None:
    """Even where one is a certificate and the other a key, or both certificates have one name."""
    for old in (pem("ES256", "old"), pem_certificate("ES256", "old")):
        text = BREAKS[breaks](pem_certificate("ES256") + old)
        gate = verifier(issuer(public_key=text))
        for owner in ("issuer", "old"):
            assert ask(gate, token(algorithm="ES256", key=private_key("ES256", owner))).user == "alice"


@pytest.mark.parametrize("signer_first", [True, False])
def test_a_chain_of_certificates_is_refused(signer_first: bool) -> None:  # noqa: FBT001 - a column of the table
    """The key of the authority above would sign bearers as well."""
    root = certificate(private_key("ES256", "root"), "root")
    leaf = certificate(private_key("ES256"), "leaf", "root", private_key("ES256", "root"))
    texts = [made.public_bytes(Encoding.PEM).decode() for made in (leaf, root)]

    found = fault(public_key="".join(texts if signer_first else texts[::-1]))

    assert found == "holds a chain of certificates: give that of the signer alone"


def test_a_key_in_the_older_form_is_read() -> None:
    """``RSA PUBLIC KEY`` (PKCS 1)."""
    text = private_key("RS256").public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
    gate = verifier(issuer(public_key=text))

    assert ask(gate, token(algorithm="RS256", key=private_key("RS256"))).user == "alice"


WRONG: dict[str, tuple[Callable[[], str], str]] = {
    "nothing of PEM": (lambda: "MIIBIjANBgkqhkiG9w0BAQ", "must hold one or two PEM public keys or certificates"),
    "the path of a file": (lambda: "/etc/keys/issuer.pem", "must hold one or two PEM public keys or certificates"),
    "cut off": (lambda: pem("RS256")[:200], "must hold one or two PEM public keys or certificates"),
    "a damaged certificate": (
        lambda: pem_certificate("ES256").replace("M", "N"),
        "is not a PEM public key or certificate that can be read",
    ),
    "a request for a certificate": (
        lambda: pem("ES256").replace("PUBLIC KEY", "CERTIFICATE REQUEST"),
        "is not a PEM public key or certificate that can be read",
    ),
    "a certificate of a weak key": (
        lambda: certificate(WEAK["ROCA"][0](), "weak").public_bytes(Encoding.PEM).decode(),
        "is an RSA key of the ROCA kind, which can be factored (CVE-2017-15361)",
    ),
    "a weak key": (
        lambda: (
            WEAK["close primes"][0]()
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode()
        ),
        "is an RSA key of two primes close together, which can be factored (CVE-2022-26320)",
    ),
}


@pytest.mark.parametrize(("make", "said"), WRONG.values(), ids=WRONG)
def test_what_is_no_good_key_is_refused_in_the_right_words(make: Callable[[], str], said: str) -> None:
    """At start, by its variable."""
    assert fault(public_key=make()) == said


@pytest.mark.parametrize(
    ("source", "algorithm", "key"),
    [
        ({"hs256_secret": BOTH}, "HS256", BOTH),
        ({"public_key": BREAKS["escaped"](pem("ES256"))}, "ES256", private_key("ES256")),
        ({"public_key": BREAKS["escaped"](pem_certificate("RS256"))}, "RS256", private_key("RS256")),
    ],
    ids=["a secret with a comma", "PEM with escaped line breaks", "a certificate"],
)
def test_bearers_by_a_key_that_was_pasted_into_a_table_are_good(
    source: dict[str, str], algorithm: str, key: Any
) -> None:
    """As it stands in a file of issuers, which has breaks of lines of its own."""
    (config,) = read_table(toml({"issuer": ISSUER, "audience": AUDIENCE, **source}))

    assert ask(verifier(config), token(algorithm=algorithm, key=key)).user == "alice"
