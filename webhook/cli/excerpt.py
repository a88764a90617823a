"""The line that a problem is about, with a mark under the place: what an eye looks for first."""

import unicodedata

_NUMBER_WIDTH = 6
_LEAST_WIDTH = 20


def excerpt(line: str, number: int, column: int, width: int) -> tuple[str, str]:
    """Return the line, numbered and cut to the width, and under it the mark of the column.

    ``number`` and ``column`` count from 1; the column may be the one after the end of the line.
    """
    room = max(width - _NUMBER_WIDTH - 3, _LEAST_WIDTH)
    start, end = _window(len(line), column - 1, room)
    shown = "".join(c if c.isprintable() else " " for c in line[start:end])
    before = shown[: column - 1 - start]
    if start:
        shown = f"…{shown[1:]}"
    if end < len(line):
        shown = f"{shown[:-1]}…"
    margin = f"{number:>{_NUMBER_WIDTH}} | "
    return f"{margin}{shown}", f"{' ' * _NUMBER_WIDTH} | {' ' * _columns(before)}^"


def _window(length: int, offset: int, room: int) -> tuple[int, int]:
    """Return which part of a line to show: a third of the room for what stands before."""
    start = max(0, min(offset - room // 3, length - room))
    return start, min(length, start + room)


def _columns(text: str) -> int:
    """Count the columns that a terminal takes for the text."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
