"""All of a Pod that can change what is decided about it, as one value that can be compared.

A decision sees nothing else, so Pods of equal shape get equal answers, and an answer once given can
be given again. The Pods of a workflow differ in names, commands and environment; few in shape.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeAlias

from msgspec import Struct

from webhook import vci
from webhook.defaults import Defaults
from webhook.labels import Selector
from webhook.obstacles import Obstacles, find_obstacles
from webhook.operations import encode
from webhook.pod import Pod
from webhook.rules import Rule

Pairs: TypeAlias = tuple[tuple[str, str], ...]
Labels: TypeAlias = Mapping[str, str]

OTHER = "*"  # no label has this value, and no selector can name it

_TRACE_BYTES = 512  # of a trace with every reason, but for the version and the names of rules
_OWN_LABELS = {vci.BURST: {"enforce"}}
_OWN_ANNOTATIONS = (vci.BURST, vci.APPLIED, vci.SKIPPED, vci.FAMILIES, vci.TYPES)


class Relevant(Struct, frozen=True):
    """What a profile looks at: keys of annotations; keys of labels, with the values it knows.

    A Pod whose annotations have no more bytes than ``room`` has place for all that may be added.
    """

    namespace_labels: Mapping[str, frozenset[str]] = {}
    labels: Mapping[str, frozenset[str]] = {}
    annotations: frozenset[str] = frozenset()
    room: int = 0


class Shape(Struct, frozen=True, gc=False):
    """A Pod and its namespace, as far as the profile looks at them.

    Tolerations and node affinity are JSON as it came, empty when absent; ``node_affinity`` is None
    when there is no affinity at all. ``annotations_size`` is in bytes; None when it cannot matter.
    """

    namespace_labels: Pairs
    labels: Pairs | None
    annotations: Pairs | None
    node_selector: Pairs | None
    tolerations: bytes
    node_affinity: bytes | None
    obstacles: Obstacles
    annotations_size: int | None

    @property
    def size(self) -> int:
        """About how many bytes it has, but for what every shape has."""
        total = len(self.tolerations) + len(self.node_affinity or b"") + self.obstacles.size
        for pairs in (self.namespace_labels, self.labels, self.annotations, self.node_selector):
            for key, value in pairs or ():
                total += len(key) + len(value)
        return total


def relevant_to(rules: Sequence[Rule], defaults: Defaults, version: str) -> Relevant:
    """Collect what these rules and the cluster-wide keys look at."""
    namespace_labels: dict[str, set[str]] = {vci.OPT_OUT: {"false"}}
    labels: dict[str, set[str]] = {key: set(values) for key, values in _OWN_LABELS.items()}
    added = [
        {vci.BURST: "enforce"},
        defaults.annotations,
        *(rule.effect.annotations for rule in rules),
    ]
    for rule in rules:
        _collect(namespace_labels, rule.namespace_selector)
        _collect(labels, rule.object_selector)
        for key in rule.effect.labels:
            labels.setdefault(key, set())
    return Relevant(
        _frozen(namespace_labels),
        _frozen(labels),
        frozenset(chain(_OWN_ANNOTATIONS, *added)),
        vci.ANNOTATIONS_LIMIT_BYTES - _most(added) - _longest_trace(rules, version),
    )


def _most(added: Iterable[Labels]) -> int:
    """Return how many bytes of annotations can be added at most: of each key, the longest."""
    longest: dict[str, int] = {}
    for annotations in added:
        for key, value in annotations.items():
            size = len(key.encode()) + len(value.encode())
            longest[key] = max(size, longest.get(key, 0))
    return sum(longest.values())


def _collect(known: dict[str, set[str]], selector: Selector) -> None:
    for requirement in selector.requirements:
        known.setdefault(requirement.key, set()).update(requirement.values)


def _frozen(known: Mapping[str, set[str]]) -> Mapping[str, frozenset[str]]:
    return {key: frozenset(values) for key, values in known.items()}


def _longest_trace(rules: Iterable[Rule], version: str) -> int:
    return _TRACE_BYTES + len(encode(version)) + sum(len(rule.name) + 3 for rule in rules)


def shape_of(pod: Pod, size: int, namespace_labels: Labels, relevant: Relevant) -> Shape:
    """Reduce a Pod, and the labels of its namespace, to what the profile looks at.

    ``size`` is a number of bytes that the Pod, as it came, does not pass.
    """
    metadata, spec = pod.metadata, pod.spec
    labels, annotations, affinity = metadata.labels, metadata.annotations, spec.affinity
    return Shape(
        _told_apart(namespace_labels, relevant.namespace_labels),
        None if labels is None else _told_apart(labels, relevant.labels),
        None if annotations is None else _named(annotations, relevant.annotations),
        None if spec.node_selector is None else tuple(spec.node_selector.items()),
        bytes(spec.tolerations),
        None if affinity is None else bytes(affinity.node_affinity),
        find_obstacles(spec),
        None if size <= relevant.room else vci.annotations_size(annotations or {}),
    )


def _told_apart(labels: Labels, known: Mapping[str, frozenset[str]]) -> Pairs:
    """Keep the labels of known keys; a value that no selector names might as well be another."""
    pairs: Pairs = ()
    for key, value in labels.items():
        if key in known:
            pairs = (*pairs, (key, value if value in known[key] else OTHER))
    return pairs


def _named(annotations: Labels, keys: frozenset[str]) -> Pairs:
    """Keep the annotations of these keys."""
    if keys.isdisjoint(annotations):
        return ()
    return tuple([pair for pair in annotations.items() if pair[0] in keys])
