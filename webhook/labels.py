"""Kubernetes' label syntax, and LabelSelectors that are compiled once and evaluated often.

Sources: apimachinery ``pkg/util/validation`` (syntax), ``pkg/labels`` (what an operator means).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
NAME_LIMIT = 63  # of the part after the "/", and of a label's value
PREFIX_LIMIT = 253

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def key_problem(key: str) -> str | None:
    """Say what is wrong with a label or annotation key, to follow it; None when it is legal.

    Annotation keys follow the same syntax after lower-casing: pass them lower-cased.
    """
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= PREFIX_LIMIT and _PREFIX.fullmatch(prefix)):
        return (
            f"is not a legal key; before the slash, write a lower-case DNS name of at most "
            f"{PREFIX_LIMIT} characters"
        )
    if not (len(name) <= NAME_LIMIT and _NAME.fullmatch(name)):
        return (
            f"is not a legal key; write a name of 1 to {NAME_LIMIT} of A-Z, a-z, 0-9, '-', '_', "
            "'.' that begins and ends with a letter or digit"
        )
    return None


def value_problem(value: str) -> str | None:
    """Say what is wrong with a label's value, to follow it; None when it is legal (as "" is)."""
    if value and not (len(value) <= NAME_LIMIT and _NAME.fullmatch(value)):
        return (
            f"is not a legal label value; write at most {NAME_LIMIT} of A-Z, a-z, 0-9, '-', '_', "
            "'.', beginning and ending with a letter or digit"
        )
    return None


def is_node_name(name: str) -> bool:
    """Tell whether a node can have this name: that of a DNS subdomain."""
    return len(name) <= PREFIX_LIMIT and bool(_PREFIX.fullmatch(name))


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label; ``values`` is empty for Exists and DoesNotExist."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels meet the condition; NotIn holds for an absent key."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case _:
                return value is None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one label may be: absent or not, and one of ``values``, or any value not ``excluded``.

    ``values`` is None when they are not listed; ``excluded`` is empty when they are.
    """

    absent: bool = True
    values: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether no label at all is allowed, not even its absence."""
        return not self.absent and self.values is not None and not self.values

    def both(self, other: "Allowed") -> "Allowed":
        """Return what both allow."""
        excluded = self.excluded | other.excluded
        listed = [each.values for each in (self, other) if each.values is not None]
        if listed:
            values = frozenset.intersection(*listed) - excluded
            return Allowed(self.absent and other.absent, values)
        return Allowed(self.absent and other.absent, None, excluded)

    def within(self, other: "Allowed") -> bool:
        """Tell whether the other allows everything that this allows."""
        if self.absent and not other.absent:
            return False
        if self.values is not None:
            return self.values.isdisjoint(other.excluded) and (
                other.values is None or self.values <= other.values
            )
        return other.values is None and other.excluded <= self.excluded


ANYTHING = Allowed()


def _allowed(requirement: Requirement) -> Allowed:
    match requirement.operator:
        case "In":
            return Allowed(absent=False, values=requirement.values)
        case "NotIn":
            return Allowed(excluded=requirement.values)
        case "Exists":
            return Allowed(absent=False)
        case _:
            return Allowed(values=frozenset())


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements of a LabelSelector, ANDed; no requirement at all matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels meet every requirement."""
        for requirement in self.requirements:  # noqa: SIM110  # half the price of all()
            if not requirement.matches(labels):
                return False
        return True

    def allowed(self) -> dict[str, Allowed]:
        """Return what each label may be that the selector constrains."""
        found: dict[str, Allowed] = {}
        for requirement in self.requirements:
            before = found.get(requirement.key, ANYTHING)
            found[requirement.key] = before.both(_allowed(requirement))
        return found

    def contradiction(self) -> str | None:
        """Name a key whose requirements can never hold together; None when they can."""
        return min((key for key, each in self.allowed().items() if each.is_empty), default=None)

    def implies(self, other: "Selector") -> bool:
        """Tell whether the other matches all labels that this one matches."""
        mine = self.allowed()
        return any(each.is_empty for each in mine.values()) or is_within(mine, other.allowed())


def is_within(allowed: Mapping[str, Allowed], other: Mapping[str, Allowed]) -> bool:
    """Tell whether the other allows all labels that the first, which allows some, allows."""
    for key, each in other.items():  # noqa: SIM110  # half the price of all()
        if not allowed.get(key, ANYTHING).within(each):
            return False
    return True
