"""Which rules are left out: everything that would make the rule unusable or the Pod illegal."""

import re
from typing import Any

from tests.model import vocabulary as v
from tests.model.terms import is_empty

_RULE_FIELDS = {
    "name",
    "priority",
    "namespaceSelector",
    "objectSelector",
    "matchAll",
    "placement",
    "effect",
    "onConflict",
    "onIncompatible",
    "final",
    "mode",
}
_LIST_FIELDS = {
    "subnetIds": v.SUBNETS,
    "securityGroupIds": v.SECURITY_GROUPS,
    "instanceFamilies": v.FAMILY,
    "instanceTypes": v.TYPES,
}
_BOOL_FIELDS = {"kubeProxy": v.KUBE_PROXY, "imageCache": v.IMAGE_CACHE}
FIRST_CLASS = {**_LIST_FIELDS, **_BOOL_FIELDS, "systemDiskGiB": v.DISK, "resourceTags": v.TAGS}
_EFFECT_FIELDS = {
    "annotations",
    "labels",
    "nodeSelector",
    "tolerations",
    "nodeAffinity",
    *FIRST_CLASS,
}
_WRITTEN_BACK = {
    "vci.vke.volcengine.com/instance-id",
    "vci.volcengine.com/pod-resource-spec",
    "vci.volcengine.com/cpu-static-policy-options",
    "vci.volcengine.com/overlay-rw-layer-spec",
}
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def is_acceptable(rule: Any, virtual_node_key: str) -> bool:
    """Tell whether a rule may act; its name's uniqueness is judged elsewhere."""
    if not isinstance(rule, dict) or not set(rule) <= _RULE_FIELDS:
        return False
    return _is_well_formed(rule) and _is_effect(rule, virtual_node_key)


def _is_well_formed(rule: Any) -> bool:
    selectors = rule.get("namespaceSelector"), rule.get("objectSelector")
    priority = rule.get("priority", 0)
    return (
        isinstance(rule.get("name"), str)
        and rule["name"] != ""
        and v.is_label_value(rule["name"])
        and isinstance(priority, int)
        and not isinstance(priority, bool)
        and all(_is_label_selector(selector) for selector in selectors)
        and (rule.get("matchAll") is True or not all(_is_empty(s) for s in selectors))
        and rule.get("placement") in (None, False, *v.PLACEMENTS, *v.ALIASES)
        and rule.get("onConflict", "keep") in ("keep", "override")
        and rule.get("onIncompatible", "skip") in ("skip", "place")
        and rule.get("mode", "active") in ("active", "shadow")
        and isinstance(rule.get("final", False), bool)
    )


def _is_empty(selector: Any) -> bool:
    return not any((selector or {}).values())


def _is_label_selector(selector: Any) -> bool:
    if selector is None:
        return True
    if not isinstance(selector, dict) or not set(selector) <= {"matchLabels", "matchExpressions"}:
        return False
    return _is_label_map(selector.get("matchLabels")) and all(
        _is_expression(expression) and expression["operator"] not in ("Gt", "Lt")
        for expression in selector.get("matchExpressions") or []
    )


def _is_label_map(labels: Any) -> bool:
    return all(v.is_key(key) and v.is_label_value(value) for key, value in (labels or {}).items())


def _is_expression(expression: Any) -> bool:
    values = expression.get("values") or []
    if not set(expression) <= {"key", "operator", "values"} or not v.is_key(expression.get("key")):
        return False
    if not all(v.is_label_value(value) for value in values):
        return False
    operator = expression.get("operator")
    if operator in ("Exists", "DoesNotExist"):
        return not values
    if operator in ("Gt", "Lt"):
        return len(values) == 1 and re.fullmatch("[0-9]{1,18}", values[0]) is not None
    return operator in ("In", "NotIn") and bool(values)


