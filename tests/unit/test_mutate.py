"""Tests of the decision: matching, placement, what is left alone, and the trace."""

from typing import Any

import pytest

from tests.unit.pods import (
    NAMESPACE_LABELS,
    make_pod,
    make_profile,
    make_review,
    make_snapshot,
    patched,
    place,
    response_of,
    trace_of,
)
from webhook import vci
from webhook.admission import review
from webhook.profile import Profile

TOLERATION = {
    "key": "vci.vke.volcengine.com/node-type",
    "operator": "Equal",
    "value": "vci",
    "effect": "NoSchedule",
}
ENFORCE = {"placement": "enforce"}


def _skipped(pod: dict[str, Any], profile: Profile) -> list[str]:
    """Return why a Pod is left alone, after checking that nothing else changed."""
    result = place(pod, profile)
    told = trace_of(result, "skipped")
    assert told is not None
    del result["metadata"]["annotations"][vci.SKIPPED]
    if not result["metadata"]["annotations"]:
        del result["metadata"]["annotations"]
    assert result == pod
    return list(told["reasons"])


def _annotated(**annotations: str) -> dict[str, Any]:
    return make_pod(metadata={"annotations": annotations})


class TestPlacement:
    """Section 2.2: what each placement gives a Pod."""

    def test_enforce_gives_all_that_a_virtual_node_asks_for(self) -> None:
        """Enforce adds toleration, node selector and annotation."""
        result = place(make_pod(), make_profile(ENFORCE))

        assert result["spec"]["tolerations"] == [TOLERATION]
        assert result["spec"]["nodeSelector"] == {"type": "virtual-kubelet"}
        assert result["metadata"]["annotations"][vci.BURST] == "enforce"

    @pytest.mark.parametrize(("placement", "operator"), [("prefer", "In"), ("overflow", "NotIn")])
    def test_soft_placements_prefer_by_affinity(self, placement: str, operator: str) -> None:
        """Prefer and overflow add the toleration and a preference of weight 100, nothing hard."""
        result = place(make_pod(), make_profile({"placement": placement}))

        expression = {"key": "type", "operator": operator, "values": ["virtual-kubelet"]}
        preference = {"weight": 100, "preference": {"matchExpressions": [expression]}}
        assert result["spec"]["affinity"] == {
            "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}
        }
        assert result["spec"]["tolerations"] == [TOLERATION]
        assert "nodeSelector" not in result["spec"]
        assert vci.BURST not in result["metadata"]["annotations"]

    def test_allow_only_tolerates(self) -> None:
        """Allow adds the toleration and the trace, nothing else."""
        result = place(make_pod(), make_profile({"placement": "allow"}))

        assert result["spec"].keys() == {"containers", "tolerations"}
        assert result["metadata"]["annotations"].keys() == {vci.APPLIED}

    def test_off_places_nothing(self) -> None:
        """Off leaves a Pod as it is when no earlier rule has an effect; cluster-wide keys rest."""
        profile = make_profile({"placement": "off"}, preferredSubnetIds="subnet-a")

        assert place(make_pod(), profile) == make_pod()

    def test_off_keeps_effects_of_earlier_rules(self) -> None:
        """A rule before off still injects; one after it is not evaluated."""
        profile = make_profile(
            {"effect": {"labels": {"first": "1"}}},
            {"placement": "off"},
            {"effect": {"labels": {"third": "3"}}},
        )

        result = place(make_pod(), profile)

        assert result["metadata"]["labels"] == {"first": "1"}
        assert "tolerations" not in result["spec"]
        assert trace_of(result) == {
            "placement": "off",
            "profile": "7",
            "rules": ["rule-0", "rule-1"],
        }

    def test_an_earlier_placement_outlives_off(self) -> None:
        """Off ends the evaluation, but the first rule that names a placement has decided."""
        result = place(make_pod(), make_profile(ENFORCE, {"placement": "off"}))

        assert result["metadata"]["annotations"][vci.BURST] == "enforce"

    @pytest.mark.parametrize("placement", ["allow", "off"])
    def test_the_pods_own_annotation_decides_the_placement(self, placement: str) -> None:
        """A Pod that says enforce is placed so, whatever the rule says."""
        pod = _annotated(**{vci.BURST: "enforce"})

        result = place(pod, make_profile({"placement": placement}))

        assert result["spec"]["nodeSelector"] == {"type": "virtual-kubelet"}

    def test_without_pinning_enforce_sets_no_node_selector(self) -> None:
        """The key pinToVirtualNode switches the node selector off, not the annotation."""
        result = place(make_pod(), make_profile(ENFORCE, pinToVirtualNode="false"))

        assert "nodeSelector" not in result["spec"]
        assert result["metadata"]["annotations"][vci.BURST] == "enforce"

    def test_self_built_clusters_get_the_label_too(self) -> None:
        """With clusterType selfBuilt, enforce sets the label that the official admission reads."""
        result = place(make_pod(), make_profile(ENFORCE, clusterType="selfBuilt"))

        assert result["metadata"]["labels"] == {vci.BURST: "enforce"}

    def test_on_self_built_clusters_the_pods_own_label_counts(self) -> None:
        """The Pod's own label enforce makes the placement enforce, as the annotation does."""
        pod = make_pod(metadata={"labels": {vci.BURST: "enforce"}})

        placed = place(pod, make_profile({"placement": "allow"}, clusterType="selfBuilt"))
        allowed = place(pod, make_profile({"placement": "allow"}))

        assert placed["metadata"]["annotations"][vci.BURST] == "enforce"
        assert vci.BURST not in allowed["metadata"]["annotations"]


