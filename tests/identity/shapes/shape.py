"""Tokens of the shape that identity providers document: header, claims and who signs, by the names of the guides' rows.

Everything that varies is made up; what does not is as the pages named in the guides have it. Times are now.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

LOGOUT: Final[Mapping[str, Any]] = {"http://schemas.openid.net/event/backchannel-logout": {}}


@dataclass(frozen=True)
class Shape:
    """``signer`` is a name of ``forge``'s keys; ``None`` signs nothing, and a text in ``raw`` is no JWT at all."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signer: str | None = "issuer"
    raw: str | None = None

    def saying(self, **claims: Any) -> Shape:
        """With other claims; ``None`` leaves one out."""
        return replace(self, claims=without_none({**self.claims, **claims}))

    def headed(self, **header: Any) -> Shape:
        return replace(self, header=without_none({**self.header, **header}))

    def signed_by(self, signer: str | None) -> Shape:
        return replace(self, signer=signer)


Shapes = Mapping[str, Shape]
Config = Mapping[str, Any]


def without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def life_of(seconds: int, age: int = 5) -> dict[str, int]:
    issued = int(time.time()) - age
    return {"iat": issued, "exp": issued + seconds}


def opaque(text: str) -> Shape:
    return Shape({}, {}, None, text)
