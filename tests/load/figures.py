"""What a run of the bench found: rows with goals, kept as JSON and compared with earlier ones."""

import json
import statistics
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "performance.json"
WORSE = 0.10  # so much worse than committed is a regression
DIGITS = 4


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, with the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Self:
        """Sum up rounds, in as many digits as mean something."""
        found = statistics.median(rounds), min(rounds), max(rounds)
        return cls(*(float(f"{each:.{DIGITS}g}") for each in found))

    def text(self, form: str) -> str:
        """Write it."""
        return f"{self.median:{form}} ({self.least:{form}} to {self.most:{form}})"


@dataclass(frozen=True)
class Row:
    """One line of the table: a ratio, or with a unit what does not compare between machines."""

    group: str
    what: str
    found: Spread
    goal: float | None = None
    at_most: bool = False
    unit: str = ""

    @property
    def name(self) -> str:
        return f"{self.group}, {self.what}"

    @property
    def form(self) -> str:
        """Say how its figures are written."""
        if self.unit:
            return ".0f" if self.unit == "MB" else ".2f"
        return ".2f" if self.found.median < 10 or self.at_most else ".1f"

    def value(self) -> str:
        """Write what was found."""
        return f"{self.found.text(self.form)} {self.unit}".rstrip()

    def goal_text(self) -> str:
        """Write the goal."""
        if self.goal is None:
            return ""
        goal = f"{self.goal:.3g}" if self.unit or self.goal >= 10 else f"{self.goal:.2f}"
        return f"{'≤' if self.at_most else '≥'} {goal} {self.unit}".rstrip()

    def verdict(self) -> str:
        """Say whether the goal is reached; nothing where there is none."""
        if self.goal is None:
            return ""
        median = self.found.median
        return "yes" if (median <= self.goal if self.at_most else median >= self.goal) else "no"


@dataclass(frozen=True)
class Figures:
    """Everything that is known of a run; ``details`` holds absolute figures for page and plot."""

    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    quiet: bool
    rows: list[Row]
    details: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Write it as JSON whose differences can be read."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``text`` wrote."""
        read = json.loads(text)
        rows = [Row(**{**row, "found": Spread(**row["found"])}) for row in read.pop("rows")]
        return cls(rows=rows, **read)


def read_kept() -> Figures | None:
    """Read the figures in the work tree."""
    return Figures.parse(KEPT.read_text("utf-8")) if KEPT.exists() else None


def read_committed() -> Figures | None:
    """Read the committed figures: a second run must not be compared with a first bad one."""
    command = ["git", "show", f"HEAD:{KEPT.relative_to(ROOT)}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return Figures.parse(done.stdout) if done.returncode == 0 else read_kept()


def regressions(rows: Iterable[Row], before: Iterable[Row]) -> Iterator[str]:
    """Name each ratio that is worse than before by more than noise explains.

    The median must be worse by a tenth, and no round as good as the median was.
    """
    known = {row.name: row for row in before}
    for row in rows:
        old = known.get(row.name)
        if old is None or row.unit or old.found.median <= 0:
            continue
        sign = -1 if row.at_most else 1
        change = (row.found.median / old.found.median - 1) * sign
        best = row.found.least if row.at_most else row.found.most
        if change < -WORSE and (best - old.found.median) * sign < 0:
            yield (
                f"{row.name}: {row.found.text(row.form)}, was {old.found.median:{row.form}}: "
                f"{-change:.0%} worse"
            )
