"""Merges tolerations and node affinity into a Pod's own, never widening where it may run.

Pure functions of plain data; what they return is what to add. Semantics: Kubernetes' scheduler
(``component-helpers/scheduling/corev1/nodeaffinity``, ``core/v1 Toleration.ToleratesTaint``).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import msgspec

from webhook.operations import encode
from webhook.pod import Toleration

TERMS_LIMIT = 256
# A Pod of more than 1.5 MiB is refused by etcd, and there is more in a Pod than its terms.
TERMS_LIMIT_BYTES = 512 * 1024

_INTEGER = re.compile(r"[+-]?[0-9]{1,63}")  # of a label's length; Python alone also reads 1_0
_INT64 = range(-(2**63), 2**63)

Requirement: TypeAlias = tuple[str, str, frozenset[str]]


def covers(theirs: Toleration, ours: Toleration) -> bool:
    """Tell whether ``theirs`` bears every taint that ``ours`` bears, at least as long."""
    exists = theirs.operator == "Exists"
    if (theirs.key or not exists) and (theirs.key or "") != (ours.key or ""):
        return False
    if theirs.effect and theirs.effect != (ours.effect or ""):
        return False
    if not exists and not (_is_equal(theirs) and _is_equal(ours)):
        return False
    if not exists and (theirs.value or "") != (ours.value or ""):
        return False
    return _seconds(theirs) >= _seconds(ours)


def _is_equal(toleration: Toleration) -> bool:
    return (toleration.operator or "Equal") == "Equal"


def _seconds(toleration: Toleration) -> float:
    """Return how long a NoExecute taint is borne; a negative time counts as none."""
    if toleration.toleration_seconds is None:
        return float("inf")
    return max(0, toleration.toleration_seconds)


def missing_tolerations(
    existing: Sequence[Toleration], wanted: Iterable[Toleration]
) -> list[Toleration]:
    """Return the wanted tolerations that neither an existing nor an earlier wanted one covers."""
    present = list(existing)
    missing = []
    for toleration in wanted:
        if not _is_covered(toleration, present):
            present.append(toleration)
            missing.append(toleration)
    return missing


def _is_covered(toleration: Toleration, present: Iterable[Toleration]) -> bool:
    for theirs in present:  # noqa: SIM110  # half the price of any()
        if covers(theirs, toleration):
            return True
    return False


class _Expression(msgspec.Struct, gc=False):
    key: str
    operator: str
    values: list[str] | None = None


class _Term(msgspec.Struct, gc=False):
    match_expressions: list[_Expression] | None = msgspec.field(
        default=None, name="matchExpressions"
    )
    match_fields: list[_Expression] | None = msgspec.field(default=None, name="matchFields")


@dataclass(frozen=True, slots=True)
class Term:
    """A node selector term: its requirements, ANDed, as sets to compare and as it came to write."""

    expressions: frozenset[Requirement]
    fields: frozenset[Requirement]
    source: Mapping[str, Any]

    @property
    def is_empty(self) -> bool:
        """Whether it has no requirement; such a term matches no node."""
        return not self.expressions and not self.fields

    def contains(self, other: "Term") -> bool:
        """Tell whether every requirement of the other is one of this term's."""
        return other.expressions <= self.expressions and other.fields <= self.fields

    def missing(self, other: "Term") -> dict[str, list[Any]]:
        """Return what of the other's requirements this term lacks, by field of the term."""
        return {
            name: lacking
            for name, mine in (
                ("matchExpressions", self.expressions),
                ("matchFields", self.fields),
            )
            if (lacking := _lacking(mine, other.source.get(name)))
        }

    def joined(self, other: "Term") -> "Term":
        """Return the term that demands what both demand; unknown fields of this one survive."""
        source = dict(self.source)
        for name, requirements in self.missing(other).items():
            source[name] = [*(source.get(name) or ()), *requirements]
        return Term(self.expressions | other.expressions, self.fields | other.fields, source)


