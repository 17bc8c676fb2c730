"""The command line as a user has it: with an environment, arguments, and what it prints."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from unittest import mock

from service.__main__ import main
from tests.processes import ROOT

# What any shell has; everything else comes from the test.
BASE = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def run(
    env: Mapping[str, str], *arguments: str, seconds: float = 60.0, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """``python -m service`` with these arguments and this text at its standard input, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        env={**BASE, **env},
        cwd=ROOT,
        capture_output=True,
        input=text,
        text=True,
        timeout=seconds,
        check=False,
    )


def run_here(env: Mapping[str, str], *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """The same without a process, which takes 0.7 s to start. Tests of what asks servers have to be ``cooperative``."""
    told, complained = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, {**BASE, **env}, clear=True),
        mock.patch.object(sys, "argv", ["service", *arguments]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8")),
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(complained),
    ):
        code = main()
    return subprocess.CompletedProcess(arguments, code, told.getvalue(), complained.getvalue())
