"""Draws a rotation as it was recorded: a row for each who sees certificates, a colour a CA."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

OLD, NEW, FAILED, LOAD = "#5b7b95", "#d1495b", "#222222", "#a9b4bd"
TOGETHER_SECONDS = 2.5
LABELS_AT = 0.6  # above the rows, which are one apart from 0 down
SHORT = {
    "issue a CA": "new CA issued",
    "publish the bundle": "bundle published",
    "note that it is published": "seen everywhere",
    "let the new CA sign": "new CA may sign",
    "sign a certificate": "certificate signed",
    "drop an old CA": "old CA dropped",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """What could be seen at one moment."""

    at: float
    trusted: tuple[str, ...]  # CAs in the bundle
    secret: str  # the CA that signed what the Secret holds
    replicas: tuple[str, ...]  # the CA that signed what each replica presents
    created: int
    failed: int


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the program's log."""

    at: float
    name: str
    target: str


@dataclass(slots=True)
class Timeline:
    """A rotation as it was seen."""

    samples: list[Sample] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


def draw(path: Path, timeline: Timeline) -> None:
    """Write the picture, as SVG or, by the name of the file, as PNG."""
    begin = timeline.steps[0].at
    samples = timeline.samples
    old = samples[0].trusted[0]
    with mpl.rc_context(
        {
            "svg.hashsalt": "vci-webhook",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "axes.axisbelow": True,
        }
    ):
        figure = Figure(figsize=(9.6, 4.6), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        _draw_rows(top, samples, begin, old)
        _draw_steps(top, timeline, begin)
        _draw_creates(bottom, samples, begin)
        drawn = io.BytesIO()
        date = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(drawn, format=path.suffix[1:], dpi=120, metadata=date)
    path.write_bytes(drawn.getvalue())


def _draw_rows(axes: Axes, samples: Sequence[Sample], begin: float, old: str) -> None:
    count = min(len(each.replicas) for each in samples)
    rows: list[tuple[str, str, Callable[[Sample], str]]] = [
        ("API server trusts\nthe old CA", OLD, lambda each: old if old in each.trusted else ""),
        ("and the new CA", NEW, lambda each: _other(each.trusted, old)),
        ("Secret: signed by", "", lambda each: each.secret),
    ]
    rows += [(f"replica {index + 1} presents", "", _presented(index)) for index in range(count)]
    for place, (_, color, see) in enumerate(rows):
        for value, start, width in _spans(samples, see, begin):
            shade = color or (OLD if value == old else NEW)
            axes.broken_barh([(start, width)], (-place - 0.35, 0.7), facecolors=shade)
    axes.set_yticks([-place for place in range(len(rows))], [label for label, *_ in rows])
    axes.set_ylim(-len(rows) + 0.4, 2.2)
    owners = [Patch(color=OLD, label="old CA"), Patch(color=NEW, label="new CA")]
    axes.legend(handles=owners, loc="upper left", frameon=False)
    axes.tick_params(axis="y", length=0)


def _presented(index: int) -> Callable[[Sample], str]:
    return lambda each: each.replicas[index]


def _other(trusted: Sequence[str], old: str) -> str:
    return next((each for each in trusted if each != old), "")


def _spans(
    samples: Sequence[Sample], see: Callable[[Sample], str], begin: float
) -> list[tuple[str, float, float]]:
    """Give how long each value was seen, without those that are empty."""
    found = []
    for value, group in groupby(samples, see):
        seen = list(group)
        after = samples.index(seen[-1]) + 1
        end = samples[after].at if after < len(samples) else seen[-1].at
        if value:
            found.append((value, seen[0].at - begin, end - seen[0].at))
    return found


def _draw_steps(axes: Axes, timeline: Timeline, begin: float) -> None:
    """Name each step; those close together share a line."""
    groups: list[tuple[float, list[str]]] = []
    for step in timeline.steps:
        at, name = step.at - begin, SHORT[step.name]
        if groups and at - groups[-1][0] < TOGETHER_SECONDS:
            groups[-1][1].append(name)
        else:
            groups.append((at, [name]))
    for at, names in groups:
        axes.plot([at, at], [-99, LABELS_AT], color="#888888", linewidth=0.7)
        text = "\n".join(dict.fromkeys(names))
        axes.text(at, LABELS_AT, text, fontsize=7.5, va="bottom", ha="left", rotation=0)


def _draw_creates(axes: Axes, samples: Sequence[Sample], begin: float) -> None:
    """Show the creates of each second, and those that failed."""
    seconds, rates, failures = [], [], []
    last = samples[0]
    for each in samples[1:]:
        if each.at - last.at >= 1:
            seconds.append(each.at - begin)
            rates.append((each.created - last.created) / (each.at - last.at))
            failures.append((each.failed - last.failed) / (each.at - last.at))
            last = each
    axes.fill_between(seconds, rates, step="pre", color=LOAD)
    axes.fill_between(seconds, failures, step="pre", color=FAILED)
    total, failed = last.created - samples[0].created, last.failed - samples[0].failed
    axes.set_ylabel("Pods\nper second", rotation=0, ha="right", va="center")
    axes.set_ylim(0, max(rates) * 1.25)
    axes.set_title(f"{total} created, {failed} failed", fontsize=9, loc="left")
    axes.set_xlabel("seconds since the new CA was issued")
