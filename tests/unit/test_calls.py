"""Whether a rule can act where the API server calls the webhook, and what to label if not."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.observations import MUTATING
from webhook.calls import (
    Advice,
    advise_about,
    label_command,
    labels_to_match,
)
from webhook.labels import Requirement, Selector
from webhook.observed import Configuration, Entry
from webhook.profile import parse_profile
from webhook.reach import reaches_of
from webhook.rules import Rule

NAME = "kubernetes.io/metadata.name"
ENFORCED = "vci-webhook/enforced"
OWN = ("kube-node-lease", "kube-public", "kube-system", "vci-webhook")


def requires(key: str, operator: str, *values: str) -> Requirement:
    """Make a condition."""
    return Requirement(key, operator, frozenset(values))


def entry(*namespaces: Requirement, objects: Selector | None = None, **fields: Any) -> Entry:
    """Make an entry that asks about new Pods of some namespaces."""
    usual = Entry("x", failure_policy="Ignore", operations=frozenset({"CREATE"}))
    return replace(usual, selector=Selector(namespaces), objects=objects or Selector(), **fields)


OUTSIDE = requires(NAME, "NotIn", *OWN)
OPTED_IN = Selector((requires("vci-webhook/inject", "NotIn", "false"),))
LABELLED = entry(
    requires("vci", "In", "true"),
    OUTSIDE,
    requires(ENFORCED, "NotIn", "true"),
    objects=OPTED_IN,
)
FAILS = entry(requires(ENFORCED, "In", "true"), OUTSIDE, objects=OPTED_IN, failure_policy="Fail")
EVERYWHERE = entry(OUTSIDE, objects=OPTED_IN)


def rule_for(
    namespaces: dict[str, Any] | None = None, pods: dict[str, Any] | None = None, **fields: Any
) -> Rule:
    """Make a rule by its two selectors."""
    selectors = {"namespaceSelector": namespaces, "objectSelector": pods}
    written = {"name": "r", **{k: v for k, v in selectors.items() if v}, **fields}
    profile, problems = parse_profile({"selectors": json.dumps([written])}, "1")
    assert profile is not None
    assert not [problem for problem in problems if problem.severity == "error"]
    return profile.rules[0]


def labels(**pairs: str) -> dict[str, Any]:
    """Select by labels."""
    return {"matchLabels": pairs}


def expressions(*items: tuple[str, str, list[str]]) -> dict[str, Any]:
    """Select by conditions."""
    written = [
        {"key": key, "operator": operator, **({"values": values} if values else {})}
        for key, operator, values in items
    ]
    return {"matchExpressions": written}


def cluster(**namespaces: dict[str, str]) -> dict[str, dict[str, str]]:
    """Make namespaces, each with the label that names it."""
    return {name: {NAME: name, **own} for name, own in namespaces.items()}


def configured(*entries: Entry) -> Configuration:
    """Make a configuration of these entries."""
    return Configuration("MutatingWebhookConfiguration", "vci-webhook", entries)


def advice(rule: Rule, namespaces: dict[str, dict[str, str]], *entries: Entry) -> Advice | None:
    """Ask for advice about a rule."""
    configuration = configured(*entries)
    (reach,) = reaches_of([rule], namespaces, configuration)
    return advise_about(reach, configuration)


TEAM = rule_for(labels(team="film"))
CHART = (LABELLED, FAILS)


class TestNeverCalled:
    """A rule whose namespaces are there, and that the API server asks nothing about."""

    def test_the_labels_that_are_missing_are_told(self) -> None:
        """Those of the entry that ignores failures, in a command for just these namespaces."""
        told = advice(TEAM, cluster(a={"team": "film"}, b={"team": "film"}, c={}), *CHART)
        assert told is not None
        assert told.path == "selectors[0]"
        assert told.finding == (
            f'never acts: {MUTATING} "vci-webhook" does not call for "a", "b", the 2 namespaces '
            "that it matches"
        )
        assert told.todo == "label those that are meant"
        assert told.command == "kubectl label namespace a b vci=true"
        assert told.message == f"{told.finding}; {told.todo}: {told.command}"

    def test_whoever_has_another_value_has_it_replaced(self) -> None:
        """As kubectl would refuse otherwise."""
        told = advice(TEAM, cluster(a={"team": "film", "vci": "no"}), *CHART)
        assert told is not None
        assert (told.todo, told.command) == (
            "label it",
            "kubectl label namespace a vci=true --overwrite",
        )

    def test_a_label_that_keeps_it_away_is_taken_away(self) -> None:
        """Where an entry excludes it."""
        told = advice(
            TEAM, cluster(a={"team": "film", "off": "x"}), entry(requires("off", "NotIn", "x"))
        )
        assert told is not None
        assert told.command == "kubectl label namespace a off-"
        told = advice(
            TEAM, cluster(a={"team": "film", "off": ""}), entry(requires("off", "DoesNotExist"))
        )
        assert told is not None
        assert told.command == "kubectl label namespace a off-"

    def test_many_namespaces_are_not_written_out(self) -> None:
        """A person chooses those that are meant."""
        many = cluster(**{f"n{number}": {"team": "film"} for number in range(11)})
        told = advice(TEAM, many, *CHART)
        assert told is not None
        assert 'for "n0", "n1", "n10" and 8 more, the 11 namespaces' in told.finding
        assert told.command == "kubectl label namespace NAME vci=true"

    def test_an_entry_that_fails_is_the_last_resort(self) -> None:
        """Nobody is led to failurePolicy Fail where another way is open."""
        told = advice(TEAM, cluster(a={"team": "film"}), FAILS, LABELLED)
        assert told is not None
        assert told.command.endswith("vci=true")
        told = advice(TEAM, cluster(a={"team": "film"}), FAILS)
        assert told is not None
        assert told.todo == "label it for failurePolicy Fail"
        assert told.command.endswith(f"{ENFORCED}=true")
        told = advice(rule_for(labels(vci="false")), {}, *CHART)
        assert told is not None
        assert told.todo == "correct the selector, or label one for failurePolicy Fail"

    def test_where_no_label_helps_the_configuration_must_change(self) -> None:
        """A name cannot be changed, nor a label by which the rule itself selects."""
        named = entry(requires(NAME, "In", "other"))
        told = advice(TEAM, cluster(a={"team": "film"}), named)
        assert told is not None
        assert (told.todo, told.command) == ("have its namespaceSelector match", "")

    def test_a_shadow_looks(self) -> None:
        """It is told like others, in its own word."""
        shadow = rule_for(labels(team="film"), mode="shadow")
        told = advice(shadow, cluster(a={"team": "film"}), *CHART)
        assert told is not None
        assert told.finding.startswith("never looks: ")

    def test_one_namespace_that_any_entry_calls_for_is_enough(self) -> None:
        """All entries count together; how many namespaces are reached is counted."""
        namespaces = cluster(
            a={"team": "film"}, b={"team": "film", ENFORCED: "true"}, c={"vci": "true"}
        )
        assert advice(TEAM, namespaces, *CHART) is None
        (reach,) = reaches_of([TEAM], namespaces, configured(*CHART))
        assert (list(reach.matched), list(reach.called or ())) == (["a", "b"], ["b"])
        assert advice(TEAM, cluster(a={"team": "film"}), EVERYWHERE) is None
        assert reaches_of([TEAM], namespaces, None)[0].called is None


class TestNeverAtAll:
    """A rule that contradicts every entry, whatever namespaces there will be."""

    def test_selectors_that_contradict_each_other(self) -> None:
        """The label by which they do is named; that no namespace is there is not said as well."""
        told = advice(rule_for(labels(vci="false")), cluster(a={"vci": "false"}), LABELLED)
        assert told is not None
        assert told.finding == (
            f'can never act: {MUTATING} "vci-webhook" calls for nothing that it selects, as no '
            'object meets the conditions of both on "vci"'
        )
        assert (told.todo, told.command) == ("correct one of them", "")
        assert advice(rule_for(labels(vci="false")), {}, LABELLED, FAILS) is not None

    def test_one_entry_that_does_not_is_enough(self) -> None:
        """Then a namespace may still come that both select."""
        rule = rule_for({**labels(vci="false", **{ENFORCED: "true"})})
        told = advice(rule, {}, *CHART)
        assert told is not None
        assert told.finding == "matches no namespace today"

    def test_each_entry_has_its_own_reason(self) -> None:
        """All of them are named."""
        rule = rule_for(labels(vci="false", **{ENFORCED: "no"}))
        told = advice(rule, {}, *CHART)
        assert told is not None
        assert told.finding.endswith(f'on "vci", "{ENFORCED}"')

    def test_the_pods_that_are_left_out_count_too(self) -> None:
        """An objectSelector may contradict the entry's."""
        only = entry(objects=Selector((requires("app", "In", "x"),)))
        told = advice(rule_for(pods=labels(app="y")), cluster(a={}), only)
        assert told is not None
        assert told.finding.endswith('on "app"')
        assert advice(rule_for(pods=labels(app="x")), cluster(a={}), only) is None

    def test_its_own_namespace_is_never_called_for(self) -> None:
        """The configuration leaves it out by its name."""
        told = advice(rule_for({**labels(**{NAME: "vci-webhook"})}), {}, EVERYWHERE)
        assert told is not None
        assert told.finding.endswith(f'on "{NAME}"')

    @pytest.mark.parametrize(
        "rule",
        [
            rule_for(labels(**{NAME: "kube-system"})),
            rule_for(labels(**{"vci-webhook/inject": "false"})),
            rule_for(pods=labels(**{"vci-webhook/inject": "false"})),
            rule_for(expressions(("a", "Exists", []), ("a", "DoesNotExist", []))),
        ],
    )
    def test_what_is_wrong_without_a_cluster_is_not_said_twice(self, rule: Rule) -> None:
        """Such a rule has its warning already."""
        assert advice(rule, cluster(a={}), *CHART) is None

    def test_a_configuration_that_never_asks_is_told_of_elsewhere(self) -> None:
        """It is nothing about this rule."""
        deaf = entry(operations=frozenset({"DELETE"}))
        assert advice(TEAM, cluster(a={"team": "film"}), deaf) is None
        assert advice(TEAM, cluster(a={"team": "film"})) is None


