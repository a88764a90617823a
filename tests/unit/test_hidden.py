"""A rule is said to be hidden exactly when leaving it out changes nothing for any Pod."""

from collections.abc import Mapping
from itertools import product
from time import process_time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from webhook.effect import Effect
from webhook.hidden import WORK_LIMIT, find_hidden
from webhook.labels import OPERATORS, Requirement, Selector
from webhook.rules import Rule

VALUES = ("x", "y")
WORLDS = [
    ({"n": n} if n else {}, {"p": p} if p else {})
    for n, p in product((None, *VALUES, "other"), repeat=2)
]
TOLERATION = {"key": "a", "operator": "Exists"}
TERM = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}


@st.composite
def selectors(draw: st.DrawFn, key: str) -> Selector:
    """Draw up to two requirements on one key."""
    found = []
    for operator in draw(st.lists(st.sampled_from(OPERATORS), max_size=2)):
        values = st.frozensets(st.sampled_from(VALUES), min_size=1)
        listed = draw(values) if operator in ("In", "NotIn") else frozenset[str]()
        found.append(Requirement(key, operator, listed))
    return Selector(tuple(found))


maps = st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=2)
effects = st.builds(
    Effect,
    annotations=maps,
    labels=maps,
    node_selector=maps,
    tolerations=st.sampled_from([(), (TOLERATION,)]),
    required_terms=st.sampled_from([(), (TERM,)]),
    preferred_terms=st.sampled_from([(), ({"weight": 1, "preference": TERM},)]),
)


@st.composite
def rule_lists(draw: st.DrawFn) -> list[Rule]:
    """Draw a few rules in the order of their evaluation, often with much in common."""
    return [
        Rule(
            name=f"r{index}",
            path=f"selectors[{index}]",
            namespace_selector=draw(selectors("n")),
            object_selector=draw(selectors("p")),
            placement=draw(st.sampled_from([None, "enforce", "off"])),
            effect=draw(st.one_of(st.just(Effect()), effects)),
            final=draw(st.sampled_from([False, False, True])),
            shadow=draw(st.sampled_from([False, False, True])),
        )
        for index in range(draw(st.integers(1, 5)))
    ]


def evaluated(
    rules: list[Rule], namespace: Mapping[str, str], pod: Mapping[str, str]
) -> list[Rule]:
    """Return the rules that are looked at and match, shadow rules among them."""
    found = []
    for rule in rules:
        if rule.namespace_selector.matches(namespace) and rule.object_selector.matches(pod):
            found.append(rule)
            if rule.ends and not rule.shadow:
                break
    return found


def outcome(matching: list[Rule]) -> Any:
    """Return all that the active ones of these rules decide together."""
    decided: dict[Any, Any] = {}
    added: set[str] = set()
    rules = [rule for rule in matching if not rule.shadow]
    for rule in rules:
        if rule.placement:
            decided.setdefault("placement", rule.placement)
        for what in ("annotations", "labels", "node_selector"):
            for key, value in getattr(rule.effect, what).items():
                decided.setdefault((what, key), value)
        for what in ("tolerations", "required_terms", "preferred_terms"):
            added |= {f"{what}{item}" for item in getattr(rule.effect, what)}
    return bool(rules), decided, added


@given(rule_lists())
def test_a_hidden_rule_is_one_without_consequences(rules: list[Rule]) -> None:
    """Never evaluated, or without any influence: for every namespace and every Pod."""
    hidden, looked_at = find_hidden(rules)
    assert looked_at == len(rules)
    for one in hidden:
        for world in WORLDS:
            seen = evaluated(rules, *world)
            if one.ended:
                assert one.rule not in seen
                continue
            others = [rule for rule in rules if rule is not one.rule]
            without = evaluated(others, *world)
            assert outcome(seen) == outcome(without)


@given(rule_lists())
def test_a_rule_behind_one_that_always_wins_is_found(rules: list[Rule]) -> None:
    """Whoever can match, but is never evaluated because of one earlier rule, is reported."""
    hidden, _ = find_hidden(rules)
    ended = {one.rule.name for one in hidden if one.ended}
    for index, rule in enumerate(rules):
        matching = [world for world in WORLDS if rule in evaluated([rule], *world)]
        assume(matching)
        enders = [
            earlier
            for earlier in rules[:index]
            if earlier.ends
            and not earlier.shadow
            and all(evaluated([earlier], *world) for world in matching)
        ]
        assert (rule.name in ended) == bool(enders)


def named(name: str, **fields: Any) -> Rule:
    return Rule(name=name, path=name, **fields)


