"""How the text of a variable becomes a value. Each raises ``ValueError`` with advice that repeats nothing secret."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final

from service.identity.issuers import check_url
from service.secret import Secret, SecretBytes
from service.storage import redis_url

_SECRET_BYTES: Final = 32
_LOCAL_ORIGIN: Final = re.compile(r"http://(127\.0\.0\.1|localhost):\d{1,5}")
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")


def one_api_key(text: str) -> tuple[Secret, ...]:
    if not text.isascii() or any(character.isspace() or character == "," for character in text):
        raise ValueError("must be one API key; for two use TELNYX_API_KEYS=new,old")
    return (Secret(text),)


def api_keys(text: str) -> tuple[Secret, ...]:
    keys = [part.strip() for part in text.split(",") if part.strip()]
    if not 1 <= len(keys) <= 2:  # noqa: PLR2004 - the new one and the old one
        raise ValueError("must be one or two API keys: the new one and the old one")
    return tuple(key for part in keys for key in one_api_key(part))


def store_url(text: str) -> Secret:
    redis_url.parse(text)
    return Secret(text)


def service_secrets(text: str) -> tuple[SecretBytes, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(_service_secret(part) for part in parts or [""])


def _service_secret(text: str) -> SecretBytes:
    advice = "must be 32 random bytes in base64; make them with: openssl rand -base64 32"
    try:
        raw = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(advice) from None
    # 32 random bytes hold 16 or fewer distinct ones less often than once in 10^15 times.
    if len(raw) != _SECRET_BYTES or len(set(raw)) <= _SECRET_BYTES // 2:
        raise ValueError(advice)
    return SecretBytes(raw)


def public_keys(text: str) -> tuple[bytes, ...]:
    advice = "must be one or two public keys of 32 bytes in base64, as the Telnyx portal shows them: new,old"
    try:
        keys = tuple(base64.b64decode(part.strip(), validate=True) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(advice) from None
    if len(keys) > 2 or any(len(key) != _SECRET_BYTES for key in keys):  # noqa: PLR2004 - the new one and the old one
        raise ValueError(advice)
    return keys


def url(text: str) -> str:
    return check_url(text.rstrip("/"), "")


def origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        if _ORIGIN.fullmatch(origin) is None:
            raise ValueError("must be exact origins like https://app.example.com, without path, slash or *")
    return origins


def local_origin(text: str) -> str:
    if _LOCAL_ORIGIN.fullmatch(text) is None:
        raise ValueError("must be an origin of this machine, like http://127.0.0.1:8081")
    return text


def room_name_prefix(text: str) -> str:
    if not (text.isascii() and text.isprintable() and len(text) <= 40):  # noqa: PLR2004 - leaves room for an alias
        raise ValueError("must be 1 to 40 printable ASCII characters")
    return text


def between(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if re.fullmatch(r"\d{1,9}", text, re.ASCII) is None or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return read


def one_of(*allowed: str) -> Callable[[str], str]:
    """One of a few words, in any case."""

    def read(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"must be {', '.join(allowed[:-1])} or {allowed[-1]}")
        return text.lower()

    return read
