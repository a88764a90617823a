"""Two Pods, equal but for what Kubernetes gives no meaning to: the order of what was added."""

import json
from copy import deepcopy
from typing import Any

from tests.model import vocabulary as v


def canonical(pod: Any) -> Any:
    """Return a copy in which lists that are sets are sorted."""
    pod = deepcopy(pod)
    spec = pod["spec"]
    if spec.get("tolerations"):
        spec["tolerations"] = _as_set(_explicit(toleration) for toleration in spec["tolerations"])
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    if affinity.get(v.PREFERRED):
        affinity[v.PREFERRED] = _as_set(affinity[v.PREFERRED])
    if affinity.get(v.REQUIRED):
        terms = affinity[v.REQUIRED]["nodeSelectorTerms"]
        affinity[v.REQUIRED]["nodeSelectorTerms"] = _as_set(_term(term) for term in terms)
    return pod


def _explicit(toleration: Any) -> Any:
    """An absent operator means Equal."""
    return {**toleration, "operator": toleration.get("operator") or "Equal"}


def _term(term: Any) -> Any:
    """An expression that stands twice means no more than once."""
    lists = {
        kind: _as_set(
            {**item, "values": sorted(set(item["values"]))} if item.get("values") else item
            for item in term.get(kind) or []
        )
        for kind in ("matchExpressions", "matchFields")
    }
    return {
        **term,
        **{
            kind: [item for place, item in enumerate(items) if item not in items[:place]]
            for kind, items in lists.items()
            if items
        },
    }


def _as_set(items: Any) -> list[Any]:
    """Sort; equal ones stay as often as they are there."""
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


def keeps_own_first(before: Any, after: Any) -> bool:
    """Tell whether the Pod's own tolerations and preferences stand unchanged, ours behind them."""
    for path in (("tolerations",), ("affinity", "nodeAffinity", v.PREFERRED)):
        own, now = _list_at(before["spec"], path), _list_at(after["spec"], path)
        if now[: len(own)] != own:
            return False
    return True


def _list_at(value: Any, path: tuple[str, ...]) -> list[Any]:
    for key in path:
        value = (value or {}).get(key)
    return value or []
