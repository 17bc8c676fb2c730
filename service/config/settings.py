"""Settings: an environment in, one frozen object or every fault at once out.

Rules for editors:
* ``FIELDS`` is the one table from which parsing, help and the README's table are made;
* a fault names the variable and what to do, and never shows a secret's value;
* every variable may come from a file instead: ``NAME_FILE`` holds its path (for mounted secrets); an empty value is no
  value, and nothing insecure is entered by the absence of one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from service.config import parsers
from service.identity.issuers import IssuerConfig, IssuerFault, IssuerFaults, read_issuer, read_table
from service.secret import Secret, SecretBytes

_OUR_PREFIXES: Final = ("AUTH_", "TELNYX_", "SERVICE_")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one variable, and what to do."""

    variable: str
    message: str


class SettingsError(Exception):
    """Every fault of an environment."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.variable}: {fault.message}" for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Field:
    """One variable: how its text becomes a value (``read`` raises ``ValueError`` with advice), and its help.

    ``default`` is text, read like any other; ``None`` means that the variable may be missing, or must be given if
    ``required``.
    """

    variable: str
    read: Callable[[str], Any]
    help: str
    default: str | None = None
    required: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What this process runs with; attributes are the variables of ``FIELDS`` in lower case, and the issuer table."""

    telnyx_api_keys: tuple[Secret, ...]
    telnyx_api_url: str
    redis_url: Secret
    service_secrets: tuple[SecretBytes, ...]
    public_url: str | None
    telnyx_public_keys: tuple[bytes, ...]
    impostor_policy: str
    room_name_prefix: str
    allowed_origins: tuple[str, ...]
    console: str
    console_sandbox: str | None
    admin_scope: str
    token_ttl_secs: int
    token_rate_limit_per_minute: int
    host: str
    port: int
    metrics_port: int
    web_concurrency: int
    upstream_concurrency: int
    keepalive_seconds: int
    drain_seconds: int
    log_level: str
    issuers: tuple[IssuerConfig, ...]

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """The settings of an environment; raises ``SettingsError`` listing all of its faults."""
        reader = _Reader(env)
        values = {field.variable.lower(): reader.value(field) for field in FIELDS if field not in ISSUER_FIELDS}
        single = values.pop("telnyx_api_key")
        if single and values["telnyx_api_keys"]:
            reader.fault("TELNYX_API_KEY", "is set beside TELNYX_API_KEYS; keep one")
        values["telnyx_api_keys"] = values["telnyx_api_keys"] or single
        issuers = reader.issuers()
        reader.check_names()
        if reader.faults:
            raise SettingsError(tuple(reader.faults))
        return cls(**values, issuers=issuers)

    def warnings(self) -> tuple[Fault, ...]:
        """What the service starts with although it was hardly meant."""
        if any("admin" in issuer.trust for issuer in self.issuers):
            return ()
        fault = "no issuer is trusted with admin, so nobody is an administrator and /v1/admin is closed to all"
        return (Fault("AUTH_TRUST", f"{fault}: add admin here, or to trust in the issuers file"),)


