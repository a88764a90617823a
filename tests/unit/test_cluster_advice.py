"""What a cluster tells about a profile: whom the rules meet, and what they disturb."""

import json
from typing import Any

import msgspec
import pytest

from tests.unit.observations import MUTATING, authority, configuration
from webhook.cluster_advice import (
    Census,
    ResourcePolicy,
    RuleUse,
    Surroundings,
    advise_in_cluster,
    eligible,
    rule_uses,
)
from webhook.labels import Requirement, Selector
from webhook.pod import Pod
from webhook.profile import Profile, parse_profile

NAMESPACES = {
    "batch": {"vci": "true", "team": "a"},
    "film": {"vci": "true"},
    "web": {},
}


def profile_of(*rules: dict[str, Any], **data: str) -> Profile:
    """Make a profile that has no errors."""
    named = [{"name": f"r{number}", **rule} for number, rule in enumerate(rules)]
    profile, problems = parse_profile({"selectors": json.dumps(named), **data}, "1")
    assert profile is not None
    assert not [problem for problem in problems if problem.severity == "error"]
    return profile


def pod_in(namespace: str, **metadata: Any) -> Pod:
    """Make a Pod of which only the metadata is known."""
    metadata = {"name": "p", "namespace": namespace, **metadata}
    return msgspec.convert({"metadata": metadata, "spec": {}}, Pod)


def census_of(profile: Profile, *pods: Pod) -> Census:
    """Count some Pods."""
    census = Census(profile, NAMESPACES)
    for pod in pods:
        census.add(pod)
    return census


def told(profile: Profile, *pods: Pod, **surroundings: Any) -> list[str]:
    """Give what is said about a profile."""
    found = Surroundings(**{"namespaces": NAMESPACES, **surroundings})
    problems = advise_in_cluster(profile, found, census_of(profile, *pods))
    assert {problem.severity for problem in problems} <= {"warning"}
    return [str(problem) for problem in problems]


VCI = {"namespaceSelector": {"matchLabels": {"vci": "true"}}}
NOBODY = {"namespaceSelector": {"matchLabels": {"vci": "yes"}}}
EVERYWHERE = {"objectSelector": {"matchLabels": {"app": "x"}}}


class TestNamespaces:
    """Rules that match no namespace."""

    def test_a_rule_without_namespaces_is_named(self) -> None:
        """One that selects none today is, one that selects some or does not select is not."""
        assert told(profile_of(VCI, NOBODY, EVERYWHERE)) == [
            (
                "selectors[1].namespaceSelector: matches no namespace today; correct the selector, "
                "or label one: kubectl label namespace NAME vci=yes"
            )
        ]

    def test_what_could_not_be_read_is_not_judged(self) -> None:
        """Without the right to list namespaces nothing is said about them."""
        assert told(profile_of(NOBODY), namespaces=None) == []

    def test_namespaces_that_are_never_touched_do_not_count(self) -> None:
        """The system's own, and those that keep the webhook away, are left out."""
        all_of_them = {**NAMESPACES, "kube-system": {}, "out": {"vci-webhook/inject": "false"}}
        assert eligible(all_of_them, frozenset({"kube-system"})) == NAMESPACES


