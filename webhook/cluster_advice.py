"""What only a cluster can tell about a profile: whom its rules meet there, and what they disturb.

Plain data in, problems out; all of them are warnings, because clusters change and profiles may be
written ahead of them.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from webhook import vci
from webhook.calls import advise_about
from webhook.labels import Requirement, Selector
from webhook.mutate import is_exempt, opts_out
from webhook.observed import Configuration
from webhook.pod import Pod
from webhook.problems import Problem
from webhook.profile import Profile
from webhook.reach import Reach, asking, reaches_of
from webhook.rules import Rule
from webhook.wording import listed, quoted

_SIMILAR = 0.9  # of two ids of 30 characters: two slips of the pen
_COMPARED_LIMIT = 1000  # ids in use; a cluster has a handful
_SPELLINGS = {  # the annotation: a rule's field, the cluster-wide key, what it holds
    vci.SUBNETS: ("subnetIds", "preferredSubnetIds", "subnet"),
    vci.SECURITY_GROUPS: ("securityGroupIds", "securityGroupIds", "security group"),
    vci.FAMILIES: ("instanceFamilies", "preferredInstanceFamily", "instance family"),
    vci.TYPES: ("instanceTypes", "preferredInstanceTypes", "instance type"),
}
_RANDOM = (vci.SUBNETS, vci.SECURITY_GROUPS)  # ids that are never alike by chance

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ResourcePolicy:
    """Has the scheduler spread the Pods of its namespace that have these labels."""

    namespace: str
    name: str
    selector: Labels


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found in the cluster; None is what could not be read."""

    namespaces: Mapping[str, Labels] | None = None
    policies: Sequence[ResourcePolicy] = ()
    configuration: Configuration | None = None


@dataclass(slots=True)
class Census:
    """Counts, Pod by Pod, which rules would match; and which ids Pods name."""

    profile: Profile
    namespaces: Mapping[str, Labels]
    matched: Counter[str] = field(default_factory=Counter)  # by the rule's path
    used: dict[str, set[str]] = field(default_factory=dict)  # by annotation

    def add(self, pod: Pod) -> None:
        """Count one running Pod, of which the metadata is enough."""
        for key in _SPELLINGS:
            if value := (pod.metadata.annotations or {}).get(key):
                self.used.setdefault(key, set()).update(_split(value))
        namespace = self.namespaces.get(pod.metadata.namespace or "")
        if namespace is None or is_exempt(pod):
            return
        for rule in _matching(self.profile, namespace, pod.metadata.labels or {}):
            self.matched[rule.path] += 1


@dataclass(frozen=True, slots=True)
class RuleUse:
    """What one rule meets today; None is what could not be counted."""

    name: str
    placement: str
    namespaces: int | None
    called: int | None  # namespaces that it matches, and that the webhook is called for
    pods: int | None


def eligible(namespaces: Mapping[str, Labels], excluded: frozenset[str]) -> dict[str, Labels]:
    """Leave out the namespaces whose Pods are never touched."""
    return {
        name: labels
        for name, labels in namespaces.items()
        if name not in excluded and not opts_out(labels)
    }


def rule_uses(
    profile: Profile, surroundings: Surroundings, census: Census | None
) -> tuple[RuleUse, ...]:
    """Count what each rule meets, in the order of evaluation."""
    pods = census.matched if census is not None and surroundings.namespaces is not None else None
    return tuple(
        RuleUse(
            rule.name,
            "shadow" if rule.shadow else _placement(rule, profile),
            len(reach.matched) if reach is not None else None,
            len(reach.called) if reach is not None and reach.called is not None else None,
            pods[rule.path] if pods is not None else None,
        )
        for rule, reach in zip(profile.rules, _reaches(profile, surroundings), strict=True)
    )