class _Reader:
    """Reads an environment and remembers every fault."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.faults: list[Fault] = []
        self._lost: set[str] = set()

    def text(self, variable: str) -> str | None:
        """The text of a variable, from itself or its file; empty is ``None``."""
        direct, path = self._env.get(variable) or None, self._env.get(f"{variable}_FILE") or None
        if direct is not None and path is not None:
            self._lose(variable, variable, f"is set twice: by itself and by {variable}_FILE; keep one")
        elif path is not None:
            try:
                return Path(path).read_text("utf-8").strip() or None
            except (OSError, ValueError) as error:
                self._lose(variable, f"{variable}_FILE", f"cannot be read ({type(error).__name__})")
        elif direct is None or _is_utf8(direct):
            return direct
        else:
            self._lose(variable, variable, "is not UTF-8")
        return None

    def value(self, field: Field) -> Any:
        """The field's value, or ``None`` with a fault."""
        text = self.text(field.variable)
        if text is None:
            text = field.default
        if text is None:
            if field.required and not self._excused(field):
                self.fault(field.variable, f"is required: {field.help}")
            return None
        try:
            return field.read(text)
        except ValueError as why:
            self.fault(field.variable, str(why))
            return None

    def issuers(self) -> tuple[IssuerConfig, ...]:
        """The issuer table, from a file or from simple variables."""
        table = self.text("AUTH_ISSUERS")
        if "AUTH_ISSUERS" in self._lost:
            return ()
        members = {field.variable: self.text(field.variable) for field in ISSUER_FIELDS[1:]}
        # What could not be read is given all the same, as what no member may be: its fault is known by now.
        found = {name: True if name in self._lost else text for name, text in members.items()}
        given = {name.removeprefix("AUTH_").lower(): value for name, value in found.items() if value is not None}
        if table is not None and given:
            self.fault("AUTH_ISSUERS", "is the whole table: remove the other AUTH_ variables")
            return ()
        try:
            return read_table(table) if table is not None else (read_issuer(given),)
        except IssuerFaults as error:
            for fault in error.faults:
                self.fault("AUTH_ISSUERS" if table is not None else f"AUTH_{fault.member.upper()}", _said(fault, table))
            return ()

    def check_names(self) -> None:
        """A variable that looks like one of ours and is none was probably meant to be one."""
        known = {name for field in FIELDS for name in (field.variable, f"{field.variable}_FILE")}
        for name in self._env:
            if name.startswith(_OUR_PREFIXES) and name not in known:
                close = difflib.get_close_matches(name, known, 1, 0.8)
                if close:
                    self.fault(name, f"is not a setting; did you mean {close[0]}?")

    def _excused(self, field: Field) -> bool:
        """Of the two names for the API keys one is enough."""
        other = "TELNYX_API_KEY"
        return field.variable == "TELNYX_API_KEYS" and (self.text(other) is not None or other in self._lost)

    def _lose(self, variable: str, named: str, message: str) -> None:
        """A variable that is given and cannot be read: that it then has no value is no second fault."""
        self.fault(named, message)
        self._lost.add(variable)

    def fault(self, variable: str, message: str) -> None:
        """Remember what is wrong; once is enough."""
        fault = Fault(variable, message)
        if fault not in self.faults and variable not in self._lost:
            self.faults.append(fault)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _said(fault: IssuerFault, table: str | None) -> str:
    return f"{fault.member}: {fault}" if table is not None and fault.member else str(fault)


ISSUER_FIELDS: Final = (
    Field("AUTH_ISSUERS", str, "The issuer table as TOML, for more than one issuer (mostly as AUTH_ISSUERS_FILE)."),
    Field("AUTH_NAME", str, "The issuer's name in logs and metrics.", "default"),
    Field("AUTH_ISSUER", str, "The `iss` of your users' tokens, exactly.", required=True),
    Field("AUTH_AUDIENCE", str, "The `aud` that means this service; several with commas.", required=True),
    Field("AUTH_JWKS_URL", str, "Where the issuer's public keys are. One key source is required."),
    Field("AUTH_DISCOVERY_URL", str, "Or its OpenID configuration; `true` for the usual path."),
    Field("AUTH_PUBLIC_KEY", str, "Or the public key or certificate as PEM; two while one follows the other."),
    Field("AUTH_HS256_SECRET", str, "Or a shared secret of 32 bytes or more; `new,old`.", secret=True),
    Field(
        "AUTH_CA_BUNDLE", str, "PEM file of the authorities that vouch for the issuer's server, not the public ones."
    ),
    Field(
        "AUTH_PROXY", str, "HTTP proxy on the way to the issuer's keys: `http://user:password@host:port`.", secret=True
    ),
    Field("AUTH_ALGORITHMS", str, "Allowed signature algorithms; as the keys have it if not given."),
    Field("AUTH_TOKEN_TYPES", str, "Allowed `typ` header values.", "JWT,at+jwt"),
    Field("AUTH_LEEWAY_SECS", str, "Tolerance for clocks that differ, in seconds.", "60"),
    Field("AUTH_MAX_LIFETIME_SECS", str, "Longest `exp` - `iat` accepted, in seconds.", "86400"),
    Field("AUTH_USER_CLAIM", str, "The claim that holds the user id (`email` needs `email_verified`).", "sub"),
    Field("AUTH_NAME_CLAIM", str, "The claim that holds the display name.", "name"),
    Field("AUTH_SCOPE_CLAIM", str, "The claim that holds the scopes.", "scope"),
    Field("AUTH_GROUPS_CLAIM", str, "The claim that holds the groups.", "groups"),
    Field("AUTH_AUDIENCE_CLAIM", str, "The claim that holds the audience (Cognito: `client_id`).", "aud"),
    Field("AUTH_REQUIRED_CLAIMS", str, "What a bearer must say besides: `claim=value`, several with commas."),
    Field("AUTH_LOGOUT_AUDIENCE", str, "The `aud` of logout tokens (a client id), if another; several with commas."),
    Field("AUTH_TRUST", str, "What the issuer may grant: any of `admin`, `rooms`, `claims`; nothing if not given."),
)

