"""Hash of an interface's definition."""

from __future__ import annotations

_SIZE = 32


class TypeHash:
    """Version and value of a hash; prints as ``RIHS01_<64 hex>``, or ``INVALID``."""

    __slots__ = ("_value", "_version")

    def __init__(self, version: int = -1, value: bytes = bytes(_SIZE)) -> None:
        self._version = version
        self._value = value

    @classmethod
    def parse(cls, text: str) -> TypeHash:
        """Read what ``str`` prints; anything else gives an invalid hash."""
        head, _, digits = text.partition("_")
        try:
            value = bytes.fromhex(digits)
            return cls(int(head.removeprefix("RIHS"), 10), value) if len(value) == _SIZE else cls()
        except ValueError:
            return cls()

    @property
    def version(self) -> int:
        """Version of the hashing rule; -1: none."""
        return self._version

    @property
    def value(self) -> bytes:
        """The 32 bytes."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TypeHash):
            return False
        return (self._version, self._value) == (other._version, other._value)

    def __hash__(self) -> int:
        return hash((self._version, self._value))

    def __str__(self) -> str:
        if self._version <= 0 or len(self._value) != _SIZE:
            return "INVALID"
        return f"RIHS{self._version:02}_{self._value.hex()}"
