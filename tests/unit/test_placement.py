"""Tests of merging: tolerations, required terms, preferred terms."""

from typing import Any

import pytest

from tests.unit.pods import make_pod, make_profile, place, trace_of
from webhook.placement import TERMS_LIMIT, excludes, merge_terms, read_term

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
KEY = "vci.vke.volcengine.com/node-type"
OURS = {"key": KEY, "operator": "Equal", "value": "vci", "effect": "NoSchedule"}
ZONE_A = {"key": "zone", "operator": "In", "values": ["a"]}
ZONE_B = {"key": "zone", "operator": "In", "values": ["b"]}
SSD = {"key": "disk", "operator": "In", "values": ["ssd", "nvme"]}


def _term(*expressions: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"matchExpressions": list(expressions), **rest}


def _expressions(term: dict[str, Any]) -> list[Any]:
    return list(term["matchExpressions"])


def _rule(*terms: dict[str, Any]) -> dict[str, Any]:
    affinity = {_REQUIRED: {"nodeSelectorTerms": list(terms)}}
    return {"placement": "allow", "effect": {"nodeAffinity": affinity}}


def _pod(*terms: Any) -> dict[str, Any]:
    return make_pod(affinity={"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": list(terms)}}})


def _terms_of(pod: dict[str, Any]) -> list[Any]:
    return list(pod["spec"]["affinity"]["nodeAffinity"][_REQUIRED]["nodeSelectorTerms"])


class TestTolerations:
    """A toleration is added unless one that is there covers it; none is ever changed."""

    @pytest.mark.parametrize(
        ("theirs", "covered"),
        [
            (OURS, True),
            ({"key": KEY, "value": "vci"}, True),
            ({"key": KEY, "operator": "Exists"}, True),
            ({"key": KEY, "operator": "Exists", "effect": "NoSchedule"}, True),
            ({"operator": "Exists"}, True),
            ({"operator": "Exists", "effect": "NoSchedule"}, True),
            ({"operator": "Exists", "effect": "NoExecute"}, False),
            ({"key": KEY, "operator": "Exists", "effect": "NoExecute"}, False),
            ({**OURS, "value": "other"}, False),
            ({**OURS, "key": "other"}, False),
            ({"key": "other", "operator": "Exists"}, False),
        ],
    )
    def test_coverage(self, theirs: dict[str, str], *, covered: bool) -> None:
        """It covers ours when it bears every taint that ours bears."""
        pod = make_pod(tolerations=[theirs])

        tolerations = place(pod, make_profile({"placement": "allow"}))["spec"]["tolerations"]

        assert tolerations == ([theirs] if covered else [theirs, OURS])

    @pytest.mark.parametrize(
        ("theirs", "ours", "covered"),
        [(None, 60, True), (60, 60, True), (59, 60, False), (60, None, False), (-5, 0, True)],
    )
    def test_it_must_last_at_least_as_long(
        self, theirs: int | None, ours: int | None, *, covered: bool
    ) -> None:
        """No time means for ever, a negative one not at all."""
        wanted = {"key": "k", "operator": "Exists", "effect": "NoExecute"}
        pod = make_pod(tolerations=[{**wanted, **_seconds(theirs)}])
        rule = {"placement": "off"}
        effect = {"effect": {"tolerations": [{**wanted, **_seconds(ours)}]}}

        tolerations = place(pod, make_profile(effect, rule))["spec"]["tolerations"]

        assert (len(tolerations) == 1) is covered

    def test_a_wider_toleration_of_an_equal_one_is_added(self) -> None:
        """Equal never covers Exists."""
        exists = {"key": KEY, "operator": "Exists", "effect": "NoSchedule"}
        pod = make_pod(tolerations=[OURS])

        profile = make_profile({"placement": "allow"}, virtualNodeTaint=f"{KEY}:NoSchedule")

        assert place(pod, profile)["spec"]["tolerations"] == [OURS, exists]

    def test_a_field_that_we_do_not_know_survives(self) -> None:
        """Existing tolerations are not written again."""
        theirs = {"key": "k", "operator": "Lt", "value": "5", "future": {"x": [1]}}

        result = place(make_pod(tolerations=[theirs]), make_profile({"placement": "allow"}))

        assert result["spec"]["tolerations"] == [theirs, OURS]

    def test_an_unknown_operator_covers_nothing(self) -> None:
        """A later Kubernetes compares numbers; such a toleration is not taken for Equal."""
        assert not _covers({"key": KEY, "operator": "Lt", "value": "vci"})

    @pytest.mark.parametrize("absent", [{}, {"tolerations": None}, {"tolerations": []}])
    def test_an_absent_list_is_created(self, absent: dict[str, Any]) -> None:
        """Absent, null and empty end the same."""
        result = place(make_pod(**absent), make_profile({"placement": "allow"}))

        assert result["spec"]["tolerations"] == [OURS]


def _seconds(seconds: int | None) -> dict[str, int]:
    return {} if seconds is None else {"tolerationSeconds": seconds}


def _covers(theirs: dict[str, str]) -> bool:
    pod = make_pod(tolerations=[theirs])
    return bool(place(pod, make_profile({"placement": "allow"}))["spec"]["tolerations"] == [theirs])


