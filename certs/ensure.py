"""``python -m certs ensure``: one pass, told as tables; with ``--dry-run`` only told."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from rich import box
from rich.console import Console
from rich.table import Table

from certs.cluster import Cluster
from certs.durations import write_duration
from certs.observed import Observed
from certs.parameters import Parameters
from certs.perform import apply, perform
from certs.plan import Later, Plan, Step, plan
from certs.settle import Outcome, Pass

GOOD, FAILED, UNFINISHED = 0, 1, 3
_STEP_LIMIT = 50


async def ensure(
    cluster: Cluster, parameters: Parameters, console: Console, *, dry_run: bool
) -> int:
    """Do what can be done now, or say what that would be; return the exit status."""
    await cluster.check()
    try:
        if dry_run:
            observed, now = await cluster.look()
            steps, outcome = foresee(observed, now, parameters)
        else:
            steps = []
            outcome = await Pass(cluster, parameters, steps.append).run()
    finally:
        await cluster.close()
    _show(steps, outcome, console, dry_run=dry_run)
    return _status(steps, outcome, dry_run=dry_run)


def foresee(
    observed: Observed, now: datetime, parameters: Parameters
) -> tuple[list[Step], Outcome]:
    """Say which steps would be taken, and what would be left to do; nothing is written."""
    steps: list[Step] = []
    planned = plan(observed, now, parameters)
    while planned.steps and len(steps) < _STEP_LIMIT:
        steps.append(planned.steps[0])
        observed = apply(observed, perform(planned.steps[0], observed, now, parameters))
        planned = plan(observed, now, parameters)
    return steps, Outcome(observed, now, planned)


def _status(steps: list[Step], outcome: Outcome, *, dry_run: bool) -> int:
    if outcome.failures or outcome.plan.problems:
        return FAILED
    return UNFINISHED if (dry_run and steps) or not outcome.plan.is_good else GOOD


def _show(steps: list[Step], outcome: Outcome, console: Console, *, dry_run: bool) -> None:
    if steps:
        title = "would be done now" if dry_run else "done"
        rows = [(step.act.value, str(step.target), step.why) for step in steps]
        _table(console, title, ("step", "object", "why"), rows)
    for failure in outcome.failures:
        _say(console, f"failed: {failure}")
    for problem in outcome.plan.problems:
        _say(console, f"a person must act: {problem}")
    for target, found in outcome.observed.configurations.items():
        if found is None:
            _say(console, f"{target}: there is none; once there is, it gets its bundle")
    rows = [_later(each, outcome.now) for each in outcome.plan.later]
    if rows:
        _table(console, "later", ("when", "in", "what"), rows)
    _say(console, _conclude(steps, outcome.plan, dry_run=dry_run))


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _conclude(steps: list[Step], left: Plan, *, dry_run: bool) -> str:
    waiting = [each for each in left.later if each.waiting]
    if dry_run and steps:
        return "nothing was written; leave --dry-run out to do it"
    if waiting:
        return f"not finished: run it again at {waiting[0].when:%Y-%m-%d %H:%M:%S} UTC"
    if left.is_good:
        return "all is well" if steps else "all is well, nothing to do"
    return "not finished: see above"


def _later(later: Later, now: datetime) -> tuple[str, str, str]:
    rest = max(later.when - now, timedelta())
    if rest > timedelta(days=2):
        rest = timedelta(days=rest.days)
    what = f"{later.what} (waiting for it)" if later.waiting else later.what
    return f"{later.when:%Y-%m-%d %H:%M:%S} UTC", write_duration(rest), what


def _table(
    console: Console, title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]
) -> None:
    table = Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)
