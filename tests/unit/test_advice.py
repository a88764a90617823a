"""What is legal but unwise is said, at its place, and acts all the same."""

import json
from time import process_time
from typing import Any

import pytest

from tests.unit.profiles import assert_one, read
from webhook import vci
from webhook.advice import advise
from webhook.problems import Problem, Report


def assert_warned(problems: list[Problem], path: str, *words: str) -> None:
    """Expect one warning, at this path, that says these words and what to do."""
    assert_one(problems, "warning", path, *words)


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def advice(selectors: str, **data: str) -> list[Problem]:
    """Give the warnings of a profile whose rules all act."""
    profile, problems = read({"selectors": selectors, **data})
    assert profile is not None
    assert not [problem for problem in problems if problem.severity == "error"]
    return problems


def affinity(expression: str) -> str:
    return (
        f"{{nodeAffinity: {{{REQUIRED}: {{nodeSelectorTerms: [{{matchExpressions: "
        f"[{expression}]}}]}}}}}}"
    )


def test_a_rule_behind_one_that_always_wins_is_never_evaluated() -> None:
    """By priority, not by the order of the list; the message names the rule that wins."""
    problems = advice(
        """
        - {name: web, objectSelector: {matchLabels: {app: web}}, placement: enforce}
        - {name: none, matchAll: true, priority: 1, placement: "off"}
        """
    )
    assert_warned(
        problems,
        "selectors[0]",
        'never evaluated: "none" comes first',
        "higher priority, or remove it",
    )
    assert (problems[0].line, problems[0].column) == (2, 11)


def test_a_rule_that_names_nothing_new_changes_nothing() -> None:
    """The message names those that decided before."""
    problems = advice(
        """
        - {name: a, matchAll: true, effect: {labels: {x: "1"}}}
        - {name: b, matchAll: true, placement: allow}
        - name: c
          objectSelector: {matchLabels: {y: z}}
          placement: prefer
          effect: {labels: {x: ""}}
        """
    )
    assert_warned(
        problems,
        "selectors[2]",
        'changes nothing: wherever it matches, "a", "b" came first',
        "or remove it",
    )


def test_a_shadow_rule_hides_nothing() -> None:
    """Neither by ending the evaluation nor by naming values."""
    assert not advice(
        """
        - {name: a, matchAll: true, mode: shadow, placement: "off"}
        - {name: b, matchAll: true, placement: allow}
        """
    )


def test_too_many_rules_to_compare_are_said_to_be_unchecked() -> None:
    """What could not be found out is not passed over in silence."""
    rules = [
        {
            "name": f"r{i}",
            "placement": "enforce",
            "objectSelector": {
                "matchExpressions": [{"key": "a", "operator": "NotIn", "values": [f"v{i}"]}]
            },
        }
        for i in range(1200)
    ]
    started = process_time()
    problems = advice(json.dumps(rules))
    assert process_time() - started < 10
    assert_warned(
        problems,
        "selectors",
        "on it was not checked which rules never act",
        "select by label values",
    )


@pytest.mark.parametrize("side", ["namespaceSelector", "objectSelector"])
def test_a_selector_that_contradicts_itself_never_matches(side: str) -> None:
    """The key is named on which no label can meet all conditions."""
    problems = advice(
        f"[{{name: r, {side}: {{matchLabels: {{a: b}}, matchExpressions: "
        "[{key: a, operator: DoesNotExist}]}}]"
    )
    assert_warned(
        problems, f"selectors[0].{side}", 'no object meets all conditions on "a"', "correct one"
    )


@pytest.mark.parametrize("side", ["namespaceSelector", "objectSelector"])
def test_a_selector_for_pods_that_opted_out_never_acts(side: str) -> None:
    """The label that keeps the webhook away cannot be selected."""
    problems = advice(f"[{{name: r, {side}: {{matchLabels: {{{vci.OPT_OUT}: 'false'}}}}}}]")
    assert_warned(problems, f"selectors[0].{side}", "keeps the webhook away", "another label")


def test_a_selector_that_needs_the_opt_out_label_with_another_value_may_act() -> None:
    """Only the value false keeps the webhook away."""
    expression = f"{{key: {vci.OPT_OUT}, operator: Exists}}"
    assert not advice(f"[{{name: r, objectSelector: {{matchExpressions: [{expression}]}}}}]")
    expression = f"{{key: {vci.OPT_OUT}, operator: NotIn, values: ['true']}}"
    assert not advice(f"[{{name: r, objectSelector: {{matchExpressions: [{expression}]}}}}]")


@pytest.mark.parametrize(
    ("names", "expected"),
    [("kube-system", True), ("kube-system, kube-public", True), ("kube-system, argo", False)],
)
def test_a_selector_for_the_systems_own_namespaces_never_acts(names: str, expected: object) -> None:
    """Their Pods are never touched."""
    expression = f"{{key: kubernetes.io/metadata.name, operator: In, values: [{names}]}}"
    problems = advice(f"[{{name: r, namespaceSelector: {{matchExpressions: [{expression}]}}}}]")
    if expected:
        assert_warned(
            problems,
            "selectors[0].namespaceSelector",
            "system's own namespaces are never touched; name others",
        )
    else:
        assert problems == []


