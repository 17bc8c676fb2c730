"""The issuer table: who may sign the bearers of our callers, with what, and what each issuer is trusted with.

Fixed at start (DESIGN 5). One issuer comes from ``AUTH_`` variables, several from a TOML file of ``[[issuer]]``
tables with the same names in lower case. Nothing is trusted unless granted, so that a self-signup issuer cannot make
moderators.
"""

from __future__ import annotations

import re
import ssl
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from service.identity.claims import Required, is_nested, read_required
from service.identity.fixed_keys import UnfitKey, algorithms_of, pem_keys, shared_secret
from service.secret import Secret

# No table can grant ``invite``: that a bearer was given for an invite is said by this service alone.
Trust = Literal["admin", "rooms", "claims", "invite"]

TRUSTS: Final = ("admin", "rooms", "claims")
GUEST: Final = "guest"
MOST_LEEWAY_SECS: Final = 300
MOST_LIFETIME_SECS: Final = 31 * 86_400
SYMMETRIC: Final = ("HS256",)
# In this order: an RSA key that names no algorithm of its own has the first one allowed.
ASYMMETRIC: Final = ("EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
_PROXY: Final = re.compile(r"http://([^/?#@\s]+@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?/?")
_DISCOVERY_PATH: Final = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class IssuerConfig:
    """One issuer, with exactly one of ``hs256_secrets``, ``public_keys_pem``, ``jwks_url`` and ``discovery_url``.

    ``leeway_secs`` is granted for clocks that differ, ``max_lifetime_secs`` is the longest ``exp`` - ``iat``.
    ``logout_audiences`` are those of logout tokens, where they differ from those of bearers. What is in
    ``required_claims`` a bearer must say besides; those and the claims of names, scopes and groups may be nested.
    Keys behind a URL are fetched through ``proxy``, from whom the authorities in the file ``ca_bundle`` vouch for.
    """

    name: str
    default: bool
    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    hs256_secrets: tuple[Secret, ...] = ()
    public_keys_pem: tuple[str, ...] = ()
    jwks_url: str | None = None
    discovery_url: str | None = None
    ca_bundle: str | None = None
    proxy: Secret | None = None
    token_types: tuple[str, ...] = ("jwt", "at+jwt")
    leeway_secs: int = 60
    max_lifetime_secs: int = 86_400
    user_claim: str = "sub"
    name_claim: str = "name"
    scope_claim: str = "scope"
    groups_claim: str = "groups"
    audience_claim: str = "aud"
    required_claims: Required = ()
    logout_audiences: tuple[str, ...] = ()
    trust: frozenset[Trust] = frozenset()


class IssuerFault(ValueError):
    """What is wrong with one member of an issuer, and what to do; never shows a secret."""

    def __init__(self, member: str, message: str) -> None:
        super().__init__(message)
        self.member = member


class IssuerFaults(ValueError):
    """All that is wrong with an issuer, or with a table of them."""

    def __init__(self, faults: Sequence[IssuerFault]) -> None:
        super().__init__("; ".join(f"{fault.member}: {fault}" for fault in faults))
        self.faults = tuple(faults)


def read_table(text: str) -> tuple[IssuerConfig, ...]:
    """The issuers of a TOML file; the first is the default unless another says so. Raises ``IssuerFaults``."""
    entries, faults = _entries(text)
    issuers = []
    for number, entry in enumerate(entries, 1):
        try:
            issuers.append(read_issuer({"default": False, **entry}))
        except IssuerFaults as found:
            faults += [IssuerFault(f"issuer {number}, {fault.member}", str(fault)) for fault in found.faults]
    for member, unsaid in (("name", "default"), ("issuer", None)):
        values = [value for entry in entries if isinstance(value := entry.get(member, unsaid), str)]
        if len(set(values)) != len(values):
            faults.append(IssuerFault(member, "is the same for two issuers"))
    defaults = sum(entry.get("default") is True for entry in entries)
    if defaults > 1:
        faults.append(IssuerFault("default", "more than one issuer is the default"))
    if faults:
        raise IssuerFaults(faults)
    return tuple(issuers) if defaults else (replace(issuers[0], default=True), *issuers[1:])


def _entries(text: str) -> tuple[list[dict[str, Any]], list[IssuerFault]]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise IssuerFaults([IssuerFault("", f"is not TOML: {error}")]) from None
    except (ValueError, RecursionError):
        raise IssuerFaults([IssuerFault("", "is not TOML that can be read")]) from None
    entries = document.pop("issuer", [])
    faults = [IssuerFault(member, "does not belong here, only [[issuer]] tables do") for member in sorted(document)]
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise IssuerFaults([*faults, IssuerFault("", "needs at least one [[issuer]] table")])
    return entries, faults


def read_issuer(given: Mapping[str, Any]) -> IssuerConfig:
    """One issuer; members are named as the variables, without ``AUTH_`` and in lower case. Raises ``IssuerFaults``."""
    read = _Reading(given)
    sources = read(_sources)
    config = IssuerConfig(
        name=read(_name),
        default=read(_flag, "default", unsaid=True),
        issuer=read(_text, "issuer"),
        audiences=read(_texts, "audience", required=True),
        algorithms=read(_algorithms, sources),
        **sources or {},
        ca_bundle=read(_ca_bundle),
        proxy=read(_proxy),
        token_types=read(_token_types),
        leeway_secs=read(_number, "leeway_secs", 60, 0, MOST_LEEWAY_SECS),
        max_lifetime_secs=read(_number, "max_lifetime_secs", 86_400, 60, MOST_LIFETIME_SECS),
        user_claim=read(_plain, "user_claim", "sub"),
        name_claim=read(_text, "name_claim", "name"),
        scope_claim=read(_text, "scope_claim", "scope"),
        groups_claim=read(_text, "groups_claim", "groups"),
        audience_claim=read(_plain, "audience_claim", "aud"),
        required_claims=read(_required),
        logout_audiences=read(_texts, "logout_audience"),
        trust=read(_trust),
    )
    if read.faults:
        raise IssuerFaults(read.faults)
    return config


class _Reading:
    """Reads the members of one issuer and remembers every fault; what has one is ``None``."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self.faults = [IssuerFault(name, "is not a setting of an issuer") for name in sorted(set(given) - _MEMBERS)]

    def __call__(self, read: Callable[..., Any], *args: Any, **options: Any) -> Any:
        try:
            return read(self._given, *args, **options)
        except IssuerFault as fault:
            self.faults.append(fault)
            return None


_SOURCES: Final = ("hs256_secret", "public_key", "jwks_url", "discovery_url")
_MEMBERS: Final = {
    *("name", "default", "issuer", "audience", "algorithms", "token_types", "leeway_secs", "max_lifetime_secs"),
    *("user_claim", "name_claim", "scope_claim", "groups_claim", "audience_claim", "logout_audience"),
    *("required_claims", "ca_bundle", "proxy", "trust"),
    *_SOURCES,
}


def _sources(given: Mapping[str, Any]) -> dict[str, Any]:
    chosen = [source for source in _SOURCES if given.get(source)]
    if len(chosen) != 1:
        found = " and ".join(chosen) or "none"
        raise IssuerFault("jwks_url", f"set exactly one of {', '.join(_SOURCES)}; found {found}")
    match chosen[0]:
        case "hs256_secret":
            return {"hs256_secrets": _secrets(given)}
        case "public_key":
            return {"public_keys_pem": _fit("public_key", pem_keys, _text(given, "public_key"))}
        case "jwks_url":
            return {"jwks_url": check_url(_text(given, "jwks_url"), "jwks_url")}
        case _:
            usual = given["discovery_url"] in (True, "true")
            url = _text(given, "issuer").rstrip("/") + _DISCOVERY_PATH if usual else _text(given, "discovery_url")
            return {"discovery_url": check_url(url, "discovery_url")}


def _fit(member: str, read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except UnfitKey as why:
        raise IssuerFault(member, str(why)) from None


def _algorithms(given: Mapping[str, Any], sources: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Exactly those of the keys: symmetric and asymmetric never mix, and a PEM key has the algorithms of its type."""
    asked = tuple(dict.fromkeys(_texts(given, "algorithms")))
    if sources is None:
        families: list[Sequence[str]] = [SYMMETRIC + ASYMMETRIC]
    elif "hs256_secrets" in sources:
        families = [SYMMETRIC]
    else:
        families = [algorithms_of(pem) for pem in sources.get("public_keys_pem", ())] or [ASYMMETRIC]
    possible = tuple(dict.fromkeys(name for family in families for name in family))
    wrong = [name for name in asked if name not in possible]
    if wrong:
        raise IssuerFault("algorithms", f"{wrong[0]} does not fit the keys; possible: {', '.join(possible)}")
    if asked and not all(set(family) & set(asked) for family in families):
        raise IssuerFault("algorithms", "leaves one of the keys without an algorithm")
    return asked or possible


def check_url(url: str, member: str) -> str:
    """``url`` if it is https, or http on this machine itself. Raises ``IssuerFault``."""
    if not _is_safe(url):
        raise IssuerFault(member, "must be an https URL (http only on this machine itself)")
    return url


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    local = parts.scheme == "http" and host in {"127.0.0.1", "localhost", "::1"}
    return bool(host) and port != 0 and (parts.scheme == "https" or local)


def _name(given: Mapping[str, Any]) -> str:
    name = given.get("name", "default")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise IssuerFault("name", "must be 1 to 32 of a-z, 0-9 and -")
    if name == GUEST:
        raise IssuerFault("name", "is what this service calls its own guests; choose another")
    return name


def _token_types(given: Mapping[str, Any]) -> tuple[str, ...]:
    """As they are compared: in lower case and without ``application/`` (RFC 7515 section 4.1.9)."""
    kinds = _texts(given, "token_types") or ("jwt", "at+jwt")
    return tuple(kind.lower().removeprefix("application/") for kind in kinds)


def _trust(given: Mapping[str, Any]) -> frozenset[Trust]:
    names = _texts(given, "trust")
    granted: tuple[Trust, ...] = tuple(name for name in ("admin", "rooms", "claims") if name in names)
    if len(granted) != len(set(names)):
        raise IssuerFault("trust", f"must be of {', '.join(TRUSTS)}")
    return frozenset(granted)


def _required(given: Mapping[str, Any]) -> Required:
    # A lone comma would require nothing, in silence.
    texts = _texts(given, "required_claims", required=bool(given.get("required_claims")))
    try:
        return read_required(texts)
    except ValueError as why:
        raise IssuerFault("required_claims", str(why)) from None


def _plain(given: Mapping[str, Any], member: str, unsaid: str) -> str:
    """The name of a claim that no provider nests; logout tokens have it too."""
    name = _text(given, member, unsaid)
    if is_nested(name):
        raise IssuerFault(member, "must be the name of a claim, not a way into nested ones")
    return name


def _flag(given: Mapping[str, Any], member: str, *, unsaid: bool) -> bool:
    value = given.get(member, unsaid)
    if not isinstance(value, bool):
        raise IssuerFault(member, "must be true or false")
    return value


def _text(given: Mapping[str, Any], member: str, unsaid: str | None = None) -> str:
    value = given.get(member, unsaid)
    if value is None or value == "":
        raise IssuerFault(member, "is required")
    if not isinstance(value, str):
        raise IssuerFault(member, "must be a text")
    return value


def _texts(given: Mapping[str, Any], member: str, *, required: bool = False) -> tuple[str, ...]:
    value = given.get(member, "")
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise IssuerFault(member, "must be a text or a list of texts")
    texts = tuple(item.strip() for item in items if item.strip())
    if required and not texts:
        raise IssuerFault(member, "is required")
    return texts


def _secrets(given: Mapping[str, Any]) -> tuple[Secret, ...]:
    """Those of a list as they are; of a text the new secret and the old one, between which is a comma.

    Since a secret may hold a comma or begin with a space itself, a text is also taken as a whole: nobody can tell which
    is meant, and where each of the parts is strong, so is the whole.
    """
    value = given["hs256_secret"]
    parts = _texts(given, "hs256_secret", required=True)
    listed = "" if len(parts) == 1 else "; a secret that holds a comma itself goes into a list, in an issuers file"
    if len(parts) > 2:  # noqa: PLR2004 - the new one and the old one
        raise IssuerFault("hs256_secret", f"may hold two secrets at most: new,old{listed}")
    texts = value if isinstance(value, list) else parts if value in parts else (*parts, value)
    try:
        return tuple(shared_secret(text) for text in texts)
    except UnfitKey as why:
        raise IssuerFault("hs256_secret", f"{why}{listed}") from None


def _ca_bundle(given: Mapping[str, Any]) -> str | None:
    path = given.get("ca_bundle")
    if path is None:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError, TypeError):
        raise IssuerFault("ca_bundle", "must be the path of a file with certificates as PEM") from None
    return str(path)


def _proxy(given: Mapping[str, Any]) -> Secret | None:
    url = given.get("proxy")
    if url is None:
        return None
    if not isinstance(url, str) or _PROXY.fullmatch(url) is None:
        raise IssuerFault("proxy", "must be like http://proxy.example.com:3128, perhaps with user:password@")
    return Secret(url)


def _number(given: Mapping[str, Any], member: str, unsaid: int, least: int, most: int) -> int:
    value = given.get(member, unsaid)
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise IssuerFault(member, f"must be a whole number from {least} to {most}")
    return value
