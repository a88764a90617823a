"""The page about speed says what was measured, and a regression is told from noise."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.load import functions, page, plot
from tests.load.figures import KEPT, Figures, Row, Spread, regressions


def kept() -> Figures:
    return Figures.parse(KEPT.read_text("utf-8"))


def row(median: float, least: float, most: float, *, at_most: bool = False, unit: str = "") -> Row:
    return Row("group", "what", Spread(median, least, most), None, at_most=at_most, unit=unit)


@pytest.mark.parametrize("path", [page.PAGE, page.README], ids=lambda path: path.name)
def test_pages_say_what_is_kept(path: Path) -> None:
    """The tables of docs/performance.md and README's figures are those of docs/performance.json."""
    text = path.read_text("utf-8")
    assert page.MARK.search(text)
    assert text == page.filled(text, kept())


def test_figures_survive_being_kept() -> None:
    """What is written as JSON is read as it was."""
    assert kept().text() == KEPT.read_text("utf-8")


def test_everything_that_has_a_goal_is_measured() -> None:
    """Rate, connections, creates, scale, start and memory are in the table, each with a verdict."""
    groups = " ".join(row.group for row in kept().rows if row.verdict())
    for word in ("reviews/s", "connection", "create", "processor", "time of", "start", "memory"):
        assert word in groups


@pytest.mark.parametrize(
    ("suffix", "shown"), [(".svg", b"<!-- vci-webhook -->"), (".png", b"\x89PNG")]
)
def test_the_plot_can_be_drawn(tmp_path: Path, suffix: str, shown: bytes) -> None:
    """The kept figures can be drawn in both formats, with the webhook among the others."""
    path = tmp_path / f"plot{suffix}"
    plot.write(path, kept().details)
    assert shown in path.read_bytes()


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        pytest.param(row(0.70, 0.69, 0.71), row(0.60, 0.58, 0.62), True, id="slower"),
        pytest.param(
            row(0.70, 0.69, 0.71), row(0.65, 0.64, 0.66), False, id="by less than a tenth"
        ),
        pytest.param(row(0.70, 0.69, 0.71), row(0.60, 0.50, 0.72), False, id="noise"),
        pytest.param(row(0.70, 0.69, 0.71), row(0.90, 0.88, 0.91), False, id="faster"),
        pytest.param(
            row(1.0, 0.9, 1.1, at_most=True),
            row(1.2, 1.1, 1.3, at_most=True),
            True,
            id="less is better",
        ),
        pytest.param(
            row(1.0, 0.9, 1.1, at_most=True), row(0.5, 0.4, 0.6, at_most=True), False, id="less"
        ),
        pytest.param(row(1.0, 1, 1, unit="s"), row(0.1, 0, 0, unit="s"), False, id="no ratio"),
    ],
)
def test_a_regression_is_told_from_noise(before: Row, after: Row, *, worse: bool) -> None:
    """Worse by more than a tenth, in every round, is a regression; nothing else is."""
    assert bool(list(regressions([after], [before]))) is worse


def test_a_new_ratio_has_nothing_to_be_compared_with() -> None:
    """A row that was not there before is no regression."""
    assert not list(regressions([row(0.1, 0.1, 0.1)], []))


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (replace(row(0.7, 0, 1), goal=0.7), "yes"),
        (replace(row(0.69, 0, 1), goal=0.7), "no"),
        (replace(row(1.3, 0, 2, at_most=True), goal=1.3), "yes"),
        (replace(row(1.31, 0, 2, at_most=True), goal=1.3), "no"),
        (row(1.0, 1, 1), ""),
    ],
)
def test_the_median_decides_whether_a_goal_is_reached(found: Row, verdict: str) -> None:
    """A goal is reached at its value, from the side that is better."""
    assert found.verdict() == verdict


def test_a_stack_belongs_to_its_innermost_known_part() -> None:
    """Time in C counts for the part that called it; a thread that only waits counts for nothing."""
    decoding = "main (webhook/__main__.py);_decoded (webhook/admission.py:92);json_skip (_core.so)"
    looping = "main (webhook/__main__.py);uv_run (core.c:1);SSLProtocol__do_read (loop.c:2)"
    waiting = "run (threading.py:1);_queue_SimpleQueue_get (_queuemodule.c:3);futex (libc.so)"
    found = functions.shares([f"{decoding} 30", f"{looping} 10", f"{waiting} 500"])
    assert {name: share for name, share in found.items() if share} == {
        "JSON: `msgspec`, from `admission._decoded`": 0.75,
        functions.OTHER: 0.25,
    }