class TestCounts:
    """How many namespaces and running Pods a rule meets."""

    def test_each_rule_is_counted(self) -> None:
        """In the order of evaluation, with the placement that it would give."""
        low: dict[str, Any] = {**EVERYWHERE, "mode": "shadow"}
        high = {**VCI, "priority": 1, "placement": "prefer"}
        profile = profile_of(low, high)
        pods = [
            pod_in("batch"),
            pod_in("film", labels={"app": "x"}),
            pod_in("web", labels={"app": "x"}),
            pod_in("web"),
        ]
        uses = rule_uses(profile, Surroundings(NAMESPACES), census_of(profile, *pods))
        assert uses == (RuleUse("r1", "prefer", 2, None, 2), RuleUse("r0", "shadow", 3, None, 2))

    def test_what_ends_the_evaluation_hides_what_follows(self) -> None:
        """A Pod that a final rule matches is not counted for the next; a shadow hides nothing."""
        shadow: dict[str, Any] = {**VCI, "final": True, "mode": "shadow"}
        profile = profile_of(shadow, {**VCI, "placement": "off"}, EVERYWHERE)
        census = census_of(profile, pod_in("film", labels={"app": "x"}))
        pods = [use.pods for use in rule_uses(profile, Surroundings(NAMESPACES), census)]
        assert pods == [1, 1, 0]

    @pytest.mark.parametrize(
        "metadata",
        [
            {"labels": {"vci-webhook/inject": "false"}},
            {"annotations": {"kubernetes.io/config.mirror": "x"}},
            {"ownerReferences": [{"kind": "DaemonSet"}]},
            {"namespace": "gone"},
        ],
    )
    def test_pods_that_are_never_touched_do_not_count(self, metadata: dict[str, Any]) -> None:
        """Mirror Pods, a DaemonSet's, those that opt out, and those of unknown namespaces."""
        pod = pod_in(**{"namespace": "batch", **metadata})
        assert not census_of(profile_of(VCI), pod).matched

    def test_what_was_not_counted_is_unknown(self) -> None:
        """Without the rights there is no number, which is not the number zero."""
        profile = profile_of(VCI)
        assert rule_uses(profile, Surroundings(NAMESPACES), None)[0].pods is None
        census = census_of(profile)
        assert rule_uses(profile, Surroundings(None), census)[0] == RuleUse(
            "r0", "allow", None, None, None
        )


class TestSpelling:
    """Ids that running Pods spell differently."""

    SUBNET = "vke.volcengine.com/preferred-subnet-ids"
    FAMILY = "vci.vke.volcengine.com/preferred-instance-family"
    TYPE = "vci.vke.volcengine.com/preferred-instance-types"
    USED = "subnet-2fe6kt7dgy8lc59gp67abcdef"

    @pytest.mark.parametrize(
        ("annotation", "field", "written", "used"),
        [
            (SUBNET, "subnetIds", "subnet-2fe6kt7dgy8lc59gp67abcdfe", USED),
            (SUBNET, "subnetIds", "2fe6kt7dgy8lc59gp67abcdef", f"subnet-1, {USED}"),
            (FAMILY, "instanceFamilies", "vci.U1", "vci.u1,vci.g2"),
            (FAMILY, "instanceFamilies", "u1", "vci.u1"),
            (TYPE, "instanceTypes", "vci.u1-2c4g", "vci.u1.2c4g"),
            ("vke.volcengine.com/security-group-ids", "securityGroupIds", "sg_1", "sg-1"),
        ],
    )
    def test_another_spelling_is_named(
        self, annotation: str, field: str, written: str, used: str
    ) -> None:
        """The id is shown with the one that Pods name."""
        profile = profile_of({**VCI, "effect": {field: ["good", written]}})
        pod = pod_in("web", annotations={annotation: f"good,{used}"})
        (problem,) = told(profile, pod)
        assert problem.startswith(f"selectors[0].effect.{field}: no running Pod names the ")
        near = used.rpartition(" ")[2].partition(",")[0]
        assert f'"{written}"; did you mean "{near}", which Pods name?' in problem

    @pytest.mark.parametrize(
        ("annotation", "field", "written", "used"),
        [
            (SUBNET, "subnetIds", "subnet-3tispp1nai7vka8dpe1qg4vl", USED),
            (FAMILY, "instanceFamilies", "vci.u2", "vci.u1"),
            (TYPE, "instanceTypes", "vci.u1.2c8g", "vci.u1.2c4g"),
            (TYPE, "instanceTypes", "vci.u1.2c4g", "vci.u1.2c4g"),
        ],
    )
    def test_something_else_is_no_other_spelling(
        self, annotation: str, field: str, written: str, used: str
    ) -> None:
        """A new subnet, another family or size is no slip of the pen; nor is what Pods use."""
        profile = profile_of({**VCI, "effect": {field: [written]}})
        assert told(profile, pod_in("web", annotations={annotation: used})) == []

    def test_without_pods_that_name_any_nothing_is_said(self) -> None:
        """There is nothing to compare with."""
        assert told(profile_of({**VCI, "effect": {"subnetIds": ["x"]}}), pod_in("web")) == []

    def test_cluster_wide_keys_are_compared_too(self) -> None:
        """The key is the place."""
        profile = profile_of(VCI, preferredSubnetIds=self.USED.upper())
        (problem,) = told(profile, pod_in("web", annotations={self.SUBNET: self.USED}))
        assert problem.startswith("preferredSubnetIds: no running Pod names the subnet ")


