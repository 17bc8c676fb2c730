"""Well signed tokens that are no bearers all the same: by their header, their claims or their spelling.

The names of ``RESIDUAL`` are those of tokens that a widely used library accepts and that are refused here.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.identity.forge import b64, jwk, private_key, signature
from tests.identity.forgeries import Token, claims, issuer_of, signing_input, token
from tests.processes import AUDIENCE

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _saying(**changes: Any) -> Token:
    return lambda: token("EdDSA", None, claims("EdDSA", **changes))


def _written(change: Any) -> Token:
    """The claims as text, changed."""
    return lambda: token("EdDSA", None, change(json.dumps(claims("EdDSA"))))


def _headed(**members: Any) -> Token:
    return lambda: token("EdDSA", {"alg": "EdDSA", **members})


def _raw_header(text: bytes) -> Token:
    return lambda: token("EdDSA", text)


def _now() -> int:
    return int(time.time())


RESIDUAL: Final[Mapping[str, Token]] = {
    "pad_sig": lambda: token("EdDSA") + "==",
    "dup_sub": _written(lambda text: (text[:-1] + ', "sub": "bob"}').encode()),
    "dup_alg": _raw_header(b'{"alg":"none","alg":"EdDSA"}'),
    "iss_dup": _written(lambda text: (f'{{"iss": "{issuer_of("RS256")}", ' + text[1:]).encode()),
    "no_exp": _saying(exp=None),
    "exp_string": lambda: token("EdDSA", None, claims("EdDSA", exp=str(_now() + 600))),
    "exp_10e400": _written(lambda text: text.replace(str(json.loads(text)["exp"]), "1" + "0" * 400).encode()),
    "sub_missing": _saying(sub=None),
    "sub_empty": _saying(sub=""),
    "sub_surrogate": _saying(sub="alice\ud800"),
    "sub_nul": _saying(sub="alice\0"),
    "sub_1MB": _saying(sub="x" * 4500),  # as long as a header may be
    "typ_other": _headed(typ="dpop+jwt"),
    "utf16": _written(lambda text: text.encode("utf-16")),
    "utf8_bom": _written(lambda text: b"\xef\xbb\xbf" + text.encode()),
    "nbf_string": _saying(nbf="0"),
}


def _thief_der() -> str:
    public = private_key("EdDSA", "thief").public_key()
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def _by_thief(**members: Any) -> Token:
    """Signed by a key that the header brings along or leads to."""

    def made() -> str:
        signed = signing_input("EdDSA", {"alg": "EdDSA", **members})
        return f"{signed}.{b64(signature(signed, 'EdDSA', private_key('EdDSA', 'thief')))}"

    return made


def embedded(url: str) -> dict[str, Token]:
    """Keys in the header, or at an address in it."""
    return {
        "jwk": _by_thief(jwk=jwk("EdDSA", "thief")),
        "jwk with the kid of the issuer": _by_thief(jwk=jwk("EdDSA", "thief"), kid="issuer"),
        "jku": _by_thief(jku=url),
        "x5u": _by_thief(x5u=url),
        "x5c": _by_thief(x5c=[_thief_der()]),
        "kid that is an address": _by_thief(kid=url),
        "iss that is an address": lambda: token("EdDSA", None, claims("EdDSA", iss=url)),
    }


BAD_HEADERS: Final[Mapping[str, Token]] = {
    "b64 false, critical": _headed(b64=False, crit=["b64"]),
    "b64 false": _headed(b64=False),
    "b64 true, critical": _headed(b64=True, crit=["b64"]),
    "crit of what is known": _headed(crit=["exp"], exp=1),
    "crit empty": _headed(crit=[]),
    "kid a number": _headed(kid=1),
    "kid a list": _headed(kid=["issuer"]),
    "kid an object": _headed(kid={"$ne": ""}),
    "kid null": _headed(kid=None),
    "kid true": _headed(kid=True),
    "alg a list": _headed(alg=["EdDSA"]),
    "alg with a space": _headed(alg="EdDSA "),
    "alg in lower case": _headed(alg="eddsa"),
    "alg Ed448": _headed(alg="Ed448"),
    "typ null": _headed(typ=None),
    "typ of a logout token": _headed(typ="logout+jwt"),
    "deflated": lambda: token(
        "EdDSA", {"alg": "EdDSA", "zip": "DEF"}, zlib.compress(json.dumps(claims("EdDSA")).encode())[2:-4]
    ),
    "nested, a token in a token": lambda: token("EdDSA", {"alg": "EdDSA", "cty": "JWT"}, token("EdDSA").encode()),
    "header a list": _raw_header(b'["EdDSA"]'),
    "header with a comment": _raw_header(b'{"alg":"EdDSA"}//x'),
}
GOOD_HEADERS: Final[Mapping[str, Token]] = {
    "kid empty": _headed(kid=""),
    "kid with NUL": _headed(kid="a\0b"),
    "kid with line ends": _headed(kid='a\r\n{"level":"info"}'),
    "kid in other letters": _headed(kid="ключ🔑\u202e"),
    "kid a lone surrogate": _headed(kid="\ud800"),
    "kid a path": _headed(kid="../../../../dev/null"),
    "kid a query": _headed(kid="' UNION SELECT 'x' --"),
    "zip that means nothing here": _headed(zip="DEF"),
    "cty": _headed(cty="x"),
    "typ in another case": _headed(typ="APPLICATION/At+JWT"),
    "several audiences": _saying(aud=["x", AUDIENCE]),
    "times with fractions": lambda: token("EdDSA", None, claims("EdDSA", iat=_now() - 9.5, exp=_now() + 9.5)),
}


def respelled(good: str) -> dict[str, str]:
    """A token, written otherwise; what HTTP cannot carry is left to the tests of the gate."""
    head, body, tail = good.split(".")
    last = ALPHABET[ALPHABET.index(tail[-1]) + 1]
    return {
        "padding behind the header": f"{head}=.{body}.{tail}",
        "padding behind the claims": f"{head}.{body}=.{tail}",
        "padding, encoded": f"{good}%3D%3D",
        "garbage behind": f"{good}AAAA",
        "a byte behind": f"{good}A",
        "a character that base64 drops": f"{good}!",
        "another last character for the same bytes": f"{good[:-1]}{last}",
        "the other alphabet": f"{head}.{body}.+/{tail[2:]}",
        "a dot behind": f"{good}.",
        "a dot before": f".{good}",
        "four segments": f"{good}.{tail}",
        "two segments": f"{head}.{body}",
        "no signature": f"{head}.{body}.",
        "no claims": f"{head}..{tail}",
        "segments swapped": f"{body}.{head}.{tail}",
        "a space within": f"{head}.{body} .{tail}",
        "a tab within": f"{head}.\t{body}.{tail}",
        "a no-break space behind": f"{good}\xa0",
        "a next-line sign behind": f"{good}\x85",
        "a letter that looks alike": f"{head}.{body}.\xe5{tail[1:]}",
        "in quotes": f'"{good}"',
        "as JSON": json.dumps({"protected": head, "payload": body, "signature": tail}, separators=(";", ":")),
        "the scheme twice": f"Bearer {good}",
    }
