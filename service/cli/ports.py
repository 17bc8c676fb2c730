"""The ports of ``dev``. ``make run`` looks at them before installing: this takes Python alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from service.cli import listener

HOST: Final = "127.0.0.1"
_DEFAULTS: Final[Mapping[str, str]] = {"PORT": "8080", "METRICS_PORT": "9090", "SANDBOX_PORT": "8081"}


def chosen(*, real: bool) -> dict[str, str]:
    """Those of the environment, by variable, which have no ``fault``."""
    return {name: str(int(text)) for name, text in _named(real=real).items()}


def fault(*, real: bool) -> str | None:
    """All that is wrong with those of the environment."""
    ports = _named(real=real)
    faults = [found for name, text in ports.items() if (found := _fault(name, text))]
    if not faults and len({int(text) for text in ports.values()}) < len(ports):
        faults = [f"{', '.join(ports)} must be different ports"]
    return f"Not started: {'; '.join(faults)}" if faults else None


def _named(*, real: bool) -> dict[str, str]:
    ports = {name: os.environ.get(name) or default for name, default in _DEFAULTS.items()}
    if real:
        del ports["SANDBOX_PORT"]
    return ports


def _fault(variable: str, text: str) -> str | None:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:  # noqa: PLR2004 - what a port is
        return f"{variable} must be a port number, is {text}"
    if not listener.is_free(HOST, int(text)):
        return f"port {text} is taken; set {variable} to a free one: {variable}=... make run"
    return None
