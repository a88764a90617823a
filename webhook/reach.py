"""How far a rule reaches: which namespaces it matches, and which of them the webhook is called for.

All entries of a configuration count together. Their matchConditions are not evaluated, so that
what is called for may be less than is told here, and never more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from webhook.labels import Selector
from webhook.observed import Configuration, Entry, Labels
from webhook.rules import Rule

Namespaces = Mapping[str, Labels]


@dataclass(frozen=True, slots=True)
class Reach:
    """The namespaces that a rule matches, and for which of them the webhook is called.

    Without a configuration that is not known.
    """

    rule: Rule
    matched: Namespaces
    called: Namespaces | None


def asking(configuration: Configuration) -> tuple[Entry, ...]:
    """Give the entries that ask about new Pods."""
    return tuple(entry for entry in configuration.entries if "CREATE" in entry.operations)


def reaches_of(
    rules: Iterable[Rule], namespaces: Namespaces, configuration: Configuration | None
) -> list[Reach]:
    """Tell of each rule which namespaces it matches, and which of them it is called for."""
    index = _Index(namespaces)
    return [_reach_of(rule, index, configuration) for rule in rules]


class _Index:
    """Namespaces by the values of a label: with many rules not each has to look at all of them."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._by_label: dict[str, dict[str, list[str]]] = {}

    def matching(self, selector: Selector) -> dict[str, Labels]:
        """Give the namespaces that are selected."""
        found = {
            name: self._namespaces[name]
            for name in self._candidates(selector)
            if selector.matches(self._namespaces[name])
        }
        return dict(sorted(found.items()))

    def _candidates(self, selector: Selector) -> Iterable[str]:
        for requirement in selector.requirements:
            if requirement.operator == "In":
                values = self._values_of(requirement.key)
                return [name for value in requirement.values for name in values.get(value, ())]
        return self._namespaces

    def _values_of(self, key: str) -> dict[str, list[str]]:
        if key not in self._by_label:
            values = self._by_label[key] = {}
            for name, labels in self._namespaces.items():
                if key in labels:
                    values.setdefault(labels[key], []).append(name)
        return self._by_label[key]


def _reach_of(rule: Rule, index: _Index, configuration: Configuration | None) -> Reach:
    matched = index.matching(rule.namespace_selector)
    if configuration is None:
        return Reach(rule, matched, None)
    entries = [entry for entry in asking(configuration) if not contradiction(rule, entry)]
    called = {
        name: labels
        for name, labels in matched.items()
        if any(entry.selector.matches(labels) for entry in entries)
    }
    return Reach(rule, matched, called)


def contradiction(rule: Rule, entry: Entry) -> str:
    """Name a label by which a rule never selects what an entry is called for."""
    for mine, theirs in (
        (rule.namespace_selector, entry.selector),
        (rule.object_selector, entry.objects),
    ):
        if key := both(mine, theirs).contradiction():
            return key
    return ""


def both(one: Selector, other: Selector) -> Selector:
    """Demand what both selectors demand."""
    return Selector((*one.requirements, *other.requirements))
