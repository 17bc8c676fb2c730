"""The command line as a user has it: a process with an environment, and what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

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
