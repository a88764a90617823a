"""What many rules and many namespaces cost a review, end to end but for the network.

Each round measures all situations, one right after the other, and what counts is the ratio.
"""

import json
import statistics
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rpds import HashTrieMap

from webhook.admission import review
from webhook.profile import Profile, parse_profile
from webhook.state import Snapshot

ROOT = Path(__file__).parents[2]
REVIEW = ROOT / "tests" / "recorded" / "steps-hello1.json"
PLACED = "workflows"  # the namespace of the review
MANY_RULES, MANY_NAMESPACES = 1_000, 10_000
ROUNDS, REVIEWS_A_ROUND = 15, 1_000
GOAL = 1.30


def main() -> int:
    """Measure, print the table, and return 0."""
    Console().print(measure())
    return 0


def measure() -> Table:
    """Return the table of situations."""
    body = REVIEW.read_bytes()
    situations = {
        "1 rule, 1 namespace": _snapshot(1, 1),
        f"{MANY_RULES:,} rules, 1 namespace": _snapshot(MANY_RULES, 1),
        f"{MANY_RULES:,} rules, {MANY_NAMESPACES:,} namespaces": _snapshot(
            MANY_RULES, MANY_NAMESPACES
        ),
    }
    rounds = [[_microseconds(body, each) for each in situations.values()] for _ in range(ROUNDS)]
    table = Table(
        title="A review without the network: median (least to most)", title_justify="left"
    )
    table.add_column("situation")
    for heading in ("µs a review", f"ratio, goal at most {GOAL:.2f}"):
        table.add_column(heading, justify="right")
    for index, situation in enumerate(situations):
        ratios = [figures[index] / figures[0] for figures in rounds]
        times = [figures[index] for figures in rounds]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        table.add_row(situation, f"{statistics.median(times):.0f}", spread if index else "1")
    return table


def _snapshot(rules: int, namespaces: int) -> Snapshot:
    """Return what the server knows: a rule for each team, namespaces of the teams in turn."""
    labels = {f"namespace-{i}": {"team": f"team-{i % rules}"} for i in range(namespaces - 1)}
    labels[PLACED] = {"team": f"team-{rules // 2}"}
    return Snapshot(_profile(rules), HashTrieMap(labels))


def _profile(count: int) -> Profile:
    rules = [
        {
            "name": f"rule-{i}",
            "namespaceSelector": {"matchLabels": {"team": f"team-{i}"}},
            "placement": "enforce",
            "effect": {"subnetIds": [f"subnet-{i}"], "labels": {"created-by-vci": "true"}},
        }
        for i in range(count)
    ]
    profile, _ = parse_profile({"selectors": json.dumps(rules)}, "1")
    assert profile is not None
    return profile


def _microseconds(body: bytes, snapshot: Snapshot) -> float:
    """Return the processor time of a review."""
    mutation = review(body, snapshot).mutation
    assert mutation is not None
    assert mutation.decision == "enforce"
    started = time.process_time()
    for _ in range(REVIEWS_A_ROUND):
        review(body, snapshot)
    return (time.process_time() - started) / REVIEWS_A_ROUND * 1e6


if __name__ == "__main__":
    sys.exit(main())
