"""An environment is read whole: settings, or every fault at once by the name of its variable, and never a secret."""

from __future__ import annotations

import base64
import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config.settings import Settings, SettingsError, variables
from service.secret import Secret, SecretBytes
from tests.identity.forge import SECRET, UNHURRIED

RAW = os.urandom(32)
KEY = base64.b64encode(RAW).decode()
CANARY = "Canary7Zq4Xw9Lt2Vb8Nm5Rk3"


def environment(**changes: str | None) -> dict[str, str]:
    """The least that is needed, with changes; ``None`` takes a variable out."""
    least = {
        "TELNYX_API_KEYS": "KEY0",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "SERVICE_SECRETS": KEY,
        "AUTH_ISSUER": "https://login.example.com/",
        "AUTH_AUDIENCE": "video",
        "AUTH_HS256_SECRET": SECRET,
    }
    return {name: value for name, value in (least | changes).items() if value is not None}


def read(**changes: str | None) -> Settings:
    return Settings.from_env(environment(**changes))


def faults(**changes: str | None) -> dict[str, str]:
    """What is wrong, by variable; fails if nothing is."""
    with pytest.raises(SettingsError) as caught:
        read(**changes)
    return {fault.variable: fault.message for fault in caught.value.faults}


def test_the_least_is_enough() -> None:
    """Everything else has a default, and the defaults are the documented ones."""
    settings = read()

    documented = {field.variable: field.default for field in variables() if field.default is not None}
    assert str(settings.port) == documented["PORT"]
    assert str(settings.token_ttl_secs) == documented["TOKEN_TTL_SECS"]
    assert settings.telnyx_api_url == documented["TELNYX_API_URL"]
    assert settings.allowed_origins == ()
    assert (settings.console, settings.console_sandbox) == ("off", None)
    assert settings.public_url is None
    assert settings.service_secrets == (SecretBytes(RAW),)
    assert settings.issuers[0].trust == frozenset()


GOOD: dict[str, tuple[dict[str, str | None], str, Any]] = {
    "one API key": ({"TELNYX_API_KEYS": None, "TELNYX_API_KEY": "K"}, "telnyx_api_keys", (Secret("K"),)),
    "two API keys": ({"TELNYX_API_KEYS": "new, old"}, "telnyx_api_keys", (Secret("new"), Secret("old"))),
    "a local API": ({"TELNYX_API_URL": "http://127.0.0.1:9/v2/"}, "telnyx_api_url", "http://127.0.0.1:9/v2"),
    "Redis over TLS": ({"REDIS_URL": "rediss://u:p@h:1/0"}, "redis_url", Secret("rediss://u:p@h:1/0")),
    "Redis by a socket": ({"REDIS_URL": "unix:///run/r.sock"}, "redis_url", Secret("unix:///run/r.sock")),
    "two secrets": ({"SERVICE_SECRETS": f"{KEY},{KEY}"}, "service_secrets", (SecretBytes(RAW),) * 2),
    "a secret without padding": ({"SERVICE_SECRETS": KEY.rstrip("=")}, "service_secrets", (SecretBytes(RAW),)),
    "a secret for URLs": (
        {"SERVICE_SECRETS": base64.urlsafe_b64encode(RAW).decode()},
        "service_secrets",
        (SecretBytes(RAW),),
    ),
    "an admin scope": ({"ADMIN_SCOPE": "video/admin"}, "admin_scope", "video/admin"),
    "origins": (
        {"ALLOWED_ORIGINS": "https://a.example.com, http://localhost:3000,http://[::1]:80"},
        "allowed_origins",
        ("https://a.example.com", "http://localhost:3000", "http://[::1]"),
    ),
    "origins of app shells": (
        {"ALLOWED_ORIGINS": "capacitor://localhost,ionic://localhost,app://-,tauri://t,https://b.test:443"},
        "allowed_origins",
        ("capacitor://localhost", "ionic://localhost", "app://-", "tauri://t", "https://b.test"),
    ),
    "a public URL": ({"PUBLIC_URL": "https://tokens.example.com/"}, "public_url", "https://tokens.example.com"),
    "a prefix": ({"ROOM_NAME_PREFIX": "staging "}, "room_name_prefix", "staging "),
    "the shortest token life": ({"TOKEN_TTL_SECS": "10"}, "token_ttl_secs", 10),
    "the longest token life": ({"TOKEN_TTL_SECS": "3600"}, "token_ttl_secs", 3600),
    "calls": ({"TOKEN_RATE_LIMIT_PER_MINUTE": "1000000"}, "token_rate_limit_per_minute", 1_000_000),
    "an address in brackets": ({"HOST": "[::1]"}, "host", "::1"),
    "a line feed of Windows": (
        {"PUBLIC_URL": "https://tokens.example.com\r"},
        "public_url",
        "https://tokens.example.com",
    ),
    "a host": ({"HOST": "::"}, "host", "::"),
    "any free port": ({"PORT": "0"}, "port", 0),
    "a port for metrics": ({"METRICS_PORT": "65535"}, "metrics_port", 65535),
    "workers": ({"WEB_CONCURRENCY": "64"}, "web_concurrency", 64),
    "one call at a time": ({"UPSTREAM_CONCURRENCY": "1"}, "upstream_concurrency", 1),
    "a patient load balancer": ({"KEEPALIVE_SECONDS": "3600"}, "keepalive_seconds", 3600),
    "no draining": ({"DRAIN_SECONDS": "0"}, "drain_seconds", 0),
    "a log level": ({"LOG_LEVEL": "WARNING"}, "log_level", "warning"),
    "sampled hits": ({"LOG_HITS_ONE_IN": "100"}, "log_hits_one_in", 100),
    "an empty value is none": ({"PORT": "", "ADMIN_SCOPE": ""}, "port", 8080),
}


