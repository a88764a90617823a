"""What is counted of reviews: everything once, in little time, and in bounded memory."""

import time

from webhook.mutate import Mutation
from webhook.profile import Profile, parse_profile
from webhook.tally import BUCKETS, OUTCOMES_LIMIT, Tally

PLACED = Mutation(decision="enforce", rules=("light",), shadows=("dark",))
SKIPPED = Mutation(decision="skipped", rules=("light",), reasons=("gpu", "hostPath"))
RULES = (
    '[{"name":"light","matchAll":true,"placement":"enforce"},'
    '{"name":"dark","matchAll":true,"mode":"shadow"}]'
)


def profile() -> Profile:
    read, _ = parse_profile({"selectors": RULES}, "1")
    assert read is not None
    return read


def samples(tally: Tally, name: str) -> dict[tuple[str, ...], float]:
    """Give the samples of one metric by the values of their labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in tally.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_outcomes_are_taken_apart() -> None:
    """A decision counts for itself, for each of its rules and for each of its reasons."""
    tally = Tally("x")
    tally.follow_profile(profile())
    for mutation in (PLACED, PLACED, SKIPPED, Mutation()):
        tally.decided(mutation)
    decisions = samples(tally, "x_reviews_total")
    assert decisions == {("none",): 1, ("enforce",): 2, ("allow",): 0, ("off",): 0, ("skipped",): 1}
    matches = samples(tally, "x_rule_matches_total")
    assert matches == {("light", "active"): 3, ("dark", "shadow"): 2}
    assert samples(tally, "x_skip_reasons_total") == {("gpu",): 1, ("hostPath",): 1}


def test_counters_never_go_back_while_a_rule_lives() -> None:
    """Another profile with the same rule goes on counting; without it, the rule is gone."""
    tally = Tally("x")
    tally.follow_profile(profile())
    tally.decided(PLACED)
    tally.follow_profile(profile())
    tally.decided(PLACED)
    assert samples(tally, "x_rule_matches_total")["light", "active"] == 2
    tally.follow_profile(Profile())
    tally.decided(PLACED)  # of a review that was under way
    assert samples(tally, "x_rule_matches_total") == {}
    assert samples(tally, "x_reviews_total")["enforce",] == 3


def test_memory_is_bounded_by_the_profile() -> None:
    """However many combinations there are, what is kept between two looks is not more."""
    tally = Tally("x")
    for number in range(3 * OUTCOMES_LIMIT):
        tally.decided(Mutation(decision="off", rules=(str(number),)))
        assert len(tally) <= OUTCOMES_LIMIT
    assert samples(tally, "x_reviews_total")["off",] == 3 * OUTCOMES_LIMIT


def test_durations_are_cumulative() -> None:
    """Each bucket has what is not above its edge, and the last one everything."""
    tally = Tally("x")
    for seconds in (0.0001, 0.00025, 0.0003, 20.0):
        tally.mutate.answered(200, seconds)
    buckets = samples(tally, "x_request_duration_seconds_bucket")
    assert BUCKETS[0] == 0.00025
    assert [buckets["mutate", edge] for edge in ("0.00025", "0.0005", "10.0", "+Inf")] == [
        2,
        3,
        3,
        4,
    ]
    assert samples(tally, "x_request_duration_seconds_sum")["mutate",] == 20.00065
    assert samples(tally, "x_requests_total")["mutate", "200"] == 4


def test_counting_costs_little() -> None:
    """All of it takes a microsecond or so; ten times that would be a mistake."""
    tally = Tally("x")
    count = 20_000
    started = time.process_time()
    for _ in range(count):
        tally.mutate.answered(200, 0.00003)
        tally.decided(PLACED)
    each = (time.process_time() - started) / count * 1e6
    print(f"{each:.2f} µs")
    assert each < 10
