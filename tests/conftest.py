"""One embedded server, one sandbox and one service for the whole run; tests keep apart by names of their own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

from tests.processes import ROOT, Sandbox, ServiceProcess, Valkey, environment, running

# How long an example takes is the machine's business.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# What needs a machine for itself: several replicas, Clusters, floods. ``make faults`` (FAULTS=full) runs it.
LONG: Final = (
    "tests/acceptance/test_herds.py",
    "tests/acceptance/test_upgrade.py::test_two_releases",
    "tests/acceptance/test_herds.py::test_a_herd_costs_one_call_for_each_token[three",
    "tests/acceptance/test_guests.py::test_after_a_rotation",
    "tests/acceptance/test_guests.py::test_replicas_share",
    "tests/acceptance/test_outages.py",
    "tests/acceptance/test_renewing.py::test_a_participant_who_follows",
    # The same tour runs with the least rights at Redis (``tests/topologies/test_acl.py``).
    "tests/acceptance/test_story.py",
    "tests/acceptance/test_webhook_crashes.py",
    "tests/agreement/test_sdk_tests.py",
    "tests/cli/test_stopping.py",
    "tests/console/test_joining.py",
    "tests/console/test_pages.py::test_axe_finds_nothing[dark]",
    "tests/console/test_pages.py::test_the_documentation_may_ask",
    "tests/console/test_pages.py::test_the_documentation_shows",
    "tests/console/test_moderators.py",
    "tests/bench/test_bench.py",
    "tests/clients/test_android",
    "tests/clients/test_console.py",
    "tests/clients/test_sample.py",
    "tests/clients/test_sdk.py",
    "tests/clients/test_sdk_calls.py",
    "tests/clients/test_wake_ups.py",
    "tests/contract/",
    "tests/edge/test_draining.py",
    "tests/edge/test_framing.py::test_a_long_target_is_refused[100000",
    "tests/edge/test_scarcity.py",
    "tests/edge/test_slow.py",
    "tests/edge/test_turns.py",
    "tests/faults/test_account.py",
    "tests/faults/test_cooldowns.py",
    "tests/faults/test_figures.py",
    "tests/faults/test_keys.py",
    "tests/faults/test_redis.py::test_a_token_made_during_an_outage",
    "tests/faults/test_redis.py::test_it_starts",
    "tests/faults/test_redis_values.py",
    "tests/faults/test_removals.py::test_a_banned_user_gets_no_token_from_any_worker[killed]",
    "tests/faults/test_telnyx_silence.py",
    "tests/faults/test_writes.py",
    "tests/gateway/test_errors.py::test_a_wait_is_handed_on",
    "tests/gateway/test_errors.py::test_an_answer_that",
    "tests/gateway/test_errors.py::test_telnyxs_refusals",
    "tests/gateway/test_look_ups.py::test_in_a_large_directory",
    "tests/gateway/test_official",
    "tests/topologies/test_co",
    "tests/topologies/test_failover.py",
    "tests/topologies/test_joining.py",
    "tests/topologies/test_keeping.py",
    "tests/topologies/test_meeting.py",
    "tests/topologies/test_moving_name.py",
    "tests/topologies/test_quorum.py::test_real_sentinels",
    "tests/topologies/test_roster.py",
    "tests/topologies/test_templates.py",
)
# Of those ``make test`` runs at least these.
SHORT: Final = (
    "tests/acceptance/test_webhook_crashes.py::test_what_was_acknowledged_before_a_crash",
    "tests/clients/test_sdk.py::test_the_sdk_connects",
    "tests/clients/test_wake_ups.py::test_a_page_that_is_shown",
    "tests/acceptance/test_outages.py::test_nobody_vouches",
    "tests/acceptance/test_outages.py::test_under_load",
    "tests/cli/test_stopping.py::test_a_second_signal",
    "tests/console/test_joining.py::test_a_call_survives",
    "tests/console/test_joining.py::test_a_person_joins",
    "tests/console/test_joining.py::test_every_view",
    "tests/console/test_joining.py::test_on_a_phone",
    "tests/edge/test_draining.py::test_readiness_ends_before_service_does[haproxy",
    "tests/edge/test_scarcity.py::test_a_line_that",
    "tests/edge/test_scarcity.py::test_dropped_lines",
    "tests/edge/test_scarcity.py::test_lines_come_out",
    "tests/edge/test_slow.py::test_a_head_without_an_end",
    "tests/edge/test_slow.py::test_an_answer_before",
    "tests/edge/test_slow.py::test_who_asks_first",
    "tests/edge/test_turns.py::test_a_body_in_chunks",
    "tests/edge/test_turns.py::test_callers_who_never_pause",
    "tests/faults/test_account.py::test_the_token_of_a_deleted_room",
    "tests/faults/test_cooldowns.py::test_during_a_cool_down",
    "tests/faults/test_keys.py::test_without_any_key",
    "tests/faults/test_redis.py::test_it_starts_before_redis_and_recovers[timeout",
    "tests/faults/test_redis_values.py::test_a_connection_that_is_one_reply_behind",
    "tests/faults/test_telnyx_silence.py::test_a_silent_telnyx_is_left_alone",
    "tests/faults/test_writes.py::test_a_template_s_room",
    "tests/gateway/test_official_client.py::test_it_leafs",
    "tests/gateway/test_official_client.py::test_it_raises_its_own_error_for_a_bad_bearer",
    "tests/topologies/test_connection.py::test_a_lost_server",
    "tests/topologies/test_failover.py::test_a_ban_of_the_last_moment_stands",
    "tests/topologies/test_joining.py",
    "tests/topologies/test_keeping.py::test_check_names",
    "tests/topologies/test_meeting.py::test_a_removed_user",
    "tests/topologies/test_roster.py::test_a_joining_that_was_missed",
    "tests/topologies/test_templates.py::test_the_first_join",
)
# Fixtures that are processes, and folders whose tests start processes of their own.
PROCESSES: Final = {"valkey", "sandbox", "service", "idp", "trust", "trusting", "started", "watched", "alarmed"}
WITH_PROCESSES: Final = (
    "tests/acceptance/",
    "tests/agreement/",
    "tests/bench/",
    "tests/clients/",
    "tests/cli/test_a",
    "tests/cli/test_c",
    "tests/cli/test_d",
    "tests/cli/test_m",
    "tests/cli/test_s",
    "tests/console/",
    "tests/contract/",
    "tests/cuts/",
    "tests/edge/",
    "tests/faults/",
    "tests/observability/test_alerts.py::test_prometheus",
    "tests/web/test_wire.py",
    "tests/sandbox/",
    "tests/topologies/",
    "tests/telnyx/",
    "tests/test_image.py",
    "tests/web/test_openapi.py",
)
# Of a test with many rows ``make test`` runs so many, spread evenly; ``make faults`` (FAULTS=full) runs them all.
ROWS: Final = {
    "tests/agreement/": 12,
    "tests/cli/test_dev.py": 1,
    "tests/edge/": 4,
    "tests/faults/": 3,
    "tests/gateway/": 4,
    "tests/identity/test_forgeries.py": 20,
    "tests/identity/test_guides.py": 8,
    "tests/topologies/": 1,
    "tests/telnyx/": 12,
}


class _Places(LoadFileScheduling):
    """A worker for each file, or for a whole folder where that has a fixture of the scope ``package``."""

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.partition("::")[0].rpartition("/")[0]
        return folder if _is_shared(folder) else str(super()._split_scope(nodeid))


@cache
def _is_shared(folder: str) -> bool:
    conftest = ROOT / folder / "conftest.py"
    return conftest.exists() and 'scope="package"' in conftest.read_text("utf-8")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Places | None:
    """For ``--dist loadfile``."""
    return _Places(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not read a file of which this run would leave out everything: reading all of them takes many seconds."""
    if not collection_path.name.startswith("test_"):
        return None
    name = str(collection_path.relative_to(config.rootpath))
    if config.getoption("markexpr") == "unit" and name.startswith(WITH_PROCESSES):
        return True
    if not _is_whole(config) and name.startswith(LONG) and not any(test.startswith(name) for test in SHORT):
        return True
    text = collection_path.read_text("utf-8")
    if config.pluginmanager.has_plugin("tests.cooperative"):
        return None if _MAY_COOPERATE.search(text) else True
    return True if "\npytestmark = pytest.mark.cooperative\n" in text else None


