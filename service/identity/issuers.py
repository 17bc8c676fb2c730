"""The issuer table: who may sign the bearers of our callers, with what, and what each issuer is trusted with.

Fixed at start. One issuer comes from ``AUTH_`` variables, several from a TOML file of ``[[issuer]]`` tables with the
same names in lower case. Nothing is trusted unless granted, so that a self-signup issuer cannot make moderators.

``IssuerConfig`` is the one definition of an issuer's settings.
"""

import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from service.identity.claims import Required
from service.identity.keys import algorithms_of, pem_keys, shared_secret
from service.identity.setting import (
    Between,
    Fault,
    Faults,
    Setting,
    Texts,
    read_matching,
    read_some_texts,
    read_text,
    read_texts,
    read_url,
    settings_of,
)
from service.secret import Secret

# No table can grant ``invite``: that a bearer was given for an invite is said by this service alone.
TRUSTS: Final = ("admin", "rooms", "claims")
GUEST: Final = "guest"
MAX_LEEWAY_SECS: Final = 300
MAX_LIFETIME_SECS: Final = 31 * 86_400
SYMMETRIC: Final = ("HS256",)
# In this order: an RSA key that names no algorithm of its own has the first one allowed.
ASYMMETRIC: Final = ("EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
_SOURCES: Final = ("hs256_secret", "public_key", "jwks_url", "discovery_url")


def read_required_claims(value: Any) -> Required:
    """``claim=value`` texts; a claim that is named again may have either value."""
    found: dict[str, frozenset[str]] = {}
    # A lone comma would require nothing, in silence.
    for text in read_some_texts(value) if value else ():
        where, wanted = (part.strip() for part in text.partition("=")[::2])
        if not where or not wanted:
            raise ValueError("must be claim=value")
        found[where] = found.get(where, frozenset()) | {wanted}
    return tuple(found.items())


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - a wrong value is one fault, whatever its type
    return value


def _plain_claim(value: Any) -> str:
    """The name of a claim that no provider nests; logout tokens have it too."""
    if (name := read_text(value)).startswith("/"):
        raise ValueError("must be the name of a claim, not a way into nested ones")
    return name


def _discovery_url(value: Any) -> str:
    """Empty for the usual place, which is below the issuer's own URL."""
    return "" if value in (True, "true") else read_url(value)


def _secrets(value: Any) -> tuple[Secret, ...]:
    """Those of a list as they are; of a text the new secret and the old one, between which is a comma.

    Since a secret may hold a comma or begin with a space itself, a text is also taken as a whole: nobody can tell which
    is meant, and where each of the parts is strong, so is the whole.
    """
    parts = read_some_texts(value)
    listed = "" if len(parts) == 1 else "; a secret that holds a comma itself goes into a list, in an issuers file"
    if len(parts) > 2:  # noqa: PLR2004 - the new one and the old one
        raise ValueError(f"may hold two secrets at most: new,old{listed}")
    texts = value if isinstance(value, list) else parts if value in parts else (*parts, value)
    try:
        return tuple(shared_secret(text) for text in texts)
    except ValueError as why:
        raise ValueError(f"{why}{listed}") from None


def _ca_bundle(value: Any) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(value)
    except (OSError, ValueError, TypeError):
        raise ValueError("must be the path of a file with certificates as PEM") from None
    return str(value)


def _token_types(value: Any) -> tuple[str, ...]:
    """As they are compared: in lower case and without ``application/`` (RFC 7515 section 4.1.9)."""
    return tuple(kind.lower().removeprefix("application/") for kind in read_texts(value)) or ("jwt", "at+jwt")


def _trust(value: Any) -> frozenset[str]:
    if not set(names := read_texts(value)) <= {*TRUSTS}:
        raise ValueError(f"must be of {', '.join(TRUSTS)}")
    return frozenset(names)


def _name(value: Any) -> str:
    if value == GUEST:
        raise ValueError("is what this service calls its own guests; choose another")
    return read_matching(value, r"[a-z0-9-]{1,32}", "must be 1 to 32 of a-z, 0-9 and -")


def _proxy(value: Any) -> Secret:
    url = r"http://([^/?#@\s]+@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?/?"
    return Secret(read_matching(value, url, "must be like http://proxy.example.com:3128, perhaps with user:password@"))


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerConfig:
    """One issuer, with exactly one of ``hs256_secrets``, ``public_keys``, ``jwks_url`` and ``discovery_url``.

    A bearer must have all ``required_claims``; those and the claims of names, scopes and groups may be nested. Keys
    behind a URL are fetched through ``proxy``, from servers for which the authorities in the file ``ca_bundle`` vouch.
    """

    # A table: the help of a setting is the line below it.
    # fmt: off
    name: Annotated[str, Setting(_name, "The issuer's name in logs and metrics.")] = "default"
    default: Annotated[bool, Setting(_flag, "")] = True
    issuer: Annotated[str, Setting(read_text, "The `iss` of your users' tokens, exactly.")]
    audiences: Annotated[Texts, Setting(read_some_texts,
        "The `aud` that means this service; several with commas.", "audience")]
    jwks_url: Annotated[str | None, Setting(read_url,
        "Where the issuer's public keys are. One key source is required.")] = None
    discovery_url: Annotated[str | None, Setting(_discovery_url,
        "Or its OpenID configuration; `true` for the usual path.")] = None
    public_keys: Annotated[tuple[Any, ...], Setting(pem_keys,
        "Or the public key or certificate as PEM; two while one follows the other.", "public_key")] = ()
    hs256_secrets: Annotated[tuple[Secret, ...], Setting(_secrets,
        "Or a shared secret of 32 bytes or more; `new,old`.", "hs256_secret", secret=True)] = ()
    ca_bundle: Annotated[str | None, Setting(_ca_bundle,
        "PEM file of the authorities that vouch for the issuer's server, not the public ones.")] = None
    proxy: Annotated[Secret | None, Setting(_proxy,
        "HTTP proxy on the way to the issuer's keys: `http://user:password@host:port`.", secret=True)] = None
    algorithms: Annotated[Texts, Setting(read_texts,
        "Allowed signature algorithms; as the keys have it if not given.")] = ()
    token_types: Annotated[Texts, Setting(_token_types, "Allowed `typ` header values.")] = ("jwt", "at+jwt")
    leeway_secs: Annotated[int, Setting(Between(0, MAX_LEEWAY_SECS),
        "Tolerance for clocks that differ, in seconds.")] = 60
    max_lifetime_secs: Annotated[int, Setting(Between(60, MAX_LIFETIME_SECS),
        "Longest `exp` - `iat` accepted, in seconds.")] = 86_400
    user_claim: Annotated[str, Setting(_plain_claim,
        "The claim that holds the user id (`email` needs `email_verified`).")] = "sub"
    name_claim: Annotated[str, Setting(read_text, "The claim that holds the display name.")] = "name"
    scope_claim: Annotated[str, Setting(read_text, "The claim that holds the scopes.")] = "scope"
    groups_claim: Annotated[str, Setting(read_text, "The claim that holds the groups.")] = "groups"
    audience_claim: Annotated[str, Setting(_plain_claim,
        "The claim that holds the audience (Cognito: `client_id`).")] = "aud"
    required_claims: Annotated[Required, Setting(read_required_claims,
        "Claims that a bearer must have too: `claim=value`, several with commas.")] = ()
    logout_audiences: Annotated[Texts, Setting(read_texts,
        "The `aud` of logout tokens (a client id), if another; several with commas.", "logout_audience")] = ()
    trust: Annotated[frozenset[str], Setting(_trust,
        "What the issuer may grant: any of `admin`, `rooms`, `claims`; nothing if not given.")] = frozenset()
    # fmt: on


def read_table(text: str) -> tuple[IssuerConfig, ...]:
    """The issuers of a TOML file; the first is the default unless another says so. Raises ``Faults``."""
    entries, faults = _entries(text)
    issuers = []
    for number, entry in enumerate(entries, 1):
        try:
            issuers.append(read_issuer({"default": False, **entry}))
        except Faults as found:
            faults += [replace(fault, variable=f"issuer {number}, {fault.variable}") for fault in found.faults]
    for name, default in (("name", "default"), ("issuer", None)):
        values = [value for entry in entries if isinstance(value := entry.get(name, default), str)]
        if len(set(values)) != len(values):
            faults.append(Fault(name, "is the same for two issuers"))
    defaults = sum(entry.get("default") is True for entry in entries)
    if defaults > 1:
        faults.append(Fault("default", "more than one issuer is the default"))
    if faults:
        raise Faults(faults)
    return tuple(issuers) if defaults else (replace(issuers[0], default=True), *issuers[1:])


def _entries(text: str) -> tuple[list[dict[str, Any]], list[Fault]]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Faults([Fault("", f"is not TOML: {error}")]) from None
    except (ValueError, RecursionError):
        raise Faults([Fault("", "is not TOML that can be read")]) from None
    entries = document.pop("issuer", [])
    faults = [Fault(name, "does not belong here, only [[issuer]] tables do") for name in sorted(document)]
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise Faults([*faults, Fault("", "needs at least one [[issuer]] table")])
    return entries, faults


def read_issuer(given: Mapping[str, Any]) -> IssuerConfig:
    """One issuer, of texts or of what TOML holds, by the names of settings. Raises ``Faults``."""
    settings = settings_of(IssuerConfig)
    unknown = set(given) - {setting.name for setting in settings.values()}
    faults = [Fault(name, "is not a setting of an issuer") for name in sorted(unknown)]
    chosen = [name for name in _SOURCES if given.get(name)]
    if len(chosen) != 1:
        found = " and ".join(chosen) or "none"
        faults.append(Fault("jwks_url", f"set exactly one of {', '.join(_SOURCES)}; found {found}"))
    values: dict[str, Any] = {}
    for attribute, setting in settings.items():
        try:
            if given.get(setting.name) is None and setting.required:
                raise ValueError("is required")
            if given.get(setting.name) is not None and (setting.name not in _SOURCES or chosen == [setting.name]):
                values[attribute] = setting.read(given[setting.name])
        except ValueError as why:
            faults.append(Fault(setting.name, str(why)))
    for attribute, complete in (("discovery_url", _complete_discovery), ("algorithms", _complete_algorithms)):
        try:
            values[attribute] = complete(values)
        except ValueError as why:
            faults.append(Fault(attribute, str(why)))
    if faults:
        raise Faults(faults)
    return IssuerConfig(**values)


def _complete_discovery(values: Mapping[str, Any]) -> str | None:
    url: str | None = values.get("discovery_url")
    return url if url != "" or "issuer" not in values else read_url(values["issuer"].rstrip("/") + _DISCOVERY_PATH)


def _complete_algorithms(values: Mapping[str, Any]) -> Texts:
    """Exactly those of the keys: symmetric and asymmetric never mix, and a PEM key has the algorithms of its type."""
    families: list[Texts] = [SYMMETRIC + ASYMMETRIC]
    if "hs256_secrets" in values:
        families = [SYMMETRIC]
    elif "public_keys" in values:
        families = [algorithms_of(key) for key in values["public_keys"]]
    elif "jwks_url" in values or values.get("discovery_url") is not None:
        families = [ASYMMETRIC]
    asked = tuple(dict.fromkeys(values.get("algorithms", ())))
    possible = tuple(dict.fromkeys(name for family in families for name in family))
    if wrong := [name for name in asked if name not in possible]:
        raise ValueError(f"{wrong[0]} does not fit the keys; possible: {', '.join(possible)}")
    if asked and not all(set(family) & set(asked) for family in families):
        raise ValueError("leaves one of the keys without an algorithm")
    return asked or possible
