"""Services with an issuer table of a test's own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.processes import Sandbox, Valkey, environment

_SINGLE = {"AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_HS256_SECRET", "AUTH_TRUST"}


def toml(members: Mapping[str, Any]) -> str:
    """One ``[[issuer]]``: texts, numbers and lists of texts are written as in JSON."""
    return "[[issuer]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in members.items())


def settings_with(sandbox: Sandbox, valkey: Valkey, *issuers: Mapping[str, Any], **changes: str) -> dict[str, str]:
    """The environment of a service with these issuers and no other."""
    return _only(issuers, environment(sandbox, valkey.url, **changes))


def settings_alone(*issuers: Mapping[str, Any]) -> dict[str, str]:
    """The same where nothing but the issuers is asked for."""
    return _only(issuers, environment(None, "redis://127.0.0.1:9/0"))


def _only(issuers: Iterable[Mapping[str, Any]], env: Mapping[str, str]) -> dict[str, str]:
    others = {name: value for name, value in env.items() if name not in _SINGLE}
    return {**others, "AUTH_ISSUERS": "\n".join(toml(one) for one in issuers)}