FIELDS: Final = (
    Field(
        "TELNYX_API_KEYS", parsers.api_keys, "API keys of the Telnyx account; `new,old` to rotate.", None, True, True
    ),
    Field("TELNYX_API_KEY", parsers.one_api_key, "The same, for one key.", secret=True),
    Field("TELNYX_API_URL", parsers.url, "Base URL of the Telnyx API.", "https://api.telnyx.com/v2"),
    Field(
        "REDIS_URL",
        parsers.store_url,
        "Redis or Valkey: a server, `redis+sentinel://` or `redis+cluster://`.",
        None,
        True,
        True,
    ),
    Field(
        "SERVICE_SECRETS", parsers.service_secrets, "32 random bytes in base64; `new,old` to rotate.", None, True, True
    ),
    *ISSUER_FIELDS,
    Field("ADMIN_SCOPE", str, "The scope that makes an administrator.", "rooms:admin"),
    Field(
        "ALLOWED_ORIGINS",
        parsers.origins,
        "Web origins that may read answers (CORS), with commas; none by default.",
        "",
    ),
    Field("CONSOLE", parsers.one_of("on", "off"), "Whether there is a console at `/console/`: `on` or `off`.", "off"),
    Field(
        "CONSOLE_SANDBOX",
        parsers.local_origin,
        "The sandbox that the console controls; `make run` sets it, nobody else needs it.",
    ),
    Field("PUBLIC_URL", parsers.url, "Where callers and Telnyx reach this service."),
    Field(
        "TELNYX_PUBLIC_KEYS",
        parsers.public_keys,
        "Keys that sign Telnyx's webhooks; `new,old`. Needed for webhooks.",
        "",
    ),
    Field(
        "IMPOSTOR_POLICY",
        parsers.one_of("flag", "kick"),
        "What happens to participants whose ticket is not theirs: `flag` in lists and logs, or `kick` too.",
        "flag",
    ),
    Field(
        "ROOM_NAME_PREFIX",
        parsers.room_name_prefix,
        "Put before an alias to make the room's unique name at Telnyx.",
        "vts-",
    ),
    Field(
        "TOKEN_TTL_SECS",
        parsers.between(10, 3600),
        "Life asked for client tokens, in seconds; a room may set its own.",
        "600",
    ),
    Field("TOKEN_RATE_LIMIT_PER_MINUTE", parsers.between(1, 1_000_000), "Token calls per user and room.", "60"),
    Field("HOST", str, "Address to listen on.", "0.0.0.0"),  # noqa: S104 - a server in a container must
    Field("PORT", parsers.between(0, 65_535), "Port to listen on.", "8080"),
    Field("METRICS_PORT", parsers.between(0, 65_535), "Port for /metrics, never to be public.", "9090"),
    Field("WEB_CONCURRENCY", parsers.between(1, 64), "Worker processes.", "2"),
    Field(
        "UPSTREAM_CONCURRENCY",
        parsers.between(1, 1000),
        "Token calls of a worker to Telnyx at the same time, and a quarter as many of all others; the rest waits.",
        "128",
    ),
    Field(
        "KEEPALIVE_SECONDS",
        parsers.between(1, 3600),
        "How long an idle connection is kept: longer than the idle time of the load balancer in front.",
        "620",
    ),
    Field("DRAIN_SECONDS", parsers.between(0, 300), "Time between /readyz turning 503 and the stop, in seconds.", "5"),
    Field("LOG_LEVEL", parsers.one_of("debug", "info", "warning", "error"), "debug, info, warning or error.", "info"),
)


def table() -> str:
    """All variables as the Markdown table of the README."""
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *_rows()]) + "\n"


def _rows() -> Iterator[str]:
    for field in FIELDS:
        default = "required" if field.required else f"`{field.default}`" if field.default else ""
        yield f"| `{field.variable}` | {default} | {field.help}{' Secret.' if field.secret else ''} |"


def masked(url: str) -> str:
    """``url`` without its user and password, for messages."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"***@{host}" if "@" in parts.netloc else host, query="").geturl()
