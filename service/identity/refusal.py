"""Why a bearer or a logout token is refused: a closed set of reasons, which operators see and callers never do.

Rules for editors:
* the value of a reason is a label of metrics and never changes;
* ``expected`` and ``found`` show issuers, audiences, algorithms, types, key ids and distances in time; of any other
  claim they show the name and the JSON type, never the value;
* anybody can write a token, so whatever comes from one goes through ``shown``;
* no word follows "bearer" in what is logged: the guard of the log takes the two for a credential.
"""

from enum import StrEnum
from typing import Final

from service.errors import InvalidToken

MAX_SHOWN: Final = 80
_MAX_LISTED: Final = 5
_JSON_TYPES: Final[dict[type, str]] = {bool: "a boolean", int: "a number", float: "a number", list: "a list"}


class Reason(StrEnum):
    """What the first check that failed was about."""

    NOT_A_JWT = "not_a_jwt"
    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    UNSUPPORTED_HEADER = "unsupported_header"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_ISSUER = "unknown_issuer"
    MISSING_CLAIM = "missing_claim"
    MALFORMED_CLAIM = "malformed_claim"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME_TOO_LONG = "lifetime_too_long"
    WRONG_AUDIENCE = "wrong_audience"
    REQUIRED_CLAIM = "required_claim"
    WRONG_ALGORITHM = "wrong_algorithm"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    INVALID_USER_ID = "invalid_user_id"
    AMBIGUOUS_USER_ID = "ambiguous_user_id"
    EMAIL_NOT_VERIFIED = "email_not_verified"


class RefusedToken(InvalidToken):
    """An ``InvalidToken`` that knows why it is one. Its code, title and detail are those of every ``InvalidToken``."""

    def __init__(self, reason: Reason, *, expected: str = "", found: str = "") -> None:
        super().__init__()
        self.reason = reason
        self.expected = expected
        self.found = found

    def facts(self) -> dict[str, str]:
        """The fields of its log line; what has nothing to say is left out."""
        fields = {"reason": self.reason.value, "expected": self.expected, "found": self.found}
        return {name: text for name, text in fields.items() if text}


def shown(value: object) -> str:
    """What a token says, for a line of text: texts cut and escaped, lists of them, and the type of anything else."""
    if isinstance(value, list) and value:
        return ", ".join(map(_one, value[:_MAX_LISTED])) + (", ..." if len(value) > _MAX_LISTED else "")
    return _one(value)


def json_type(value: object) -> str:
    """What kind of value a claim has; ``None`` stands for one that is not there, or null."""
    if isinstance(value, str):
        return "a text"
    return "nothing" if value is None else _JSON_TYPES.get(type(value), "an object")


def seconds(distance: float) -> str:
    """A distance in time; one that no clock could explain is shown as very long."""
    return f"{min(distance, 1e12):.0f} s"


def _one(value: object) -> str:
    if not isinstance(value, str):
        return json_type(value)
    cut = value[:MAX_SHOWN] + "..." if len(value) > MAX_SHOWN else value
    return cut.encode("unicode_escape").decode() or "an empty text"
