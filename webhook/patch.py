"""The operations by which a plan changes one Pod, all but those on its annotations.

Single keys and elements are added; what is absent is created from the outermost absent object on,
so that the patch applies to any Pod.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from webhook.compatibility import is_bidirectional, is_directory, is_privileged
from webhook.defaults import Defaults
from webhook.operations import add, changes, remove, set_entries
from webhook.placement import (
    MergedTerms,
    Term,
    merge_terms,
    missing_tolerations,
    preference_key,
    read_term,
)
from webhook.plan import LABELS, NODE_SELECTOR, Plan
from webhook.pod import Container, NodeAffinity, Pod, PodSpec, Toleration

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NODE_AFFINITY = "/spec/affinity/nodeAffinity"


def pod_operations(
    pod: Pod, plan: Plan, defaults: Defaults, terms: MergedTerms | None
) -> list[bytes]:
    """Return the operations that give the Pod what the plan asks for and it lacks.

    ``terms`` are the Pod's required terms with the plan's, None when they pass the limit: then the
    Pod's own stay.
    """
    labels, selector = pod.metadata.labels, pod.spec.node_selector
    operations = set_entries(LABELS, labels, changes(labels, plan.labels))
    operations += set_entries(NODE_SELECTOR, selector, changes(selector, plan.node_selector))
    operations += _toleration_operations(pod.spec.tolerations, plan.tolerations)
    if plan.required or plan.preferred:
        operations += _affinity_operations(pod, plan, terms)
    if plan.enforced:
        operations += _lifts(pod.spec, defaults)
    return operations


def _toleration_operations(
    existing: Sequence[Toleration] | None, wanted: Sequence[Toleration]
) -> list[bytes]:
    missing = missing_tolerations(existing or (), wanted)
    if existing is None:
        return [add("/spec/tolerations", missing)] if missing else []
    return [add("/spec/tolerations/-", toleration) for toleration in missing]


def _lifts(spec: PodSpec, defaults: Defaults) -> list[bytes]:
    """Return the operations that take away what the profile says VCI shall ignore."""
    operations = []
    if defaults.ignore_privileged:
        operations += _unprivileged("/spec/containers", spec.containers)
        operations += _unprivileged("/spec/initContainers", spec.init_containers)
    if defaults.ignore_host_path:
        for index, volume in enumerate(spec.volumes or ()):
            if volume.host_path is not None and is_directory(volume.host_path):
                operations.append(remove(f"/spec/volumes/{index}/hostPath"))
                operations.append(add(f"/spec/volumes/{index}/emptyDir", {}))
    if defaults.cluster_first and spec.dns_policy == "ClusterFirstWithHostNet":
        operations.append(add("/spec/dnsPolicy", "ClusterFirst"))
    return operations


def _unprivileged(path: str, containers: Sequence[Container] | None) -> list[bytes]:
    return [
        remove(f"{path}/{index}/securityContext/privileged")
        for index, container in enumerate(containers or ())
        if is_privileged(container) and not is_bidirectional(container)
    ]


def merged_terms(pod: Pod, plan: Plan) -> MergedTerms | None:
    """Return the Pod's required terms with the plan's ANDed into each; None beyond the limit.

    Raises:
        msgspec.ValidationError: a term of the Pod has a field of another type.
    """
    sources = _required_sources(_node_affinity(pod))
    if sources is None:
        return None if plan.required is None else MergedTerms(plan.required, {}, plan.required)
    own = tuple(read_term(source) for source in sources)
    if plan.required is None:
        return None
    return merge_terms(own, plan.required) if plan.required else MergedTerms(own, {}, ())


def _node_affinity(pod: Pod) -> NodeAffinity | None:
    return pod.spec.affinity.node_affinity if pod.spec.affinity is not None else None


def _required_sources(affinity: NodeAffinity | None) -> list[dict[str, Any] | None] | None:
    """Return the required terms as they came; None when there is no required affinity."""
    if affinity is None or affinity.required is None:
        return None
    return affinity.required.node_selector_terms or []


def _affinity_operations(pod: Pod, plan: Plan, terms: MergedTerms | None) -> list[bytes]:
    affinity = _node_affinity(pod)
    sources = _required_sources(affinity)
    existing = affinity.preferred if affinity is not None else None
    preferred = _missing_preferences(existing or (), plan.preferred)
    created: dict[str, Any] = {}
    operations: list[bytes] = []
    if terms is not None and sources is not None:
        operations += _term_operations(sources, terms)
    elif terms is not None and terms.appended:
        created[_REQUIRED] = {"nodeSelectorTerms": [term.source for term in terms.appended]}
    if existing is not None:
        operations += [add(f"{_NODE_AFFINITY}/{_PREFERRED}/-", one) for one in preferred]
    elif preferred:
        created[_PREFERRED] = preferred
    return operations + _created(pod, created)


def _term_operations(
    sources: Sequence[Mapping[str, Any] | None], terms: MergedTerms
) -> list[bytes]:
    """Return the operations that narrow existing terms, and those that add further ones."""
    path = f"{_NODE_AFFINITY}/{_REQUIRED}/nodeSelectorTerms"
    operations = []
    for index, lacking in terms.changed.items():
        for name, requirements in lacking.items():
            if (sources[index] or {}).get(name) is None:
                operations.append(add(f"{path}/{index}/{name}", requirements))
            else:
                operations += [add(f"{path}/{index}/{name}/-", one) for one in requirements]
    return operations + [add(f"{path}/-", term.source) for term in terms.appended]


def _missing_preferences(
    existing: Sequence[Mapping[str, Any] | None], wanted: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    present = [preference_key(preference) for preference in existing]
    missing = []
    for preference in wanted:
        key = preference_key(preference)
        if key not in present:
            present.append(key)
            missing.append(preference)
    return missing


def _created(pod: Pod, created: dict[str, Any]) -> list[bytes]:
    """Return the operations that create what the Pod's affinity does not have at all."""
    if not created:
        return []
    if pod.spec.affinity is None:
        return [add("/spec/affinity", {"nodeAffinity": created})]
    if pod.spec.affinity.node_affinity is None:
        return [add(_NODE_AFFINITY, created)]
    return [add(f"{_NODE_AFFINITY}/{name}", value) for name, value in created.items()]


def avoids_hosts(terms: Sequence[Term]) -> bool:
    """Tell whether a term excludes nodes by host name, as Argo's retryStrategy does."""
    return any(
        key == "kubernetes.io/hostname" and operator == "NotIn"
        for term in terms
        for key, operator, _ in term.expressions
    )
