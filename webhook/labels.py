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
    """Say what is wrong with a label or annotation key; None when it is legal.

    Annotation keys follow the same syntax after lower-casing: pass them lower-cased.
    """
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= PREFIX_LIMIT and _PREFIX.fullmatch(prefix)):
        return (
            f"the part before the slash must be a lower-case DNS name of at most {PREFIX_LIMIT} "
            "characters"
        )
    if not (len(name) <= NAME_LIMIT and _NAME.fullmatch(name)):
        return (
            f"the name must be 1 to {NAME_LIMIT} of A-Z, a-z, 0-9, '-', '_', '.', and begin and "
            "end with a letter or digit"
        )
    return None


def value_problem(value: str) -> str | None:
    """Say what is wrong with a label's value; None when it is legal (the empty string is)."""
    if value and not (len(value) <= NAME_LIMIT and _NAME.fullmatch(value)):
        return (
            f"a label value is empty or at most {NAME_LIMIT} of A-Z, a-z, 0-9, '-', '_', '.', and "
            "begins and ends with a letter or digit"
        )
    return None


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
class Selector:
    """All requirements of a LabelSelector, ANDed; no requirement at all matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels meet every requirement."""
        for requirement in self.requirements:  # noqa: SIM110  # half the price of all()
            if not requirement.matches(labels):
                return False
        return True

    def contradiction(self) -> str | None:
        """Name a key whose requirements can never hold together; None when they can."""
        for key in sorted({requirement.key for requirement in self.requirements}):
            if not _satisfiable([r for r in self.requirements if r.key == key]):
                return key
        return None


def _satisfiable(requirements: list[Requirement]) -> bool:
    """Tell whether one label, present or absent, can meet all requirements on its key."""
    if all(r.matches({}) for r in requirements):
        return True
    allowed = [r.values for r in requirements if r.operator == "In"]
    if not allowed:  # some value outside every NotIn set always exists
        return all(r.operator != "DoesNotExist" for r in requirements)
    key = requirements[0].key
    return any(
        all(r.matches({key: value}) for r in requirements)
        for value in frozenset.intersection(*allowed)
    )