@pytest.mark.parametrize(("changes", "attribute", "value"), GOOD.values(), ids=GOOD)
def test_good_values_are_taken(changes: dict[str, str | None], attribute: str, value: object) -> None:
    """Each variable, in each form that its help names."""
    assert getattr(read(**changes), attribute) == value


BAD: list[tuple[str, str]] = [
    ("TELNYX_API_KEYS", "a,b,c"),
    ("TELNYX_API_KEYS", ","),
    ("TELNYX_API_KEYS", "with space"),
    ("TELNYX_API_KEYS", "schlüssel"),
    ("TELNYX_API_KEYS", "line\nfeed"),
    ("TELNYX_API_URL", "http://api.telnyx.com/v2"),
    ("TELNYX_API_URL", "api.telnyx.com"),
    ("TELNYX_API_URL", "https://"),
    ("TELNYX_API_URL", "https://[nonsense"),
    ("TELNYX_API_URL", "https://host:99999"),
    ("TELNYX_API_URL", "http://127.0.0.1.evil.example.com"),
    ("TELNYX_API_URL", "http://127.0.0.1@evil.example.com"),
    ("REDIS_URL", "localhost:6379"),
    ("REDIS_URL", "http://localhost"),
    ("REDIS_URL", "redis:localhost"),
    ("SERVICE_SECRETS", ","),
    ("SERVICE_SECRETS", "short"),
    ("SERVICE_SECRETS", KEY[:40]),
    ("SERVICE_SECRETS", base64.b64encode(bytes(64)).decode()),
    ("SERVICE_SECRETS", base64.b64encode(bytes(32)).decode()),
    ("SERVICE_SECRETS", base64.b64encode(b"0123456789abcdef" * 2).decode()),
    ("SERVICE_SECRETS", f"{KEY},short"),
    ("SERVICE_SECRETS", "!" * 44),
    ("CONSOLE", "yes"),
    ("CONSOLE_SANDBOX", "https://sandbox.example.com"),
    ("CONSOLE_SANDBOX", "http://127.0.0.1:8081/sandbox"),
    ("CONSOLE_SANDBOX", "http://127.0.0.1:8081; script-src *"),
    ("ALLOWED_ORIGINS", "*"),
    ("ALLOWED_ORIGINS", "null"),
    ("ALLOWED_ORIGINS", "https://a.example.com/"),
    ("ALLOWED_ORIGINS", "https://a.example.com/path"),
    ("ALLOWED_ORIGINS", "https://*.example.com"),
    ("ALLOWED_ORIGINS", "a.example.com"),
    ("ALLOWED_ORIGINS", "https://A.example.com"),
    ("ALLOWED_ORIGINS", "capacitor://"),
    ("ALLOWED_ORIGINS", "https://a.example.com https://b.example.com"),
    ("PUBLIC_URL", "http://tokens.example.com"),
    ("PUBLIC_URL", "tokens.example.com"),
    ("PUBLIC_URL", "https://tokens.example.com/video/"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("LOG_CLIENT_ADDRESS", "on"),
    ("PUBLIC_URL", "https://tokens.example.com/?tenant=a"),
    ("TELNYX_API_URL", "https://user:password@api.telnyx.com/v2"),
    ("TELNYX_API_KEYS", '"KEY0"'),
    ("AUTH_ISSUER", "'https://login.example.com/'"),
    ("AUTH_AUDIENCE", '["video", "mobile"]'),
    ("ADMIN_SCOPE", "rooms:admin,video:admin"),
    ("HOST", "0.0.0.0:8080"),
    ("HOST", "http://0.0.0.0"),
    ("HOST", "*"),
    ("ROOM_NAME_PREFIX", "x" * 41),
    ("ROOM_NAME_PREFIX", "räume-"),
    ("ROOM_NAME_PREFIX", "a\tb"),
    ("TOKEN_TTL_SECS", "9"),
    ("TOKEN_TTL_SECS", "3601"),
    ("TOKEN_TTL_SECS", "600.0"),
    ("TOKEN_TTL_SECS", "10m"),
    ("TOKEN_RATE_LIMIT_PER_MINUTE", "0"),
    ("TOKEN_RATE_LIMIT_PER_MINUTE", "-1"),
    ("PORT", "65536"),
    ("PORT", "http"),
    ("PORT", "0x50"),
    ("PORT", "٨٠"),
    ("METRICS_PORT", "1e3"),
    ("WEB_CONCURRENCY", "0"),
    ("WEB_CONCURRENCY", "65"),
    ("UPSTREAM_CONCURRENCY", "0"),
    ("UPSTREAM_CONCURRENCY", "1001"),
    ("KEEPALIVE_SECONDS", "0"),
    ("KEEPALIVE_SECONDS", "9" * 5000),
    ("DRAIN_SECONDS", "301"),
    ("LOG_LEVEL", "verbose"),
]


@pytest.mark.parametrize(("variable", "value"), BAD, ids=[f"{name} {number}" for number, (name, _) in enumerate(BAD)])
def test_bad_values_are_faults_of_their_variable(variable: str, value: str) -> None:
    """One fault, of that variable, with advice."""
    found = faults(**{variable: value})

    assert list(found) == [variable]
    assert found[variable].startswith("must ")


@pytest.mark.parametrize(
    "variable", ["TELNYX_API_KEYS", "REDIS_URL", "SERVICE_SECRETS", "AUTH_ISSUER", "AUTH_AUDIENCE"]
)
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_required_is_asked_for(variable: str, value: str | None) -> None:
    """Missing or empty: nothing insecure is entered by the absence of a value."""
    found = faults(**{variable: value})

    assert list(found) == [variable]
    assert found[variable].startswith("is required")


def test_every_fault_comes_at_once() -> None:
    """An empty environment with one bad value names all that it lacks, and the bad one."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"PORT": "x", "AUTH_LEEWAY_SECS": "x", "AUTH_TRUST": "everything", "AUTH_JWKS_URL": "x"})

    assert {fault.variable for fault in caught.value.faults} == {
        *("TELNYX_API_KEYS", "REDIS_URL", "SERVICE_SECRETS", "PORT"),
        *("AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_JWKS_URL", "AUTH_LEEWAY_SECS", "AUTH_TRUST"),
    }


def test_the_error_itself_says_all() -> None:
    """Whoever prints it shows every variable and its advice."""
    with pytest.raises(SettingsError, match=r"PORT: must be a whole number.*LOG_LEVEL: must be debug"):
        read(PORT="x", LOG_LEVEL="x")


def test_two_names_for_api_keys_are_one_too_many() -> None:
    """Which of them counts would be a guess."""
    assert list(faults(TELNYX_API_KEY="K")) == ["TELNYX_API_KEY"]


def test_a_blank_api_key_is_none() -> None:
    """With it the service would start, and Telnyx refuse every call."""
    assert faults(TELNYX_API_KEYS=None, TELNYX_API_KEY=" ") == {"TELNYX_API_KEY": "is required"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SERVICE_SECRETS", KEY), ("TELNYX_API_KEYS", "KEY0"), ("AUTH_HS256_SECRET", SECRET), ("AUTH_AUDIENCE", "video")],
    ids=["service secrets", "API keys", "shared secret", "audience"],
)
def test_a_variable_may_come_from_a_file(variable: str, value: str, tmp_path: Path) -> None:
    """As mounted secrets do, with the line feed that editors leave."""
    (tmp_path / "value").write_text(f"{value}\n", "utf-8")

    assert read(**{variable: None, f"{variable}_FILE": str(tmp_path / "value")}) == read(**{variable: value})


def test_a_file_of_windows_is_read(tmp_path: Path) -> None:
    """The mark at its beginning is no part of the value, which may be read anew while the service runs."""
    (tmp_path / "value").write_bytes(b"\xef\xbb\xbfredis://h\r\n")

    assert read(REDIS_URL=None, REDIS_URL_FILE=str(tmp_path / "value")).redis_url.reveal() == "redis://h"


@pytest.mark.parametrize("variable", ["SERVICE_SECRETS", "AUTH_HS256_SECRET", "TELNYX_API_KEYS", "PORT"])
def test_a_variable_may_not_come_from_two_places(variable: str, tmp_path: Path) -> None:
    """Itself and its file: which of them counts would be a guess."""
    (tmp_path / "value").write_text(KEY, "utf-8")

    found = faults(**{"PORT": "1", variable: KEY, f"{variable}_FILE": str(tmp_path / "value")})

    assert list(found) == [variable]
    assert found[variable].startswith("is set twice")


@pytest.mark.parametrize(
    "variable", ["SERVICE_SECRETS", "AUTH_HS256_SECRET", "AUTH_AUDIENCE", "TELNYX_API_KEYS", "TELNYX_API_KEY"]
)
@pytest.mark.parametrize("kind", ["missing", "folder", "binary"])
def test_a_file_that_cannot_be_read_is_one_fault(variable: str, kind: str, tmp_path: Path) -> None:
    """Named as the file's variable, and not a second time as a missing value."""
    path = tmp_path / "value"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe")
    keys = {"TELNYX_API_KEYS": None} if variable == "TELNYX_API_KEY" else {}

    found = faults(**{**keys, variable: None, f"{variable}_FILE": str(path)})

    assert list(found) == [f"{variable}_FILE"]
    assert found[f"{variable}_FILE"].startswith("cannot be read")


def test_a_table_that_cannot_be_read_is_one_fault(tmp_path: Path) -> None:
    """Nothing is then said of the single issuer that is not there either."""
    single = {"AUTH_ISSUER": None, "AUTH_AUDIENCE": None, "AUTH_HS256_SECRET": None}

    assert list(faults(**single, AUTH_ISSUERS_FILE=str(tmp_path / "missing"))) == ["AUTH_ISSUERS_FILE"]


def test_an_empty_file_is_no_value(tmp_path: Path) -> None:
    """A mount that has not been filled."""
    (tmp_path / "value").write_text("\n", "utf-8")

    assert list(faults(SERVICE_SECRETS=None, SERVICE_SECRETS_FILE=str(tmp_path / "value"))) == ["SERVICE_SECRETS"]


@pytest.mark.parametrize("variable", ["AUTH_HS256_SECRET", "SERVICE_SECRETS", "AUTH_ISSUER", "ADMIN_SCOPE"])
def test_bytes_that_are_no_text_are_a_fault(variable: str) -> None:
    """As an environment of bytes hands them over."""
    assert faults(**{variable: os.fsdecode(b"\xff" * 40)}) == {variable: "is not UTF-8"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("AUTH_JWKS_URI", "AUTH_JWKS_URL"),
        ("AUTH_AUDIENCES", "AUTH_AUDIENCE"),
        ("AUTH_HS265_SECRET", "AUTH_HS256_SECRET"),
        ("SERVICE_SECRET", "SERVICE_SECRETS"),
        ("SERVICE_SECRETS_FILES", "SERVICE_SECRETS_FILE"),
        ("TELNYX_APIKEY", "TELNYX_API_KEY"),
    ],
)
def test_a_near_miss_is_asked_about(typed: str, meant: str) -> None:
    """A variable that was meant would otherwise be silently absent."""
    assert faults(**{typed: CANARY}) == {typed: f"is not a setting; did you mean {meant}?"}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("AUTH_TYPES", "AUTH_TOKEN_TYPES"),
        ("IMPOSTORS", "IMPOSTOR_POLICY"),
        ("TOKEN_CALLS_PER_MINUTE_FILE", "TOKEN_RATE_LIMIT_PER_MINUTE"),
    ],
)
def test_a_variable_of_the_release_before_is_refused_by_its_new_name(before: str, now: str) -> None:
    """Whoever sets it means it: nothing is silently left at its default."""
    assert faults(**{before: CANARY}) == {before: f"is now called {now}"}


