"""Builds nodes from the YAML parser's events instead of its objects.

So a value knows its line and column, a key given twice is seen, and no text, however nested or
self-referring, can exhaust memory or the stack.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from webhook.errors import ProfileError
from webhook.node import Fault, Node, Scalar, mapping, sequence
from webhook.wording import quoted

DEPTH_LIMIT = 64  # a profile nests 8 deep; the limit only has to be far from the stack's end
TOO_DEEP = f"nested deeper than {DEPTH_LIMIT} levels; flatten it"
SIZE_LIMIT = 1_000_000  # values, anchors expanded: ten thousand namespaces as kubectl prints them
_NUMBER_LIMIT = 100  # characters; Kubernetes reads 64 bits, and long ones take quadratic time

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.SafeLoader("")
_PREFIX = "tag:yaml.org,2002:"
_TEXT = f"{_PREFIX}str"
_READERS = {  # not construct_object(): that remembers every node it ever saw
    f"{_PREFIX}int": _RESOLVER.construct_yaml_int,
    f"{_PREFIX}float": _RESOLVER.construct_yaml_float,
    f"{_PREFIX}bool": _RESOLVER.construct_yaml_bool,
    f"{_PREFIX}null": _RESOLVER.construct_yaml_null,
}
_EXPONENT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+")
_NUMBERS = {f"{_PREFIX}int", f"{_PREFIX}float"}
_COLLECTIONS = {yaml.SequenceStartEvent: f"{_PREFIX}seq", yaml.MappingStartEvent: f"{_PREFIX}map"}


class DocumentError(ProfileError):
    """A text that cannot be read; ``line`` is 0 when the position is not known."""

    def __init__(self, where: str, what: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"{where}:{line}:{column}: {what}" if line else f"{where}: {what}")
        self.what = what
        self.line = line
        self.column = column


def compose_documents(text: str, where: str, limit: int = SIZE_LIMIT) -> Iterator[Node]:
    """Yield the root of every document of a YAML text.

    Raises:
        DocumentError: it nests too deep or holds more than ``limit`` values, anchors expanded.
        yaml.YAMLError: it is not YAML.
    """
    composer = _Composer(text, where, limit)
    for event in composer.events:
        if isinstance(event, yaml.DocumentStartEvent):
            composer.anchors.clear()
            yield composer.compose(next(composer.events), 1)


class _Composer:
    """The state of one composition: the events to come, and what was counted and named so far."""

    def __init__(self, text: str, where: str, limit: int) -> None:
        self.events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self.anchors: dict[str, tuple[Node, int] | None] = {}  # with the values below; None: open
        self._where = where
        self._limit = limit
        self._count = 0

    def compose(self, event: Any, depth: int) -> Node:
        """Build the node that ``event`` begins; recursion is bounded by DEPTH_LIMIT."""
        self._check_depth(event, depth)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        before = self._count
        self._add(event, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = _scalar(event)
        else:
            node = self._collection(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node, self._count - before
        return node

    def _collection(self, event: Any, depth: int) -> Node:
        children = []
        end = yaml.SequenceEndEvent, yaml.MappingEndEvent
        while not isinstance(child := next(self.events), end):
            children.append(self.compose(child, depth + 1))
        line, column = _position(event)
        faults: tuple[Fault, ...] = ()
        if event.tag not in (None, "!", _COLLECTIONS[type(event)]):
            faults = (_tag_fault(event),)
        if isinstance(event, yaml.SequenceStartEvent):
            return sequence(children, line, column, faults)
        pairs = list(zip(children[::2], children[1::2], strict=True))
        return mapping(pairs, line, column, faults)

    def _alias(self, event: Any, depth: int) -> Node:
        if event.anchor not in self.anchors:
            self._refuse(event, f"no anchor {quoted(event.anchor)} before this; define it first")
        anchored = self.anchors[event.anchor]
        if anchored is None:
            self._refuse(event, f"{quoted(event.anchor)} contains itself; write it out")
        node, size = anchored
        self._check_depth(event, depth + node.height - 1)
        self._add(event, size)
        return node

    def _check_depth(self, event: Any, depth: int) -> None:
        if depth > DEPTH_LIMIT:
            self._refuse(event, TOO_DEEP)

    def _add(self, event: Any, size: int) -> None:
        self._count += size
        if self._count > self._limit:
            self._refuse(
                event, f"more than {self._limit:,} values, anchors expanded; leave some out"
            )

    def _refuse(self, event: Any, what: str) -> NoReturn:
        raise DocumentError(self._where, what, *_position(event))


def _position(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _scalar(event: Any) -> Node:
    """Resolve a scalar by YAML 1.1, as Kubernetes does: an unquoted ``off`` is false."""
    line, column = _position(event)
    tag = event.tag if event.tag not in (None, "!") else _implicit_tag(event)
    if tag == _TEXT:
        return Node(event.value, line, column, event.style)
    if tag not in _READERS:
        return Node(None, line, column, event.style, event.value, faults=(_tag_fault(event),))
    try:
        value = _value(tag, event.value)
    except (ValueError, LookupError):
        fault = Fault(f"not a value of the tag {_short(tag)}; remove the tag", line, column)
        return Node(None, line, column, event.style, event.value, faults=(fault,))
    return Node(value, line, column, event.style, event.value)


def _implicit_tag(event: Any) -> str:
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)
    if tag == _TEXT and event.implicit[0] and _EXPONENT.fullmatch(event.value):
        return f"{_PREFIX}float"  # as JSON has it: without point or sign
    if tag not in _READERS or (tag in _NUMBERS and ":" in event.value):
        return _TEXT  # timestamps, merge keys, numbers to the base of 60: Kubernetes has none
    return tag


def _value(tag: str, text: str) -> Scalar:
    if tag in _NUMBERS and len(text) > _NUMBER_LIMIT:
        return math.inf
    value: Scalar = _READERS[tag](yaml.ScalarNode(tag, text))
    return value


def _tag_fault(event: Any) -> Fault:
    line, column = _position(event)
    return Fault(f"the tag {_short(event.tag)} has no meaning here; remove it", line, column)


def _short(tag: str) -> str:
    return quoted(f"!!{tag.removeprefix(_PREFIX)}" if tag.startswith(_PREFIX) else tag)
