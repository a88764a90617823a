"""``make check``: runs every gate, goes on after one that fails, and shows in one table what ran.

The last line counts the tests, ``N passed, N failed, N skipped``; exit status 1 if anything failed.
"""

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Literal
from xml.etree import ElementTree as ET

from rich import box
from rich.console import Console
from rich.table import Table

BIN = Path(sys.executable).parent
PYTEST = (sys.executable, "-m", "pytest", "--quiet")
MEASURED = ("--cov", "--cov-report=", "--cov-fail-under=0")  # the gate is a step of its own
NOTHING_COLLECTED = 5  # pytest says so too when whole modules were skipped

Result = Literal["passed", "failed", "skipped"]
STYLES: dict[Result, str] = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


@dataclass(frozen=True, slots=True)
class Step:
    """One gate: a command, and whether it is a pytest run whose tests are counted.

    ``needs`` is a module that is not published for every platform; without it the step is skipped.
    """

    name: str
    command: tuple[str, ...]
    tests: bool = False
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many tests of one pytest run passed, failed and were skipped, and why those were."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one step."""

    step: Step
    result: Result
    seconds: float
    why: str = ""
    tally: Tally | None = None


STEPS = (
    Step("format", (str(BIN / "ruff"), "format", "--check", "--quiet", ".")),
    Step("lint", (str(BIN / "ruff"), "check", "--quiet", ".")),
    Step("types", (str(BIN / "mypy"), "--no-error-summary")),
    Step("import contracts", (str(BIN / "lint-imports"), "--no-cache", "--no-logo")),
    Step("unit tests", (*PYTEST, "tests/unit", *MEASURED), tests=True),
    Step("contract tests", (*PYTEST, "tests/contract", *MEASURED, "--cov-append"), tests=True),
    Step("branch coverage", (sys.executable, "-m", "coverage", "report")),
    Step("fuzzing", (sys.executable, "-m", "tests.fuzz"), needs="atheris"),
    Step("chart tests", (*PYTEST, "tests/chart"), tests=True),
    Step("image tests", (*PYTEST, "tests/image"), tests=True),
    Step("control-plane tests", (*PYTEST, "tests/cluster"), tests=True),
)


def tally(junit: str) -> Tally:
    """Count the test cases of a JUnit report."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for case in ET.fromstring(junit).iter("testcase"):  # noqa: S314 - pytest wrote it a moment ago
        if case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
        elif (skip := case.find("skipped")) is not None:
            counts["skipped"] += 1
            reasons[_reason(skip)] += 1
        else:
            counts["passed"] += 1
    ordered = tuple(f"{count} x {reason}" for reason, count in reasons.most_common())
    return Tally(counts["passed"], counts["failed"], counts["skipped"], ordered)


def _reason(skip: ET.Element) -> str:
    """Return why, also for a whole module, of which pytest hides the reason in the text."""
    whole_module = re.search(r"""['"]Skipped: (.*)['"]\)""", skip.text or "")
    reason = whole_module.group(1) if whole_module else skip.get("message")
    return reason or "no reason given"


def judge(step: Step, status: int, counted: Tally | None) -> tuple[Result, str]:
    """Decide what a step's exit status and its tests amount to."""
    counted = counted or Tally()
    if counted.failed:
        return "failed", f"{counted.failed} failed, see above"
    if status and not (status == NOTHING_COLLECTED and counted.skipped):
        return "failed", f"exit status {status}, see above"
    if not step.tests:
        return "passed", ""
    if not (counted.passed or counted.skipped):
        return "failed", "ran no test"
    return "passed" if counted.passed else "skipped", "; ".join(counted.reasons)


def run(step: Step, console: Console) -> Outcome:
    """Run one step, its output where a person can follow it."""
    console.rule(step.name, align="left")
    if step.needs and find_spec(step.needs) is None:
        return Outcome(step, "skipped", 0, f"{step.needs} is not published for this platform")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vci-webhook-check-") as folder:
        report = Path(folder, "junit.xml")
        command = (*step.command, f"--junitxml={report}") if step.tests else step.command
        status = _wait(command)
        counted = tally(report.read_text("utf-8")) if report.exists() else None
    result, why = judge(step, status, counted)
    return Outcome(step, result, time.monotonic() - started, why, counted)


def _wait(command: Sequence[str]) -> int:
    """Wait for a command; when we are told to stop, let it clean up before we go."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except (
            SystemExit
        ):  # a terminal's Ctrl-C reaches the command by itself, a signal to us does not
            process.send_signal(signal.SIGINT)
            raise


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print the table."""
    table = Table("step", "result", box=box.SIMPLE_HEAD)
    for column in ("passed", "failed", "skipped", "seconds"):
        table.add_column(column, justify="right")
    table.add_column("why")
    for outcome in outcomes:
        table.add_row(*_row(outcome))
    console.print(table)


def _row(outcome: Outcome) -> tuple[str, ...]:
    counted = outcome.tally
    numbers = (counted.passed, counted.failed, counted.skipped) if counted else ("", "", "")
    style = STYLES[outcome.result]
    return (
        outcome.step.name,
        f"[{style}]{outcome.result}[/]",
        *(str(number) for number in numbers),
        f"{outcome.seconds:.1f}",
        outcome.why,
    )


def closing_line(outcomes: Sequence[Outcome]) -> str:
    """Sum the tests over the pytest runs."""
    tallies = [outcome.tally for outcome in outcomes if outcome.tally]
    passed = sum(counted.passed for counted in tallies)
    failed = sum(counted.failed for counted in tallies)
    skipped = sum(counted.skipped for counted in tallies)
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def check(steps: Sequence[Step], console: Console) -> int:
    """Run the steps in turn, show the table, and return the exit status."""
    outcomes: list[Outcome] = []
    try:
        for step in steps:
            outcomes.append(run(step, console))  # noqa: PERF401 - what ran so far is shown when interrupted
    finally:
        show(outcomes, console)
    console.print(closing_line(outcomes), highlight=False)
    return 1 if any(outcome.result == "failed" for outcome in outcomes) else 0


def main() -> int:
    """Run all gates; a termination signal stops the running one in order."""
    signal.signal(signal.SIGTERM, _exit)
    try:
        return check(STEPS, Console(width=None if sys.stdout.isatty() else 120))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _exit(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
