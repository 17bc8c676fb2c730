"""Everything that is done with the rights that the guide names, and each right that is missing is named by `check`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from service.storage.redis_keys import PREFIX
from tests.acceptance.test_invites import *  # noqa: F403 - the same tests, with no more rights than these
from tests.acceptance.test_story import *  # noqa: F403 - as above
from tests.cli.cli import run_here
from tests.processes import ROOT, Caller, Sandbox, ServiceProcess, environment, fresh, make_room, running, until
from tests.topologies.servers import Server

# What comes with the star is not for here.
pytestmark = [pytest.mark.early]  # type: ignore[assignment]
# Its subject is the order of two calls. It would start a service, in the process of what is cooperative.
del test_an_invite_revoked_while_it_is_redeemed_is_not_used  # noqa: F821 - came with the star

PASSWORD = "made-for-tests"


def rights() -> list[str]:
    """As the guide gives them."""
    (line,) = re.findall(r"^user vts (.*)$", (ROOT / "docs" / "redis.md").read_text(), re.MULTILINE)
    return str(line).replace("PASSWORD", PASSWORD).split()


def test_the_compose_file_uses_the_same(tmp_path: Path) -> None:
    """But for what only a Cluster needs."""
    (tmp_path / "key").write_text("KEY")
    subprocess.run([ROOT / "deploy" / "make-secrets", tmp_path / "key", tmp_path / "secrets"], check=True)
    (line,) = re.findall(
        r"^user default on >\S+ (.*)$", (tmp_path / "secrets" / "valkey_users").read_text(), re.MULTILINE
    )
    of_a_cluster = {"+command", "+cluster|slots", "+asking"}

    assert line.split() == [word for word in rights()[2:] if word not in of_a_cluster]


class Guarded(Server):
    """A server with that user, under the name by which the acceptance tests know theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.client.execute_command("ACL", "SETUSER", "vts", *rights())
        self.url = f"redis://vts:{PASSWORD}@127.0.0.1:{self.port}"

    def refused(self) -> list[str]:
        """What that user was refused so far, but for what a server may refuse."""
        return [str(entry["object"]) for entry in self.client.acl_log() if entry["username"] == "vts"]


@pytest.fixture(scope="module")
def valkey() -> Iterator[Guarded]:
    yield from running(Guarded())


def test_every_command_is_checked_for() -> None:
    """What scripts of ours call, or are given to call, is on the list of `check` and in the guide."""
    scripts = "".join(path.read_text() for path in (ROOT / "service" / "storage" / "lua").glob("*.lua"))
    modules = "".join(path.read_text() for path in (ROOT / "service" / "storage").glob("*.py"))
    called = set(re.findall(r"(?:call|lenient)\('([A-Z]+)'", scripts))
    called |= set(re.findall(r'command\(\s*"([A-Z]+)"', modules))
    checked = set(re.findall(r"'([A-Z]{3,})'", (ROOT / "service/storage/lua/check_rights.lua").read_text()))

    assert called - checked == set()
    assert {f"+{name.lower()}" for name in called | checked} - {"+streams"} <= set(rights())


def test_nothing_was_refused(valkey: Guarded) -> None:
    """In all the tests before this one."""
    assert valkey.refused() == []


@pytest.mark.cooperative
def test_check_passes(valkey: Guarded, sandbox: Sandbox) -> None:
    """And says which server it is, and its policy."""
    done = run_here(environment(sandbox, valkey.url), "check")

    assert done.returncode == 0, done.stdout
    assert "maxmemory-policy noeviction" in done.stdout
    assert valkey.refused() == []


@pytest.mark.cooperative
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("-hget", "the user may not run HGET"),
        ("-zpopmin -xadd", "the user may not run ZPOPMIN, XADD"),
        ("-evalsha", f"the user may not run scripts on keys that begin with {PREFIX}"),
        ("-eval", f"the user may not run scripts on keys that begin with {PREFIX}"),
        ("resetkeys ~app:*", f"the user may not run scripts on keys that begin with {PREFIX}"),
    ],
)
def test_a_missing_right_is_named(sandbox: Sandbox, change: str, named: str) -> None:
    """The start does not fail for it, and `check` says which it is."""
    for server in running(Guarded()):
        server.client.execute_command("ACL", "SETUSER", "vts", *change.split())
        done = run_here(environment(sandbox, server.url), "check")

        assert done.returncode == 2
        assert named in done.stdout


@pytest.mark.long
def test_a_right_that_is_taken_away_is_an_outage_that_says_so(sandbox: Sandbox) -> None:
    """Known users go on, nobody waits, the log names the right; given back, all is well by itself."""
    for server in running(Guarded()):
        for service in running(ServiceProcess(environment(sandbox, server.url))):
            alias = fresh()
            make_room(service.url, alias, access=[{"authenticated": True, "role": "participant"}])
            alice = Caller(service.url, "alice")
            assert alice.token(alias).ok
            server.client.execute_command("ACL", "SETUSER", "vts", "-hget", "-hmget")
            assert alice.token(alias).json()["source"] == "cache"

            assert requests.get(f"{service.url}/readyz", timeout=5).json()["redis"] == "down"
            until(lambda: "the user may not run HGET, HMGET" in service.output(), 10, "the line")  # noqa: B023 - at once
            server.client.execute_command("ACL", "SETUSER", "vts", "+hget", "+hmget")
            until(lambda: Caller(service.url, fresh("user")).token(alias).ok, 10, "a stranger's token")  # noqa: B023 - at once


@pytest.mark.cooperative
@pytest.mark.parametrize("change", ["-info", "-role", "-config|get", "-info -role -config|get -wait"])
def test_what_may_be_refused_stops_nothing(sandbox: Sandbox, change: str) -> None:
    """What cannot be asked is not known, and everything else goes on."""
    for server in running(Guarded()):
        server.client.execute_command("ACL", "SETUSER", "vts", *change.split())
        done = run_here(environment(sandbox, server.url), "check")

        assert done.returncode == 0, done.stdout
