"""The data of the ConfigMap, read: what holds for the whole cluster, and the rules that may act."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.model import vocabulary as v
from tests.model.refusals import FIRST_CLASS, is_acceptable


@dataclass
class Rule:
    name: str
    priority: int = 0
    namespace_selector: Any = None
    object_selector: Any = None
    placement: str | None = None
    overrides: bool = False
    places_anyway: bool = False
    final: bool = False
    shadow: bool = False
    annotations: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: list[Any] = field(default_factory=list)
    required_terms: list[Any] = field(default_factory=list)
    preferred_terms: list[Any] = field(default_factory=list)


@dataclass
class Profile:
    annotations: dict[str, str]
    default_placement: str
    lifts_privileged: bool
    lifts_host_path: bool
    lifts_dns_policy: bool
    self_built: bool
    pins: bool
    label_key: str
    label_value: str
    toleration: dict[str, str]
    rules: list[Rule]


def read_profile(data: Mapping[str, str]) -> Profile:
    """Read the data of the ConfigMap; what cannot be understood has no effect."""
    label_key, label_value = _virtual_node_label(data.get("virtualNodeLabel", ""))
    return Profile(
        annotations=_cluster_wide_annotations(data),
        default_placement="enforce" if data.get("enforceSelectorToVci") == "true" else "allow",
        lifts_privileged=data.get("securityContextPrivilegedConfig") == "ignore",
        lifts_host_path=data.get("volumesHostPathConfig") == "ignore",
        lifts_dns_policy=data.get("dnsPolicyClusterFirstWithHostNetConfig") == "clusterFirst",
        self_built=data.get("clusterType") == "selfBuilt",
        pins=data.get("pinToVirtualNode") != "false",
        label_key=label_key,
        label_value=label_value,
        toleration=_virtual_node_toleration(data.get("virtualNodeTaint", "")),
        rules=_read_rules(data.get("selectors", ""), label_key),
    )


def _cluster_wide_annotations(data: Mapping[str, str]) -> dict[str, str]:
    lists = {
        "preferredSubnetIds": v.SUBNETS,
        "securityGroupIds": v.SECURITY_GROUPS,
        "preferredInstanceFamily": v.FAMILY,
        "preferredInstanceTypes": v.TYPES,
    }
    annotations = {}
    for key, annotation in lists.items():
        items = [item.strip() for item in data.get(key, "").split(",")]
        value = ",".join(item for item in items if item)
        if value:
            annotations[annotation] = value
    if data.get("tlsEnable") == "true":
        annotations[v.TLS] = "true"
    return annotations


def _virtual_node_label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if equals and v.is_key(key) and v.is_label_value(value):
        return key, value
    return "type", "virtual-kubelet"


def _virtual_node_toleration(text: str) -> dict[str, str]:
    rest, colon, effect = text.rpartition(":")
    key, equals, value = rest.partition("=")
    if colon and effect in v.TAINT_EFFECTS and v.is_key(key) and v.is_label_value(value):
        if equals:
            return {"key": key, "operator": "Equal", "value": value, "effect": effect}
        return {"key": key, "operator": "Exists", "effect": effect}
    return {
        "key": "vci.vke.volcengine.com/node-type",
        "operator": "Equal",
        "value": "vci",
        "effect": "NoSchedule",
    }


def _read_rules(text: str, label_key: str) -> list[Rule]:
    """Return the rules that may act, in the order in which they are evaluated."""
    try:
        items = json.loads(text)
    except ValueError:
        items = yaml.safe_load(text)
    names: set[str] = set()
    rules = []
    for item in items if isinstance(items, list) else []:
        name = item.get("name") if isinstance(item, dict) else None
        if name not in names and is_acceptable(item, label_key):
            rules.append(_read_rule(item))
        if isinstance(name, str):
            names.add(name)
    return sorted(rules, key=lambda rule: -rule.priority)


def _read_rule(item: Any) -> Rule:
    effect = item.get("effect") or {}
    annotations = {**(effect.get("annotations") or {}), **_first_class_annotations(effect)}
    placement = "off" if item.get("placement") is False else item.get("placement")
    if annotations.pop(v.BURST, None) == "enforce":
        placement = "enforce"
    affinity = effect.get("nodeAffinity") or {}
    return Rule(
        name=item["name"],
        priority=item.get("priority", 0),
        namespace_selector=item.get("namespaceSelector"),
        object_selector=item.get("objectSelector"),
        placement=v.ALIASES.get(placement, placement) if placement else None,
        overrides=item.get("onConflict") == "override",
        places_anyway=item.get("onIncompatible") == "place",
        final=item.get("final", False),
        shadow=item.get("mode") == "shadow",
        annotations=annotations,
        labels=effect.get("labels") or {},
        node_selector=effect.get("nodeSelector") or {},
        tolerations=effect.get("tolerations") or [],
        required_terms=(affinity.get(v.REQUIRED) or {}).get("nodeSelectorTerms") or [],
        preferred_terms=affinity.get(v.PREFERRED) or [],
    )


def _first_class_annotations(effect: Any) -> dict[str, str]:
    found = {
        annotation: _annotation_value(effect[name])
        for name, annotation in FIRST_CLASS.items()
        if effect.get(name) is not None
    }
    return {annotation: value for annotation, value in found.items() if value}


def _annotation_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(item.strip() for item in value if item.strip())
    if isinstance(value, dict):
        return ",".join(f"{key}:{tag}" for key, tag in value.items())
    return str(value)
