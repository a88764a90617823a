"""How a diagnosis is shown: a table for a person, lines for other programs, JSON for machines."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from tests.unit.observations import FOREIGN, MUTATING, configuration, good
from webhook.cli.report import print_report, status_of, write_json
from webhook.diagnosis import Diagnosis, diagnose
from webhook.findings import Row, Severity
from webhook.observed import Unread
from webhook.remedies import Remedy

WELL = diagnose(good())
WRONG = diagnose(good("provided", mutating=configuration(MUTATING, FOREIGN)))


def shown(diagnosis: Diagnosis, width: int = 150, *, terminal: bool = True) -> str:
    """Print on something of a width."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, color_system=None)
    print_report(diagnosis, console)
    return stream.getvalue()


def of(*severities: Severity) -> Diagnosis:
    """Make a diagnosis with rows of these severities."""
    return Diagnosis("self", tuple(Row(each, "it", "is so") for each in severities))


@pytest.mark.parametrize(
    ("severities", "status", "strict_status", "summary"),
    [
        (["ok", "note"], 0, 0, "nothing is wrong, 1 ok"),
        (["ok", "unknown"], 0, 1, "nothing is wrong, 1 not known, 1 ok"),
        (["ok", "warning"], 0, 1, "1 warning, 1 ok"),
        (["error", "error", "warning", "unknown"], 1, 1, "2 errors, 1 warning, 1 not known, 0 ok"),
    ],
)
def test_errors_are_what_is_wrong(
    severities: list[Severity], status: int, strict_status: int, summary: str
) -> None:
    """They alone make the status 1, unless a person is strict; the last line counts."""
    diagnosis = of(*severities)
    assert status_of(diagnosis, strict=False) == status
    assert status_of(diagnosis, strict=True) == strict_status
    assert shown(diagnosis).splitlines()[-1] == summary


def test_a_command_is_in_one_line_below_the_table() -> None:
    """However long it is, and however narrow the terminal; each once, with its number."""
    row = next(row for row in WRONG.rows if row.severity == "error")
    for width in (60, 150):
        lines = shown(WRONG, width).splitlines()
        assert lines.count(f"[1]  {row.remedy.command}") == 1
        assert any("[1]" in line and "kubectl" not in line for line in lines)


def test_a_line_for_each_row_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """As other messages are written: how bad, where, what, what to do."""
    print_report(WRONG)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(WRONG.rows) + 1
    assert lines[0].startswith("ok: API server: answers, v1.37.2")
    (error,) = (line for line in lines if line.startswith("error: "))
    assert error.startswith(f"error: {MUTATING} vci-webhook: its caBundle does not vouch for")
    assert "; put the CA of the certificate there" in error
    assert ": kubectl patch mutatingwebhookconfiguration vci-webhook --type json" in error


def test_json_has_all_of_it() -> None:
    """Null where there is nothing to do."""
    told = json.loads(write_json(WRONG, 1))
    assert {
        key: told[key] for key in ("status", "certificates", "errors", "warnings", "unknown")
    } == {
        "status": 1,
        "certificates": "provided",
        "errors": 1,
        "warnings": 0,
        "unknown": 0,
    }
    assert len(told["rows"]) == len(WRONG.rows)
    assert told["rows"][0] == {
        "severity": "ok",
        "what": "API server",
        "finding": "answers, v1.37.2, and its clock agrees with the one here",
        "remedy": None,
        "command": None,
    }


def test_what_is_well_is_shown_as_well() -> None:
    """One row each, and no commands."""
    text = shown(WELL)
    assert sum(line.strip().startswith("ok ") for line in text.splitlines()) == 11
    assert "[1]" not in text


def test_nothing_in_a_row_steers_a_terminal() -> None:
    """Neither an escape sequence nor what rich takes for markup."""
    row = Row("error", "[bold]x\x1b[2J", "a\nb", Remedy("c\x07", "d\x1b"))
    for terminal in (True, False):
        text = shown(replace(WELL, rows=(row,)), terminal=terminal)
        assert "\x1b" not in text
        assert "\x07" not in text


def test_a_right_that_is_missing_is_told() -> None:
    """With the file that grants it."""
    missing = Unread("may not be read", "list namespaces")
    text = shown(diagnose(good(namespaces=missing)), 300)
    assert "needs the right to list namespaces; examples/rbac-doctor.yaml grants it" in text
