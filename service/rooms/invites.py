"""Invites as records, and the codes by which guests redeem them.

A code is ``<alias>.<invite id>.<secret>``: it says where its invite is kept, so that no list of all codes is needed.
The secret has 128 random bits, which keep everybody from guessing it; of the whole code only the SHA-256 is stored
(and sealed the answer that tells it, where its maker sent an ``Idempotency-Key``).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.clock import parse_rfc3339, rfc3339
from service.errors import InvalidRequest, RecordUnreadable
from service.rooms.aliases import is_alias
from service.rooms.models import ROLES, Role, Window
from service.secret import Secret

DEFAULT_SECS: Final = 86_400
LONGEST_SECS: Final = 30 * 86_400
DEFAULT_USES: Final = 1

_ID_BYTES: Final = 8
_SECRET_BYTES: Final = 16
_ID: Final = re.compile(r"[0-9a-f]{16}")
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class Code:
    """Where the invite of a code is kept, and what the whole of it must hash to."""

    alias: str
    invite_id: str
    digest: str


def new_code(alias: str) -> tuple[Secret, Code]:
    """A code for a new invite to this room."""
    text = f"{alias}.{secrets.token_hex(_ID_BYTES)}.{secrets.token_urlsafe(_SECRET_BYTES)}"
    return Secret(text), _code(text)


def read_code(text: str) -> Code | None:
    """``None`` for what no code looks like."""
    alias, _, rest = text.partition(".")
    invite_id, _, secret = rest.partition(".")
    if not is_alias(alias) or _ID.fullmatch(invite_id) is None or _SECRET.fullmatch(secret) is None:
        return None
    return _code(text)


def _code(text: str) -> Code:
    alias, invite_id, _ = text.split(".")
    return Code(alias, invite_id, hashlib.sha256(text.encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Invite:
    """What guests may be in a room until ``expires_at`` (epoch seconds), and how many of them may come."""

    invite_id: str
    code_sha256: str
    role: Role
    name: str | None
    expires_at: float
    max_uses: int
    created_by: str
    created_at: float

    @classmethod
    def of(cls, code: Code, spec: Mapping[str, Any], *, created_by: str, now: float) -> Invite:
        """From what a moderator wrote, which ``openapi.yaml`` has been held against. Raises ``InvalidRequest``."""
        return cls(
            invite_id=code.invite_id,
            code_sha256=code.digest,
            role=ROLES[spec.get("role", Role.PARTICIPANT.label)],
            name=spec.get("name"),
            expires_at=_end(spec, now),
            max_uses=spec.get("max_uses", DEFAULT_USES),
            created_by=created_by,
            created_at=now,
        )

    @classmethod
    def parse(cls, raw: bytes) -> Invite:
        """From a stored record. Raises ``RecordUnreadable``."""
        try:
            spec = json.loads(raw)
            return cls(
                invite_id=spec["id"],
                code_sha256=spec["code_sha256"],
                role=ROLES[spec["role"]],
                name=spec["name"],
                expires_at=parse_rfc3339(spec["expires_at"]),
                max_uses=int(spec["max_uses"]),
                created_by=spec["created_by"],
                created_at=parse_rfc3339(spec["created_at"]),
            )
        except (ValueError, LookupError, TypeError):
            raise RecordUnreadable from None

    @property
    def window(self) -> Window:
        return Window(None, self.expires_at)

    def stands(self, now: float) -> bool:
        return now < self.expires_at

    def fits(self, code: Code) -> bool:
        return hmac.compare_digest(self.code_sha256, code.digest)

    def to_bytes(self) -> bytes:
        """What is stored."""
        return json.dumps({**self.to_json(), "code_sha256": self.code_sha256}, separators=(",", ":")).encode()

    def to_json(self) -> dict[str, Any]:
        """What moderators see."""
        return {
            "id": self.invite_id,
            "role": self.role.label,
            "name": self.name,
            "expires_at": rfc3339(self.expires_at),
            "max_uses": self.max_uses,
            "created_by": self.created_by,
            "created_at": rfc3339(self.created_at),
        }


def _end(spec: Mapping[str, Any], now: float) -> float:
    """Whole seconds, as times of records are; never at once over."""
    if "expires_at" not in spec:
        return float(int(now) + DEFAULT_SECS)
    end = float(int(parse_rfc3339(spec["expires_at"])))
    if not now < end <= now + LONGEST_SECS:
        raise InvalidRequest(errors=[{"field": "/expires_at", "message": "must be in the future, at most 30 days off"}])
    return end