def _is_effect(rule: Any, virtual_node_key: str) -> bool:
    effect = rule.get("effect") or {}
    placement = v.ALIASES.get(rule.get("placement"), rule.get("placement"))
    if placement in ("off", False) and not all(
        value in (None, [], {}) for value in effect.values()
    ):
        return False
    if not set(effect) <= _EFFECT_FIELDS:
        return False
    annotations = effect.get("annotations") or {}
    burst = annotations.get(v.BURST)
    if burst is not None and (burst != "enforce" or placement not in (None, "enforce")):
        return False
    return (
        _are_annotations(annotations)
        and not any(FIRST_CLASS[field] in annotations for field in set(effect) & set(FIRST_CLASS))
        and _is_label_map(effect.get("labels"))
        and not any(_is_reserved(key) for key in effect.get("labels") or {})
        and _is_label_map(effect.get("nodeSelector"))
        and virtual_node_key not in (effect.get("nodeSelector") or {})
        and all(_is_toleration(t) for t in effect.get("tolerations") or [])
        and _is_node_affinity(effect.get("nodeAffinity") or {})
        and _are_first_class(effect)
    )


def _is_reserved(key: str) -> bool:
    return key in _WRITTEN_BACK or key.startswith(("workflows.argoproj.io/", "vci-webhook/"))


def _are_annotations(annotations: Any) -> bool:
    size = 0
    for key, value in annotations.items():
        if not v.is_key(key.lower()) or not isinstance(value, str) or _is_reserved(key):
            return False
        if key == "kubernetes.io/config.mirror" or _is_interpreted(key):
            return False
        if key == _DELETION_COST and not _is_int32(value):
            return False
        size += len(key.encode()) + len(value.encode())
    return size <= v.MAX_ANNOTATION_BYTES


def _is_interpreted(key: str) -> bool:
    prefix = key.partition("/")[0]
    return "/" in key and (
        prefix.endswith(".alpha.kubernetes.io")
        or prefix == "container.apparmor.security.beta.kubernetes.io"
    )


def _is_int32(text: str) -> bool:
    is_plain = re.fullmatch("0|-?[1-9][0-9]{0,9}", text) is not None
    return is_plain and -(2**31) <= int(text) < 2**31


def _is_toleration(toleration: Any) -> bool:
    operator = toleration.get("operator") or "Equal"
    key, value = toleration.get("key") or "", toleration.get("value") or ""
    effect = toleration.get("effect") or ""
    return (
        set(toleration) <= {"key", "operator", "value", "effect", "tolerationSeconds"}
        and operator in ("Equal", "Exists")
        and (v.is_key(key) if key else operator == "Exists")
        and v.is_label_value(value)
        and not (operator == "Exists" and value)
        and effect in ("", *v.TAINT_EFFECTS)
        and (toleration.get("tolerationSeconds") is None or effect == "NoExecute")
    )


def _is_node_affinity(affinity: Any) -> bool:
    if not set(affinity) <= {v.REQUIRED, v.PREFERRED}:
        return False
    required = affinity.get(v.REQUIRED)
    if required is not None and not required.get("nodeSelectorTerms"):
        return False
    terms = (required or {}).get("nodeSelectorTerms") or []
    return all(_is_term(term) and not is_empty(term) for term in terms) and all(
        isinstance(p.get("weight"), int)
        and 1 <= p["weight"] <= 100
        and _is_term(p["preference"])
        and not is_empty(p["preference"])
        for p in affinity.get(v.PREFERRED) or []
    )


def _is_term(term: Any) -> bool:
    if not set(term) <= {"matchExpressions", "matchFields"}:
        return False
    return all(_is_expression(e) for e in term.get("matchExpressions") or []) and all(
        e.get("key") == "metadata.name"
        and e.get("operator") in ("In", "NotIn")
        and len(e.get("values") or []) == 1
        and v.is_dns_subdomain(e["values"][0])
        for e in term.get("matchFields") or []
    )


def _are_first_class(effect: Any) -> bool:
    disk, tags = effect.get("systemDiskGiB"), effect.get("resourceTags")
    return (
        all(
            isinstance(effect[field], list) and all(isinstance(i, str) for i in effect[field])
            for field in set(effect) & set(_LIST_FIELDS)
        )
        and all(isinstance(effect[field], bool) for field in set(effect) & set(_BOOL_FIELDS))
        and (disk is None or (isinstance(disk, int) and 40 <= disk <= 500))
        and (tags is None or all(_is_tag(key, tag) for key, tag in tags.items()))
    )


def _is_tag(key: object, value: object) -> bool:
    return (
        isinstance(key, str)
        and isinstance(value, str)
        and key != ""
        and "," not in key + value
        and ":" not in key
    )
