"""Invites as records, and the codes by which guests redeem them.

A code is ``<alias>.<invite id>.<secret>``: it says where its invite is kept, so that no list of all codes is needed.
The secret has 128 random bits, which keep everybody from guessing it; of the whole code only the SHA-256 is stored
(and sealed the answer that tells it, where its maker sent an ``Idempotency-Key``).
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from service.clock import parse_rfc3339, rfc3339
from service.errors import InvalidRequest
from service.rooms.aliases import is_alias
from service.rooms.models import Role, dump, stored
from service.secret import Secret

DEFAULT_SECS: Final = 86_400
LONGEST_SECS: Final = 30 * 86_400
DEFAULT_USES: Final = 1

_ID_BYTES: Final = 8
_SECRET_BYTES: Final = 16
_CODE: Final = re.compile(r"([^.]+)\.([0-9a-f]{16})\.[A-Za-z0-9_-]{22}")


def new_code(alias: str) -> Secret:
    """A code for a new invite to this room."""
    return Secret(f"{alias}.{secrets.token_hex(_ID_BYTES)}.{secrets.token_urlsafe(_SECRET_BYTES)}")


def read_code(text: str) -> tuple[str, str] | None:
    """The room and the id of the invite; ``None`` for what no code looks like."""
    found = _CODE.fullmatch(text)
    return (found[1], found[2]) if found is not None and is_alias(found[1]) else None


@dataclass(frozen=True, slots=True)
class Invite:
    """What guests may be in a room until ``expires_at`` (epoch seconds), how many of them may come, and how many have
    come (``uses``), where that is counted.
    """

    invite_id: str
    code_sha256: str
    role: Role
    name: str | None
    expires_at: float
    max_uses: int
    created_by: str
    created_at: float
    uses: int = 0

    @classmethod
    def of(cls, code: str, spec: Mapping[str, Any], *, created_by: str, now: float) -> Self:
        """From what a moderator wrote, which ``openapi.yaml`` has been held against. Raises ``InvalidRequest``."""
        return cls(
            invite_id=code.split(".")[1],
            code_sha256=_digest(code),
            role=Role(spec.get("role", Role.PARTICIPANT)),
            name=spec.get("name"),
            expires_at=_end(spec, now),
            max_uses=spec.get("max_uses", DEFAULT_USES),
            created_by=created_by,
            created_at=now,
        )

    @classmethod
    def parse(cls, raw: bytes, uses: int = 0) -> Self:
        """From a stored record. Raises ``RecordUnreadable``."""
        return stored(
            raw,
            lambda spec: cls(
                invite_id=spec["id"],
                code_sha256=spec["code_sha256"],
                role=Role(spec["role"]),
                name=spec["name"],
                expires_at=parse_rfc3339(spec["expires_at"]),
                max_uses=int(spec["max_uses"]),
                created_by=spec["created_by"],
                created_at=parse_rfc3339(spec["created_at"]),
                uses=uses,
            ),
        )

    def stands(self, now: float) -> bool:
        return now < self.expires_at

    def fits(self, code: str) -> bool:
        return hmac.compare_digest(self.code_sha256, _digest(code))

    def to_bytes(self) -> bytes:
        """What is stored."""
        return dump({**self._told(), "code_sha256": self.code_sha256})

    def to_json(self) -> dict[str, Any]:
        """What moderators see."""
        return {**self._told(), "uses": self.uses}

    def _told(self) -> dict[str, Any]:
        return {
            "id": self.invite_id,
            "role": self.role,
            "name": self.name,
            "expires_at": rfc3339(self.expires_at),
            "max_uses": self.max_uses,
            "created_by": self.created_by,
            "created_at": rfc3339(self.created_at),
        }


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _end(spec: Mapping[str, Any], now: float) -> float:
    """Whole seconds, as times of records are; never at once over."""
    if "expires_at" not in spec:
        return float(int(now) + DEFAULT_SECS)
    end = float(int(parse_rfc3339(spec["expires_at"])))
    if not now < end <= now + LONGEST_SECS:
        raise InvalidRequest.at("/expires_at", "must be in the future, at most 30 days off")
    return end
