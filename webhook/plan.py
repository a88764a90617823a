"""What a set of matching rules does to any Pod: merged, ordered and encoded once, then remembered.

For each single value the first rule that names it decides; then come the cluster-wide keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from webhook import vci
from webhook.operations import Entry, add, encode, entry
from webhook.placement import Term, all_of, read_term
from webhook.pod import Toleration
from webhook.profile import Profile
from webhook.rules import Rule

ANNOTATIONS = "/metadata/annotations"
LABELS = "/metadata/labels"
NODE_SELECTOR = "/spec/nodeSelector"
TOLERATIONS = "/spec/tolerations"

_MEMORY_LIMIT = 4096  # sets of rules that match together; a real profile has a few per rule


@dataclass(frozen=True, slots=True)
class Plan:
    """All that matching rules and a placement ask for, before a Pod is looked at.

    ``enforced``: the Pod can run on a virtual node only; ``placed``: it may run on one.
    ``tolerations`` come each with the operation that appends it. ``required`` is None when the
    rules' own terms pass the limit; ``applied`` is the trace.
    """

    placement: str
    enforced: bool
    placed: bool
    rules: tuple[str, ...]
    annotations: tuple[Entry, ...]
    labels: tuple[Entry, ...]
    node_selector: tuple[Entry, ...]
    tolerations: Mapping[Toleration, bytes]
    required: tuple[Term, ...] | None
    preferred: tuple[Mapping[str, Any], ...]
    applied: Entry
    audit: bytes
    place_incompatible: bool
    names_instance: bool
    operating_system: str | None


def plan_for(profile: Profile, matched: Sequence[int], *, own_enforce: bool) -> Plan:
    """Return the plan for the rules at these positions; made once, remembered with the profile.

    ``own_enforce``: the Pod itself demands ``enforce``, whatever the rules say.
    """
    key = (*matched, -1) if own_enforce else tuple(matched)
    plan = profile.plans.get(key)
    if plan is None:
        if len(profile.plans) >= _MEMORY_LIMIT:
            profile.plans.clear()
        plan = profile.plans[key] = build_plan(profile, matched, own_enforce=own_enforce)
    return plan


def build_plan(profile: Profile, matched: Sequence[int], *, own_enforce: bool) -> Plan:
    """Merge the rules at these positions, in order, with the cluster-wide keys."""
    rules = [profile.rules[position] for position in matched]
    placing = next((rule for rule in rules if rule.placement), rules[0])
    placement = "enforce" if own_enforce else placing.placement or profile.defaults.placement
    names = tuple(rule.name for rule in rules)
    required = all_of([[read_term(t) for t in r.effect.required_terms] for r in rules])
    preferred = [term for rule in rules for term in rule.effect.preferred_terms]
    selector = _node_selector(profile, rules, placement)
    return Plan(
        placement=placement,
        enforced=placement == "enforce",
        placed=placement != "off",
        rules=names,
        annotations=_annotations(profile, rules, placement),
        labels=_labels(profile, rules, placement),
        node_selector=selector,
        tolerations=_tolerations(profile, rules, placement),
        required=None if required is None else tuple(required),
        preferred=(*preferred, *_preferences(profile, placement)),
        applied=entry(
            ANNOTATIONS, vci.APPLIED, trace(placement, profile.version, names), override=True
        ),
        audit=audit_annotations(placement, names),
        place_incompatible=placing.place_incompatible,
        names_instance=any(
            key in rule.effect.annotations for rule in rules for key in (vci.FAMILIES, vci.TYPES)
        ),
        operating_system=next((e.value for e in selector if e.key == vci.OS_LABEL), None),
    )


def trace(
    placement: str, version: str, rules: Sequence[str], reasons: Sequence[str] | None = None
) -> str:
    """Return the compact JSON that tells, on the Pod itself, why it is where it is."""
    told: dict[str, Any] = {"placement": placement, "profile": version, "rules": rules}
    if reasons is not None:
        told["reasons"] = reasons
    return encode(told).decode()


def audit_annotations(decision: str, rules: Sequence[str]) -> bytes:
    """Return the response's audit annotations, encoded; stable values for a reinvocation."""
    return encode({"decision": decision, "rule": ",".join(rules)})


def _annotations(profile: Profile, rules: Sequence[Rule], placement: str) -> tuple[Entry, ...]:
    wanted: dict[str, Entry] = {}
    for rule in rules:
        for key, value in rule.effect.annotations.items():
            if key not in wanted:
                wanted[key] = entry(ANNOTATIONS, key, value, override=rule.override)
    if placement == "enforce":
        wanted[vci.BURST] = entry(ANNOTATIONS, vci.BURST, "enforce")
    if placement != "off":
        for key, value in profile.defaults.annotations.items():
            if key not in wanted:
                wanted[key] = entry(ANNOTATIONS, key, value)
    return tuple(wanted.values())


def _labels(profile: Profile, rules: Sequence[Rule], placement: str) -> tuple[Entry, ...]:
    wanted = _first_of([rule.effect.labels for rule in rules])
    if placement == "enforce" and profile.defaults.self_built:
        wanted.setdefault(vci.BURST, "enforce")
    return tuple(entry(LABELS, key, value) for key, value in wanted.items())


def _node_selector(profile: Profile, rules: Sequence[Rule], placement: str) -> tuple[Entry, ...]:
    wanted = _first_of([rule.effect.node_selector for rule in rules])
    if placement == "enforce" and profile.defaults.pin:
        key, value = profile.defaults.virtual_node.label
        wanted[key] = value
    return tuple(entry(NODE_SELECTOR, key, value) for key, value in wanted.items())


def _first_of(maps: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Merge maps; the first that names a key decides."""
    return {key: value for each in reversed(maps) for key, value in each.items()}


def _tolerations(
    profile: Profile, rules: Sequence[Rule], placement: str
) -> Mapping[Toleration, bytes]:
    wanted = [toleration for rule in rules for toleration in rule.effect.tolerations]
    if placement != "off":
        wanted.append(profile.defaults.virtual_node.toleration)
    typed = [msgspec.convert(toleration, Toleration) for toleration in wanted]
    return {toleration: add(f"{TOLERATIONS}/-", toleration) for toleration in typed}


def _preferences(profile: Profile, placement: str) -> list[Mapping[str, Any]]:
    """Return the preference for, or against, virtual nodes that a soft placement is."""
    if placement not in ("prefer", "overflow"):
        return []
    key, value = profile.defaults.virtual_node.label
    operator = "In" if placement == "prefer" else "NotIn"
    expression = {"key": key, "operator": operator, "values": [value]}
    return [{"weight": 100, "preference": {"matchExpressions": [expression]}}]
