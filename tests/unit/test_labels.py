"""Label selectors mean what they mean in Kubernetes, and imply each other when they should."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.labels import (
    OPERATORS,
    Requirement,
    Selector,
    is_node_name,
    key_problem,
    value_problem,
)

KEYS = ("a", "b")
VALUES = ("x", "y", "z")
# A label is absent, has one of the values that selectors name, or one that none of them names.
WORLDS = [
    {key: value for key, value in zip(KEYS, values, strict=True) if value is not None}
    for values in product((None, *VALUES, "other"), repeat=len(KEYS))
]


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    """Draw a requirement as a profile may hold it."""
    operator = draw(st.sampled_from(OPERATORS))
    values = st.frozensets(st.sampled_from(VALUES), min_size=1)
    listed = draw(values) if operator in ("In", "NotIn") else frozenset[str]()
    return Requirement(draw(st.sampled_from(KEYS)), operator, listed)


selectors = st.lists(requirements(), max_size=4).map(lambda found: Selector(tuple(found)))


@given(selectors, selectors)
def test_implication_is_inclusion_over_all_labels(one: Selector, other: Selector) -> None:
    """One selector implies another exactly when no labels meet the first and not the second."""
    included = all(other.matches(labels) for labels in WORLDS if one.matches(labels))
    assert one.implies(other) == included


@given(selectors)
def test_a_contradiction_is_what_no_labels_meet(selector: Selector) -> None:
    """A key is named exactly when nothing matches, and it is one whose conditions exclude."""
    key = selector.contradiction()
    assert (key is not None) == (not any(selector.matches(labels) for labels in WORLDS))
    if key is not None:
        alone = Selector(tuple(r for r in selector.requirements if r.key == key))
        assert not any(alone.matches(labels) for labels in WORLDS)


@given(selectors, selectors)
def test_what_is_allowed_for_both_is_what_both_match(one: Selector, other: Selector) -> None:
    """ANDing selectors and ANDing what they allow is the same."""
    both = Selector((*one.requirements, *other.requirements))
    for labels in WORLDS:
        assert both.matches(labels) == (one.matches(labels) and other.matches(labels))
    assert both.implies(one)
    assert both.implies(other)


MEANING = {
    ("In", "x"): {"x": True, "y": False, None: False},
    ("NotIn", "x"): {"x": False, "y": True, None: True},
    ("Exists", ""): {"x": True, "y": True, None: False},
    ("DoesNotExist", ""): {"x": False, "y": False, None: True},
}


@pytest.mark.parametrize(("operator", "values"), MEANING)
def test_an_operator_means_what_it_means_in_kubernetes(operator: str, values: str) -> None:
    """NotIn holds for an absent label too."""
    requirement = Requirement("a", operator, frozenset(values))
    for value, expected in MEANING[operator, values].items():
        labels = {} if value is None else {"a": value}
        assert requirement.matches(labels) == expected
        assert Selector((requirement,)).matches(labels) == expected


def test_no_requirement_matches_everything() -> None:
    """An empty selector selects all, and is implied by any."""
    assert Selector().matches({})
    assert Selector((Requirement("a", "Exists"),)).implies(Selector())
    assert not Selector().implies(Selector((Requirement("a", "Exists"),)))


@pytest.mark.parametrize(
    "key", ["a", "A.b_c-D9", "a.b/c", f"{'x' * 63}", f"{'p' * 249}.com/{'x' * 63}", "1/2"]
)
def test_a_legal_key(key: str) -> None:
    """A name of up to 63, optionally behind a DNS name of up to 253 characters."""
    assert key_problem(key) is None


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "a/", "/a", "a/b/c", "-a", "a-", "a b", "ä", "x" * 64, "A/b", "a..b/c", "a\n"),
        f"{'p' * 250}.com/x",
    ],
)
def test_an_illegal_key(key: str) -> None:
    """Anything else is said to be no key, with what to write."""
    assert "is not a legal key; " in (key_problem(key) or "")


@pytest.mark.parametrize("value", ["", "a", "A.b_c-D9", "x" * 63])
def test_a_legal_value(value: str) -> None:
    """Empty, or up to 63 characters that begin and end with a letter or digit."""
    assert value_problem(value) is None


@pytest.mark.parametrize("value", ["-", "a ", "x" * 64, "a/b", "ä", "a\n"])
def test_an_illegal_value(value: str) -> None:
    """Anything else is said to be no value, with what to write."""
    assert "is not a legal label value; " in (value_problem(value) or "")


def test_a_nodes_name_is_a_dns_subdomain() -> None:
    """Up to 253 lower-case characters in dotted parts."""
    assert is_node_name("node-1.example.com")
    assert is_node_name("1" * 253)
    assert not is_node_name("1" * 254)
    assert not is_node_name("")
    assert not is_node_name("Node")