class TestMatching:
    """Section 2.1: which rules act."""

    def test_a_pod_without_a_matching_rule_is_untouched(self) -> None:
        """Its own annotation does not place a Pod that no rule matches."""
        pod = _annotated(**{vci.BURST: "enforce"})
        profile = make_profile({"namespaceSelector": {"matchLabels": {"team": "x"}}})

        answer = review(make_review(pod), make_snapshot(profile))

        assert response_of(answer).keys() == {"uid", "allowed"}

    def test_the_first_rule_that_names_a_value_decides(self) -> None:
        """Every matching rule applies, but a key is set by the first that names it."""
        first = {"effect": {"annotations": {"a": "1", "b": "1"}, "labels": {"l": "1"}}}
        second = {"effect": {"annotations": {"b": "2", "c": "2"}, "labels": {"l": "2"}}}

        result = place(make_pod(), make_profile(first, second))

        annotations = result["metadata"]["annotations"]
        assert (annotations["a"], annotations["b"], annotations["c"]) == ("1", "1", "2")
        assert result["metadata"]["labels"] == {"l": "1"}

    def test_priority_goes_before_the_order_of_the_list(self) -> None:
        """A higher priority is evaluated first; equal ones keep the list's order."""
        rules = [
            {"effect": {"labels": {"l": str(i)}}, "priority": p} for i, p in enumerate([0, 5, 5])
        ]

        result = place(make_pod(), make_profile(*rules))

        assert result["metadata"]["labels"] == {"l": "1"}
        assert (trace_of(result) or {})["rules"] == ["rule-1", "rule-2", "rule-0"]

    def test_final_ends_the_evaluation(self) -> None:
        """No rule after a final one that matched is evaluated."""
        result = place(
            make_pod(), make_profile({"final": True}, {"effect": {"labels": {"l": "1"}}})
        )

        assert "labels" not in result["metadata"]

    def test_a_shadow_rule_changes_nothing_and_hides_nothing(self) -> None:
        """A shadow rule is counted; its final, placement and effect do not act."""
        shadow = {
            "mode": "shadow",
            "final": True,
            "placement": "enforce",
            "effect": {"labels": {"l": "shadow"}},
        }
        profile = make_profile(shadow, {"placement": "allow", "effect": {"labels": {"l": "real"}}})

        answer = review(make_review(make_pod()), make_snapshot(profile))

        assert answer.mutation is not None
        assert answer.mutation.shadows == ("rule-0",)
        assert answer.mutation.rules == ("rule-1",)
        assert patched(make_pod(), answer)["metadata"]["labels"] == {"l": "real"}

    def test_only_a_shadow_rule_leaves_the_pod_untouched(self) -> None:
        """When nothing but shadow rules match, the response carries nothing at all."""
        answer = review(
            make_review(make_pod()), make_snapshot(make_profile({"mode": "shadow", **ENFORCE}))
        )

        assert response_of(answer).keys() == {"uid", "allowed"}

    def test_selectors_see_the_pod_as_it_arrived(self) -> None:
        """A label that a rule adds does not make a later rule match."""
        profile = make_profile(
            {"effect": {"labels": {"size": "big"}}},
            {
                "objectSelector": {"matchLabels": {"size": "big"}},
                "effect": {"labels": {"seen": "yes"}},
            },
        )

        assert place(make_pod(), profile)["metadata"]["labels"] == {"size": "big"}

    @pytest.mark.parametrize(
        "pod",
        [
            make_pod(nodeName="node-1"),
            make_pod(metadata={"annotations": {"kubernetes.io/config.mirror": "hash"}}),
            make_pod(
                metadata={"ownerReferences": [{"kind": "DaemonSet", "name": "d", "uid": "u"}]}
            ),
            make_pod(metadata={"labels": {"vci-webhook/inject": "false"}}),
        ],
        ids=["bound", "mirror", "daemonset", "opted-out"],
    )
    def test_some_pods_are_never_touched(self, pod: dict[str, Any]) -> None:
        """Bound, mirror, DaemonSet and opted-out Pods pass as they are."""
        assert place(pod, make_profile(ENFORCE)) == pod

    def test_a_namespace_can_opt_out(self) -> None:
        """The label on the namespace keeps the webhook away from all its Pods."""
        labels = {**NAMESPACE_LABELS, "vci-webhook/inject": "false"}

        answer = review(make_review(make_pod()), make_snapshot(make_profile(ENFORCE), labels))

        assert response_of(answer).keys() == {"uid", "allowed"}


