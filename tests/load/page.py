"""Writes the figures into docs/performance.md and README.md, between marks; the rest is prose."""

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from tests.load.contenders import BARE, PLAIN, RUNTIME, WEBHOOK
from tests.load.creates import POLICY
from tests.load.figures import ROOT, Figures, Row

PAGE = ROOT / "docs" / "performance.md"
README = ROOT / "README.md"
PLOT = ROOT / "docs" / "performance.svg"
MARK = re.compile(
    r"(?P<begin><!-- make bench: (?P<name>[a-z ]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


def filled(text: str, figures: Figures) -> str:
    """Return a page with its marked parts made anew."""
    makers = {
        "goals": goals,
        "absolute": absolute,
        "layers": layers,
        "floors": floors,
        "machine": machine,
        "summary": summary,
    }
    return MARK.sub(lambda mark: mark["begin"] + makers[mark["name"]](figures) + mark["end"], text)


def write(figures: Figures) -> None:
    """Bring both pages up to date."""
    for path in (PAGE, README):
        path.write_text(filled(path.read_text("utf-8"), figures), "utf-8")


def goals(figures: Figures) -> str:
    """Write the table of ratios, goals and verdicts."""
    head = ["| | median (least to most) | goal | reached |", "|---|---|---|---|"]
    return "\n".join([*head, *_goal_lines(figures.rows)]) + "\n"


def _goal_lines(rows: list[Row]) -> Iterator[str]:
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            yield f"| **{group}** | | | |"
        verdict = {"yes": "yes", "no": "**no**", "": ""}[row.verdict()]
        yield f"| {row.what} | {row.value()} | {row.goal_text()} | {verdict} |"


def absolute(figures: Figures) -> str:
    """Write what the ratios were made of."""
    details = figures.details
    lines = [
        "| medians | reviews/s | µs of processor a review |",
        "|---|---|---|",
        *_sample_lines(details["reviews"]),
        *_sample_lines(details["paced"]),
        *_sample_lines(details["connections"]),
        "",
        "| a create | p50 | added | µs of processor a review |",
        "|---|---|---|---|",
        *_create_lines(details["creates"]),
    ]
    return "\n".join(lines) + "\n"


def _sample_lines(groups: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    for group, servers in groups.items():
        for name, found in servers.items():
            rate, cpu = found["per_second"], found["cpu_microseconds"]
            yield f"| {group}, {name} | {rate:,.0f} | {cpu:,.0f} |"


def _create_lines(creates: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    for concurrency, ways in creates.items():
        for way, found in ways.items():
            added = found["added_milliseconds"]
            cpu = f"{found['cpu_microseconds']:,.0f}" if found["cpu_microseconds"] else ""
            spread = f"{added['median']:.2f} ({added['least']:.2f} to {added['most']:.2f})"
            yield (
                f"| {concurrency} at a time, {way} | {found['milliseconds']:.2f} ms | "
                f"{spread} ms | {cpu} |"
            )


def layers(figures: Figures) -> str:
    """Write how much of a review's time is spent where."""
    lines = ["| µs of processor, 7 KB review | webhook | bare ASGI |", "|---|---|---|"]
    reviews, found = figures.details["reviews"]["7 KB"], figures.details["functions"]
    names = (WEBHOOK, BARE)
    whole = {name: reviews[name]["cpu_microseconds"] for name in names}
    parts = [part for part in found[WEBHOOK] if any(found[name].get(part) for name in names)]
    for part in parts:
        times = [whole[name] * found[name].get(part, 0.0) for name in names]
        lines.append(f"| {part} | {' | '.join(f'{each:.1f}' if each else '' for each in times)} |")
    lines.append(f"| **all** | {' | '.join(f'**{whole[name]:.0f}**' for name in names)} |")
    alone = figures.details["review_microseconds"]
    core = " and ".join(f"{alone[size]:.1f} µs ({size})" for size in alone)
    return (
        "\n".join([*lines, "", f"`admission.review` alone, without a server around it: {core}."])
        + "\n"
    )


def floors(figures: Figures) -> str:
    """Write what would be left if the webhook took no time at all."""
    ways = figures.details["creates"]["1"]
    lines = [
        "| one create at a time | adds | its own processor time | left to the API server |",
        "|---|---|---|---|",
    ]
    added = {way: found["added_milliseconds"]["median"] for way, found in ways.items()}
    own = {way: found["cpu_microseconds"] / 1000 for way, found in ways.items()}
    lines += [
        f"| {way} | {added[way]:.2f} ms | {own[way]:.2f} ms | {added[way] - own[way]:.2f} ms |"
        for way in ways
        if own[way]
    ]
    left = added[WEBHOOK] - own[WEBHOOK]
    paced = next(iter(figures.details["paced"].values()))
    times = {name: paced[name]["cpu_microseconds"] for name in (BARE, RUNTIME)}
    sentences = (
        f"So a webhook that takes no time at all would still add {left / added[POLICY]:.2f} of "
        f"what the policy adds, and {left / added[RUNTIME]:.2f} of what controller-runtime adds. "
        f"And of reviews that come one every 5 ms even the bare application, which decides "
        f"nothing, needs {times[BARE] / times[RUNTIME]:.2f} of controller-runtime's processor time."
    )
    return "\n".join([*lines, "", textwrap.fill(sentences, 200)]) + "\n"


def machine(figures: Figures) -> str:
    """Write on what it was measured, and when."""
    lines = [f"- {name}: {value}" for name, value in (figures.machine | figures.versions).items()]
    quiet = "busy with nothing else" if figures.quiet else "also busy with something else"
    return "\n".join([f"- measured: {figures.date}; machine {quiet}", *lines]) + "\n"


def summary(figures: Figures) -> str:
    """Write the few sentences that the README has."""
    reviews = figures.details["reviews"]["7 KB"]
    ratios = {row.name: row.found.median for row in figures.rows}
    cpu = {name: found["cpu_microseconds"] for name, found in reviews.items()}
    group = "reviews/s, 7 KB"
    against = {other: ratios[f"{group}, against {other}"] for other in (BARE, PLAIN, RUNTIME)}
    sentences = (
        f"A recorded 7 KB review takes {cpu[WEBHOOK]:.0f} µs of one core. On connections kept "
        f"alive that is **{against[BARE]:.2f} of the rate of a bare ASGI application** that only "
        f"reads and answers a constant, **{against[PLAIN]:.1f} times** that of a Go webhook on "
        f"`net/http` and `encoding/json`, and **{against[RUNTIME]:.1f} times** that of one on "
        "controller-runtime."
    )
    return textwrap.fill(sentences, 120) + "\n"
