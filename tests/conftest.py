"""One embedded server, one sandbox and one service for the whole run; tests keep apart by names of their own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

from tests.processes import ROOT, Sandbox, ServiceProcess, Valkey, environment, running

# How long an example takes is the machine's business. ``make fuzz`` tries many more.
EXAMPLES: Final = 1000 if os.environ.get("FUZZ_CASES") else 40
hypothesis.settings.register_profile("any machine", deadline=None, max_examples=EXAMPLES)
hypothesis.settings.load_profile("any machine")

# Fixtures that are processes.
PROCESSES: Final = {"valkey", "sandbox", "service", "idp", "trust", "trusting", "started", "watched", "alarmed"}


class _Places(LoadGroupScheduling):
    """A worker for each file, or for a whole folder where that has a fixture of the scope ``package``."""

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Name each test's place after it, where nobody who reads a report sees it."""
        super().add_node_collection(node, [f"{nodeid}@{_place(nodeid)}" for nodeid in collection])


def _place(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    folder = file.rpartition("/")[0]
    return folder if _is_shared(folder) else file


@cache
def _is_shared(folder: str) -> bool:
    conftest = ROOT / folder / "conftest.py"
    return conftest.exists() and 'scope="package"' in conftest.read_text("utf-8")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Places | None:
    """For ``--dist loadfile``."""
    return _Places(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_configure(config: pytest.Config) -> None:
    """Whoever asks for all (``FAULTS=full``), or by a name (``-k``), gets what is not quick too."""
    if config.option.markexpr == "quick" and (os.environ.get("FAULTS") == "full" or config.option.keyword):
        config.option.markexpr = ""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not read a file or a folder of which this run would leave out everything: to read all takes many seconds."""
    words = re.findall(r"(not )?(\w+)", config.option.markexpr)
    asked, refused = ({word for no, word in words if bool(no) == bad} for bad in (False, True))
    apart = config.pluginmanager.has_plugin("tests.cooperative")
    left_out = {"processes", "cooperative"} if "unit" in asked else set() if apart else {"cooperative"}
    left_out |= refused
    if collection_path.is_dir():
        return bool(_of_packages(collection_path) & left_out) or None
    if not collection_path.name.startswith("test_"):
        return None
    text = collection_path.read_text("utf-8")
    marks = _marks_of(text) | _of_packages(collection_path.parent)
    if (targets := asked & _TARGETS) and not (marks | set(_MARK.findall(text))) & targets:
        return True
    # What comes from another file may be short there.
    if {"quick", "unit"} & asked and "long" in marks and not re.search(r"mark\.short|import \*", text):
        return True
    may_cooperate = "cooperative" in marks or _MAY_COOPERATE.search(text)
    return bool(marks & left_out) or (apart and not (may_cooperate and _is_of_this_part(collection_path))) or None


def _is_of_this_part(file: Path) -> bool:
    """Whether this process, of those in ``tests/beside.py``, runs this file's tests."""
    part, _, parts = os.environ.get("COOPERATIVE_PART", "0/1").partition("/")
    return zlib.adler32(str(file.relative_to(ROOT)).encode()) % int(parts) == int(part)


# Marks that have a target of the Makefile for them alone.
_TARGETS: Final = {"alone", "clients", "soak"}
_MARK: Final = re.compile(r"pytest\.mark\.(\w+)")
# Tests that are marked so, or come from another file, where they are.
_MAY_COOPERATE: Final = re.compile(r"mark\.cooperative|^from tests\.\w+\.test_", re.MULTILINE)
_PYTESTMARK: Final = re.compile(r"^pytestmark = (?:pytest\S+|\[.*?\]\n)", re.MULTILINE | re.DOTALL)


def _marks_of(text: str) -> set[str]:
    """The marks that a module gives to all its tests."""
    return {name for found in _PYTESTMARK.findall(text) for name in _MARK.findall(found)}


@cache
def _of_packages(folder: Path) -> set[str]:
    """The marks in the ``__init__.py`` of a folder and of those that it is in: they are for all that is below."""
    inits = [place / "__init__.py" for place in (folder, *folder.parents) if place.is_relative_to(ROOT / "tests")]
    return {mark for init in inits if init.exists() for mark in _marks_of(init.read_text("utf-8"))}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is for ``make unit`` and for ``make test``, for ``-m`` to choose from, keep what this run is for
    (``tests/cooperative.py``), and begin with what takes longest.
    """
    for module in {found for item in items if (found := item.getparent(pytest.Module))}:
        _inherit(module)
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        tests[item.nodeid.partition("[")[0]].append(item)
        if _is_unit(item):
            item.add_marker(pytest.mark.unit)
    for rows in tests.values():
        for item in _spread(rows):
            if item.get_closest_marker("short") or not item.get_closest_marker("long"):
                item.add_marker(pytest.mark.quick)
    cooperative = config.pluginmanager.has_plugin("tests.cooperative")
    others = [item for item in items if bool(item.get_closest_marker("cooperative")) != cooperative]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
    urgency: dict[Path, int] = defaultdict(int)
    for item in items:
        urgency[item.path] = max(urgency[item.path], _urgency(item))
    items.sort(key=lambda item: -urgency[item.path])


def _urgency(item: pytest.Item) -> int:
    """How early a file has to begin for the sake of this test, so that no worker is busy long after the others."""
    return 2 if item.get_closest_marker("early") else int(item.get_closest_marker("unit") is None)


def _inherit(module: pytest.Module) -> None:
    """Give a module the marks of the packages that it is in, the nearest first, after its own."""
    name = module.obj.__name__
    while name := name.rpartition(".")[0]:
        marks = getattr(sys.modules[name], "pytestmark", [])
        for mark in marks if isinstance(marks, list) else [marks]:
            module.add_marker(mark)


def _spread(rows: list[pytest.Item]) -> list[pytest.Item]:
    """Of the rows of a test as many as its mark says, spread evenly."""
    mark = rows[0].get_closest_marker("rows")
    most = min(mark.args[0], len(rows)) if mark else len(rows)
    return [rows[index * len(rows) // most] for index in range(most)]


def _is_unit(item: pytest.Item) -> bool:
    """Whether a test asks for no process, and is not marked for starting some by itself."""
    fixtures = set(getattr(item, "fixturenames", ()))
    return not (fixtures & PROCESSES or item.get_closest_marker("processes") or item.get_closest_marker("cooperative"))


@pytest.fixture(autouse=True)
def no_processes_in_units(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test that connects a socket or starts a process fails, so that ``make unit`` is what it says."""
    if request.node.get_closest_marker("unit") is None:
        return

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a unit test opens no connection and starts no process")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)


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


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    yield from running(Valkey())


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    yield from running(Sandbox())


@pytest.fixture(scope="session")
def service(valkey: Valkey, sandbox: Sandbox) -> Iterator[ServiceProcess]:
    yield from running(ServiceProcess(environment(sandbox, valkey.url, WEB_CONCURRENCY="2")))