class TestStrength:
    """Section 2.1, last but one: the Pod, then the rules in order, then the cluster-wide keys."""

    def test_the_pods_own_annotation_stays(self) -> None:
        """By default a value that the Pod has is kept."""
        pod = _annotated(**{vci.SUBNETS: "subnet-own"})

        result = place(pod, make_profile({"effect": {"subnetIds": ["subnet-rule"]}}))

        assert result["metadata"]["annotations"][vci.SUBNETS] == "subnet-own"

    def test_override_replaces_the_pods_annotation_but_never_a_label(self) -> None:
        """The deciding rule's override acts on annotations only."""
        pod = make_pod(metadata={"annotations": {"a": "own"}, "labels": {"l": "own"}})
        rule = {
            "onConflict": "override",
            "effect": {"annotations": {"a": "rule"}, "labels": {"l": "rule"}},
        }

        result = place(pod, make_profile(rule))

        assert result["metadata"]["annotations"]["a"] == "rule"
        assert result["metadata"]["labels"]["l"] == "own"

    def test_only_the_deciding_rules_override_counts(self) -> None:
        """A later rule's override does not touch a key that an earlier one decided."""
        pod = _annotated(a="own")
        keep = {"effect": {"annotations": {"a": "1"}}}
        override = {"onConflict": "override", "effect": {"annotations": {"a": "2"}}}

        assert place(pod, make_profile(keep, override))["metadata"]["annotations"]["a"] == "own"

    def test_a_rule_goes_before_the_cluster_wide_key(self) -> None:
        """Cluster-wide keys fill in what neither the Pod nor a rule sets."""
        profile = make_profile(
            {"effect": {"subnetIds": ["subnet-rule"]}},
            preferredSubnetIds="subnet-a, subnet-b",
            securityGroupIds="sg-a , sg-b",
            tlsEnable="true",
        )

        annotations = place(make_pod(), profile)["metadata"]["annotations"]

        assert annotations[vci.SUBNETS] == "subnet-rule"
        assert annotations[vci.SECURITY_GROUPS] == "sg-a,sg-b"
        assert annotations[vci.TLS_ENABLE] == "true"


