"""How messages show what somebody wrote: on one line, of bounded length, with the nearest name."""

import difflib
from collections.abc import Iterable

_SHOWN_CHARACTERS = 80  # of a value in a message: a problem stays one readable line


def quoted(text: str) -> str:
    """Show a text in quotes, shortened and without control characters."""
    return f'"{shortened(text)}"'


def shortened(text: str) -> str:
    """Show a text, shortened and without control characters."""
    if len(text) <= _SHOWN_CHARACTERS and text.isprintable():
        return text
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[: _SHOWN_CHARACTERS - 3]}..."
    return "".join(c if c.isprintable() else "?" for c in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "X"?`` for a likely slip of the pen, else the empty string."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return f'; did you mean "{by_folded[close[0]]}"?' if close else ""


def listed(names: Iterable[str], limit: int = 3) -> str:
    """Show a few names in quotes, and how many there are besides."""
    names = list(names)
    shown = ", ".join(quoted(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
