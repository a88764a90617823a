"""What Kubernetes' scheduler makes of selectors, tolerations and node affinity, in plain words."""

import re
from collections.abc import Mapping
from typing import Any


def label_selector_matches(selector: Any, labels: Mapping[str, str]) -> bool:
    """An absent selector does not constrain."""
    for key, value in ((selector or {}).get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    expressions = (selector or {}).get("matchExpressions") or []
    return all(expression_holds(expression, labels) for expression in expressions)


def expression_holds(expression: Any, labels: Mapping[str, str]) -> bool:
    """Evaluate one expression of a LabelSelector or of a node selector term."""
    key, operator = expression["key"], expression["operator"]
    values = expression.get("values") or []
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    if operator == "NotIn":
        return key not in labels or labels[key] not in values
    if operator == "In":
        return key in labels and labels[key] in values
    if key not in labels or not _is_integer(labels[key]):
        return False
    if operator == "Gt":
        return int(labels[key]) > int(values[0])
    assert operator == "Lt", operator
    return int(labels[key]) < int(values[0])


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+", text) is not None


def term_matches(term: Any, node: Any) -> bool:
    """A term without any expression matches no node."""
    expressions = term.get("matchExpressions") or []
    fields = term.get("matchFields") or []
    if not expressions and not fields:
        return False
    name = {"metadata.name": node["metadata"]["name"]}
    return all(expression_holds(e, node["metadata"]["labels"]) for e in expressions) and all(
        expression_holds(e, name) for e in fields
    )


def node_allowed(spec: Any, node: Any) -> bool:
    """Tell whether nodeSelector and required node affinity let a Pod onto a node."""
    labels = node["metadata"]["labels"]
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(term_matches(t, node) for t in required["nodeSelectorTerms"])


def toleration_matches(toleration: Any, taint: Any) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    operator, value = toleration.get("operator") or "Equal", toleration.get("value") or ""
    if operator == "Exists":
        return True
    if operator == "Equal":
        return bool(value == taint["value"])
    if not _is_integer(value) or not _is_integer(taint["value"]):
        return False
    if operator == "Gt":
        return int(taint["value"]) > int(value)
    assert operator == "Lt", operator
    return int(taint["value"]) < int(value)


def toleration_seconds(toleration: Any) -> float:
    """Say how long it tolerates a taint that evicts; a negative time is none at all."""
    seconds = toleration.get("tolerationSeconds")
    return float("inf") if seconds is None else max(0, seconds)


def covers(existing: Any, ours: Any) -> bool:
    """Tell whether ``existing`` tolerates all that ``ours`` tolerates, at least as long."""
    if existing.get("effect") and existing["effect"] != ours.get("effect"):
        return False
    if existing.get("key") and existing["key"] != ours.get("key"):
        return False
    if (existing.get("operator") or "Equal") != "Exists":
        if (existing.get("operator") or "Equal") != (ours.get("operator") or "Equal"):
            return False
        if (existing.get("value") or "") != (ours.get("value") or ""):
            return False
    return toleration_seconds(existing) >= toleration_seconds(ours)
