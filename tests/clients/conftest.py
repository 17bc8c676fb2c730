"""What is compiled once for all tests of the clients; skipped where there is neither Node nor a registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import packages


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the compiled app that uses the web package in tests."""
    try:
        return packages.compiled()
    except packages.NotHere as why:
        pytest.skip(str(why))
