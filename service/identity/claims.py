"""Where a claim is, and what it must say: providers nest some of theirs, and tell kinds of tokens apart by others.

Pure, and total over whatever JSON a token may hold: an answer, or ``RefusedToken``.
"""

from collections.abc import Collection, Mapping, Sequence

from service.identity.refusal import Reason, RefusedToken, json_type, seconds, shown

# Of one claim any of its values will do; all claims must be there.
Required = tuple[tuple[str, frozenset[str]], ...]


def find(claims: Mapping[str, object], where: str) -> object:
    """The value of a claim, ``None`` if it is not there.

    ``where`` is the claim's name, or a JSON Pointer (RFC 6901) through objects alone; what starts with a slash is one.
    """
    if not where.startswith("/"):
        return claims.get(where)
    value: object = claims
    for part in where[1:].split("/"):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part.replace("~1", "/").replace("~0", "~"))
    return value


def check_required(claims: Mapping[str, object], required: Required) -> None:
    """Raises ``RefusedToken`` unless each claim required has one of its values, as its text, one of its words, or an
    item of its list.
    """
    for where, values in required:
        value = find(claims, where)
        said: Collection[str] = texts_of(value)
        if isinstance(value, bool):
            said = ["true" if value else "false"]
        elif isinstance(value, str):
            said = [value, *value.split(" ")]
        if values.isdisjoint(said):
            raise RefusedToken(Reason.REQUIRED_CLAIM, expected=f"{where}={' or '.join(sorted(values))}")


def check_type(header: Mapping[str, object], allowed: Sequence[str]) -> None:
    """Raises ``RefusedToken`` if there is a ``typ`` that is none of these media types (RFC 7515 section 4.1.9)."""
    kind = str(header.get("typ", allowed[0])).lower().removeprefix("application/")
    if kind not in allowed:
        raise RefusedToken(Reason.WRONG_TYPE, expected=", ".join(allowed), found=shown(kind))


def check_not_over(expires: float, now: float, leeway: float) -> None:
    """Raises ``RefusedToken`` from ``exp`` and the leeway on; all in (epoch) seconds."""
    if not expires > now - leeway:
        expected = f"exp less than {seconds(leeway)} ago"
        raise RefusedToken(Reason.EXPIRED, expected=expected, found=f"{seconds(now - expires)} ago")


def check_begun(claims: Mapping[str, object], now: float, leeway: float) -> None:
    """Raises ``RefusedToken`` if ``iat``, or ``nbf`` where there is one, is further ahead than the leeway."""
    for name in ("iat", "nbf") if "nbf" in claims else ("iat",):
        if (ahead := moment(claims, name) - now) > leeway:
            expected = f"{name} at most {seconds(leeway)} ahead"
            raise RefusedToken(Reason.NOT_YET_VALID, expected=expected, found=f"{seconds(ahead)} ahead")


def check_audience(found: object, ours: Sequence[str]) -> None:
    """Raises ``RefusedToken`` unless one of ``ours`` is there, alone or in a list of texts."""
    audiences = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    if not all(isinstance(audience, str) for audience in audiences) or not {*audiences} & {*ours}:
        raise RefusedToken(Reason.WRONG_AUDIENCE, expected=", ".join(ours), found=shown(found))


def moment(claims: Mapping[str, object], name: str) -> float:
    """A NumericDate, epoch seconds (RFC 7519 section 2); raises ``RefusedToken`` if it is missing or none."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise _unfit(claims, name, "a number, not negative")
    return float(value)


def text_claim(claims: Mapping[str, object], name: str) -> str:
    """A claim that must be a text; raises ``RefusedToken``."""
    value = claims.get(name)
    if not isinstance(value, str):
        raise _unfit(claims, name, "a text")
    return value


def texts_of(value: object) -> tuple[str, ...]:
    """The texts in a list; none where it is not a list."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _unfit(claims: Mapping[str, object], name: str, kind: str) -> RefusedToken:
    reason = Reason.MALFORMED_CLAIM if name in claims else Reason.MISSING_CLAIM
    return RefusedToken(reason, expected=f"{name}: {kind}", found=json_type(claims.get(name)))
