"""What is wrong or unwise in a profile, each with its place: collected, never raised one by one."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from webhook.document import Node

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong (``error``: it does not act) or unwise (``warning``: it acts).

    ``path`` is as in ``selectors[1].effect.annotations``; ``line`` and ``column`` count from 1 in
    the text of the value or, once located, in the file; 0 when not known.
    """

    severity: Severity
    path: str
    message: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(slots=True)
class Report:
    """Collects problems while a profile is read."""

    problems: list[Problem] = field(default_factory=list)

    def error(self, path: str, message: str, at: Node | None = None) -> None:
        """Record what makes a rule, or the whole, unusable."""
        self._add("error", path, message, at)

    def warning(self, path: str, message: str, at: Node | None = None) -> None:
        """Record what is accepted but has no effect, or not the one that was meant."""
        self._add("warning", path, message, at)

    def _add(self, severity: Severity, path: str, message: str, at: Node | None) -> None:
        line, column = (at.line, at.column) if at else (0, 0)
        self.problems.append(Problem(severity, _line(path), _line(message), line, column))

    def errors(self) -> int:
        """Count the errors so far."""
        return sum(problem.severity == "error" for problem in self.problems)


def _line(text: str) -> str:
    """Keep a key or a value, whatever is in it, from breaking a line or a terminal."""
    return "".join([c if c.isprintable() else "?" for c in text])


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "X"?`` for a likely slip of the pen, else the empty string."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return f'; did you mean "{by_folded[close[0]]}"?' if close else ""
