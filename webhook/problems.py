"""What is wrong or unwise in a profile, each with its place: collected, never raised one by one."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from webhook.node import Node

Severity = Literal["error", "warning"]

PROBLEMS_LIMIT = 1000  # of one severity: nobody reads on, and a log line each has its price


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
    """Collects problems while a profile is read; counts those beyond PROBLEMS_LIMIT."""

    _problems: list[Problem] = field(default_factory=list)
    _counts: Counter[Severity] = field(default_factory=Counter)

    def error(self, path: str, message: str, at: Node | None = None) -> None:
        """Record what makes a rule, or the whole, unusable."""
        self._add("error", path, message, at)

    def warning(self, path: str, message: str, at: Node | None = None) -> None:
        """Record what is accepted but has no effect, or not the one that was meant."""
        self._add("warning", path, message, at)

    def _add(self, severity: Severity, path: str, message: str, at: Node | None) -> None:
        self._counts[severity] += 1
        if self._counts[severity] <= PROBLEMS_LIMIT:
            line, column = (at.line, at.column) if at else (0, 0)
            self._problems.append(Problem(severity, path, message, line, column))

    def errors(self) -> int:
        """Count the errors so far."""
        return self._counts["error"]

    def is_full(self, severity: Severity) -> bool:
        """Tell whether a further problem of this severity would only be counted."""
        return self._counts[severity] >= PROBLEMS_LIMIT

    def listed(self, path: str) -> list[Problem]:
        """Return the problems in the order of the text; ``path`` is that of those only counted."""
        problems = sorted(self._problems, key=lambda one: (one.line, one.column))
        for severity, count in self._counts.items():
            if count > PROBLEMS_LIMIT:
                last = max(i for i, one in enumerate(problems) if one.severity == severity)
                message = f"{count - PROBLEMS_LIMIT:,} further {severity}s; correct these first"
                line, column = problems[last].line, problems[last].column
                problems.insert(last + 1, Problem(severity, path, message, line, column))
        return problems