class TestRequired:
    """Required terms: ours are ANDed into each existing one."""

    def test_a_pod_without_affinity_gets_our_terms(self) -> None:
        """Absent objects are created from the outermost on."""
        absent: list[Any] = [{}, {"affinity": None}, {"affinity": {}}]
        absent += [{"affinity": {"nodeAffinity": None}}, {"affinity": {"nodeAffinity": {}}}]
        absent += [{"affinity": {"nodeAffinity": {_REQUIRED: None}}}]
        for spec in absent:
            assert _terms_of(place(make_pod(**spec), make_profile(_rule(_term(ZONE_A))))) == [
                _term(ZONE_A)
            ]

    def test_other_affinities_survive(self) -> None:
        """Only node affinity is ours to touch."""
        anti = {"podAntiAffinity": {"future": 1}}

        result = place(make_pod(affinity=anti), make_profile(_rule(_term(ZONE_A))))

        assert result["spec"]["affinity"]["podAntiAffinity"] == {"future": 1}

    def test_one_term_of_ours_narrows_each_of_theirs(self) -> None:
        """Fields to match and unknown fields are kept, absent lists are created."""
        named = {
            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}],
            "x": 1,
        }

        result = place(_pod(_term(SSD), named), make_profile(_rule(_term(ZONE_A))))

        assert _terms_of(result) == [_term(SSD, ZONE_A), {**named, "matchExpressions": [ZONE_A]}]

    def test_several_terms_of_ours_multiply(self) -> None:
        """Each of theirs is joined with each of ours."""
        result = place(
            _pod(_term(SSD), _term(ZONE_A)), make_profile(_rule(_term(ZONE_A), _term(ZONE_B)))
        )

        assert _terms_of(result) == [_term(SSD, ZONE_A), _term(ZONE_A), _term(SSD, ZONE_B)]

    def test_rules_are_anded(self) -> None:
        """The terms of two matching rules both hold."""
        result = place(make_pod(), make_profile(_rule(_term(SSD)), _rule(_term(ZONE_A))))

        assert _terms_of(result) == [_term(SSD, ZONE_A)]

    @pytest.mark.parametrize("empty", [{}, None, {"matchExpressions": []}])
    def test_an_empty_term_stays_empty(self, empty: Any) -> None:
        """It matches no node; narrowing it would make it match some."""
        result = place(_pod(empty, _term(SSD)), make_profile(_rule(_term(ZONE_A))))

        assert _terms_of(result) == [empty, _term(SSD, ZONE_A)]

    def test_the_order_of_values_does_not_matter(self) -> None:
        """A term that contains ours in other words stays as it is."""
        reordered = {**SSD, "values": ["nvme", "ssd"]}
        pod = _pod(_term(ZONE_A, reordered))

        assert _terms_of(place(pod, make_profile(_rule(_term(SSD))))) == [_term(ZONE_A, reordered)]

    def test_merging_twice_changes_nothing_more(self) -> None:
        """What was merged contains ours."""
        profile = make_profile(_rule(_term(ZONE_A), _term(ZONE_B)), _rule(_term(SSD)))
        once = place(_pod(_term(SSD), _term({**ZONE_A, "key": "k"})), profile)

        assert place(once, profile) == once

    @pytest.mark.parametrize(("own", "fits"), [(128, True), (129, False)])
    def test_beyond_256_terms_the_pod_is_left_alone(self, own: int, *, fits: bool) -> None:
        """Equal terms count as they stand."""
        pod = _pod(*[_term(SSD)] * own)

        told = trace_of(place(pod, make_profile(_rule(_term(ZONE_A), _term(ZONE_B)))), "skipped")

        assert (told is None) is fits
        assert fits or (told or {})["reasons"] == ["nodeAffinity"]

    def test_rules_alone_can_pass_the_limit(self) -> None:
        """Their own product counts: 17 times 16 terms are more than 256."""
        many = [_term({**ZONE_A, "values": [f"v{i}"]}) for i in range(17)]
        more = [_term({**SSD, "values": [f"v{i}"]}) for i in range(16)]
        profile = make_profile(_rule(*many), _rule(*more))

        for pod in (make_pod(), _pod(_term(SSD))):
            assert (trace_of(place(pod, profile), "skipped") or {})["reasons"] == ["nodeAffinity"]

    def test_a_rule_without_terms_leaves_those_of_other_rules(self) -> None:
        """What one rule requires holds, whichever rules match before and after it."""
        nothing = {"placement": "allow", "effect": {"labels": {"l": "1"}}}
        for rules in ([_rule(_term(ZONE_A)), nothing], [nothing, _rule(_term(ZONE_A))]):
            assert _terms_of(place(make_pod(), make_profile(*rules))) == [_term(ZONE_A)]

    def test_terms_can_be_too_large_for_a_pod(self) -> None:
        """Terms that would make the Pod larger than etcd takes leave it alone, few as they are."""
        names = {**ZONE_B, "values": [f"zone-{i:058}" for i in range(600)]}  # 40 KB
        profile = make_profile(_rule(_term(names)))
        ranks = [_term({**SSD, "values": [f"v{i}"]}) for i in range(16)]

        assert _terms_of(place(_pod(ranks[0]), profile)) == [_term(*_expressions(ranks[0]), names)]
        assert (trace_of(place(_pod(*ranks), profile), "skipped") or {})["reasons"] == [
            "nodeAffinity"
        ]

    def test_rules_alone_can_be_too_large(self) -> None:
        """Their own product counts: sixteen terms, each with a long one, are too large."""
        names = {**ZONE_B, "values": [f"zone-{i:058}" for i in range(600)]}
        many = [_term({**SSD, "values": [f"v{i}"]}) for i in range(16)]
        profile = make_profile(_rule(*many), _rule(_term(names)))

        assert (trace_of(place(make_pod(), profile), "skipped") or {})["reasons"] == [
            "nodeAffinity"
        ]

    def test_with_off_terms_beyond_the_limit_stay_the_pods_own(self) -> None:
        """Off never leaves a Pod alone."""
        pod = _pod(*[_term(SSD)] * 300)
        effect = {"effect": {**_rule(_term(ZONE_A))["effect"], "labels": {"l": "1"}}}

        result = place(pod, make_profile(effect, {"placement": "off"}))

        assert _terms_of(result) == _terms_of(pod)
        assert result["metadata"]["labels"] == {"l": "1"}

    def test_more_terms_than_the_limit_stay_when_nothing_changes(self) -> None:
        """A Pod that has all of ours already is not in the way of anything."""
        terms = [read_term(_term(ZONE_A))] * (TERMS_LIMIT + 1)

        merged = merge_terms(terms, [read_term(_term(ZONE_A))])

        assert merged is not None
        assert not merged.changed


