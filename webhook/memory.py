"""Remembers what was worked out once. Forgetting is always right, so a full memory forgets all."""

from collections.abc import Hashable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_OVERHEAD_BYTES = 1024  # of an entry: its objects, apart from what is in them


class Memory(dict[Key, Value]):
    """Values of a pure function by what they follow from; bounded by count and by bytes.

    Nobody can make it grow beyond, and whatever would take more than a hundredth is not kept.
    """

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self._most_bytes = most_bytes
        self._bytes = 0

    def keep(self, key: Key, value: Value, size: int) -> None:
        """Remember a value; ``size`` is about the number of bytes that both take."""
        size += _OVERHEAD_BYTES
        if size * 100 > self._most_bytes:
            return
        if self._bytes + size > self._most_bytes:
            self.clear()
            self._bytes = 0
        self[key] = value
        self._bytes += size
