"""Settings: an environment in, one frozen object or every fault at once out.

Rules for editors:
* an attribute of ``Settings`` is a variable in lower case: its annotation says how it is read, and what the help and
  docs/reference/settings.md say of it;
* a fault names the variable and what to do, and never shows a secret's value;
* every variable may come from a file instead: ``NAME_FILE`` holds its path (for mounted secrets); an empty value is no
  value, and nothing insecure is entered by the absence of one.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from service.config import parsers
from service.identity.issuers import IssuerConfig, read_issuer, read_table
from service.identity.setting import Between, Fault, Faults, Setting, settings_of
from service.secret import Secret, SecretBytes, SecretFile

# What they were called in 0.1.0: whoever still sets one means it.
_RENAMED: Final = {
    "AUTH_TYPES": "AUTH_TOKEN_TYPES",
    "IMPOSTORS": "IMPOSTOR_POLICY",
    "TOKEN_CALLS_PER_MINUTE": "TOKEN_RATE_LIMIT_PER_MINUTE",
}
# So an env file's quotes arrive under Docker. No secret begins and ends like this by chance.
_QUOTED: Final = re.compile(r"""(["']).*\1|\[\s*".*"\s*\]""", re.DOTALL)
_OUR_PREFIXES: Final = ("AUTH_", "TELNYX_", "SERVICE_")
# What the vendor's SDKs read for themselves, in the same environment, and this service does not.
_OF_SDKS: Final = frozenset({"TELNYX_BASE_URL", "TELNYX_CLIENT_ID", "TELNYX_CLIENT_SECRET", "TELNYX_CUSTOM_HEADERS"})
_ONE_API_KEY: Final = Setting(parsers.one_api_key, "The same, for one key.", "TELNYX_API_KEY", secret=True)
_SDK_PUBLIC_KEY: Final = Setting(
    parsers.public_keys, "Used where there is no other; Telnyx's SDKs read it as well.", "TELNYX_PUBLIC_KEY"
)


class SettingsError(Faults):
    """Every fault of an environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What this process runs with."""

    # A table: the help of a setting is the line below it.
    # fmt: off
    telnyx_api_keys: Annotated[tuple[Secret, ...], Setting(parsers.api_keys,
        "API keys of the Telnyx account; `new,old` to rotate.", secret=True)]
    telnyx_api_url: Annotated[str, Setting(parsers.url, "Base URL of the Telnyx API.")] = "https://api.telnyx.com/v2"
    redis_url: Annotated[Secret, Setting(parsers.store_url,
        "Redis or Valkey: a server, `redis+sentinel://` or `redis+cluster://`.", secret=True)]
    redis_call_ms: Annotated[int, Setting(Between(10, 2000),
        "How long a call to Redis may take, in milliseconds.")] = 250
    redis_connect_ms: Annotated[int, Setting(Between(10, 10_000),
        "How long opening a connection to Redis may take, with TLS and login, in milliseconds.")] = 1000
    service_secrets: Annotated[tuple[SecretBytes, ...], Setting(parsers.service_secrets,
        "32 random bytes in base64; `new,old` to rotate.", secret=True)]
    issuers: Annotated[tuple[IssuerConfig, ...], Setting(read_table,
        "The issuer table as TOML, for more than one issuer (mostly as AUTH_ISSUERS_FILE).", "auth_issuers")] = ()
    admin_scope: Annotated[str, Setting(parsers.one_scope, "The scope that makes an administrator.")] = "rooms:admin"
    allowed_origins: Annotated[tuple[str, ...], Setting(parsers.origins,
        "Origins of web pages and app shells that may read answers (CORS), with commas; none by default.")] = ()
    console: Annotated[str, Setting(parsers.one_of("on", "off"),
        "Whether there is a console at `/console/`: `on` or `off`.")] = "off"
    console_sandbox: Annotated[str | None, Setting(parsers.local_origin,
        "The sandbox that the console controls; `make run` sets it, nobody else needs it.")] = None
    public_url: Annotated[str | None, Setting(parsers.public_url,
        "Where callers and Telnyx reach this service, without a path.")] = None
    telnyx_public_keys: Annotated[tuple[bytes, ...], Setting(parsers.public_keys,
        "Keys that sign Telnyx's webhooks; `new,old`. Needed for webhooks.")] = ()
    impostor_policy: Annotated[str, Setting(parsers.one_of("flag", "kick"),
        "What happens to participants whose ticket is not theirs: `flag` in lists and logs, or `kick` too.")] = "flag"
    room_name_prefix: Annotated[str, Setting(parsers.room_name_prefix,
        "Put before an alias to make the room's unique name at Telnyx.")] = "vts-"
    token_ttl_secs: Annotated[int, Setting(Between(10, 3600),
        "Life asked for client tokens, in seconds; a room may set its own.")] = 600
    token_rate_limit_per_minute: Annotated[int, Setting(Between(1, 1_000_000), "Token calls per user and room.")] = 60
    host: Annotated[str, Setting(parsers.host, "Address to listen on; `::` for IPv6 and IPv4.")] = "0.0.0.0"  # noqa: S104
    port: Annotated[int, Setting(Between(0, 65_535), "Port to listen on.")] = 8080
    metrics_port: Annotated[int, Setting(Between(0, 65_535), "Port for /metrics, never to be public.")] = 9090
    web_concurrency: Annotated[int, Setting(Between(1, 64), "Worker processes.")] = 2
    upstream_concurrency: Annotated[int, Setting(Between(1, 1000),
        "Token calls of a worker to Telnyx at the same time; of all others a quarter as many. The rest waits.")] = 128
    keepalive_seconds: Annotated[int, Setting(Between(1, 3600),
        "How long an idle connection is kept: longer than the idle time of the load balancer in front.")] = 620
    proxy_protocol_from: Annotated[tuple[str, ...], Setting(parsers.networks,
        "Addresses and networks of balancers that speak the PROXY protocol, with commas; none by default.")] = ()
    trusted_proxies: Annotated[tuple[str, ...], Setting(parsers.networks,
        "Addresses and networks of proxies whose `X-Forwarded-For` is believed in the log, with commas.")] = ()
    drain_seconds: Annotated[int, Setting(Between(0, 300),
        "Time between /readyz turning 503 and the stop, in seconds.")] = 5
    log_level: Annotated[str, Setting(parsers.one_of("debug", "info", "warning", "error"),
        "debug, info, warning or error.")] = "info"
    log_hits_one_in: Annotated[int, Setting(Between(1, 1_000_000),
        "Of tokens served from the cache one in so many leaves a line in the log; 1 for all.")] = 1
    log_client_address: Annotated[str, Setting(parsers.one_of("off", "short", "full"),
        "From where a request came, in its lines: `off`, `short` (the network: /24, of IPv6 /48) or `full`.")] = "short"
    # fmt: on

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """The settings of an environment; raises ``SettingsError`` listing all of its faults."""
        texts, faults = _texts(env)
        settings = settings_of(cls)
        if "TELNYX_API_KEY" in texts:
            if "TELNYX_API_KEYS" in texts:
                faults.append(Fault("TELNYX_API_KEY", "is set as well as TELNYX_API_KEYS; keep one"))
            settings["telnyx_api_keys"] = _ONE_API_KEY
        if "TELNYX_PUBLIC_KEYS" not in texts:
            settings["telnyx_public_keys"] = _SDK_PUBLIC_KEY
        del settings["issuers"]
        values: dict[str, Any] = {}
        for attribute, setting in settings.items():
            try:
                if text := texts.get(setting.variable):
                    values[attribute] = setting.read(text)
                elif setting.required and setting.variable not in texts:
                    raise ValueError(f"is required: {setting.help}")
            except ValueError as why:
                faults.append(Fault(setting.variable, str(why)))
        if "redis_url" in values and (path := env.get("REDIS_URL_FILE")):
            # Its password may change while this process lives.
            values["redis_url"] = SecretFile(Path(path), values["redis_url"].reveal())
        issuers, issuer_faults = _issuers(texts)
        faults += [*issuer_faults, *_misspelled(env)]
        if faults:
            raise SettingsError(faults)
        return cls(**values, issuers=issuers)

    def warnings(self) -> tuple[Fault, ...]:
        """Settings that the service starts with, though they were probably not meant."""
        if any("admin" in issuer.trust for issuer in self.issuers):
            return ()
        fault = "no issuer is trusted with admin, so nobody is an administrator and /v1/admin is closed to all"
        return (Fault("AUTH_TRUST", f"{fault}: add admin here, or to trust in the issuers file"),)


def _texts(env: Mapping[str, str]) -> tuple[dict[str, str | None], list[Fault]]:
    """The texts of the variables that are given, by themselves or as files. One that cannot be read is a fault and has
    the text ``None``: that it has no value then is not a second fault.
    """
    texts: dict[str, str | None] = {}
    faults = []
    for variable in (setting.variable for setting in variables()):
        direct, path = env.get(variable), env.get(f"{variable}_FILE")
        fault = None
        try:
            # Windows' editors begin a file with a mark.
            text = Path(path).read_text("utf-8-sig").strip() if path else (direct or "").encode().decode()
            if _QUOTED.fullmatch(text) and "BEGIN " not in text:
                fault = Fault(variable, "must be the text itself, without quotes and JSON; several with commas")
        except UnicodeEncodeError:
            fault = Fault(variable, "is not UTF-8")
        except (OSError, ValueError) as error:
            fault = Fault(f"{variable}_FILE", f"cannot be read ({type(error).__name__})")
        if direct and path:
            fault = Fault(variable, f"is set twice: by itself and by {variable}_FILE; keep one")
        if fault is not None:
            texts[variable] = None
            faults.append(fault)
        elif text:
            texts[variable] = text
    return texts, faults


def _issuers(texts: Mapping[str, str | None]) -> tuple[tuple[IssuerConfig, ...], list[Fault]]:
    """The issuer table, from a file or from simple variables, or what is wrong with it."""
    names = [setting.variable for setting in _issuer_variables()]
    # One that cannot be read has a value that no setting takes: its fault is known by now.
    given = {name.removeprefix("AUTH_").lower(): texts[name] or True for name in names if name in texts}
    table = texts.get("AUTH_ISSUERS")
    if table is None and "AUTH_ISSUERS" in texts:
        return (), []
    if table is not None and given:
        others = ", ".join(name for name in names if name in texts)
        return (), [Fault("AUTH_ISSUERS", f"is the whole table: remove {others}")]
    try:
        return (read_issuer(given),) if table is None else read_table(table), []
    except Faults as error:
        if table is not None:
            messages = [f"{fault.variable}: {fault.message}".removeprefix(": ") for fault in error.faults]
            return (), [Fault("AUTH_ISSUERS", message) for message in messages]
        found = [Fault(f"AUTH_{fault.variable.upper()}", _in_variables(fault.message, names)) for fault in error.faults]
        return (), [fault for fault in found if texts.get(fault.variable, "") is not None]


def _in_variables(message: str, names: list[str]) -> str:
    """With the variables in place of the members of a table that it names."""
    members = {name.removeprefix("AUTH_").lower(): name for name in names if name.count("_") > 1}
    return re.sub(r"\w+", lambda word: members.get(word[0], word[0]), message)


def _misspelled(env: Mapping[str, str]) -> Iterator[Fault]:
    """A variable that looks like one of ours and is none was probably meant to be one."""
    known = {name for setting in variables() for name in (setting.variable, f"{setting.variable}_FILE")}
    for name in env:
        if name.removesuffix("_FILE") in _RENAMED:
            yield Fault(name, f"is now called {_RENAMED[name.removesuffix('_FILE')]}")
        elif name.startswith(_OUR_PREFIXES) and name not in known | _OF_SDKS:
            for close in difflib.get_close_matches(name, known, 1, 0.8):
                yield Fault(name, f"is not a setting; did you mean {close}?")


def _issuer_variables() -> list[Setting]:
    settings = settings_of(IssuerConfig)
    del settings["default"]  # of several issuers one is the default, so no variable says it
    return [replace(setting, name=f"AUTH_{setting.name.upper()}") for setting in settings.values()]


def variables() -> tuple[Setting, ...]:
    """All settings that an environment may hold, in the order of docs/reference/settings.md."""
    more = {
        "TELNYX_API_KEYS": [_ONE_API_KEY],
        "AUTH_ISSUERS": _issuer_variables(),
        "TELNYX_PUBLIC_KEYS": [_SDK_PUBLIC_KEY],
    }
    settings = settings_of(Settings).values()
    return tuple(row for setting in settings for row in (setting, *more.get(setting.variable, ())))


def table() -> str:
    """All variables as the Markdown table of docs/reference/settings.md."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for setting in variables():
        default = "required" if setting.required else f"`{setting.default}`" if setting.default else ""
        rows.append(f"| `{setting.variable}` | {default} | {setting.help}{' Secret.' if setting.secret else ''} |")
    return "\n".join(rows) + "\n"


def masked(url: str) -> str:
    """``url`` without its user and password, for messages."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"***@{host}" if "@" in parts.netloc else host, query="").geturl()
