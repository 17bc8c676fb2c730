"""Runs ``app.ts``, an app that uses the web package: what it is told, and what it tells."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

Told = list[dict[str, Any]]


class App:
    """One run of the app, going on until it has seen enough or its call is over."""

    def __init__(self, built: Path, plan: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            ["node", str(built / "app.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(plan))
        self._process.stdin.close()
        self._process.stdin = None

    def told(self, seconds: float = 30.0) -> Told:
        """What it told in all; fails if it does not come to its end in time."""
        try:
            output, errors = self._process.communicate(timeout=seconds)
        finally:
            self._process.kill()
            self._process.wait()
        assert self._process.returncode == 0, errors
        told: Told = json.loads(output)
        return told


def of(told: Told, what: str) -> Told:
    """What it told of one kind."""
    return [entry for entry in told if entry["what"] == what]
