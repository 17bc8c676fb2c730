"""``openapi.yaml``, read once in a process."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import yaml

from service.web.openapi import OpenApiValidator
from tests.processes import ROOT

OPENAPI = ROOT / "openapi.yaml"


@cache
def document() -> dict[str, Any]:
    """What it says."""
    return cast("dict[str, Any]", yaml.load(OPENAPI.read_bytes(), Loader=yaml.CSafeLoader))


@cache
def contract() -> OpenApiValidator:
    """Its validators, compiled."""
    return OpenApiValidator(document())
