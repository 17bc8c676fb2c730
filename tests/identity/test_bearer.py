"""The syntax gate: which texts may reach the cryptography at all."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidToken, MalformedRequest, MissingCredentials
from service.identity.jws import MAX_BYTES, bearer_text, parse
from tests.identity.forge import UNHURRIED, b64, claims, token

GOOD = token()
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def of_length(characters: int) -> str:
    """A well-formed token of that many characters."""
    bytes_left = (characters - len(token(claims(pad="")))) * 3 // 4
    sizes = [(filler, kid) for filler in range(bytes_left - 60, bytes_left) for kid in range(6)]
    texts = (token(claims(pad="x" * filler), kid="k" * kid) for filler, kid in sizes)
    return next(text for text in texts if len(text) == characters)


def with_last_bits(segment: str) -> str:
    """The same bytes in another spelling: with bits in the last character that decoders drop."""
    return segment[:-1] + ALPHABET[ALPHABET.index(segment[-1]) + 1]


def nested(depth: int) -> str:
    return token('{"a":' * depth + "1" + "}" * depth)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Bearer {GOOD}", GOOD),
        (f"bearer {GOOD}", GOOD),
        (f"BEARER   {GOOD} ", GOOD),
    ],
)
def test_the_scheme_is_read_without_regard_to_case_and_spaces(header: str, expected: str) -> None:
    """RFC 9110 section 11.1: a scheme has no case."""
    assert bearer_text([header]) == expected


@pytest.mark.parametrize("headers", [[], [""], ["Basic dXNlcjpwYXNz"], [GOOD], ["Negotiate x"]])
def test_without_a_bearer_credentials_are_missing(headers: list[str]) -> None:
    """No header, an empty one or another scheme: nothing was sent that could be bad."""
    with pytest.raises(MissingCredentials):
        bearer_text(headers)


@pytest.mark.parametrize(
    "headers", [[f"Bearer {GOOD}"] * 2, [f"Bearer {GOOD}, Bearer {GOOD}"], ["Basic a", "Bearer b"]]
)
def test_several_credentials_are_malformed(headers: list[str]) -> None:
    """Two headers or a comma: which of them counts must not depend on the reader."""
    with pytest.raises(MalformedRequest):
        bearer_text(headers)


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer a b", "Bearer\ta", "Bearer a\tb"])
def test_a_bearer_that_is_not_one_word_is_invalid(header: str) -> None:
    """The scheme is ours, what follows is no token."""
    with pytest.raises(InvalidToken):
        bearer_text([header])


def test_a_well_formed_token_is_read() -> None:
    """Header and claims come back as they were written, marked as unverified."""
    read = parse(token(claims(name="Zoë 🎉"), typ="JWT"))

    assert read.unverified_header == {"alg": "HS256", "typ": "JWT"}
    assert read.unverified_claims == claims(name="Zoë 🎉")


ODD_TEXTS: dict[str, str] = {
    "empty": "",
    "one segment": "e30",
    "two segments": f"{HEADER}.{PAYLOAD}",
    "four segments": f"{GOOD}.e30",
    "five segments, as of an encrypted token": f"{GOOD}.e30.e30",
    "an empty header": f".{PAYLOAD}.{SIGNATURE}",
    "an empty payload, as of a detached one": f"{HEADER}..{SIGNATURE}",
    "JSON serialization": json.dumps({"protected": HEADER, "payload": PAYLOAD, "signature": SIGNATURE}),
    "padding of the header": f"{HEADER}=.{PAYLOAD}.{SIGNATURE}",
    "padding of the payload": f"{HEADER}.{PAYLOAD}==.{SIGNATURE}",
    "padding of the signature": f"{GOOD}=",
    "white space within": f"{HEADER}. {PAYLOAD}.{SIGNATURE}",
    "white space before": f" {GOOD}",
    "a line feed after": f"{GOOD}\n",
    "a carriage return within": f"{HEADER}.\r{PAYLOAD}.{SIGNATURE}",
    "a tab after": f"{GOOD}\t",
    "a NUL after": f"{GOOD}\0",
    "the other base64 alphabet, plus": f"{HEADER}.{PAYLOAD}.+{SIGNATURE[1:]}",
    "the other base64 alphabet, slash": f"{HEADER}.{PAYLOAD}./{SIGNATURE[1:]}",
    "a question mark": f"{HEADER}.{PAYLOAD}.?{SIGNATURE[1:]}",
    "percent encoding": f"{HEADER}%2E{PAYLOAD}.{SIGNATURE}",
    "a full-width letter": f"{HEADER}.{PAYLOAD}.\uff21{SIGNATURE[1:]}",
    "an Arabic digit": f"{HEADER}.{PAYLOAD}.\u0663{SIGNATURE[1:]}",
    "a length that base64 cannot have": f"{HEADER}.{PAYLOAD}.AAAAA",
    "a signature with bits to spare": f"{HEADER}.{PAYLOAD}.{with_last_bits(SIGNATURE)}",
    "a payload with bits to spare": f"{HEADER}.{with_last_bits(b64(b'{}'))}.{SIGNATURE}",
}


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_other_spellings_are_refused(text: str) -> None:
    """Only the strict compact form counts: one token has one text."""
    with pytest.raises(InvalidToken):
        parse(text)


ODD_HEADERS: dict[str, Any] = {
    "not UTF-8": b'{"alg":"HS256","x":"\xff"}',
    "UTF-16": '{"alg":"HS256"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"alg":"HS256"}'.encode("utf-16-le"),
    "a byte order mark": b'\xef\xbb\xbf{"alg":"HS256"}',
    "an overlong encoding": b'{"alg":"HS256","x":"\xc0\xaf"}',
    "not JSON": "alg=HS256",
    "a list": '["HS256"]',
    "a text": '"HS256"',
    "null": "null",
    "two objects": '{"alg":"HS256"}{}',
    "single quotes": "{'alg':'HS256'}",
    "a trailing comma": '{"alg":"HS256",}',
    "a repeated alg": '{"alg":"none","alg":"HS256"}',
    "a repeated alg, once escaped": '{"alg":"none","\\u0061lg":"HS256"}',
    "a repeated member far below": '{"alg":"HS256","a":[{"b":{"c":1,"c":2}}]}',
    "no alg": "{}",
    "alg null": '{"alg":null}',
    "alg a number": '{"alg":256}',
    "alg a list": '{"alg":["HS256"]}',
    "crit of an unknown extension": '{"alg":"HS256","crit":["x"],"x":1}',
    "crit, empty": '{"alg":"HS256","crit":[]}',
    "crit null": '{"alg":"HS256","crit":null}',
    "b64 false": '{"alg":"HS256","b64":false}',
    "b64 true": '{"alg":"HS256","b64":true}',
    "kid a number": '{"alg":"HS256","kid":1}',
    "kid null": '{"alg":"HS256","kid":null}',
    "kid a list": '{"alg":"HS256","kid":["a"]}',
    "kid an object": '{"alg":"HS256","kid":{"a":1}}',
    "typ a list": '{"alg":"HS256","typ":["JWT"]}',
    "typ null": '{"alg":"HS256","typ":null}',
    "NaN": '{"alg":"HS256","x":NaN}',
}


@pytest.mark.parametrize("header", ODD_HEADERS.values(), ids=ODD_HEADERS)
def test_odd_headers_are_refused(header: str | bytes) -> None:
    """A header that two readers may read differently, or that asks for what is not done here."""
    with pytest.raises(InvalidToken):
        parse(token(header=header))


ODD_PAYLOADS: dict[str, Any] = {
    "not UTF-8": b'{"sub":"\xff"}',
    "UTF-16": '{"sub":"a"}'.encode("utf-16"),
    "UTF-32": '{"sub":"a"}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"sub":"a"}',
    "a surrogate as CESU-8": b'{"sub":"\xed\xa0\x80"}',
    "not JSON": "sub=a",
    "a list": "[]",
    "a nested token": f'"{GOOD}"',
    "a repeated sub": '{"sub":"a","sub":"b"}',
    "a repeated iss with the same value": '{"iss":"a","iss":"a"}',
    "NaN": '{"exp":NaN}',
    "infinity": '{"exp":Infinity}',
    "minus infinity": '{"iat":-Infinity}',
    "a float out of range": '{"exp":1e400}',
    "a float out of range below zero": '{"exp":-1e400}',
    "an integer of 400 digits": '{"exp":1' + "0" * 400 + "}",
    "an integer of 5000 digits": '{"exp":1' + "0" * 5000 + "}",
    "a raw control character": '{"sub":"a\nb"}',
    "an unfinished text": '{"sub":"a',
    "a comment": '{"sub":"a"}//',
}


@pytest.mark.parametrize("payload", ODD_PAYLOADS.values(), ids=ODD_PAYLOADS)
def test_odd_payloads_are_refused(payload: str | bytes) -> None:
    """Claims that are no plain JSON object in UTF-8, with each member once and every number finite."""
    with pytest.raises(InvalidToken):
        parse(token(payload))


@pytest.mark.parametrize("depth", [17, 100, 1000])
def test_deep_nesting_is_refused(depth: int) -> None:
    """Whoever walks the claims later must not run out of stack."""
    with pytest.raises(InvalidToken):
        parse(nested(depth))


def test_some_nesting_is_fine() -> None:
    """Roles within realms within clients occur in real tokens."""
    assert parse(nested(8)).unverified_claims["a"]["a"]


def test_seven_kibibytes_are_the_most() -> None:
    """A token of exactly 7 KiB is read, one character more is not."""
    longest = of_length(MAX_BYTES)
    assert len(longest) == MAX_BYTES
    assert parse(longest).signed == longest.rpartition(".")[0].encode()

    with pytest.raises(InvalidToken):
        parse(longest + "A")


def test_a_megabyte_is_refused() -> None:
    """Whatever is in it."""
    with pytest.raises(InvalidToken):
        parse(token(claims(sub="x" * 1_000_000)))


@UNHURRIED
@given(st.text())
def test_arbitrary_text_is_invalid_and_nothing_worse(text: str) -> None:
    """No text makes the gate raise anything else."""
    with pytest.raises(InvalidToken):
        parse(text)


@UNHURRIED
@given(st.lists(st.text(), max_size=3))
def test_arbitrary_headers_have_three_outcomes(headers: list[str]) -> None:
    """Missing, malformed, invalid or a word: nothing else comes out."""
    with contextlib.suppress(MissingCredentials, MalformedRequest, InvalidToken):
        assert bearer_text(headers)


_leaf = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


def _around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return _leaf | st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)


_json = _around(_around(_around(_leaf)))


@UNHURRIED
@given(st.dictionaries(st.text(max_size=10), _json, max_size=5))
def test_any_json_object_is_read_as_written(payload: dict[str, Any]) -> None:
    """Strictness costs no claim: what is JSON and small comes back the same."""
    read = parse(token(json.dumps(payload))).unverified_claims

    assert read == payload


@UNHURRIED
@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=80))
def test_arbitrary_bytes_in_segments_never_break_the_gate(header: bytes, payload: bytes, signature: bytes) -> None:
    """Well-formed base64 around anything: a parsed object or ``InvalidToken``."""
    try:
        read = parse(f"{b64(header)}.{b64(payload)}.{b64(signature)}")
    except InvalidToken:
        return
    assert isinstance(read.unverified_claims, dict)


@UNHURRIED
@given(st.floats())
def test_no_number_is_read_as_not_finite(number: float) -> None:
    """Every float that comes out is finite, however it was written."""
    try:
        read = parse(token(json.dumps({"exp": number}))).unverified_claims
    except InvalidToken:
        assert not math.isfinite(number)
    else:
        assert math.isfinite(read["exp"])
