"""Decides what happens to one Pod: the patch, the rules that acted, why it was left alone.

A function of plain data: what docs/profile.md promises about a Pod is decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from webhook import vci
from webhook.compatibility import incompatibilities
from webhook.envelope import WARNING_LIMIT
from webhook.operations import Entry, changes, entry, escape, remove, set_entries
from webhook.patch import avoids_hosts, merged_terms, pod_operations
from webhook.placement import MergedTerms, excludes
from webhook.plan import ANNOTATIONS, Plan, audit_annotations, plan_for, trace
from webhook.pod import Pod
from webhook.profile import Profile

_AVOIDS_HOSTS = "vci-webhook: this Pod avoids host names; with one virtual node it stays Pending"
_REMOVE_SKIPPED = remove(f"{ANNOTATIONS}/{escape(vci.SKIPPED)}")


class Mutation(Struct, frozen=True, gc=False):  # made in a tenth of a dataclass's time
    """What was decided for one Pod.

    ``operations`` are encoded RFC 6902 operations, none when nothing changes. ``decision`` is the
    placement, ``skipped``, or empty when no active rule matched. ``rules`` and ``shadows`` name the
    rules that matched, in order; ``reasons`` say why the Pod was left alone, sorted.
    """

    operations: tuple[bytes, ...] = ()
    decision: str = ""
    rules: tuple[str, ...] = ()
    shadows: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    audit: bytes = b""

    @property
    def patch(self) -> bytes:
        """The JSON patch; empty when nothing changes."""
        return b"[%b]" % b",".join(self.operations) if self.operations else b""


UNTOUCHED = Mutation()


def is_exempt(pod: Pod) -> bool:
    """Tell whether a Pod is never touched, by what it says itself: bound, mirror, opted out."""
    metadata = pod.metadata
    return (
        bool(pod.spec.node_name)
        or "kubernetes.io/config.mirror" in (metadata.annotations or ())
        or any(owner.kind == "DaemonSet" for owner in metadata.owner_references or ())
        or opts_out(metadata.labels or {})
    )


def opts_out(labels: Mapping[str, str]) -> bool:
    """Tell whether the labels of a Pod or a namespace keep the webhook away."""
    return labels.get(vci.OPT_OUT) == "false"


def mutate_pod(pod: Pod, namespace_labels: Mapping[str, str], profile: Profile) -> Mutation:
    """Decide what happens to a Pod that is not exempt.

    Raises:
        msgspec.ValidationError: a term of the Pod's node affinity has a field of another type.
    """
    if opts_out(namespace_labels):
        return UNTOUCHED
    matched, shadows = _match(pod.metadata.labels or {}, namespace_labels, profile)
    if not matched:
        return Mutation(shadows=shadows) if shadows else UNTOUCHED
    plan = plan_for(profile, matched, own_enforce=_demands_enforce(pod, profile))
    return _Merge(pod, plan, profile, shadows).decide()


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


def _demands_enforce(pod: Pod, profile: Profile) -> bool:
    metadata = pod.metadata
    if metadata.annotations and metadata.annotations.get(vci.BURST) == "enforce":
        return True
    return profile.defaults.self_built and (metadata.labels or {}).get(vci.BURST) == "enforce"


@dataclass(slots=True)
class _Merge:
    """One Pod and one plan on their way to a decision."""

    pod: Pod
    plan: Plan
    profile: Profile
    shadows: tuple[str, ...]

    def decide(self) -> Mutation:
        terms = merged_terms(self.pod, self.plan)
        if self.plan.placed and (reasons := self._reasons(terms)):
            return self._skip(sorted(reasons))
        operations = pod_operations(self.pod, self.plan, self.profile.defaults, terms)
        annotations = self._annotations(changed=bool(operations))
        if annotations is None:
            return self._too_large()
        return Mutation(
            operations=(*annotations, *operations),
            decision=self.plan.placement,
            rules=self.plan.rules,
            shadows=self.shadows,
            warnings=(
                (_AVOIDS_HOSTS,)
                if self.plan.enforced and terms is not None and avoids_hosts(terms.terms)
                else ()
            ),
            audit=self.plan.audit,
        )

    def _reasons(self, terms: MergedTerms | None) -> set[str]:
        """Return why the Pod is left alone; empty when it is not."""
        plan = self.plan
        unplaceable = set()
        if self._node_selector_conflict():
            unplaceable.add("nodeSelector")
        if (self.pod.metadata.annotations or {}).get(vci.BURST, "enforce") != "enforce":
            unplaceable.add("burst-to-vci")
        label = self.profile.defaults.virtual_node.label
        if terms is None or (plan.enforced and excludes(terms.terms, label)):
            unplaceable.add("nodeAffinity")
        incompatible = incompatibilities(
            self.pod,
            self.profile.defaults,
            enforced=plan.enforced,
            names_instance=plan.names_instance,
            operating_system=plan.operating_system,
        )
        if incompatible and plan.place_incompatible and not unplaceable:
            return set()
        return unplaceable | incompatible

    def _node_selector_conflict(self) -> bool:
        existing = self.pod.spec.node_selector
        return existing is not None and any(
            existing.get(wanted.key, wanted.value) != wanted.value
            for wanted in self.plan.node_selector
        )

    def _skip(self, reasons: list[str]) -> Mutation:
        """Leave the Pod as its author wrote it, but for one annotation that says why."""
        plan, existing = self.plan, self.pod.metadata.annotations
        told = trace(plan.placement, self.profile.version, plan.rules, reasons)
        skipped = entry(ANNOTATIONS, vci.SKIPPED, told)
        operations: list[bytes] = []
        if not existing or vci.SKIPPED not in existing:
            if self._passes_limit([skipped], removed=False):
                return self._too_large()
            operations = set_entries(ANNOTATIONS, existing, [skipped])
        return Mutation(
            operations=tuple(operations),
            decision="skipped",
            rules=plan.rules,
            shadows=self.shadows,
            reasons=tuple(reasons),
            warnings=(_warning(f"vci-webhook left this Pod alone: {', '.join(reasons)}"),),
            audit=audit_annotations("skipped", plan.rules),
        )

    def _too_large(self) -> Mutation:
        warning = "vci-webhook left this Pod alone: its annotations would pass 256 KiB in all"
        return Mutation(
            decision="skipped",
            rules=self.plan.rules,
            shadows=self.shadows,
            warnings=(warning,),
            audit=audit_annotations("skipped", self.plan.rules),
        )

    def _passes_limit(self, changed: Sequence[Entry], *, removed: bool) -> bool:
        """Tell whether the Pod's annotations, with ours, would be refused for their size."""
        existing = self.pod.metadata.annotations or {}
        characters = sum(map(len, existing)) + sum(map(len, existing.values()))
        ours = sum([len(wanted.member) for wanted in changed])
        if 4 * characters + ours <= vci.ANNOTATIONS_LIMIT_BYTES:  # a character is at most 4 bytes
            return False
        after = dict(existing)
        after.update((wanted.key, wanted.value) for wanted in changed)
        if removed:
            del after[vci.SKIPPED]
        return vci.annotations_size(after) > vci.ANNOTATIONS_LIMIT_BYTES

    def _annotations(self, *, changed: bool) -> list[bytes] | None:
        """Return the operations on the annotations, trace included; None beyond the size limit."""
        plan, existing = self.plan, self.pod.metadata.annotations
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