def on(key: str, *values: str) -> Selector:
    return Selector((Requirement(key, "In", frozenset(values)),))


def exists(*keys: str) -> Selector:
    return Selector(tuple(Requirement(key, "Exists") for key in keys))


FIRST = Effect(annotations={"a": "1"}, labels={"b": "1"})


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        (named("later", effect=Effect(annotations={"a": "2"})), ("first",)),
        (named("later", effect=FIRST, placement="allow"), ("first", "second")),
        (named("later"), ("first",)),
        (named("later", effect=Effect(annotations={"c": "1"})), None),
        (named("later", effect=Effect(node_selector={"a": "1"})), None),
        (named("later", effect=Effect(tolerations=(TOLERATION,))), ("second",)),
        (named("later", effect=Effect(tolerations=({"key": "b"},))), None),
        (named("later", effect=Effect(required_terms=(TERM,))), None),
        (named("later", final=True), None),
        (named("later", placement="off"), None),
        (named("later", shadow=True), ("first",)),
    ],
)
def test_a_rule_that_names_nothing_new_changes_nothing(
    later: Rule, earlier: tuple[str, ...] | None
) -> None:
    """Every value that it names was decided by rules that always match when it does."""
    second = Effect(tolerations=(TOLERATION,))
    hidden, _ = find_hidden(
        [named("first", effect=FIRST), named("second", placement="prefer", effect=second), later]
    )
    assert [(one.rule.name, one.earlier, one.ended) for one in hidden] == (
        [("later", earlier, False)] if earlier else []
    )


def test_a_rule_hidden_by_a_wider_list_of_values_is_found() -> None:
    """What an earlier rule allows may be more than what the later one does."""
    first = named("first", namespace_selector=on("n", "x", "y"), final=True)
    later = named("later", namespace_selector=on("n", "y"), object_selector=on("p", "z"))
    other = named("other", namespace_selector=on("n", "y", "z"))
    hidden, _ = find_hidden([first, later, other])
    assert [one.rule.name for one in hidden] == ["later"]


def test_a_rule_that_matches_nothing_hides_nothing_and_is_not_hidden() -> None:
    """Its contradiction is another warning."""
    none = Selector((Requirement("n", "Exists"), Requirement("n", "DoesNotExist")))
    impossible = named("impossible", namespace_selector=none, final=True)
    hidden, _ = find_hidden([named("first"), impossible, named("later", placement="allow")])
    assert hidden == []


def test_a_thousand_rules_take_a_moment() -> None:
    """Real rules are found by their label values; nothing is compared with everything."""
    rules = [
        named(f"r{i}", namespace_selector=on("team", f"t{i}"), placement="enforce")
        for i in range(1000)
    ]
    started = process_time()
    assert find_hidden(rules) == ([], 1000)
    assert process_time() - started < 1


def test_any_thousand_rules_are_compared_completely() -> None:
    """The pairs of any thousand rules with a value each are fewer than the limit."""
    work_of_a_pair = 2 + 2
    assert 1000 * 999 / 2 * work_of_a_pair < WORK_LIMIT


def test_more_than_can_be_compared_is_said_to_be_unchecked() -> None:
    """The search ends after a bounded time, and tells how far it came."""
    rules = [
        named(f"r{i}", object_selector=Selector((Requirement("a", "NotIn", frozenset({str(i)})),)))
        for i in range(1200)
    ]
    hidden, looked_at = find_hidden(rules)
    assert hidden == []
    assert 1000 <= looked_at < 1200


def test_long_lists_of_values_are_not_compared_forever() -> None:
    """A comparison counts for what it costs."""
    values = [f"v{i}" for i in range(300)]
    rules = [
        named(f"r{i}", object_selector=on("p", *values, f"w{i}"), placement="prefer")
        for i in range(300)
    ]
    hidden, looked_at = find_hidden(rules)
    assert hidden == []
    assert 50 < looked_at < 150


def test_many_values_decided_by_many_rules_are_not_searched_forever() -> None:
    """The search for who decides a value is bounded as well."""
    count = 1400
    keys = [f"k{i}" for i in range(count)]
    rules = [
        named(key, object_selector=exists(key), effect=Effect(labels={key: "1"})) for key in keys
    ]
    all_of_them = Effect(labels=dict.fromkeys(keys, "1"))
    last = named("last", object_selector=exists(*keys), effect=all_of_them)
    assert find_hidden([*rules, last, named("after")]) == ([], count)
    (hidden,), _ = find_hidden([*rules[:100], named("l", object_selector=exists(*keys))])
    assert hidden.earlier == ("k0",)