class TestResourcePolicies:
    """Policies that enforce would switch off."""

    def test_a_policy_for_the_same_pods_is_named(self) -> None:
        """One that selects Pods that the rule may select, in a namespace of the rule."""
        policies = [
            ResourcePolicy("batch", "spread", {"app": "x"}),
            ResourcePolicy("batch", "all", {}),
            ResourcePolicy("web", "elsewhere", {"app": "x"}),
        ]
        rule = {**VCI, "placement": "enforce"}
        assert told(profile_of(rule), policies=policies) == [
            (
                "selectors[0]: enforce switches off, for the Pods that both select, ResourcePolicy "
                '"batch/spread", "batch/all"; use placement allow, or select other Pods'
            )
        ]

    @pytest.mark.parametrize("placement", ["allow", "prefer", "overflow", "off"])
    def test_a_soft_placement_leaves_policies_alone(self, placement: str) -> None:
        """Only enforce takes the choice away; a shadow takes nothing."""
        policies = [ResourcePolicy("batch", "all", {})]
        assert told(profile_of({**VCI, "placement": placement}), policies=policies) == []
        shadow = {**VCI, "placement": "enforce", "mode": "shadow"}
        assert told(profile_of(shadow), policies=policies) == []

    def test_the_default_placement_counts(self) -> None:
        """The key enforceSelectorToVci makes rules that name no placement hard ones."""
        policies = [ResourcePolicy("batch", "all", {})]
        assert told(profile_of(VCI, enforceSelectorToVci="true"), policies=policies)

    def test_pods_that_cannot_be_both_are_nobodys(self) -> None:
        """Selectors that contradict each other share no Pod, unless the rule adds the label."""
        rule: dict[str, Any] = {
            "objectSelector": {
                "matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}]
            },
            "placement": "enforce",
        }
        policies = [ResourcePolicy("batch", "spread", {"app": "x"})]
        assert told(profile_of(rule), policies=policies) == []
        adding = {**VCI, "placement": "enforce", "effect": {"labels": {"app": "x"}}}
        assert told(profile_of(adding), policies=policies)


class TestConfiguration:
    """What the API server asks about; tests/unit/test_calls.py has the cases."""

    def test_a_rule_that_is_never_asked_for_is_named_and_counted(self) -> None:
        """Beside how many namespaces it matches stands how many of them are called for."""
        team = Selector((Requirement("team", "In", frozenset({"a"})),))
        asked = configuration(MUTATING, authority(), selector=team)
        film = {"namespaceSelector": {"matchLabels": {"film": "yes"}}}
        namespaces = {**NAMESPACES, "show": {"film": "yes"}}
        profile = profile_of(VCI, film)
        surroundings = Surroundings(namespaces, configuration=asked)
        assert [use.called for use in rule_uses(profile, surroundings, None)] == [1, 0]
        assert told(profile, configuration=asked, namespaces=namespaces) == [
            (
                'selectors[1]: never acts: MutatingWebhookConfiguration "vci-webhook" does not '
                'call for "show", the only namespace that it matches; label it: kubectl label '
                "namespace show team=a"
            )
        ]

    def test_a_configuration_that_asks_about_nothing_is_one_warning(self) -> None:
        """However many rules there are."""
        asked = configuration(MUTATING, authority(), operations=frozenset({"UPDATE"}))
        assert told(profile_of(VCI, NOBODY, EVERYWHERE), configuration=asked) == [
            (
                'selectors: no rule acts: MutatingWebhookConfiguration "vci-webhook" does not ask '
                "about new Pods at /mutate; have it do that"
            )
        ]