class TestNobody:
    """A rule that no namespace of today meets."""

    def test_the_command_makes_one_that_is_called_for_too(self) -> None:
        """With the labels of the rule and those of the configuration."""
        told = advice(TEAM, cluster(a={}), *CHART)
        assert told is not None
        assert (told.path, told.finding) == (
            "selectors[0].namespaceSelector",
            "matches no namespace today",
        )
        assert told.todo == "correct the selector, or label one"
        assert told.command == "kubectl label namespace NAME team=film vci=true"

    def test_a_name_cannot_be_given_by_a_label(self) -> None:
        """Such a namespace has to be made."""
        told = advice(rule_for(labels(**{NAME: "soon"})), cluster(a={}), *CHART)
        assert told is not None
        assert (told.todo, told.command) == ("correct the selector, or make such a namespace", "")

    def test_a_rule_for_all_namespaces_has_nothing_to_correct(self) -> None:
        """A cluster without namespaces is no fault of it."""
        assert advice(rule_for(pods=labels(app="x")), {}, *CHART) is None


KEYS = ["vci", "team", ENFORCED, NAME]
VALUES = ["true", "false", "x"]
requirements = st.builds(
    lambda key, operator, values: requires(
        key, operator, *(values if operator.endswith("In") else ())
    ),
    st.sampled_from(KEYS),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.sets(st.sampled_from(VALUES), min_size=1, max_size=2),
)
selectors = st.builds(Selector, st.lists(requirements, max_size=3).map(tuple))
label_sets = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=4)
rules = st.builds(
    lambda namespaces, pods: replace(TEAM, namespace_selector=namespaces, object_selector=pods),
    selectors,
    selectors,
)
entries = st.builds(
    lambda namespaces, pods: entry(*namespaces.requirements, objects=pods), selectors, selectors
)


