"""Counts what comes of reviews in plain numbers, and makes metrics of them when somebody asks.

A review takes some 50 µs of a core. Prometheus' own counters, one for each label, would take 4
more; this takes one. There is one event loop, so nothing is counted by two at the same time.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from webhook.families import counter
from webhook.mutate import Mutation
from webhook.profile import Profile

# Seconds. Below: what a review takes by itself; from 5 ms on the edges of the API server's own
# histogram of webhooks are among them, so that both can be compared.
BUCKETS = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0),
)
_EDGES = (*map(str, BUCKETS), "+Inf")

# Decision, rules that matched, shadow rules, reasons. With one profile there are a few of these.
Outcome = tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]
OUTCOMES_LIMIT = 1000


class Requests:
    """The requests of one endpoint: how many, answered how, and how fast."""

    __slots__ = ("codes", "counts", "seconds")

    def __init__(self) -> None:
        self.codes = {200: 0, 500: 0, 503: 0}  # what alerts ask about is there from the start
        self.counts = [0] * len(_EDGES)
        self.seconds = 0.0

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds
        try:
            self.codes[status] += 1
        except KeyError:
            self.codes[status] = 1

    def buckets(self) -> list[tuple[str, float]]:
        """Give the histogram, cumulative as Prometheus has it."""
        total, cumulative = 0, []
        for edge, count in zip(_EDGES, self.counts, strict=True):
            total += count
            cumulative.append((edge, float(total)))
        return cumulative


class Tally(Collector):
    """What was decided, and how the endpoints fare."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.mutate = Requests()
        self.validate = Requests()
        self._outcomes: dict[Outcome, int] = {}
        self._decisions = Counter(dict.fromkeys(("none", "enforce", "allow", "off", "skipped"), 0))
        self._matches: dict[tuple[str, ...], int] = {}
        self._reasons: Counter[str] = Counter()

    def __len__(self) -> int:
        """Count the outcomes that are kept until somebody asks."""
        return len(self._outcomes)

    def decided(self, mutation: Mutation) -> None:
        """Count a decision; what it consists of is taken apart later."""
        outcome = mutation.decision, mutation.rules, mutation.shadows, mutation.reasons
        try:
            self._outcomes[outcome] += 1
        except KeyError:
            self._outcomes[outcome] = 1
            if len(self._outcomes) > OUTCOMES_LIMIT:
                self._fold()

    def follow_profile(self, profile: Profile) -> None:
        """Count for the rules that there are, and no others: so the profile bounds the labels."""
        self._fold()
        rules = [(rule.name, "shadow" if rule.shadow else "active") for rule in profile.rules]
        self._matches = {rule: self._matches.get(rule, 0) for rule in rules}

    def _fold(self) -> None:
        """Take the outcomes apart."""
        for (decision, rules, shadows, reasons), count in self._outcomes.items():
            self._decisions[decision or "none"] += count
            for mode, names in (("active", rules), ("shadow", shadows)):
                for name in names:
                    if (name, mode) in self._matches:  # else it was removed a moment ago
                        self._matches[name, mode] += count
            for reason in reasons:
                self._reasons[reason] += count
        self._outcomes.clear()

    def collect(self) -> Iterator[Metric]:
        """Give the samples."""
        self._fold()
        yield counter(
            f"{self._prefix}_reviews",
            "Pods that were decided about; none: no rule matched.",
            ["decision"],
            {(decision,): count for decision, count in self._decisions.items()},
        )
        yield counter(
            f"{self._prefix}_rule_matches",
            "Pods that a rule of the active profile matched; a shadow rule changes none.",
            ["rule", "mode"],
            self._matches,
        )
        yield counter(
            f"{self._prefix}_skip_reasons",
            "Why Pods were left alone; one Pod may have several reasons.",
            ["reason"],
            {(reason,): count for reason, count in self._reasons.items()},
        )
        yield from self._requests()

    def _requests(self) -> Iterator[Metric]:
        endpoints = {"mutate": self.mutate, "validate": self.validate}
        yield counter(
            f"{self._prefix}_requests",
            "Answers by HTTP status.",
            ["endpoint", "code"],
            {
                (name, str(code)): count
                for name, requests in endpoints.items()
                for code, count in requests.codes.items()
            },
        )
        durations = HistogramMetricFamily(
            f"{self._prefix}_request_duration_seconds",
            "From the last byte of a request to its answer.",
            labels=["endpoint"],
        )
        for name, requests in endpoints.items():
            durations.add_metric([name], requests.buckets(), requests.seconds)
        yield durations
