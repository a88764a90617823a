"""What a Pod's author may have written: each function changes a drawn Pod in one way."""

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from tests.model import vocabulary as v
from tests.model.strategies import (
    ANNOTATION_KEYS,
    ANNOTATION_VALUES,
    pod_labels,
    preferred_terms,
    terms,
    tolerations,
)

Json = Any
_FUTURE = {
    "kept": [1, {"deep": None}],
    "big": 12345678901234567890,
    "float": 0.1,
    "text": "\u00e9/~",
}
_trace = st.sampled_from(
    (
        '{"placement":"enforce","profile":"1","rules":["rule-0"]}',
        '{"placement":"allow","profile":"1","reasons":["hostPath"],"rules":["rule-0"]}',
        "nonsense",
    )
)


def child(parent: Json, key: str) -> Json:
    if parent.get(key) is None:
        parent[key] = {}
    return parent[key]


_SHAPES: tuple[tuple[str, str, Json], ...] = (
    ("metadata", "labels", None),
    ("metadata", "labels", {}),
    ("metadata", "annotations", None),
    ("metadata", "annotations", {}),
    ("spec", "nodeSelector", None),
    ("spec", "nodeSelector", {}),
    ("spec", "affinity", None),
    ("spec", "affinity", {}),
    *(("spec", key, None) for key in ("tolerations", "volumes", "initContainers", "os")),
    *(("spec", key, []) for key in ("tolerations", "volumes", "initContainers")),
    ("spec", "affinity", {"nodeAffinity": None, "podAntiAffinity": _FUTURE}),
    ("spec", "affinity", {"nodeAffinity": {"futureField": _FUTURE}}),
    ("spec", "affinity", {"nodeAffinity": {v.REQUIRED: None, v.PREFERRED: None}}),
    ("spec", "affinity", {"nodeAffinity": {v.PREFERRED: []}}),
    ("spec", "hostNetwork", False),
    ("spec", "nodeName", ""),
    ("spec", "securityContext", {}),
    ("metadata", "creationTimestamp", None),
    ("metadata", "ownerReferences", []),
    ("metadata", "ownerReferences", [{"apiVersion": "batch/v1", "kind": "Job", "name": "j"}]),
)


def leave_empty(draw: st.DrawFn, pod: Json) -> None:
    parent, key, value = draw(st.sampled_from(_SHAPES))
    pod[parent].setdefault(key, deepcopy(value))


def add_unknown_field(draw: st.DrawFn, pod: Json) -> None:
    container = pod["spec"]["containers"][0]
    draw(st.sampled_from((pod, pod["metadata"], pod["spec"], container)))["futureField"] = _FUTURE


def set_labels(draw: st.DrawFn, pod: Json) -> None:
    child(pod["metadata"], "labels").update(draw(pod_labels))


def set_annotations(draw: st.DrawFn, pod: Json) -> None:
    keys, values = st.sampled_from(ANNOTATION_KEYS), st.sampled_from(ANNOTATION_VALUES)
    child(pod["metadata"], "annotations").update(draw(st.dictionaries(keys, values, max_size=3)))


def set_tolerations(draw: st.DrawFn, pod: Json) -> None:
    own = st.one_of(tolerations(), tolerations(), st.sampled_from(_ODD_TOLERATIONS))
    pod["spec"]["tolerations"] = draw(st.lists(own, max_size=3))


_ODD_TOLERATIONS = (
    {"key": "dedicated", "operator": "Gt", "value": "5", "effect": "NoSchedule"},
    {"key": "dedicated", "operator": "Lt", "value": "5"},
    {"key": "dedicated", "operator": "Exists", "effect": "NoSchedule", "futureField": _FUTURE},
    {"key": "dedicated", "operator": "", "value": "a", "effect": "", "tolerationSeconds": None},
)


def set_required_terms(draw: st.DrawFn, pod: Json) -> None:
    """Draw required terms, with empty ones and terms from the future among them."""
    found = draw(
        st.lists(st.one_of(terms, terms, st.sampled_from(_odd_terms)), min_size=1, max_size=3)
    )
    affinity = child(child(pod["spec"], "affinity"), "nodeAffinity")
    affinity[v.REQUIRED] = {"nodeSelectorTerms": deepcopy(found)}


_odd_terms: tuple[Json, ...] = (
    {},
    {"matchExpressions": None},
    {"matchExpressions": [], "matchFields": []},
    {
        "matchExpressions": [{"key": "zone", "operator": "Exists", "futureField": _FUTURE}],
        "futureField": _FUTURE,
    },
)


def set_preferences(draw: st.DrawFn, pod: Json) -> None:
    affinity = child(child(pod["spec"], "affinity"), "nodeAffinity")
    affinity[v.PREFERRED] = draw(preferred_terms)


def set_dns_policy(draw: st.DrawFn, pod: Json) -> None:
    pod["spec"]["dnsPolicy"] = draw(
        st.sampled_from(("ClusterFirst", "ClusterFirstWithHostNet", "Default"))
    )


def select_virtual_nodes(draw: st.DrawFn, pod: Json) -> None:
    value = draw(st.sampled_from(("virtual-kubelet", "real")))
    child(pod["spec"], "nodeSelector")["type"] = value


def select_nodes(draw: st.DrawFn, pod: Json) -> None:
    key = draw(st.sampled_from(("disk", "zone", "kubernetes.io/os")))
    child(pod["spec"], "nodeSelector")[key] = draw(st.sampled_from(("hdd", "linux", "ssd")))


def ask_for_vci(draw: st.DrawFn, pod: Json) -> None:
    place = draw(st.sampled_from(("annotations", "annotations", "labels")))
    value = draw(st.sampled_from(("enforce", "enforce", "auto", "")))
    child(pod["metadata"], place)[v.BURST] = value


def bring_a_trace(draw: st.DrawFn, pod: Json) -> None:
    annotations = child(pod["metadata"], "annotations")
    annotations[draw(st.sampled_from((v.APPLIED, v.SKIPPED)))] = draw(_trace)


def set_many_terms(draw: st.DrawFn, pod: Json) -> None:
    affinity = child(child(pod["spec"], "affinity"), "nodeAffinity")
    count = draw(st.sampled_from((64, 85, 86, 128, 129, 256, 257)))
    affinity[v.REQUIRED] = {"nodeSelectorTerms": [draw(terms)] * count}


def set_long_annotation(draw: st.DrawFn, pod: Json) -> None:
    room = v.MAX_ANNOTATION_BYTES - draw(st.integers(100, 700))
    child(pod["metadata"], "annotations")["example.com/long"] = "x" * room
