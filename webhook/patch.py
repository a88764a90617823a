"""The operations by which a plan changes one Pod, all but those on its annotations.

Single keys and elements are added; what is absent is created from the outermost absent object on,
so that the patch applies to any Pod.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from webhook.compatibility import is_replaced
from webhook.defaults import Defaults
from webhook.obstacles import NONE, ContainerObstacle, Obstacles
from webhook.operations import add, changes, remove, set_entries
from webhook.placement import (
    MergedTerms,
    Term,
    merge_terms,
    missing_tolerations,
    preference_key,
    read_term,
)
from webhook.plan import LABELS, NODE_SELECTOR, TOLERATIONS, Plan
from webhook.pod import NodeAffinity, Toleration, read_node_affinity, read_tolerations
from webhook.shape import Shape

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NODE_AFFINITY = "/spec/affinity/nodeAffinity"


def pod_operations(
    shape: Shape, plan: Plan, defaults: Defaults, terms: MergedTerms | None
) -> list[bytes]:
    """Return the operations that give the Pod what the plan asks for and it lacks.

    ``terms`` are the Pod's required terms with the plan's, None when they pass the limit: then the
    Pod's own stay.
    """
    labels = None if shape.labels is None else dict(shape.labels)
    selector = None if shape.node_selector is None else dict(shape.node_selector)
    operations = set_entries(LABELS, labels, changes(labels, plan.labels))
    operations += set_entries(NODE_SELECTOR, selector, changes(selector, plan.node_selector))
    operations += _toleration_operations(read_tolerations(shape.tolerations), plan.tolerations)
    if plan.required or plan.preferred:
        operations += _affinity_operations(shape, plan, terms)
    if plan.enforced and shape.obstacles is not NONE:
        operations += _lifts(shape.obstacles, defaults)
    return operations


def _toleration_operations(
    existing: Sequence[Toleration] | None, wanted: Mapping[Toleration, bytes]
) -> list[bytes]:
    missing = missing_tolerations(existing or (), wanted)
    if existing is None:
        return [add(TOLERATIONS, missing)] if missing else []
    return [wanted[toleration] for toleration in missing]


def _lifts(obstacles: Obstacles, defaults: Defaults) -> list[bytes]:
    """Return the operations that take away what the profile says VCI shall ignore."""
    operations = []
    if defaults.ignore_privileged:
        operations += _unprivileged("/spec/containers", obstacles.containers)
        operations += _unprivileged("/spec/initContainers", obstacles.init_containers)
    for volume in obstacles.volumes:
        if is_replaced(volume, defaults):
            operations.append(remove(f"/spec/volumes/{volume.index}/hostPath"))
            operations.append(add(f"/spec/volumes/{volume.index}/emptyDir", {}))
    if defaults.cluster_first and obstacles.cluster_first_with_host_net:
        operations.append(add("/spec/dnsPolicy", "ClusterFirst"))
    return operations


def _unprivileged(path: str, containers: Sequence[ContainerObstacle]) -> list[bytes]:
    return [
        remove(f"{path}/{each.index}/securityContext/privileged")
        for each in containers
        if each.privileged and not each.bidirectional
    ]


def merged_terms(shape: Shape, plan: Plan) -> MergedTerms | None:
    """Return the Pod's required terms with the plan's ANDed into each; None beyond the limit.

    Raises:
        msgspec.ValidationError: the Pod's node affinity has a field of another type.
    """
    sources = _required_sources(read_node_affinity(shape.node_affinity))
    if sources is None:
        return None if plan.required is None else MergedTerms(plan.required, {}, plan.required)
    own = tuple(read_term(source) for source in sources)
    if plan.required is None:
        return None
    return merge_terms(own, plan.required) if plan.required else MergedTerms(own, {}, ())


def _required_sources(affinity: NodeAffinity | None) -> list[dict[str, Any] | None] | None:
    """Return the required terms as they came; None when there is no required affinity."""
    if affinity is None or affinity.required is None:
        return None
    return affinity.required.node_selector_terms or []


def _affinity_operations(shape: Shape, plan: Plan, terms: MergedTerms | None) -> list[bytes]:
    affinity = read_node_affinity(shape.node_affinity)
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
    if not created:
        return operations
    return operations + _created(created, shape, affinity)


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


def _created(created: dict[str, Any], shape: Shape, affinity: NodeAffinity | None) -> list[bytes]:
    """Return the operations that create what the Pod's affinity does not have at all."""
    if shape.node_affinity is None:
        return [add("/spec/affinity", {"nodeAffinity": created})]
    if affinity is None:
        return [add(_NODE_AFFINITY, created)]
    return [add(f"{_NODE_AFFINITY}/{name}", value) for name, value in created.items()]


def avoids_hosts(terms: Sequence[Term]) -> bool:
    """Tell whether a term excludes nodes by host name, as Argo's retryStrategy does."""
    return any(
        key == "kubernetes.io/hostname" and operator == "NotIn"
        for term in terms
        for key, operator, _ in term.expressions
    )
