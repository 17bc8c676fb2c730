"""``check``: every fault by its variable, before it matters."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.cli import run_here
from tests.processes import API_KEY, Sandbox, Valkey, environment, free_port, running

pytestmark = pytest.mark.cooperative


@pytest.fixture(scope="module")
def upstream() -> Iterator[Sandbox]:
    """A sandbox of this module's own, whose keys and clock it may change."""
    yield from running(Sandbox())


@pytest.fixture(autouse=True)
def _unchanged(upstream: Sandbox) -> Iterator[None]:
    yield
    upstream.control("POST", "reset")


def test_a_good_environment_passes(upstream: Sandbox, valkey: Valkey) -> None:
    """Exit code 0, and a line for each thing that was asked."""
    done = run_here(environment(upstream, valkey.url), "check")

    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        "settings:",
        "REDIS_URL:",
        "AUTH_ISSUER:",
        "TELNYX_API_KEYS:",
        "clock:",
    ]


def test_the_findings_come_as_json(valkey: Valkey) -> None:
    """One object, for a program to read; faults of the settings are findings too."""
    some = run_here(environment(None, valkey.url, TELNYX_API_URL="http://127.0.0.1:1/v2"), "check", "--json")
    bad = run_here(environment(None, valkey.url, PORT="http"), "check", "--json")

    told = json.loads(some.stdout)
    assert (some.returncode, told["ok"]) == (2, False)
    assert [(finding["level"], finding["variable"]) for finding in told["findings"]] == [
        ("ok", "settings"),
        ("ok", "REDIS_URL"),
        ("ok", "AUTH_ISSUER"),
        ("fault", "TELNYX_API_URL"),
    ]
    (fault,) = json.loads(bad.stdout)["findings"]
    assert (bad.returncode, bad.stderr, fault["level"], fault["variable"]) == (2, "", "fault", "PORT")


def test_it_only_reads(upstream: Sandbox, valkey: Valkey) -> None:
    """The upstream sees one listing of rooms and nothing else."""
    upstream.control("DELETE", "requests")
    run_here(environment(upstream, valkey.url), "check")

    assert upstream.counts() == {"list_rooms": 1}


def test_all_faults_of_the_settings_come_at_once(valkey: Valkey) -> None:
    """Three broken variables are three lines, and no secret value is among them."""
    env = environment(None, valkey.url, PORT="http", SERVICE_SECRETS="tooshort-canary", AUTH_HS256_SECRET="weak-canary")
    done = run_here(env, "check")

    assert done.returncode == 2
    for variable in ("PORT", "SERVICE_SECRETS", "AUTH_HS256_SECRET"):
        assert f"  {variable} " in done.stderr
    assert "canary" not in done.stderr + done.stdout


def test_a_redis_that_is_not_there_is_named_without_its_password(upstream: Sandbox) -> None:
    """The line shows where it looked and masks the credentials."""
    url = f"redis://user:canary-password@127.0.0.1:{free_port()}/0"
    done = run_here(environment(upstream, url), "check")

    assert done.returncode == 2
    assert "FAULT  REDIS_URL: redis://***@127.0.0.1" in done.stdout
    assert "canary" not in done.stdout + done.stderr


def test_a_redis_that_evicts_is_refused(upstream: Sandbox, valkey: Valkey) -> None:
    """State must not be thrown away, so the policy has to be noeviction."""
    valkey.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        done = run_here(environment(upstream, valkey.url), "check")
    finally:
        valkey.client.config_set("maxmemory-policy", "noeviction")

    assert done.returncode == 2
    assert "maxmemory-policy is allkeys-lru, must be noeviction" in done.stdout


def test_each_api_key_is_tried(upstream: Sandbox, valkey: Valkey) -> None:
    """Of two keys the one that is refused is named by its place, not by its text."""
    upstream.control("PUT", "api-keys", accepted=[API_KEY])
    env = environment(upstream, valkey.url, TELNYX_API_KEYS=f"KEY-not-accepted,{API_KEY}")
    del env["TELNYX_API_KEY"]
    done = run_here(env, "check")

    assert done.returncode == 2
    assert "FAULT  TELNYX_API_KEYS: key 1 of 2 is refused" in done.stdout
    assert "ok     TELNYX_API_KEYS: key 2 of 2 is accepted" in done.stdout
    assert "KEY-" not in done.stdout + done.stderr


def test_a_clock_that_is_off_is_told(upstream: Sandbox, valkey: Valkey) -> None:
    """Upstream's Date an hour from ours is a fault of the clock."""
    upstream.control("POST", "clock", advance=3600)
    done = run_here(environment(upstream, valkey.url), "check")

    assert done.returncode == 2
    assert "FAULT  clock: -3600 s from upstream's" in done.stdout or "FAULT  clock: -3599" in done.stdout


def test_an_issuer_whose_keys_cannot_be_had_is_named(upstream: Sandbox, valkey: Valkey) -> None:
    """The URL and the reason are told."""
    env = environment(upstream, valkey.url, AUTH_JWKS_URL=f"http://127.0.0.1:{free_port()}/jwks")
    del env["AUTH_HS256_SECRET"]
    done = run_here(env, "check")

    assert done.returncode == 2
    assert "FAULT  AUTH_JWKS_URL: issuer default: no keys from http://127.0.0.1" in done.stdout


def test_an_upstream_that_is_not_there_is_named(valkey: Valkey) -> None:
    """A wrong base URL is a fault of TELNYX_API_URL, not of the key."""
    env = environment(None, valkey.url, TELNYX_API_URL=f"http://127.0.0.1:{free_port()}/v2")
    done = run_here(env, "check")

    assert done.returncode == 2
    assert "FAULT  TELNYX_API_URL:" in done.stdout
    assert "TELNYX_API_KEYS" not in done.stdout
