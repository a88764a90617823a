"""Pods that the API server accepts: the model's with more features, mended where it would refuse.

The model's Pods look at what the webhook reads. What is added here is what else a Pod may have that
a change of those fields could make illegal.
"""

import json
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from tests.cluster.features import CONTAINERS, LABELS, SPECS, VOLUMES
from tests.model.pods import plain_pods, pods

Object = dict[str, Any]

ANNOTATIONS_LIMIT = 256 * 1024
UID = "00000000-0000-4000-8000-000000000000"
MIRROR = "kubernetes.io/config.mirror"
HOST_FLAGS = ("hostNetwork", "hostPID", "hostIPC")
WINDOWS_REFUSES = (*HOST_FLAGS, "securityContext", "hostUsers", "shareProcessNamespace")
GATED_OPERATORS = ("Gt", "Lt")  # behind a feature gate that is off


@st.composite
def legal_pods(draw: st.DrawFn) -> Object:
    """Draw a Pod that the API server accepts as it is."""
    pod: Object = deepcopy(draw(st.one_of(pods(), plain_pods())))
    spec = pod["spec"]
    for feature in draw(st.lists(st.sampled_from(SPECS), max_size=3)):
        for key, value in feature.items():
            spec[key] = spec.get(key) or deepcopy(value)
    containers = draw(st.lists(st.sampled_from(CONTAINERS), max_size=2))
    for place, container in containers:
        spec[place] = [*(spec.get(place) or ()), deepcopy(container)]
    if containers:
        spec["volumes"] = [*deepcopy(VOLUMES), *(spec.get("volumes") or ())]
    if draw(st.integers(0, 3)) == 0:
        pod["metadata"]["labels"] = {**(pod["metadata"].get("labels") or {}), **LABELS}
    mend(pod)
    mended: Object = json.loads(json.dumps(pod))
    return mended


def mend(pod: Object) -> None:
    """Mend what the API server would refuse, and change nothing else."""
    pod.update(apiVersion="v1", kind="Pod")
    metadata, spec = pod["metadata"], pod["spec"]
    if "name" in metadata:
        metadata["name"] = "pod"
    for owner in metadata.get("ownerReferences") or ():
        owner["uid"] = UID
    _fit_annotations(metadata)
    if MIRROR in (metadata.get("annotations") or ()):
        spec["nodeName"] = "node-1"
    _mend_spec(spec)
    _name_apart(spec.get("volumes") or ())
    _name_apart(_containers(spec))
    for index, container in enumerate(_containers(spec)):
        _mend_container(container, index)


def _containers(spec: Object) -> list[Object]:
    return [*spec["containers"], *(spec.get("initContainers") or ())]


def _fit_annotations(metadata: Object) -> None:
    """Shorten the longest annotation until all of them are within the limit."""
    annotations = metadata.get("annotations") or {}
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT:
        longest = max(annotations, key=lambda key: len(annotations[key]))
        annotations[longest] = annotations[longest][: ANNOTATIONS_LIMIT - size]


def _mend_spec(spec: Object) -> None:
    for volume in spec.get("volumes") or ():
        if "image" in volume:
            volume["image"] = {"reference": "registry.example.com/r"}
    for toleration in spec.get("tolerations") or ():
        if toleration.get("operator") in GATED_OPERATORS:
            toleration["operator"] = "Equal"
    if any(spec.get(flag) for flag in HOST_FLAGS):
        spec.pop("hostUsers", None)
    if spec.get("hostPID"):
        spec.pop("shareProcessNamespace", None)
    only_linux = any(key in spec for key in WINDOWS_REFUSES if spec.get(key) is not None)
    if only_linux or any("securityContext" in container for container in _containers(spec)):
        spec.pop("os", None)


def _name_apart(items: Any) -> None:
    """Give those that have the name of an earlier one another name."""
    taken: set[str] = set()
    for index, item in enumerate(items):
        if item["name"] in taken:
            item["name"] = f"{item['name']}-{index}"
        taken.add(item["name"])


def _mend_container(container: Object, index: int) -> None:
    container.setdefault("image", "busybox")
    for port in container.get("ports") or ():
        port.update({key: value + index for key, value in port.items() if isinstance(value, int)})
    resources = container.get("resources") or {}
    for name, amount in (resources.get("requests") or {}).items():
        if "/" in name:  # an extended resource cannot be overcommitted
            resources.setdefault("limits", {})[name] = amount
