"""Why a rule can never act where the API server calls the webhook, and what to label about it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from webhook import vci
from webhook.labels import Allowed, Requirement, Selector
from webhook.observed import Configuration, Entry, Labels
from webhook.reach import Namespaces, Reach, asking, both, contradiction
from webhook.rules import Rule
from webhook.wording import listed, quoted

NAME_LABEL = "kubernetes.io/metadata.name"  # which the API server sets, and keeps
_ANY_VALUE = "true"
_NAMED_LIMIT = 10  # namespaces in a command; more are a person's to choose from
_OPTED_IN = Requirement(vci.OPT_OUT, "NotIn", frozenset({"false"}))
_NOT_SYSTEM = Requirement(NAME_LABEL, "NotIn", vci.SYSTEM_NAMESPACES)

Changes = Mapping[str, str | None]  # what labels become; None is none


@dataclass(frozen=True, slots=True)
class Advice:
    """What is wrong with a rule in a cluster, and what to do; there may be no command."""

    rule: Rule
    finding: str
    todo: str
    command: str = ""
    field: str = ""

    @property
    def path(self) -> str:
        """Tell where in the profile it is."""
        return f"{self.rule.path}.{self.field}" if self.field else self.rule.path

    @property
    def message(self) -> str:
        """Say it in one sentence."""
        todo = f"{self.todo}: {self.command}" if self.command else self.todo
        return f"{self.finding}; {todo}"


def advise_about(reach: Reach, configuration: Configuration | None) -> Advice | None:
    """Say why a rule can never act, or meets nobody today; None when it may act.

    What can be told without a cluster is told elsewhere, and so is a configuration that never asks.
    """
    rule = reach.rule
    entries = asking(configuration) if configuration is not None else ()
    if _is_hopeless(rule) or (configuration is not None and not entries):
        return None
    contradictions = [contradiction(rule, entry) for entry in entries]
    if configuration is not None and all(contradictions):
        return _against_each_other(rule, configuration, filter(None, contradictions))
    possible = [e for e, why in zip(entries, contradictions, strict=True) if not why]
    possible.sort(key=lambda entry: entry.failure_policy == "Fail")  # which nobody is led into
    if not reach.matched:
        return _matches_nobody(rule, possible) if rule.namespace_selector.requirements else None
    if configuration is not None and not reach.called:
        return _never_called(reach, configuration, possible)
    return None


def labels_to_match(selector: Selector, namespaces: Iterable[Labels]) -> Changes | None:
    """Tell what labels namespaces need to be selected; None when labels cannot do it."""
    changes: dict[str, str | None] = {}
    for labels in namespaces:
        for key, allowed in selector.allowed().items():
            if _admits(allowed, labels.get(key)):
                continue
            wanted = _value_of(allowed)
            if key == NAME_LABEL or not _admits(allowed, wanted):
                return None
            changes[key] = wanted
    return changes


def label_command(names: Sequence[str], namespaces: Namespaces, changes: Changes) -> str:
    """Write the command that labels namespaces; for none, and for many, NAME stands in it."""
    words = [f"{key}-" if value is None else f"{key}={value}" for key, value in changes.items()]
    replaced = any(
        value is not None and labels.get(key, value) != value
        for labels in namespaces.values()
        for key, value in changes.items()
    )
    whom = names if 0 < len(names) <= _NAMED_LIMIT else ("NAME",)
    force = ["--overwrite"] if replaced else []
    return " ".join(["kubectl label namespace", *whom, *words, *force])


def _is_hopeless(rule: Rule) -> bool:
    """Tell whether a rule selects nothing that is ever touched, whatever the cluster."""
    namespaces = Selector((*rule.namespace_selector.requirements, _OPTED_IN, _NOT_SYSTEM))
    pods = Selector((*rule.object_selector.requirements, _OPTED_IN))
    return bool(namespaces.contradiction() or pods.contradiction())


def _against_each_other(rule: Rule, configuration: Configuration, keys: Iterable[str]) -> Advice:
    labels = listed(dict.fromkeys(keys))
    finding = (
        f"can never {_verb(rule)}: {_named(configuration)} calls for nothing that it selects, as "
        f"no object meets the conditions of both on {labels}"
    )
    return Advice(rule, finding, "correct one of them")


def _matches_nobody(rule: Rule, entries: Sequence[Entry]) -> Advice:
    finding, field = "matches no namespace today", "namespaceSelector"
    if not entries and (changes := labels_to_match(rule.namespace_selector, [{}])):
        command = label_command((), {}, changes)
        return Advice(rule, finding, "correct the selector, or label one", command, field)
    for entry, changes in _labellings(rule, {"": {}}, entries):
        todo = f"correct the selector, or label one{_risk(entry)}"
        return Advice(rule, finding, todo, label_command((), {}, changes), field)
    return Advice(rule, finding, "correct the selector, or make such a namespace", "", field)


def _never_called(reach: Reach, configuration: Configuration, entries: Sequence[Entry]) -> Advice:
    rule, matched = reach.rule, reach.matched
    which = "the only namespace" if len(matched) == 1 else f"the {len(matched):,} namespaces"
    finding = (
        f"never {_verb(rule)}s: {_named(configuration)} does not call for {listed(matched)}, "
        f"{which} that it matches"
    )
    for entry, changes in _labellings(rule, matched, entries):
        todo = "label it" if len(matched) == 1 else "label those that are meant"
        command = label_command(list(matched), matched, changes)
        return Advice(rule, finding, f"{todo}{_risk(entry)}", command)
    return Advice(rule, finding, "have its namespaceSelector match")


def _labellings(
    rule: Rule, namespaces: Namespaces, entries: Iterable[Entry]
) -> Iterator[tuple[Entry, Changes]]:
    """Yield each way to label namespaces so that a rule matches and an entry calls for them."""
    for entry in entries:
        selector = both(rule.namespace_selector, entry.selector)
        if changes := labels_to_match(selector, namespaces.values()):
            yield entry, changes


def _risk(entry: Entry) -> str:
    return " for failurePolicy Fail" if entry.failure_policy == "Fail" else ""


def _admits(allowed: Allowed, value: str | None) -> bool:
    if value is None:
        return allowed.absent
    return value not in allowed.excluded and (allowed.values is None or value in allowed.values)


def _value_of(allowed: Allowed) -> str | None:
    if allowed.values:
        return min(allowed.values)
    return None if allowed.absent else _ANY_VALUE


def _verb(rule: Rule) -> str:
    return "look" if rule.shadow else "act"


def _named(configuration: Configuration) -> str:
    return f"{configuration.kind} {quoted(configuration.name)}"