@given(rules, st.lists(entries, min_size=1, max_size=3), label_sets, label_sets)
def test_nothing_that_can_act_is_told_to_be_unable(
    rule: Rule, some: list[Entry], namespace: dict[str, str], pod: dict[str, str]
) -> None:
    """A Pod that the rule selects, and that an entry calls for, refutes both messages."""
    acts = rule.namespace_selector.matches(namespace) and rule.object_selector.matches(pod)
    asked = any(e.selector.matches(namespace) and e.objects.matches(pod) for e in some)
    told = advice(rule, {"n": namespace}, *some)
    if acts and asked:
        assert told is None


@given(st.lists(rules, max_size=3), st.lists(label_sets, max_size=5))
def test_each_namespace_that_a_rule_selects_is_found(
    some: list[Rule], labelled: list[dict[str, str]]
) -> None:
    """And no other, however many rules are looked at together."""
    namespaces = {f"n{number}": each for number, each in enumerate(labelled)}
    for rule, reach in zip(some, reaches_of(some, namespaces, None), strict=True):
        matches = rule.namespace_selector.matches
        assert reach.matched == {name: own for name, own in namespaces.items() if matches(own)}


@given(selectors, st.lists(label_sets, max_size=3))
def test_labelled_as_told_namespaces_are_selected(
    selector: Selector, namespaces: list[dict[str, str]]
) -> None:
    """Every one of them, and their names are left alone."""
    changes = labels_to_match(selector, namespaces)
    if changes is None:
        return
    assert NAME not in changes
    for before in namespaces:
        after = {key: value for key, value in {**before, **changes}.items() if value is not None}
        assert selector.matches(after)


def test_the_command_labels_and_takes_labels_away() -> None:
    """In kubectl's words."""
    changes = {"a": "b", "c": None}
    assert label_command(["x"], {"x": {}}, changes) == "kubectl label namespace x a=b c-"