@pytest.mark.parametrize(
    "name", ["PATH", "TELNYX_REGION", "AUTH_SERVICE_HOST", "AUTH_PORT_80_TCP", "SERVICE_PORT", "PROT"]
)
def test_other_variables_are_nobodys_business(name: str) -> None:
    """Those of the system, of other programs, and those that an orchestrator makes of service names."""
    assert read(**{name: "x"}) == read()


SECRETS = [field.variable for field in variables() if field.secret]


@pytest.mark.parametrize("variable", SECRETS)
@pytest.mark.parametrize("shape", ["{}", "{} {}", "{},{},{},{}", "http://u:{}@h", "\x00{}", "{}\udcff"])
def test_no_secret_is_ever_shown(variable: str, shape: str) -> None:
    """Not in a fault, not in the error, not in the settings' own words."""
    text = shape.replace("{}", CANARY)
    try:
        shown = repr(read(**{"TELNYX_API_KEYS": None, "TELNYX_API_KEY": "K", variable: text}))
    except SettingsError as error:
        shown = f"{error!r} {error}"

    assert CANARY not in shown


def test_good_secrets_are_hidden_in_the_settings() -> None:
    """Printing the settings prints no key, password or secret."""
    settings = read(TELNYX_API_KEYS=CANARY, REDIS_URL=f"redis://u:{CANARY}@h", AUTH_HS256_SECRET=f"{CANARY}{CANARY}")

    assert CANARY not in repr(settings)
    assert KEY not in repr(settings)


_variables = st.sampled_from([field.variable + suffix for field in variables() for suffix in ("", "_FILE")])
_values = st.text(st.characters(exclude_characters="\0"), max_size=40) | st.sampled_from(
    ["true", "1", ",", "[[issuer]]"]
)


@UNHURRIED
@given(st.dictionaries(_variables, _values, max_size=6))
def test_any_environment_is_settings_or_faults(changes: dict[str, str]) -> None:
    """No text in any variable makes anything else."""
    with contextlib.suppress(SettingsError):
        assert read(**changes).issuers
