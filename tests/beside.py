"""Runs the tests that need cooperative sockets beside this run, in a process of their own: ``pytest -p tests.beside``.

They get the same arguments, but no xdist (``tests/cooperative.py`` says why). What became of them is shown before the
closing lines of this run, and its exit code counts both.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# Either run may have nothing to do: what is asked for belongs into the other one.
_FINE = {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}


class _Beside:
    """The other run."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        command = [sys.executable, "-m", "pytest", *arguments, "-n", "0", "-p", "tests.cooperative"]
        self._output = Path(tempfile.mkstemp(prefix="vts-cooperative-")[1])
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

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
        config.pluginmanager.register(_Beside(config.invocation_params.args))