class TestLeftAlone:
    """Section 2.5: Pods that VCI cannot run, and conflicts."""

    @pytest.mark.parametrize("placement", ["enforce", "prefer", "overflow", "allow"])
    def test_an_incompatible_pod_stays_as_it_is(self, placement: str) -> None:
        """Whatever the placement, the only change is the annotation that says why."""
        pod = make_pod(hostNetwork=True, hostPID=True)

        assert _skipped(pod, make_profile({"placement": placement})) == ["hostNetwork", "hostPID"]

    def test_place_places_an_incompatible_pod(self) -> None:
        """With onIncompatible: place the rest of the Pod stays as it is."""
        result = place(
            make_pod(hostNetwork=True), make_profile({"onIncompatible": "place", **ENFORCE})
        )

        assert result["spec"]["hostNetwork"] is True
        assert result["metadata"]["annotations"][vci.BURST] == "enforce"

    def test_the_placing_rule_decides_about_incompatible_pods(self) -> None:
        """Of several matching rules it is the first that names a placement, not the first."""
        profile = make_profile(
            {"effect": {"labels": {"l": "1"}}}, {"onIncompatible": "place", **ENFORCE}
        )

        assert place(make_pod(hostIPC=True), profile)["spec"]["tolerations"] == [TOLERATION]

    @pytest.mark.parametrize("decision", ["skip", "place"])
    def test_a_node_selector_conflict_leaves_the_pod_alone(self, decision: str) -> None:
        """A key that the Pod sets to another value is never overridden, not even with place."""
        pod = make_pod(nodeSelector={"type": "gpu"})

        assert _skipped(pod, make_profile({"onIncompatible": decision, **ENFORCE})) == [
            "nodeSelector"
        ]

    @pytest.mark.parametrize("decision", ["skip", "place"])
    def test_another_value_of_burst_to_vci_leaves_the_pod_alone(self, decision: str) -> None:
        """The author meant something by it that only the author knows."""
        pod = _annotated(**{vci.BURST: "auto"})
        profile = make_profile({"onIncompatible": decision, "placement": "allow"})

        assert _skipped(pod, profile) == ["burst-to-vci"]

    @pytest.mark.parametrize("decision", ["skip", "place"])
    def test_an_affinity_against_virtual_nodes_leaves_the_pod_alone(self, decision: str) -> None:
        """An enforced Pod whose terms all exclude virtual nodes would stay Pending for ever."""
        pod = make_pod(affinity=_required({"key": "type", "operator": "DoesNotExist"}))

        assert _skipped(pod, make_profile({"onIncompatible": decision, **ENFORCE})) == [
            "nodeAffinity"
        ]

    def test_a_soft_placement_does_not_mind_such_an_affinity(self) -> None:
        """A Pod that may run on a real node can be scheduled all the same."""
        pod = make_pod(affinity=_required({"key": "type", "operator": "DoesNotExist"}))

        result = place(pod, make_profile({"placement": "allow"}))

        assert result["spec"]["tolerations"] == [TOLERATION]

    def test_off_never_skips(self) -> None:
        """With off the Pod's own node selector simply stays, and effects still apply."""
        pod = make_pod(nodeSelector={"disk": "ssd"}, hostNetwork=True)
        profile = make_profile(
            {"effect": {"nodeSelector": {"disk": "hdd", "zone": "a"}}}, {"placement": "off"}
        )

        result = place(pod, profile)

        assert result["spec"]["nodeSelector"] == {"disk": "ssd", "zone": "a"}
        assert trace_of(result, "skipped") is None

    def test_annotations_beyond_the_limit_leave_the_pod_alone_with_a_warning(self) -> None:
        """At 256 KiB in all the API server would refuse the Pod, so nothing is added."""
        pod = _annotated(big="x" * (vci.ANNOTATIONS_LIMIT_BYTES - len("big")))

        answer = review(make_review(pod), make_snapshot(make_profile(ENFORCE)))

        response = response_of(answer)
        assert "patch" not in response
        assert response["auditAnnotations"]["decision"] == "skipped"
        assert "256 KiB" in response["warnings"][0]

    def test_with_off_annotations_beyond_the_limit_are_not_added_either(self) -> None:
        """A label without its trace would be a riddle, so the Pod is left alone as well."""
        pod = _annotated(big="x" * (vci.ANNOTATIONS_LIMIT_BYTES - len("big")))
        profile = make_profile({"effect": {"labels": {"l": "1"}}}, {"placement": "off"})

        response = response_of(review(make_review(pod), make_snapshot(profile)))

        assert "patch" not in response
        assert response["auditAnnotations"]["decision"] == "skipped"

    def test_annotations_just_within_the_limit_are_added(self) -> None:
        """The limit is exact: keys and values in bytes, the trace included."""
        ours = place(make_pod(), make_profile(ENFORCE))["metadata"]["annotations"]
        room = vci.ANNOTATIONS_LIMIT_BYTES - vci.annotations_size(ours) - len("big")

        within = place(_annotated(big="x" * room), make_profile(ENFORCE))
        beyond = place(_annotated(big="x" * (room + 1)), make_profile(ENFORCE))

        assert vci.BURST in within["metadata"]["annotations"]
        assert beyond == _annotated(big="x" * (room + 1))

    def test_a_skipped_pod_warns_its_author(self) -> None:
        """The response names the reasons in one short line."""
        answer = review(make_review(make_pod(hostPID=True)), make_snapshot(make_profile(ENFORCE)))

        assert response_of(answer)["warnings"] == ["vci-webhook left this Pod alone: hostPID"]

    def test_every_reason_at_once_stays_within_the_limit_of_a_warning(self) -> None:
        """A warning is at most 120 characters, however many reasons there are."""
        pod = make_pod(
            metadata={"annotations": {vci.BURST: "auto"}},
            hostNetwork=True,
            hostPID=True,
            hostIPC=True,
            os={"name": "windows"},
            nodeSelector={"type": "x"},
            volumes=[{"name": "h", "hostPath": {"path": "/"}}, {"name": "i", "image": {}}],
            containers=[{"name": "m", "securityContext": {"privileged": True}}],
        )

        (warning,) = response_of(review(make_review(pod), make_snapshot(make_profile(ENFORCE))))[
            "warnings"
        ]

        assert len(warning) == 120
        assert warning.endswith("...")

    def test_enforcing_a_pod_that_avoids_hosts_warns(self) -> None:
        """What Argo's retryStrategy adds may exclude the only virtual node."""
        avoid = {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["vci-1"]}
        pod = make_pod(affinity=_required(avoid))

        answer = review(make_review(pod), make_snapshot(make_profile(ENFORCE)))

        assert "avoids host names" in response_of(answer)["warnings"][0]
        assert vci.BURST in patched(pod, answer)["metadata"]["annotations"]


