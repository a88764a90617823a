"""Durations as people write them: ``90s``, ``15m``, ``2h``, ``30d``."""

import re
from datetime import timedelta

from certs.errors import quoted

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_WRITTEN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", re.ASCII)
_LIMIT = timedelta(days=100 * 365)


def parse_duration(text: str) -> timedelta:
    """Read a number and its unit."""
    found = _WRITTEN.fullmatch(text)
    if not found:
        raise ValueError(
            f"{quoted(text)} is not a duration; give a number and a unit, as in 90s, 15m, 2h or 30d"
        )
    duration = timedelta(**{_UNITS[found[2]]: float(found[1])})
    if duration > _LIMIT:
        raise ValueError(f"{quoted(text)} is more than 100 years; give less")
    return duration


def write_duration(duration: timedelta) -> str:
    """Write a duration in the largest unit that needs no fraction."""
    seconds = duration.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"
