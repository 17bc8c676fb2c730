"""Texts and bytes that do not show themselves: in a log, an error or a ``repr`` they are three asterisks."""

import hmac
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

_V = TypeVar("_V", bound=str | bytes)


class _Hidden(Generic[_V]):
    def __init__(self, value: _V) -> None:
        self._value = value

    def reveal(self) -> _V:
        """The secret itself; for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hidden) and hmac.compare_digest(_bytes(self._value), _bytes(other._value))

    def __hash__(self) -> int:
        return hash(self._value)


class Secret(_Hidden[str]):
    """A text that shows itself only when asked by ``reveal``."""


class SecretBytes(_Hidden[bytes]):
    """As ``Secret``, of bytes."""


class SecretFile(Secret):
    """A text in a file, as it is there whenever it is asked for; as it was, while the file cannot be read."""

    def __init__(self, path: Path, value: str) -> None:
        super().__init__(value)
        self._path = path

    def reveal(self) -> str:
        with suppress(OSError, ValueError):
            self._value = self._path.read_text("utf-8-sig").strip() or self._value
        return self._value


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
