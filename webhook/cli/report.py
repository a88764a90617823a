"""How a diagnosis is shown: a table on a terminal, a line for each row elsewhere, or JSON."""

import json
from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from webhook.diagnosis import Diagnosis
from webhook.findings import Row, counted
from webhook.log import one_line

_STYLES = {"ok": "green", "note": "dim", "unknown": "yellow", "warning": "yellow", "error": "red"}
_WIDE = 120  # columns from which on what to do has one of its own
_NARROW = (("what", 3), ("found, and what to do", 5))


def status_of(diagnosis: Diagnosis, *, strict: bool) -> int:
    """Give the exit status: 1 when something is wrong."""
    counts = Counter(row.severity for row in diagnosis.rows)
    return int(bool(counts["error"] or (strict and (counts["warning"] or counts["unknown"]))))


def write_json(diagnosis: Diagnosis, status: int) -> str:
    """Write all of it for a machine."""
    counts = Counter(row.severity for row in diagnosis.rows)
    rows = [
        {
            "severity": row.severity,
            "what": row.what,
            "finding": row.finding,
            "remedy": row.remedy.text or None,
            "command": row.remedy.command or None,
        }
        for row in diagnosis.rows
    ]
    told = {
        "status": status,
        "certificates": diagnosis.mode,
        "errors": counts["error"],
        "warnings": counts["warning"],
        "unknown": counts["unknown"],
        "rows": rows,
    }
    return json.dumps(told, indent=2)


def print_report(diagnosis: Diagnosis, console: Console | None = None) -> None:
    """Print for a person, or for whatever reads lines."""
    console = console or Console(soft_wrap=False, highlight=False)
    if console.is_terminal:
        _print_table(diagnosis.rows, console)
    else:
        for row in diagnosis.rows:
            print(_line(row))  # noqa: T201 - a command prints
    summary = Text(_summary(diagnosis.rows), style=f"bold {_STYLES[_worst(diagnosis.rows)]}")
    console.print(summary, soft_wrap=True)


def _print_table(rows: Sequence[Row], console: Console) -> None:
    """Print the table, and below it the commands: there nothing breaks them."""
    commands: dict[str, int] = {}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    wide = console.width >= _WIDE
    columns = (("what", 3), ("found", 5), ("what to do", 5)) if wide else _NARROW
    for title, ratio in (("", None), *columns):
        table.add_column(title, overflow="fold", ratio=ratio)
    for row in rows:
        todo = row.remedy.text
        if command := row.remedy.command:
            todo += f": [{commands.setdefault(command, len(commands) + 1)}]"
        severity = Text(row.severity, style=f"bold {_STYLES[row.severity]}")
        what, found, todo = map(one_line, (row.what, row.finding, todo))
        cells = (what, found, todo) if wide else (what, f"{found}\n> {todo}" if todo else found)
        table.add_row(severity, *map(Text, cells))
    console.print(table)
    for command, position in commands.items():
        console.print(Text(f"[{position}]  {one_line(command)}"), soft_wrap=True)
    if commands:
        console.print()


def _line(row: Row) -> str:
    """Write a row as other messages are written: where, what is wrong, what to do."""
    remedy = ": ".join(part for part in (row.remedy.text, row.remedy.command) if part)
    told = f"{row.severity}: {row.what}: {row.finding}"
    return one_line(f"{told}; {remedy}" if remedy else told)


def _worst(rows: Sequence[Row]) -> str:
    found = {row.severity for row in rows}
    return next(
        (severity for severity in ("error", "warning", "unknown") if severity in found), "ok"
    )


def _summary(rows: Sequence[Row]) -> str:
    counts = Counter(row.severity for row in rows)
    wrong = [
        counted(counts[severity], severity) for severity in ("error", "warning") if counts[severity]
    ]
    unknown = [f"{counts['unknown']} not known"] if counts["unknown"] else []
    return ", ".join([*(wrong or ["nothing is wrong"]), *unknown, f"{counts['ok']} ok"])