def test_an_object_selector_on_a_label_that_an_effect_sets_is_unstable() -> None:
    """Whichever rule sets it, and however it is selected; each key is named where it stands."""
    problems = advice(
        """
        - {name: setter, matchAll: true, effect: {labels: {x: "1", y: "1"}}}
        - name: reader
          objectSelector:
            matchLabels: {x: "2", z: "1"}
            matchExpressions: [{key: y, operator: DoesNotExist}, {key: x, operator: Exists}]
          placement: allow
        """
    )
    assert [(p.severity, p.path, p.line, p.column) for p in problems] == [
        ("warning", "selectors[1].objectSelector.matchLabels", 5, 27),
        ("warning", "selectors[1].objectSelector.matchExpressions[0].key", 6, 38),
    ]
    assert 'the label "x" is also set by rule "setter"' in problems[0].message
    assert "; select by another label" in problems[0].message


@pytest.mark.parametrize("cluster", ["selfBuilt", "vke"])
def test_the_burst_label_is_set_by_placement_on_self_built_clusters(cluster: str) -> None:
    """There, selecting by it is unstable too."""
    rule = f"[{{name: r, objectSelector: {{matchLabels: {{{vci.BURST}: enforce}}}}}}]"
    problems = advice(rule, clusterType=cluster)
    if cluster == "selfBuilt":
        assert_warned(
            problems,
            "selectors[0].objectSelector.matchLabels",
            "placement enforce, with clusterType selfBuilt",
        )
    else:
        assert problems == []


def test_a_namespace_selector_on_such_a_label_is_stable() -> None:
    """Effects label Pods, never namespaces."""
    assert not advice(
        "[{name: r, namespaceSelector: {matchLabels: {x: '1'}}, effect: {labels: {x: '1'}}}]"
    )


EXCLUDED = "no virtual node meets the required terms, so "


@pytest.mark.parametrize(
    ("placement", "default", "consequence"),
    [
        ("enforce", "false", "every Pod is left alone; correct them"),
        (None, "true", "every Pod is left alone; correct them"),
        (None, "false", "no Pod runs on one; correct them"),
        ("overflow", "true", "no Pod runs on one; correct them"),
    ],
)
def test_required_affinity_that_excludes_virtual_nodes_is_reported(
    placement: str | None, default: str, consequence: str
) -> None:
    """Together with enforce it leaves every Pod of the rule alone."""
    effect = affinity("{key: type, operator: NotIn, values: [virtual-kubelet]}")
    rule = f"name: r, matchAll: true, effect: {effect}"
    rule += f", placement: {placement}" if placement else ""
    problems = advice(f"[{{{rule}}}]", enforceSelectorToVci=default)
    assert_warned(problems, "selectors[0].effect.nodeAffinity", EXCLUDED + consequence)


def test_required_affinity_on_another_label_is_not_reported() -> None:
    """Which other labels virtual nodes have is not known."""
    effect = affinity("{key: disk, operator: In, values: [ssd]}")
    assert not advice(f"[{{name: r, matchAll: true, placement: enforce, effect: {effect}}}]")
    problems = advice(
        f"[{{name: r, matchAll: true, placement: enforce, effect: {effect}}}]",
        virtualNodeLabel="disk=none",
    )
    assert_warned(problems, "selectors[0].effect.nodeAffinity", EXCLUDED)


def test_more_required_terms_than_a_pod_may_get_are_reported() -> None:
    """Every Pod of such a rule would be left alone."""
    term: Any = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
    for count, expected in ((256, 0), (257, 1)):
        effect = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term] * count}}}
        problems = advice(json.dumps([{"name": "r", "matchAll": True, "effect": effect}]))
        assert len(problems) == expected
        if expected:
            assert_warned(
                problems,
                "selectors[0].effect.nodeAffinity",
                "more than 256 required terms",
                "use fewer",
            )


def test_a_rule_that_is_left_out_gives_no_advice() -> None:
    """It neither hides others nor is hidden."""
    _, problems = read(
        {
            "selectors": "[{name: a, matchAll: true, placement: 'off', x: 1},"
            "{name: b, matchAll: true, placement: allow}]"
        }
    )
    assert_one(problems, "error", "selectors[0].x", "unknown field")


def test_a_label_that_demands_another_placement_next_time() -> None:
    """On a self-built cluster the label decides a second admission, which the rule may not mean."""
    label = {"effect": {"labels": {"vke.volcengine.com/burst-to-vci": "enforce"}}}
    rules = [
        {"name": "a", "objectSelector": {"matchLabels": {"a": "b"}}, "placement": "allow", **label},
        {"name": "b", "matchAll": True, "placement": "enforce", **label},
    ]
    _, problems = read({"clusterType": "selfBuilt", "selectors": json.dumps(rules)})
    path = "selectors[0].effect.labels.vke.volcengine.com/burst-to-vci"
    assert_one(problems, "warning", path, "demands enforce", "use placement: enforce")
    _, elsewhere = read({"selectors": json.dumps(rules)})
    assert elsewhere == []


def test_without_rules_there_is_no_advice() -> None:
    """Nothing is unwise about nothing."""
    profile, _ = read({})
    assert profile is not None
    report = Report()
    advise((), profile.defaults, {}, report)
    assert report.listed("selectors") == []


def test_a_thousand_rules_are_read_with_advice_in_a_moment() -> None:
    """Real rules select by a label value each: nothing is compared with everything."""
    rules = [
        {
            "name": f"r{i}",
            "namespaceSelector": {"matchLabels": {"team": f"t{i}"}},
            "placement": "enforce",
            "effect": {"annotations": {"a.b/c": str(i)}, "labels": {"x": "y"}},
        }
        for i in range(1000)
    ]
    started = process_time()
    assert advice(json.dumps(rules)) == []
    assert process_time() - started < 3
