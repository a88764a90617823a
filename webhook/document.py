"""YAML or JSON text in, a tree of values out that remembers where in the text each one stood.

Built from the parser's events instead of its objects: so a problem can name line and column, a key
given twice is seen, and no text, however nested or self-referring, can exhaust memory or the stack.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import yaml

from webhook.errors import ProfileError

Scalar: TypeAlias = str | int | float | bool | None

DEPTH_LIMIT = 64  # a profile nests 8 deep; the limit only has to be far from the stack's end
SIZE_LIMIT = 1_000_000  # values after anchors are expanded; 1 MiB of text holds at most half of it

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.SafeLoader("")
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the text of one mapping: a key given twice, or one that is no string."""

    message: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the text: a scalar, a list of nodes, or a mapping of names to nodes.

    ``line`` and ``column`` count from 1; 0 when the position is not known. ``style`` is how a
    scalar was written (``|``, ``>``, quotes), ``size`` the number of values with anchors expanded.
    """

    value: "Scalar | list[Node] | dict[str, Node]"
    line: int = 0
    column: int = 0
    style: str | None = None
    size: int = 1
    keys: "dict[str, Node]" = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def plain(self) -> Any:
        """Return the value without positions, as ``json.loads`` would."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def walk(self) -> "Iterator[Node]":
        """Yield this node and every node below it."""
        yield self
        children: list[Node] = []
        if isinstance(self.value, dict):
            children = list(self.value.values())
        elif isinstance(self.value, list):
            children = self.value
        for child in children:
            yield from child.walk()


def decode(content: bytes, where: str) -> str:
    """Decode a file's bytes; a byte order mark is dropped.

    Raises:
        ProfileError: the bytes are not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProfileError(
            f"{where}: not UTF-8 text (byte {error.start}); save the file as UTF-8"
        ) from None


def parse_documents(text: str, where: str) -> list[Node]:
    """Parse every document of a YAML or JSON text; empty documents are left out.

    Raises:
        ProfileError: the text is neither, nests too deep, or expands beyond all measure.
    """
    try:
        return [node for node in _documents(text, where) if node.value is not None]
    except yaml.YAMLError as error:
        from_json = _parse_json(text)
        if from_json is not None:
            return [from_json]
        raise ProfileError(_syntax_problem(error, where)) from None


def _syntax_problem(error: yaml.YAMLError, where: str) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    what = " ".join(str(what).split())
    remedy = "correct the text here, or quote it"
    if "cannot start any token" in what or "tab" in what:
        remedy = "indent with spaces, never tabs, and quote text that begins with @, ` or %"
    return f"{place}: neither JSON nor YAML: {what}; {remedy}"


def _parse_json(text: str) -> Node | None:
    """Parse what only JSON accepts: escaped surrogate pairs, keys of over 1,024 characters."""
    try:
        value = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_json_mapping)
        return _json_node(value)
    except (ValueError, RecursionError):
        return None


def _json_mapping(pairs: list[tuple[str, Any]]) -> Node:
    return _mapping([(Node(key), _json_node(value)) for key, value in pairs], 0, 0)


def _json_node(value: Any) -> Node:
    if isinstance(value, Node):
        return value
    if isinstance(value, list):
        return Node([_json_node(item) for item in value])
    return Node(value)


def _documents(text: str, where: str) -> Iterator[Node]:
    events = yaml.parse(text, Loader=_LOADER)
    anchors: dict[str, Node | None] = {}
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            anchors.clear()
            yield _compose(next(events), events, anchors, where, 1)


def _compose(
    event: Any, events: Iterator[Any], anchors: dict[str, Node | None], where: str, depth: int
) -> Node:
    """Build the node that ``event`` begins; recursion is bounded by DEPTH_LIMIT."""
    line, column = event.start_mark.line + 1, event.start_mark.column + 1
    if depth > DEPTH_LIMIT:
        _refuse(where, line, column, f"nested deeper than {DEPTH_LIMIT} levels; flatten it")
    if isinstance(event, yaml.AliasEvent):
        return _alias(event, anchors, where, line, column)
    if event.anchor is not None:
        anchors[event.anchor] = None
    if isinstance(event, yaml.ScalarEvent):
        node = Node(_scalar(event, where), line, column, event.style)
    else:
        children = []
        end = yaml.SequenceEndEvent, yaml.MappingEndEvent
        while not isinstance(child := next(events), end):
            children.append(_compose(child, events, anchors, where, depth + 1))
        if isinstance(event, yaml.SequenceStartEvent):
            node = Node(children, line, column, size=1 + sum(child.size for child in children))
        else:
            node = _mapping(list(zip(children[::2], children[1::2], strict=True)), line, column)
    if node.size > SIZE_LIMIT:
        _refuse(where, line, column, "its anchors expand beyond all measure; write it out")
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


def _alias(event: Any, anchors: dict[str, Node | None], where: str, line: int, column: int) -> Node:
    if event.anchor not in anchors:
        _refuse(where, line, column, f'no anchor "{event.anchor}" before this; define it first')
    node = anchors[event.anchor]
    if node is None:
        _refuse(where, line, column, f'"{event.anchor}" contains itself; write it out')
    return node


def _scalar(event: Any, where: str) -> Scalar:
    """Resolve a scalar by YAML 1.1, as Kubernetes does: an unquoted ``off`` is false."""
    tag = event.tag
    if tag is None or tag == "!":
        tag = _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag not in _TAGS:  # timestamps, merge keys: Kubernetes has neither
            return str(event.value)
    line, column = event.start_mark.line + 1, event.start_mark.column + 1
    if tag not in _TAGS:
        _refuse(where, line, column, f'the tag "{tag}" has no meaning here; remove it')
    try:
        value: Scalar = _RESOLVER.construct_object(yaml.ScalarNode(tag, event.value))
    except (ValueError, KeyError, yaml.YAMLError):
        _refuse(where, line, column, "not a value of its type; quote it if it is text")
    return value


def _mapping(pairs: list[tuple[Node, Node]], line: int, column: int) -> Node:
    values: dict[str, Node] = {}
    keys: dict[str, Node] = {}
    faults = []
    for key, value in pairs:
        if not isinstance(key.value, str):
            faults.append(Fault("a key that is not a string; quote it", key.line, key.column))
        elif key.value in values:
            message = f'"{key.value}" is given twice; keep one of the two'
            faults.append(Fault(message, key.line, key.column))
        else:
            values[key.value] = value
            keys[key.value] = key
    size = 1 + sum(value.size for value in values.values())
    return Node(values, line, column, size=size, keys=keys, faults=tuple(faults))


def _refuse(where: str, line: int, column: int, what: str) -> NoReturn:
    raise ProfileError(f"{where}:{line}:{column}: {what}")