class TestPreferred:
    """Preferred terms: appended, unless the same is there."""

    def test_they_are_appended_once(self) -> None:
        """The same weight and preference, in any order of values, is not added again."""
        same = {"weight": 5, "preference": _term({**SSD, "values": ["nvme", "ssd"]})}
        new = {"weight": 6, "preference": _term(SSD)}
        wanted = [{"weight": 5, "preference": _term(SSD)}, new, new]
        pod = make_pod(affinity={"nodeAffinity": {_PREFERRED: [same]}})
        rule = {"placement": "allow", "effect": {"nodeAffinity": {_PREFERRED: wanted}}}

        result = place(pod, make_profile(rule))

        assert result["spec"]["affinity"]["nodeAffinity"][_PREFERRED] == [same, new]

    def test_required_and_preferred_are_created_together(self) -> None:
        """One absent nodeAffinity is created once, with both."""
        rule = {**_rule(_term(SSD)), "placement": "prefer"}

        affinity = place(make_pod(), make_profile(rule))["spec"]["affinity"]["nodeAffinity"]

        assert affinity.keys() == {_REQUIRED, _PREFERRED}


@pytest.mark.parametrize(
    ("expression", "excluded"),
    [
        ({"key": "type", "operator": "In", "values": ["x", "virtual-kubelet"]}, False),
        ({"key": "type", "operator": "In", "values": ["x"]}, True),
        ({"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]}, True),
        ({"key": "type", "operator": "NotIn", "values": ["x"]}, False),
        ({"key": "type", "operator": "Exists"}, False),
        ({"key": "type", "operator": "DoesNotExist"}, True),
        ({"key": "type", "operator": "Gt", "values": ["1"]}, True),
        ({"key": "other", "operator": "DoesNotExist"}, False),
    ],
)
def test_which_expressions_exclude_virtual_nodes(
    expression: dict[str, Any], *, excluded: bool
) -> None:
    """Only an expression on the label that marks virtual nodes can tell."""
    assert excludes([read_term(_term(expression))], ("type", "virtual-kubelet")) is excluded


@pytest.mark.parametrize(
    ("operator", "value", "excluded"),
    [("Gt", "4", False), ("Gt", "5", True), ("Lt", "6", False), ("Lt", "5", True)],
)
def test_numbers_are_compared_as_numbers(operator: str, value: str, *, excluded: bool) -> None:
    """Gt and Lt compare the node's value with the one that is given."""
    term = read_term(_term({"key": "gen", "operator": operator, "values": [value]}))

    assert excludes([term], ("gen", "5")) is excluded


@pytest.mark.parametrize("value", ["1_0", "ten", "1.5", "", "9223372036854775808"])
def test_what_is_no_integer_is_not_compared(value: str) -> None:
    """The scheduler reads plain digits, so a node with another value does not match."""
    term = read_term(_term({"key": "gen", "operator": "Gt", "values": ["5"]}))

    assert excludes([term], ("gen", value))


def test_one_open_term_is_enough() -> None:
    """Terms are alternatives; no term at all excludes nothing."""
    closed = read_term(_term({"key": "type", "operator": "DoesNotExist"}))

    assert excludes([closed, closed], ("type", "virtual-kubelet"))
    assert not excludes([closed, read_term(_term(SSD))], ("type", "virtual-kubelet"))
    assert not excludes([], ("type", "virtual-kubelet"))
