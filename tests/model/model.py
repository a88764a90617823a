"""What the webhook does to a Pod, said a second time: plain, slow, on copies of whole Pods."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.model import vocabulary as v
from tests.model.incompatibility import incompatibilities
from tests.model.placing import annotate, place
from tests.model.reading import Profile, Rule, read_profile
from tests.model.scheduling import expression_holds, label_selector_matches
from tests.model.wanted import Wanted

NEVER_TOUCHED = ("kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True)
class Outcome:
    """The Pod afterwards, and what the webhook says about it; no decision: no rule matched."""

    pod: Any
    decision: str = ""
    rules: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    warning: bool = False


def decide(
    pod: Any,
    namespace: str,
    namespace_labels: Mapping[str, str],
    profile_data: Mapping[str, str],
    version: str,
) -> Outcome:
    """Say what becomes of a Pod that is created in a namespace."""
    if is_never_touched(pod, namespace, namespace_labels):
        return Outcome(pod)
    profile = read_profile(profile_data)
    matched = matching_rules(pod, namespace_labels, profile)
    if not matched:
        return Outcome(pod)
    outcome = _outcome(pod, Wanted(pod, profile, matched), version)
    if outcome.pod != pod and _annotation_bytes(outcome.pod) > v.MAX_ANNOTATION_BYTES:
        return Outcome(pod, "skipped", outcome.rules, (), warning=True)
    return outcome


def is_never_touched(pod: Any, namespace: str, namespace_labels: Mapping[str, str]) -> bool:
    metadata = pod["metadata"]
    return (
        namespace in NEVER_TOUCHED
        or namespace_labels.get(v.INJECT) == "false"
        or (metadata.get("labels") or {}).get(v.INJECT) == "false"
        or "kubernetes.io/config.mirror" in (metadata.get("annotations") or {})
        or bool(pod["spec"].get("nodeName"))
        or any(owner["kind"] == "DaemonSet" for owner in metadata.get("ownerReferences") or [])
    )


def matching_rules(pod: Any, namespace_labels: Mapping[str, str], profile: Profile) -> list[Rule]:
    """Return the active rules that match, up to the one that ends the evaluation."""
    labels = pod["metadata"].get("labels") or {}
    matched = []
    for rule in profile.rules:
        if rule.shadow:
            continue
        if not label_selector_matches(rule.namespace_selector, namespace_labels):
            continue
        if not label_selector_matches(rule.object_selector, labels):
            continue
        matched.append(rule)
        if rule.final or rule.placement == "off":
            break
    return matched


def _outcome(pod: Any, wanted: Wanted, version: str) -> Outcome:
    rules = tuple(rule.name for rule in wanted.matched)
    reasons = _reasons_to_leave_alone(pod, wanted)
    if reasons:
        if v.SKIPPED not in wanted.own_annotations:
            pod = annotate(pod, v.SKIPPED, _trace(wanted, version, reasons))
        return Outcome(pod, "skipped", rules, reasons, warning=True)
    after = place(pod, wanted)
    if after != pod:
        after = annotate(after, v.APPLIED, _trace(wanted, version))
        if wanted.placement != "off":
            after["metadata"]["annotations"].pop(v.SKIPPED, None)
    return Outcome(after, wanted.placement, rules, (), _excludes_host_names(wanted))


def _trace(wanted: Wanted, version: str, reasons: tuple[str, ...] = ()) -> str:
    trace: dict[str, Any] = {
        "placement": wanted.placement,
        "profile": version,
        "rules": [rule.name for rule in wanted.matched],
    }
    if reasons:
        trace["reasons"] = list(reasons)
    return json.dumps(trace, separators=(",", ":"))


def _annotation_bytes(pod: Any) -> int:
    annotations = pod["metadata"].get("annotations") or {}
    return sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())


def _reasons_to_leave_alone(pod: Any, wanted: Wanted) -> tuple[str, ...]:
    if wanted.placement == "off":
        return ()
    reasons = set()
    own = wanted.own_node_selector
    if any(own.get(key, value) != value for key, value in wanted.node_selector.items()):
        reasons.add("nodeSelector")
    if wanted.own_annotations.get(v.BURST, "enforce") != "enforce":
        reasons.add("burst-to-vci")
    if wanted.has_too_many_terms or _excludes_virtual_nodes(wanted):
        reasons.add("nodeAffinity")
    incompatible = incompatibilities(
        pod, wanted.profile, wanted.matched, wanted.placement, {**wanted.node_selector, **own}
    )
    if reasons or not wanted.places_incompatible:
        reasons |= incompatible
    return tuple(sorted(reasons))


def _excludes_virtual_nodes(wanted: Wanted) -> bool:
    if wanted.placement != "enforce" or wanted.terms is None:
        return False
    key, value = wanted.profile.label_key, wanted.profile.label_value
    return all(
        any(e["key"] == key and not expression_holds(e, {key: value}) for e in _expressions(term))
        for term in wanted.terms
    )


def _excludes_host_names(wanted: Wanted) -> bool:
    return wanted.placement == "enforce" and any(
        expression["key"] == "kubernetes.io/hostname" and expression["operator"] == "NotIn"
        for term in wanted.terms or []
        for expression in _expressions(term)
    )


def _expressions(term: Any) -> list[Any]:
    return term.get("matchExpressions") or []
