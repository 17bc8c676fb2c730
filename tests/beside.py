"""Runs the tests that need cooperative sockets beside this run, in two more processes: ``pytest -p tests.beside``.

They get the same arguments, but no xdist (``tests/cooperative.py`` says why); each takes about half of the files, and
waits more than it computes. What became of them is shown before the closing lines of this run, and its exit code counts
all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_PARTS = 2
# Any run may have nothing to do: what is asked for belongs into another one.
_FINE = {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}


class _Beside:
    """Another run, of one part of those tests."""

    def __init__(self, arguments: tuple[str, ...], part: int) -> None:
        command = [sys.executable, "-m", "pytest", *arguments, "-n", "0", "-p", "tests.cooperative"]
        env = os.environ | {"COOPERATIVE_PART": f"{part}/{_PARTS}"}
        self._output = Path(tempfile.mkstemp(prefix="vts-cooperative-")[1])
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> object:
        """Wait for it before anything is said of this run."""
        code = self._process.wait()
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and code == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.OK
        if session.exitstatus == pytest.ExitCode.OK and code not in _FINE:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """All that it said if it failed, else its last line."""
        text = self._output.read_text("utf-8", "replace")
        self._output.unlink()
        terminalreporter.section("with cooperative sockets")
        failed = self._process.returncode not in _FINE
        terminalreporter.write_line(text if failed else text.rstrip().rpartition("\n")[2].strip("= "))


def pytest_configure(config: pytest.Config) -> None:
    """Begin it, unless this is it, or a worker of xdist."""
    if not hasattr(config, "workerinput") and not config.pluginmanager.has_plugin("tests.cooperative"):
        for part in range(_PARTS):
            config.pluginmanager.register(_Beside(config.invocation_params.args, part))