def _lacking(mine: frozenset[Requirement], theirs: Iterable[Any] | None) -> list[Any]:
    """Return the requirements, each once, that are not among mine."""
    lacking: dict[Requirement, Any] = {}
    for requirement in theirs or ():
        canonical = _canonical(msgspec.convert(requirement, _Expression))
        if canonical not in mine:
            lacking.setdefault(canonical, requirement)
    return list(lacking.values())


def _canonical(expression: _Expression) -> Requirement:
    return expression.key, expression.operator, frozenset(expression.values or ())


def read_term(source: Mapping[str, Any] | None) -> Term:
    """Read a term as it stands in a Pod.

    Raises:
        msgspec.ValidationError: a field has another type than Kubernetes gives it.
    """
    typed = msgspec.convert(source or {}, _Term)
    return Term(
        frozenset(map(_canonical, typed.match_expressions or ())),
        frozenset(map(_canonical, typed.match_fields or ())),
        source or {},
    )


def all_of(groups: Iterable[Sequence[Term]]) -> Sequence[Term] | None:
    """AND groups of ORed terms, of which an empty one asks nothing; None beyond the limits."""
    joined: Sequence[Term] = ()
    for group in filter(None, groups):
        if len(group) * max(1, len(joined)) > TERMS_LIMIT:
            return None
        joined = [a.joined(b) for a, b in product(joined, group)] if joined else group
    return None if _is_too_large(term.source for term in joined) else joined


def _is_too_large(parts: Iterable[Any]) -> bool:
    return sum(len(encode(part)) for part in parts) > TERMS_LIMIT_BYTES


class MergedTerms(msgspec.Struct, frozen=True):
    """A Pod's required terms with ours ANDed into each.

    ``changed``: what the term at an index lacks; ``appended``: further terms, where ours are many.
    """

    terms: Sequence[Term]
    changed: Mapping[int, Mapping[str, list[Any]]]
    appended: Sequence[Term]


def merge_terms(existing: Sequence[Term], ours: Sequence[Term]) -> MergedTerms | None:
    """AND our ORed terms into each existing term; None beyond the limits, or when that adds much.

    A node is allowed by the result exactly when an existing term and one of ours allow it. A term
    that already contains one of ours stays as it is, and an empty one, which matches no node, stays
    empty.
    """
    terms: list[Term] = []
    changed: dict[int, dict[str, list[Any]]] = {}
    appended: list[Term] = []
    for index, term in enumerate(existing):
        if term.is_empty or any(term.contains(our) for our in ours):
            terms.append(term)
            continue
        first, *rest = ours
        terms.append(term.joined(first))
        changed[index] = term.missing(first)
        appended += [term.joined(our) for our in rest]
        if len(existing) + len(appended) > TERMS_LIMIT:
            return None
    if (changed or appended) and len(existing) > TERMS_LIMIT:
        return None
    if len(changed) + len(appended) > 1 and _is_too_large(
        (*changed.values(), *(term.source for term in appended))
    ):
        return None
    return MergedTerms(terms + appended, changed, appended)


def excludes(terms: Sequence[Term], label: tuple[str, str]) -> bool:
    """Tell whether every term has an expression on the label's key that its value does not meet."""
    return bool(terms) and all(
        any(e[0] == label[0] and not _allows(e, label[1]) for e in term.expressions)
        for term in terms
    )


def _allows(expression: Requirement, value: str) -> bool:
    _, operator, values = expression
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return True
        case "Gt" | "Lt":
            return _compares(operator, value, values)
        case _:
            return False


def _compares(operator: str, value: str, values: frozenset[str]) -> bool:
    """Compare as the scheduler does: both sides are integers, or the node does not match."""
    if len(values) != 1 or not all(map(_INTEGER.fullmatch, (value, *values))):
        return False
    node, (bound,) = int(value), map(int, values)
    if node not in _INT64 or bound not in _INT64:
        return False
    return node > bound if operator == "Gt" else node < bound


def preference_key(preference: Mapping[str, Any] | None) -> tuple[int, Term | None]:
    """Return what makes two preferred terms the same: weight and requirements."""
    source = preference or {}
    term = read_term(source.get("preference"))
    weight = source.get("weight")
    return (
        weight if isinstance(weight, int) else 0,
        Term(term.expressions, term.fields, {}) if not term.is_empty else None,
    )
