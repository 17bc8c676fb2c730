"""Texts and bytes that do not show themselves: in a log, an error or a ``repr`` they are three asterisks."""

import hmac
from contextlib import suppress
from pathlib import Path


class Secret:
    """A text that shows itself only when asked by ``reveal``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself; for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(_bytes(self._value), _bytes(other._value))

    def __hash__(self) -> int:
        return hash(self._value)


class SecretFile(Secret):
    """A text in a file, as it is there whenever it is asked for; as it was, while the file cannot be read."""

    __slots__ = ("_path",)

    def __init__(self, path: Path, value: str) -> None:
        super().__init__(value)
        self._path = path

    def reveal(self) -> str:
        with suppress(OSError, ValueError):
            self._value = self._path.read_text("utf-8").strip() or self._value
        return self._value


class SecretBytes:
    """As ``Secret``, of bytes."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The secret itself; for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "SecretBytes(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretBytes) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
