"""How the text of a variable becomes a value. Each raises ``ValueError`` with advice that repeats nothing secret."""

import base64
import ipaddress
import re
from collections.abc import Callable
from typing import Final

from service.identity.setting import read_matching, read_text, read_texts, read_url
from service.secret import Secret, SecretBytes
from service.storage import redis_url

_SECRET_BYTES: Final = 32
# As browsers send it: in lower case, and without the port that its scheme has anyway.
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:]+\])(:\d{1,5})?")
_USUAL_PORT: Final = re.compile(r"(http:.+):80$|(https:.+):443$")


def local_origin(text: str) -> str:
    origin = r"http://(127\.0\.0\.1|localhost):\d{1,5}"
    return read_matching(text, origin, "must be an origin of this machine, like http://127.0.0.1:8081")


def room_name_prefix(text: str) -> str:
    return read_matching(text, "[ -~]{1,40}", "must be 1 to 40 printable ASCII characters")


def one_api_key(text: str) -> tuple[Secret, ...]:
    text = read_text(text)
    if not text.isascii() or any(character.isspace() or character == "," for character in text):
        raise ValueError("must be one API key; for two use TELNYX_API_KEYS=new,old")
    return (Secret(text),)


def api_keys(text: str) -> tuple[Secret, ...]:
    keys = read_texts(text)
    if not 1 <= len(keys) <= 2:  # noqa: PLR2004 - the new one and the old one
        raise ValueError("must be one or two API keys: the new one and the old one")
    return tuple(key for part in keys for key in one_api_key(part))


def store_url(text: str) -> Secret:
    redis_url.parse(text := text.strip())
    return Secret(text)


def service_secrets(text: str) -> tuple[SecretBytes, ...]:
    secrets = [_decoded(part.replace("-", "+").replace("_", "/")) for part in read_texts(text)]
    # 32 random bytes hold 16 or fewer distinct ones less often than once in 10^15 times.
    if not secrets or any(len(raw) != _SECRET_BYTES or len(set(raw)) <= _SECRET_BYTES // 2 for raw in secrets):
        raise ValueError("must be 32 random bytes in base64; make them with: openssl rand -base64 32")
    return tuple(SecretBytes(raw) for raw in secrets)


def public_keys(text: str) -> tuple[bytes, ...]:
    keys = tuple(_decoded(part) for part in read_texts(text))
    if len(keys) > 2 or any(len(key) != _SECRET_BYTES for key in keys):  # noqa: PLR2004 - the new one and the old one
        raise ValueError(
            "must be one or two public keys of 32 bytes in base64, as the Telnyx portal shows them: new,old"
        )
    return keys


def url(text: str) -> str:
    advice = "must be an https URL without user, query and fragment"
    return read_matching(read_url(text).rstrip("/"), "[^?#@]+", advice)


def public_url(text: str) -> str:
    return read_matching(url(text), "https?://[^/]+", "must have no path: what the service points to is at the root")


def one_scope(text: str) -> str:
    return read_matching(read_text(text), "[^,]+", "must be one scope, without a comma")


def host(text: str) -> str:
    address = read_text(text).removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.IPv6Address(address)) if ":" in address else read_matching(address, "[A-Za-z0-9._-]+", "")
    except ValueError:
        raise ValueError("must be an address or a name, without port, like 0.0.0.0 or ::") from None


def origins(text: str) -> tuple[str, ...]:
    origins = read_texts(text)
    if not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError(
            "must be exact origins like https://app.example.com or capacitor://localhost, in lower case and without "
            "path, slash or *"
        )
    return tuple(_USUAL_PORT.sub(r"\1\2", origin) for origin in origins)


def networks(text: str) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(part)) for part in read_texts(text))
    except ValueError:
        raise ValueError("must be addresses or networks like 10.0.0.0/8, with commas") from None


def one_of(*allowed: str) -> Callable[[str], str]:
    """One of a few words, in any case."""

    def read(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"must be {', '.join(allowed[:-1])} or {allowed[-1]}")
        return text.lower()

    return read


def _decoded(text: str) -> bytes:
    """The bytes of a base64 text, with its padding or without; none where it is not one."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""
