"""Decides what happens to one Pod: the patch, the rules that acted, why it was left alone.

A function of plain data: what docs/profile.md promises about a Pod is decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from webhook import vci
from webhook.compatibility import incompatibilities
from webhook.envelope import NO_PATCH, WARNING_LIMIT, end_response
from webhook.operations import Entry, changes, entry, escape, remove, set_entries
from webhook.patch import avoids_hosts, merged_terms, pod_operations
from webhook.placement import MergedTerms, excludes
from webhook.plan import ANNOTATIONS, Plan, audit_annotations, plan_for, trace
from webhook.pod import Pod
from webhook.profile import Profile
from webhook.shape import Labels, Shape, shape_of

_AVOIDS_HOSTS = "vci-webhook: this Pod avoids host names; with one virtual node it stays Pending"
_REMOVE_SKIPPED = remove(f"{ANNOTATIONS}/{escape(vci.SKIPPED)}")
_MIRROR = "kubernetes.io/config.mirror"


class Mutation(Struct, frozen=True, gc=False):  # made in a tenth of a dataclass's time
    """What was decided for one Pod.

    ``operations`` are encoded RFC 6902 operations, none when nothing changes. ``decision`` is the
    placement, ``skipped``, or empty when no active rule matched. ``rules`` and ``shadows`` name the
    rules that matched, in order; ``reasons`` say why the Pod was left alone, sorted. ``response``
    is what of this the API server is told: the end of the answer.
    """

    operations: tuple[bytes, ...] = ()
    decision: str = ""
    rules: tuple[str, ...] = ()
    shadows: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    response: bytes = NO_PATCH


UNTOUCHED = Mutation()


def is_exempt(pod: Pod) -> bool:
    """Tell whether a Pod is never touched, by what it says itself: bound, mirror, opted out."""
    metadata = pod.metadata
    if pod.spec.node_name or (metadata.annotations and _MIRROR in metadata.annotations):
        return True
    for owner in metadata.owner_references or ():
        if owner.kind == "DaemonSet":
            return True
    return metadata.labels is not None and opts_out(metadata.labels)


def opts_out(labels: Mapping[str, str]) -> bool:
    """Tell whether the labels of a Pod or a namespace keep the webhook away."""
    return labels.get(vci.OPT_OUT) == "false"


def mutate_pod(pod: Pod, size: int, namespace_labels: Labels, profile: Profile) -> Mutation:
    """Decide what happens to a Pod that is not exempt, or remember it.

    ``size`` is a number of bytes that the Pod, as it came, does not pass.

    Raises:
        msgspec.DecodeError: something in the Pod that a matching rule looks at has another type.
    """
    shape = shape_of(pod, size, namespace_labels, profile.relevant)
    mutation = profile.mutations.get(shape)
    if mutation is None:
        mutation = decide(shape, profile)
        profile.mutations.keep(shape, mutation, shape.size + _size(mutation))
    return mutation


def _size(mutation: Mutation) -> int:
    return len(mutation.response) + sum(map(len, mutation.operations))


def decide(shape: Shape, profile: Profile) -> Mutation:
    """Decide what happens to all Pods of one shape.

    Raises:
        msgspec.DecodeError: something that a matching rule looks at has another type.
    """
    namespace_labels, pod_labels = dict(shape.namespace_labels), dict(shape.labels or ())
    if opts_out(namespace_labels):
        return UNTOUCHED
    matched, shadows = _match(pod_labels, namespace_labels, profile)
    if not matched:
        return Mutation(shadows=shadows) if shadows else UNTOUCHED
    annotations = None if shape.annotations is None else dict(shape.annotations)
    own_enforce = annotations is not None and annotations.get(vci.BURST) == "enforce"
    if profile.defaults.self_built and pod_labels.get(vci.BURST) == "enforce":
        own_enforce = True
    plan = plan_for(profile, matched, own_enforce=own_enforce)
    return _Merge(shape, annotations, plan, profile, shadows).decide()


def _match(
    pod_labels: Mapping[str, str], namespace_labels: Mapping[str, str], profile: Profile
) -> tuple[list[int], tuple[str, ...]]:
    """Return the positions of the matching active rules and the names of the shadow ones."""
    matched: list[int] = []
    shadows: tuple[str, ...] = ()
    for position in profile.index.candidates(namespace_labels, pod_labels):
        rule = profile.rules[position]
        if not rule.namespace_selector.matches(namespace_labels):
            continue
        if not rule.object_selector.matches(pod_labels):
            continue
        if rule.shadow:
            shadows = (*shadows, rule.name)
            continue
        matched.append(position)
        if rule.ends:
            break
    return matched, shadows


@dataclass(slots=True)
class _Merge:
    """One shape and one plan on their way to a decision."""

    shape: Shape
    annotations: dict[str, str] | None
    plan: Plan
    profile: Profile
    shadows: tuple[str, ...]

    def decide(self) -> Mutation:
        plan, defaults = self.plan, self.profile.defaults
        terms = merged_terms(self.shape, plan)
        if plan.placed and (reasons := self._reasons(terms)):
            return self._skip(sorted(reasons))
        operations = pod_operations(self.shape, plan, defaults, terms)
        annotations = self._annotations(changed=bool(operations))
        if annotations is None:
            return self._too_large()
        warned = plan.enforced and terms is not None and avoids_hosts(terms.terms)
        return self._decided(
            plan.placement,
            plan.audit,
            operations=(*annotations, *operations),
            warnings=(_AVOIDS_HOSTS,) if warned else (),
        )

    def _decided(
        self,
        decision: str,
        audit: bytes,
        operations: tuple[bytes, ...] = (),
        reasons: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
    ) -> Mutation:
        response = end_response(operations, audit, warnings)
        rules, shadows = self.plan.rules, self.shadows
        return Mutation(operations, decision, rules, shadows, reasons, warnings, response)

    def _reasons(self, terms: MergedTerms | None) -> set[str]:
        """Return why the Pod is left alone; empty when it is not."""
        plan = self.plan
        unplaceable = set()
        if self._node_selector_conflict():
            unplaceable.add("nodeSelector")
        if self.annotations and self.annotations.get(vci.BURST, "enforce") != "enforce":
            unplaceable.add("burst-to-vci")
        label = self.profile.defaults.virtual_node.label
        if terms is None or (plan.enforced and excludes(terms.terms, label)):
            unplaceable.add("nodeAffinity")
        incompatible = incompatibilities(self.shape, plan, self.profile.defaults)
        if incompatible and plan.place_incompatible and not unplaceable:
            return set()
        return unplaceable | incompatible

    def _node_selector_conflict(self) -> bool:
        if not self.shape.node_selector:
            return False
        existing = dict(self.shape.node_selector)
        return any(
            existing.get(wanted.key, wanted.value) != wanted.value
            for wanted in self.plan.node_selector
        )

    def _skip(self, reasons: list[str]) -> Mutation:
        """Leave the Pod as its author wrote it, but for one annotation that says why."""
        plan, existing = self.plan, self.annotations
        told = trace(plan.placement, self.profile.version, plan.rules, reasons)
        skipped = entry(ANNOTATIONS, vci.SKIPPED, told)
        operations: list[bytes] = []
        if not existing or vci.SKIPPED not in existing:
            if self._passes_limit([skipped], removed=False):
                return self._too_large()
            operations = set_entries(ANNOTATIONS, existing, [skipped])
        return self._decided(
            "skipped",
            audit_annotations("skipped", plan.rules),
            operations=tuple(operations),
            reasons=tuple(reasons),
            warnings=(_warning(f"vci-webhook left this Pod alone: {', '.join(reasons)}"),),
        )

    def _too_large(self) -> Mutation:
        warning = "vci-webhook left this Pod alone: its annotations would pass 256 KiB in all"
        audit = audit_annotations("skipped", self.plan.rules)
        return self._decided("skipped", audit, warnings=(warning,))

    def _passes_limit(self, changed: Sequence[Entry], *, removed: bool) -> bool:
        """Tell whether the Pod's annotations, with ours, would be refused for their size."""
        if self.shape.annotations_size is None:
            return False
        before = dict(self.annotations or ())
        after = {**before, **{wanted.key: wanted.value for wanted in changed}}
        if removed:
            del after[vci.SKIPPED]
        growth = vci.annotations_size(after) - vci.annotations_size(before)
        return self.shape.annotations_size + growth > vci.ANNOTATIONS_LIMIT_BYTES

    def _annotations(self, *, changed: bool) -> list[bytes] | None:
        """Return the operations on the annotations, trace included; None beyond the size limit."""
        plan, existing = self.plan, self.annotations
        wanted = changes(existing, plan.annotations)
        if not wanted and not changed:
            return []
        wanted += changes(existing, (plan.applied,))
        removed = plan.placed and existing is not None and vci.SKIPPED in existing
        if self._passes_limit(wanted, removed=removed):
            return None
        operations = set_entries(ANNOTATIONS, existing, wanted)
        if removed:
            operations.append(_REMOVE_SKIPPED)
        return operations


def _warning(text: str) -> str:
    return text if len(text) <= WARNING_LIMIT else f"{text[: WARNING_LIMIT - 3]}..."