def advise_in_cluster(
    profile: Profile, surroundings: Surroundings, census: Census | None
) -> tuple[Problem, ...]:
    """Say what is unwise about a profile in this cluster."""
    used = census.used if census is not None else {}
    problems = list(_advise_spelling(profile, used))
    if (configuration := surroundings.configuration) and not asking(configuration):
        message = (
            f"no rule acts: {configuration.kind} {quoted(configuration.name)} does not ask about "
            "new Pods at /mutate; have it do that"
        )
        problems.append(Problem("warning", "selectors", message))
    for reach in _reaches(profile, surroundings):
        if reach is not None:
            problems += _advise_rule(reach, profile, surroundings)
    return tuple(problems)


def _reaches(profile: Profile, surroundings: Surroundings) -> Sequence[Reach | None]:
    """Tell how far each rule reaches; None where namespaces could not be read."""
    if surroundings.namespaces is None:
        return [None] * len(profile.rules)
    return reaches_of(profile.rules, surroundings.namespaces, surroundings.configuration)


def _advise_rule(reach: Reach, profile: Profile, surroundings: Surroundings) -> Iterator[Problem]:
    rule = reach.rule
    if advice := advise_about(reach, surroundings.configuration):
        yield Problem("warning", advice.path, advice.message)
    if _placement(rule, profile) == "enforce" and not rule.shadow:
        off = [policy for policy in surroundings.policies if _meet(rule, policy, reach.matched)]
        if off:
            names = listed(f"{policy.namespace}/{policy.name}" for policy in off)
            message = (
                f"enforce switches off, for the Pods that both select, ResourcePolicy {names}; "
                "use placement allow, or select other Pods"
            )
            yield Problem("warning", rule.path, message)


def _placement(rule: Rule, profile: Profile) -> str:
    return rule.placement or profile.defaults.placement


def _matching(profile: Profile, namespace: Labels, pod: Labels) -> Iterator[Rule]:
    """Yield the rules that match a Pod, up to one that ends the evaluation."""
    for position in profile.index.candidates(namespace, pod):
        rule = profile.rules[position]
        if rule.namespace_selector.matches(namespace) and rule.object_selector.matches(pod):
            yield rule
            if rule.ends and not rule.shadow:
                return


def _meet(rule: Rule, policy: ResourcePolicy, namespaces: Mapping[str, Labels]) -> bool:
    """Tell whether some Pod can be selected by both; a label that the rule adds counts as well."""
    if policy.namespace not in namespaces:
        return False
    added = rule.effect.labels
    theirs = [
        Requirement(key, "In", frozenset({value}))
        for key, value in policy.selector.items()
        if added.get(key) != value
    ]
    return Selector((*rule.object_selector.requirements, *theirs)).contradiction() is None


def _advise_spelling(profile: Profile, used: Mapping[str, set[str]]) -> Iterator[Problem]:
    """Report ids that Pods of this cluster spell differently."""
    for annotation, (in_rule, key, what) in _SPELLINGS.items():
        known = used.get(annotation)
        if not known:
            continue
        written = [(key, profile.defaults.annotations.get(annotation))]
        written += [
            (f"{rule.path}.effect.{in_rule}", rule.effect.annotations.get(annotation))
            for rule in profile.rules
        ]
        for path, value in written:
            for item in _split(value or ""):
                if near := _differently(item, known, random=annotation in _RANDOM):
                    message = (
                        f"no running Pod names the {what} {quoted(item)}; did you mean "
                        f"{quoted(near)}, which Pods name?"
                    )
                    yield Problem("warning", path, message)


def _differently(item: str, known: Iterable[str], *, random: bool) -> str | None:
    """Return the same id as it is spelled elsewhere; None when there is none."""
    if item in known:
        return None
    compared = sorted(known)[:_COMPARED_LIMIT]
    for other in compared:
        if _folded(other) == _folded(item):
            return other
    close = difflib.get_close_matches(item, compared, n=1, cutoff=_SIMILAR) if random else ()
    return close[0] if close else None


def _folded(item: str) -> str:
    """Reduce an id to what distinguishes it: no case, no punctuation, no prefix."""
    return re.sub(r"^(?:subnet|sg|vci)", "", re.sub(r"[^a-z0-9]", "", item.lower()))


def _split(value: str) -> list[str]:
    return [item for part in value.split(",") if (item := part.strip())]
