"""Finds the rules that earlier ones hide: never evaluated, or evaluated without any consequence."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webhook.labels import Allowed, is_within
from webhook.rules import Rule

# Real rules select by label values, so that an index leaves a comparison or two for each. The limit
# is for those that all constrain one label without listing values: it is reached by 1,100 of them,
# after half a second.
WORK_LIMIT = 2_500_000  # labels and values compared

_Index = dict[Hashable, list["_Group"]]


@dataclass(frozen=True, slots=True)
class Hidden:
    """A rule that earlier ones hide; ``ended`` when it is not even evaluated."""

    rule: Rule
    earlier: tuple[str, ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the labels of namespace and Pod may be where a rule matches."""

    namespace: Mapping[str, Allowed]
    pod: Mapping[str, Allowed]
    size: int  # what a comparison with it costs

    def sides(self) -> Iterator[tuple[str, str, Allowed]]:
        """Yield every constraint with the side that it is on and its key."""
        for side, allowed in (("namespace", self.namespace), ("pod", self.pod)):
            for key, each in allowed.items():
                yield side, key, each

    @property
    def is_empty(self) -> bool:
        return any(each.is_empty for _, _, each in self.sides())

    @property
    def identity(self) -> Hashable:
        return frozenset(self.namespace.items()), frozenset(self.pod.items())

    def is_within(self, other: "_Scope") -> bool:
        return is_within(self.namespace, other.namespace) and is_within(self.pod, other.pod)


def _scope_of(rule: Rule) -> _Scope:
    namespace, pod = rule.namespace_selector.allowed(), rule.object_selector.allowed()
    size = sum(
        1 + len(each.values or each.excluded) for each in (*namespace.values(), *pod.values())
    )
    return _Scope(namespace, pod, size)


@dataclass(slots=True)
class _Group:
    """The active rules of one scope: who ends the evaluation, and who names which value first.

    Each is told by its position in the order of evaluation.
    """

    scope: _Scope
    first: int
    ender: int | None = None
    named: dict[Hashable, int] = field(default_factory=dict)

    def add(self, rule: Rule, position: int) -> None:
        if rule.ends and self.ender is None:
            self.ender = position
        for value in _values(rule):
            self.named.setdefault(value, position)


class _Groups:
    """The groups seen so far, found by a constraint that any narrower scope must have as well."""

    def __init__(self) -> None:
        self._by_identity: dict[Hashable, _Group] = {}
        self._index: _Index = {}
        self._work = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether so much was compared that it would take too long to go on."""
        return self._work > WORK_LIMIT

    def add(self, rule: Rule, position: int, scope: _Scope) -> None:
        """Add an active rule."""
        group = self._by_identity.get(scope.identity)
        if group is None:
            group = self._by_identity[scope.identity] = _Group(scope, position)
            for entry in self._shortest(scope):
                self._index.setdefault(entry, []).append(group)
        group.add(rule, position)

    def _shortest(self, scope: _Scope) -> list[Hashable]:
        """Return the entries of the index under which fewest groups stand already."""
        choices = [_entries(*constraint) for constraint in scope.sides()] or [[None]]
        return min(choices, key=lambda entries: sum(len(self._index.get(e, ())) for e in entries))

    def around(self, scope: _Scope) -> list[_Group]:
        """Return the groups that match wherever this scope does."""
        found = []
        for group in self._candidates(scope):
            self._work += scope.size + group.scope.size
            if self.is_exhausted:
                break
            if scope.is_within(group.scope):
                found.append(group)
        return found

    def decider(self, groups: Iterable[_Group], value: Hashable) -> int | None:
        """Return the position of a rule of these groups that names the value; None without one."""
        for group in groups:
            self._work += 1
            if value in group.named:
                return group.named[value]
            if self.is_exhausted:
                break
        return None

    def _candidates(self, scope: _Scope) -> Iterator[_Group]:
        yield from self._index.get(None, ())
        for side, key, each in scope.sides():
            yield from self._index.get((side, key), ())
            if each.values:  # a group that lists values lists each of ours, so any of them finds it
                yield from self._index.get((side, key, min(each.values)), ())


def _entries(side: str, key: str, allowed: Allowed) -> list[Hashable]:
    if allowed.values:
        return [(side, key, value) for value in sorted(allowed.values)]
    return [(side, key)]


def find_hidden(rules: Sequence[Rule]) -> tuple[list[Hidden], int]:
    """Return the rules that never act, and how many rules were looked at before it took too long.

    ``rules`` stand in the order of their evaluation. A shadow rule hides nothing.
    """
    groups = _Groups()
    found: list[Hidden] = []
    for position, rule in enumerate(rules):
        scope = _scope_of(rule)
        if scope.is_empty:
            continue
        around = groups.around(scope)
        earlier = _enders(around)
        ended = bool(earlier)
        if not ended and not rule.ends and around:
            earlier = _deciders(groups, around, rule)
        if groups.is_exhausted:
            return found, position
        if earlier:
            names = tuple(rules[each].name for each in sorted(earlier))
            found.append(Hidden(rule, names, ended))
        elif not rule.shadow:
            groups.add(rule, position, scope)
    return found, len(rules)


def _enders(around: Iterable[_Group]) -> set[int]:
    """Return the position of the first rule of these groups that ends the evaluation."""
    enders = [group.ender for group in around if group.ender is not None]
    return {min(enders)} if enders else set()


def _deciders(groups: _Groups, around: Sequence[_Group], rule: Rule) -> set[int]:
    """Return the positions of rules that decide all that the rule names; none when it adds any.

    ``around`` are the groups that match wherever it does.
    """
    deciders = set()
    for value in _values(rule):
        decider = groups.decider(around, value)
        if decider is None:
            return set()
        deciders.add(decider)
    return deciders or {min(group.first for group in around)}


def _values(rule: Rule) -> Iterator[Hashable]:
    """Yield every value that a rule decides when it is the first to name it."""
    effect = rule.effect
    if rule.placement:
        yield ("placement",)
    for what, names in (
        ("annotation", effect.annotations),
        ("label", effect.labels),
        ("nodeSelector", effect.node_selector),
    ):
        for name in names:
            yield what, name
    # Not decided by the first who names them, but added up: the same again adds nothing.
    if effect.required_terms:
        yield "required", _frozen(effect.required_terms)
    for what, objects in (
        ("toleration", effect.tolerations),
        ("preferred", effect.preferred_terms),
    ):
        for each in objects:
            yield what, _frozen(each)


def _frozen(value: Any) -> Hashable:
    """Return something that is equal for equal plain values, and can be looked up."""
    if isinstance(value, Mapping):
        return frozenset((key, _frozen(each)) for key, each in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    return value  # type: ignore[no-any-return]  # text, numbers and null are all that is left
