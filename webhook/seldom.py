"""Keeps the log readable while something goes on being wrong."""

import time
from collections.abc import Callable

SELDOM_SECONDS = 10.0


class Seldom:
    """Lets through one record of a cause in ten seconds: an outage is some lines, not a flood.

    Causes are few and fixed, never the names of things, or this would grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}

    def allows(self, cause: str) -> bool:
        """Tell whether a record of this cause may be written now."""
        now = self._clock()
        if cause in self._last and now - self._last[cause] < SELDOM_SECONDS:
            return False
        self._last[cause] = now
        return True