def _is_whole(config: pytest.Config) -> bool:
    """Whether nothing is left out that was asked for."""
    return os.environ.get("FAULTS") == "full" or bool(config.getoption("keyword"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what this run is for (``tests/cooperative.py``), and of that the short form: without what is ``LONG``, and
    of the suites named in ``ROWS`` not every row of a table.
    """
    for item in items:
        if _is_unit(item):
            item.add_marker(pytest.mark.unit)
    cooperative = config.pluginmanager.has_plugin("tests.cooperative")
    _deselect(config, items, {item for item in items if bool(item.get_closest_marker("cooperative")) != cooperative})
    if _is_whole(config):
        return
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        tests[item.nodeid.partition("[")[0]].append(item)
    left_out = {item for name, rows in tests.items() for item in _surplus(name, rows)}
    left_out |= {item for item in items if item.nodeid.startswith(LONG) and not item.nodeid.startswith(SHORT)}
    _deselect(config, items, left_out)


# Tests that are marked so, or come from another file, where they are.
_MAY_COOPERATE: Final = re.compile(r"mark\.cooperative|^from tests\.\w+\.test_", re.MULTILINE)


def _is_unit(item: pytest.Item) -> bool:
    """Whether a test asks for no process, and lies in no folder whose tests start some by themselves."""
    fixtures = set(getattr(item, "fixturenames", ()))
    return not (
        item.nodeid.startswith(WITH_PROCESSES) or fixtures & PROCESSES or item.get_closest_marker("cooperative")
    )


@pytest.fixture(autouse=True)
def no_processes_in_units(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test that connects a socket or starts a process fails, so that ``make unit`` is what it says."""
    if request.node.get_closest_marker("unit") is None:
        return

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a unit test opens no connection and starts no process")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)


def _deselect(config: pytest.Config, items: list[pytest.Item], left_out: set[pytest.Item]) -> None:
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """``FAULTS_UNTIL`` (epoch seconds) bounds a run: what begins later fails, and nothing is left half done."""
    if time.time() > float(os.environ.get("FAULTS_UNTIL", "inf")):
        pytest.fail("the time of this run is over (FAULTS_UNTIL)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table that ``tests/agreement`` has made, whichever process it ran in."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    for report in reports:
        made = dict(getattr(report, "user_properties", [])) if getattr(report, "when", "") == "call" else {}
        if "agreement" in made:
            terminalreporter.section("agreement of client, sandbox, document and official client")
            terminalreporter.write_line("\n".join(made["agreement"]))


def _surplus(name: str, rows: list[pytest.Item]) -> set[pytest.Item]:
    most = next((most for folder, most in ROWS.items() if name.startswith(folder)), len(rows))
    kept = {index * len(rows) // most for index in range(most)}
    return {row for index, row in enumerate(rows) if index not in kept} if len(rows) > most else set()


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    yield from running(Valkey())


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    yield from running(Sandbox())


@pytest.fixture(scope="session")
def service(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    yield from running(ServiceProcess(environment(sandbox, valkey.url, WEB_CONCURRENCY="2")))
