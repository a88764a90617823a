"""Node selector terms: ANDing the rules' into a Pod's, and telling which mean the same."""

from copy import deepcopy
from typing import Any

_KINDS = ("matchExpressions", "matchFields")


def and_into_term(term: Any, ours: list[Any]) -> list[Any]:
    """AND the alternatives ``ours`` into one term: what it admits, where one of ours does too."""
    if is_empty(term) or any(contains(term, other) for other in ours):
        return [term]
    return cross([term], ours)


def cross(terms: list[Any], others: list[Any]) -> list[Any]:
    return [_both(term, other) for term in terms for other in others]


def is_empty(term: Any) -> bool:
    return not (term.get("matchExpressions") or term.get("matchFields"))


def contains(term: Any, other: Any) -> bool:
    return not is_empty(other) and all(
        _holds(term.get(kind), expression)
        for kind in _KINDS
        for expression in other.get(kind) or []
    )


def is_same_preference(one: Any, other: Any) -> bool:
    return bool(one["weight"] == other["weight"]) and (
        contains(one["preference"], other["preference"])
        and contains(other["preference"], one["preference"])
    )


def _holds(expressions: Any, wanted: Any) -> bool:
    """Tell whether an expression is among others; the order of its values has no meaning."""
    return any(
        expression["key"] == wanted["key"]
        and expression["operator"] == wanted["operator"]
        and set(expression.get("values") or []) == set(wanted.get("values") or [])
        for expression in expressions or []
    )


def _both(term: Any, other: Any) -> Any:
    both = deepcopy(term)
    for kind in _KINDS:
        for expression in other.get(kind) or []:
            if not _holds(both.get(kind), expression):
                both[kind] = [*(both.get(kind) or []), deepcopy(expression)]
    return both
