"""The command line in this process: what a command prints and answers, without what it takes to start one."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from unittest import mock

from service.__main__ import main


def run_here(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """As ``tests.cli.cli.run``; for commands that ask no server but an identity provider."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, env, clear=True),
        mock.patch.object(sys, "argv", ["service", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main()
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
