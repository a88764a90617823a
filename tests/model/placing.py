"""A copy of the Pod with all that is wanted of it."""

from copy import deepcopy
from typing import Any

from tests.model import vocabulary as v
from tests.model.incompatibility import (
    all_containers,
    has_host_path,
    is_privileged,
    lifts_host_path,
    lifts_privileged,
)
from tests.model.scheduling import covers
from tests.model.terms import is_same_preference
from tests.model.wanted import Wanted


def place(pod: Any, wanted: Wanted) -> Any:
    """Return the Pod as it is wanted, without a trace; the same Pod where nothing is missing."""
    after = deepcopy(pod)
    for key, value in wanted.annotations().items():
        child(after["metadata"], "annotations")[key] = value
    for key, value in wanted.labels().items():
        child(after["metadata"], "labels")[key] = value
    for key, value in wanted.node_selector.items():
        if key not in wanted.own_node_selector:
            child(after["spec"], "nodeSelector")[key] = value
    _add_tolerations(after["spec"], wanted)
    _set_required_terms(after["spec"], wanted)
    _add_preferences(after["spec"], wanted)
    if wanted.placement == "enforce":
        _lift(after["spec"], wanted)
    return after


def annotate(pod: Any, key: str, value: str) -> Any:
    after = deepcopy(pod)
    child(after["metadata"], "annotations")[key] = value
    return after


def child(parent: Any, key: str) -> Any:
    """Return the map under a key; make it where it is absent or null."""
    if parent.get(key) is None:
        parent[key] = {}
    return parent[key]


def _add_tolerations(spec: Any, wanted: Wanted) -> None:
    for toleration in wanted.tolerations():
        existing = spec.get("tolerations") or []
        if not any(covers(other, toleration) for other in existing):
            spec["tolerations"] = [*existing, deepcopy(toleration)]


def _set_required_terms(spec: Any, wanted: Wanted) -> None:
    if wanted.terms != wanted.own_terms and not wanted.has_too_many_terms:
        affinity = child(child(spec, "affinity"), "nodeAffinity")
        child(affinity, v.REQUIRED)["nodeSelectorTerms"] = deepcopy(wanted.terms)


def _add_preferences(spec: Any, wanted: Wanted) -> None:
    for preference in wanted.preferences():
        affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
        existing = affinity.get(v.PREFERRED) or []
        if not any(is_same_preference(preference, other) for other in existing):
            affinity = child(child(spec, "affinity"), "nodeAffinity")
            affinity[v.PREFERRED] = [*existing, deepcopy(preference)]


def _lift(spec: Any, wanted: Wanted) -> None:
    """Take away what virtual nodes refuse and the profile lets go."""
    profile = wanted.profile
    for container in all_containers(spec):
        if is_privileged(container) and lifts_privileged(profile, "enforce", container):
            del container["securityContext"]["privileged"]
    for volume in spec.get("volumes") or []:
        if has_host_path(volume) and lifts_host_path(profile, "enforce", volume):
            del volume["hostPath"]
            volume["emptyDir"] = {}
    if profile.lifts_dns_policy and spec.get("dnsPolicy") == "ClusterFirstWithHostNet":
        spec["dnsPolicy"] = "ClusterFirst"
