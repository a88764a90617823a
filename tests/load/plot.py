"""Draws docs/performance.svg: what a review costs each server, and what each adds to a create."""

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.load.contenders import BARE, LEAN, PLAIN, RUNTIME, WEBHOOK
from tests.load.creates import POLICY

ORDER = (POLICY, WEBHOOK, LEAN, PLAIN, RUNTIME)
OURS, OTHERS, REFERENCE = "#d1495b", "#5b7b95", "#a9b4bd"
LABELS = {
    WEBHOOK: "vci-webhook",
    BARE: "bare ASGI application\n(answers a constant)",
    LEAN: "Go, net/http,\nown structs",
    PLAIN: "Go, net/http,\nk8s.io/api",
    RUNTIME: "Go, controller-\nruntime",
    POLICY: "MutatingAdmission-\nPolicy",
}


def write(path: Path, details: dict[str, Any]) -> None:
    """Draw what there is, as SVG or, by the name of the file, as PNG."""
    creates = details["creates"]
    with mpl.rc_context(
        {
            "svg.hashsalt": "vci-webhook",  # the same figures make the same file
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
        }
    ):
        figure = Figure(figsize=(9.6, 3.2), layout="constrained")
        widths = (1.2, *(1.0 for _ in creates))
        left, *others = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
        _draw_reviews(left, details["reviews"]["7 KB"])
        for axes, concurrency in zip(others, creates, strict=True):
            _draw_creates(axes, concurrency, creates[concurrency])
        for axes in others[1:]:
            axes.set_yticklabels([])
        drawn = io.BytesIO()
        date = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(drawn, format=path.suffix[1:], dpi=120, metadata=date)
    path.write_bytes(drawn.getvalue())


def _draw_reviews(axes: Axes, reviews: dict[str, dict[str, float]]) -> None:
    """Show the processor time of a review, the quickest above."""
    times = {name: found["cpu_microseconds"] for name, found in reviews.items()}
    names = sorted(times, key=lambda name: -times[name])
    bars = axes.barh(
        [LABELS[name] for name in names],
        [times[name] for name in names],
        color=[_color(name) for name in names],
    )
    axes.bar_label(bars, [f"{times[name]:.0f} µs" for name in names], padding=3)
    _finish(
        axes, "Processor time of a 7 KB review", "µs, connections kept alive", max(times.values())
    )


def _draw_creates(axes: Axes, concurrency: str, ways: dict[str, dict[str, Any]]) -> None:
    """Show what each adds to a create, with the range of the rounds."""
    added = {way: ways[way]["added_milliseconds"] for way in ORDER if way in ways}
    names = list(added)[::-1]
    medians = [added[way]["median"] for way in names]
    errors = [
        [added[way]["median"] - added[way]["least"] for way in names],
        [added[way]["most"] - added[way]["median"] for way in names],
    ]
    axes.barh([LABELS[way] for way in names], medians, color=[_color(way) for way in names])
    axes.errorbar(medians, range(len(names)), xerr=errors, fmt="none", ecolor="#333333", capsize=2)
    most = max(each["most"] for each in added.values())
    for place, way in enumerate(names):
        median, right = added[way]["median"], added[way]["most"]
        axes.annotate(
            f"{median:.2f}" if median < 10 else f"{median:.1f}",
            (max(median, right), place),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    _finish(axes, "Added to the create of a Pod", f"ms, {concurrency} at a time", most)


def _color(name: str) -> str:
    return {WEBHOOK: OURS, BARE: REFERENCE, POLICY: REFERENCE}.get(name, OTHERS)


def _finish(axes: Axes, title: str, unit: str, most: float) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(unit)
    axes.set_xlim(0, most * 1.3)
    axes.grid(axis="x", color="#e5e5e5")
