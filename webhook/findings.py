"""A row of the doctor's table: how bad, what it is about, what was found, what to do."""

from dataclasses import dataclass
from typing import Literal

from webhook.observed import Unread
from webhook.remedies import Remedy, grant

Severity = Literal["ok", "note", "unknown", "warning", "error"]

NOTHING = Remedy()


@dataclass(frozen=True, slots=True)
class Row:
    """One finding; ``ok`` and ``note`` need nothing, ``unknown`` is what could not be seen."""

    severity: Severity
    what: str
    finding: str
    remedy: Remedy = NOTHING


def unread(what: str, seen: Unread) -> Row:
    """Say what could not be seen, and why."""
    remedy = grant(seen.right) if seen.right else NOTHING
    return Row("unknown", what, seen.why, remedy)


def counted(count: int, what: str) -> str:
    """Count things in words."""
    return f"{count} {what}{'' if count == 1 else 's'}"
