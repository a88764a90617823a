"""Finds the rules that may match a Pod without looking at the others.

A rule that needs a label to have one of a few values, of the namespace or of the Pod, stands under
these values; of several such labels it stands under the one that the fewest rules need. So a
thousand rules, each for a team or for an application of its own, cost a review as much as one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from webhook.labels import Selector
from webhook.rules import Rule

Label: TypeAlias = tuple[str, str]
Need: TypeAlias = tuple[int, list[Label]]  # the side, and the labels of which one must be there
Positions: TypeAlias = Mapping[Label, tuple[int, ...]]
_NAMESPACE, _POD = 0, 1


@dataclass(frozen=True, slots=True)
class RuleIndex:
    """Positions of rules by a label that they need; ``always`` are those that need none."""

    by_namespace: Positions = field(default_factory=dict)
    by_pod: Positions = field(default_factory=dict)
    always: tuple[int, ...] = ()

    def candidates(
        self, namespace_labels: Mapping[str, str], pod_labels: Mapping[str, str]
    ) -> list[int]:
        """Return the positions of the rules that may match these labels, in order."""
        found = list(self.always)
        if self.by_namespace:
            for label in namespace_labels.items():
                found += self.by_namespace.get(label, ())
        if self.by_pod:
            for label in pod_labels.items():
                found += self.by_pod.get(label, ())
        found.sort()
        return found


def index_rules(rules: Sequence[Rule]) -> RuleIndex:
    """Index rules that stand in the order of their evaluation."""
    needs = [_needs(rule) for rule in rules]
    asked = Counter(
        (side, label) for alternatives in needs for side, labels in alternatives for label in labels
    )
    sides: tuple[dict[Label, list[int]], dict[Label, list[int]]] = ({}, {})
    always = []
    for position, alternatives in enumerate(needs):
        if not alternatives:
            always.append(position)
            continue
        side, labels = min(alternatives, key=lambda need: _cost(need, asked))
        for label in labels:
            sides[side].setdefault(label, []).append(position)
    by_namespace, by_pod = (
        {label: tuple(positions) for label, positions in side.items()} for side in sides
    )
    return RuleIndex(by_namespace, by_pod, tuple(always))


def _cost(need: Need, asked: Mapping[tuple[int, Label], int]) -> tuple[int, int]:
    side, labels = need
    return max(asked[side, label] for label in labels), len(labels)


def _needs(rule: Rule) -> list[Need]:
    """Return all that must hold for the rule to match, as far as a label can tell."""
    return [
        (side, [(requirement.key, value) for value in sorted(requirement.values)])
        for side, selector in _sides(rule)
        for requirement in selector.requirements
        if requirement.operator == "In"
    ]


def _sides(rule: Rule) -> tuple[tuple[int, Selector], tuple[int, Selector]]:
    return (_NAMESPACE, rule.namespace_selector), (_POD, rule.object_selector)
