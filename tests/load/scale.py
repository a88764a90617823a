"""What many rules and many namespaces cost a review, end to end but for the network.

Each round measures all situations, one right after the other, and what counts is the ratio.
"""

import json
import time
from collections.abc import Iterator, Sequence

from rpds import HashTrieMap

from tests.load.figures import Row, Spread
from tests.load.reviews import first, recorded
from webhook.admission import review
from webhook.profile import Profile, parse_profile
from webhook.state import Snapshot

PLACED = "workflows"  # the namespace of the review
MANY_RULES, MANY_NAMESPACES = 1_000, 10_000
ROUNDS, REVIEWS_A_ROUND = 15, 1_000
GOAL = 1.30
SITUATIONS = {
    "1 rule, 1 namespace": (1, 1),
    f"{MANY_RULES:,} rules, 1 namespace": (MANY_RULES, 1),
    f"{MANY_RULES:,} rules, {MANY_NAMESPACES:,} namespaces": (MANY_RULES, MANY_NAMESPACES),
}


def measure(rounds: int = ROUNDS, reviews: int = REVIEWS_A_ROUND) -> list[dict[str, float]]:
    """Return the microseconds of a review in each situation."""
    body = first(recorded("steps-hello1"))
    snapshots = {name: _snapshot(*counts) for name, counts in SITUATIONS.items()}
    return [
        {name: _microseconds(body, snapshot, reviews) for name, snapshot in snapshots.items()}
        for _ in range(rounds)
    ]


def rows(rounds: Sequence[dict[str, float]]) -> Iterator[Row]:
    """Compare each situation with the first."""
    first, *others = SITUATIONS
    for name in others:
        ratios = [measured[name] / measured[first] for measured in rounds]
        yield Row(f"time of a review, against {first}", name, Spread.of(ratios), GOAL, at_most=True)


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


def _microseconds(body: bytes, snapshot: Snapshot, reviews: int) -> float:
    """Return the processor time of a review."""
    mutation = review(body, snapshot).mutation
    assert mutation is not None
    assert mutation.decision == "enforce"
    started = time.process_time()
    for _ in range(reviews):
        review(body, snapshot)
    return (time.process_time() - started) / reviews * 1e6