def _required(*expressions: dict[str, Any]) -> dict[str, Any]:
    terms = [{"matchExpressions": list(expressions)}]
    required = {"nodeSelectorTerms": terms}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


class TestTrace:
    """Section 2.6: nobody has to guess why a Pod is where it is."""

    def test_the_trace_names_placement_profile_and_rules(self) -> None:
        """It is compact JSON with the keys in a fixed order."""
        result = place(make_pod(), make_profile(ENFORCE, {"name": "second"}, version="1143669"))

        assert result["metadata"]["annotations"][vci.APPLIED] == (
            '{"placement":"enforce","profile":"1143669","rules":["rule-0","second"]}'
        )

    def test_the_skip_trace_adds_the_reasons(self) -> None:
        """A Pod left alone says so in the same form."""
        result = place(make_pod(hostPID=True), make_profile(ENFORCE))

        assert result["metadata"]["annotations"] == {
            vci.SKIPPED: (
                '{"placement":"enforce","profile":"7","rules":["rule-0"],"reasons":["hostPID"]}'
            )
        }

    def test_a_trace_that_arrived_is_replaced_when_anything_changes(self) -> None:
        """A copied Pod does not keep the trace of its original."""
        result = place(_annotated(**{vci.APPLIED: "old"}), make_profile(ENFORCE))

        assert trace_of(result) == {"placement": "enforce", "profile": "7", "rules": ["rule-0"]}

    def test_a_trace_stays_when_nothing_changes(self) -> None:
        """A newer version of the profile alone does not change a Pod that has everything."""
        first = place(make_pod(), make_profile(ENFORCE, version="1"))

        assert place(first, make_profile(ENFORCE, version="2")) == first

    def test_a_pod_that_is_placed_loses_the_skip_trace(self) -> None:
        """It would contradict what is now true."""
        result = place(_annotated(**{vci.SKIPPED: "old"}), make_profile(ENFORCE))

        assert vci.SKIPPED not in result["metadata"]["annotations"]
        assert vci.APPLIED in result["metadata"]["annotations"]

    def test_the_skip_trace_that_arrived_stays(self) -> None:
        """A second review of a Pod that was left alone changes nothing."""
        first = place(make_pod(hostPID=True), make_profile(ENFORCE, version="1"))

        assert place(first, make_profile(ENFORCE, version="2")) == first

    def test_audit_annotations_tell_rule_and_decision(self) -> None:
        """They are there when a rule matched, whether or not anything changed."""
        profile = make_profile(ENFORCE, {"name": "second"})

        for pod in (make_pod(), place(make_pod(), profile)):
            response = response_of(review(make_review(pod), make_snapshot(profile)))
            assert response["auditAnnotations"] == {
                "decision": "enforce",
                "rule": "rule-0,second",
            }
