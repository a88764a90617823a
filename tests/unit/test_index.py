"""Tests of the index: which rules a review looks at."""

import json

from hypothesis import given
from hypothesis import strategies as st

from webhook.profile import Profile, parse_profile

KEYS, VALUES = ("a", "b", "c"), ("x", "y")


def _profile(selectors: list[dict[str, object]]) -> Profile:
    rules = [{"name": f"r{i}", "matchAll": True, **s} for i, s in enumerate(selectors)]
    profile, _ = parse_profile({"selectors": json.dumps(rules)}, "1")
    assert profile is not None
    return profile


def test_a_rule_for_another_team_is_not_looked_at() -> None:
    """Of a thousand rules, each for a namespace label of its own, one is a candidate."""
    profile = _profile(
        [{"namespaceSelector": {"matchLabels": {"team": f"t{i}"}}} for i in range(1000)]
    )

    assert profile.index.candidates({"team": "t7"}, {}) == [7]
    assert profile.index.candidates({"team": "none"}, {}) == []


def test_a_rule_stands_under_the_label_that_the_fewest_need() -> None:
    """A label that all rules share tells nothing; the application's does."""
    shared = {"namespaceSelector": {"matchLabels": {"vci": "true"}}}
    profile = _profile(
        [{**shared, "objectSelector": {"matchLabels": {"app": f"a{i}"}}} for i in range(1000)]
    )

    assert profile.index.candidates({"vci": "true"}, {"app": "a7"}) == [7]


_labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
_expression = st.builds(
    lambda key, operator, values: {
        "key": key,
        "operator": operator,
        **({"values": values} if operator.endswith("In") else {}),
    },
    st.sampled_from(KEYS),
    st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=2),
)
_selector = st.fixed_dictionaries(
    {}, optional={"matchLabels": _labels, "matchExpressions": st.lists(_expression, max_size=2)}
)
_SIDES = ("namespaceSelector", "objectSelector")
_rule = st.fixed_dictionaries({}, optional=dict.fromkeys(_SIDES, _selector))


@given(st.lists(_rule, max_size=6), _labels, _labels)
def test_no_rule_that_matches_is_missed(
    rules: list[dict[str, object]], namespace_labels: dict[str, str], pod_labels: dict[str, str]
) -> None:
    """The candidates, in order and each once, hold every rule that matches."""
    profile = _profile(rules)

    candidates = profile.index.candidates(namespace_labels, pod_labels)

    assert candidates == sorted(set(candidates))
    for position, rule in enumerate(profile.rules):
        if rule.namespace_selector.matches(namespace_labels) and rule.object_selector.matches(
            pod_labels
        ):
            assert position in candidates
