"""One value of a YAML or JSON text, which remembers where in the text it stood."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from webhook.wording import quoted

Scalar: TypeAlias = str | int | float | bool | None
_NO_KEYS: "Mapping[str, Node]" = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the text of one value, whatever it is meant to be.

    ``key`` is the key of a mapping that is meant, where it is one that is given twice.
    """

    message: str
    line: int
    column: int
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the text: a scalar, a list of nodes, or a mapping of names to nodes.

    ``line`` and ``column`` count from 1; 0 when the position is not known. ``style`` is how a
    scalar was written (``|``, ``>``, quotes; empty when plain), ``written`` the text of one that
    became something else than a string. ``keys`` are a mapping's keys as they stand in the text,
    ``height`` the number of levels from here down.
    """

    value: "Scalar | list[Node] | dict[str, Node]"
    line: int = 0
    column: int = 0
    style: str | None = None
    written: str = ""
    keys: "Mapping[str, Node]" = field(default_factory=lambda: _NO_KEYS)
    faults: tuple[Fault, ...] = ()
    height: int = 1

    def plain(self) -> Any:
        """Return the value without positions, as ``json.loads`` would."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def get(self, *path: str) -> "Node | None":
        """Return the node at a path of names below this one; None when there is none."""
        node: Node | None = self
        for name in path:
            if node is None or not isinstance(node.value, dict):
                return None
            node = node.value.get(name)
        return node


def sequence(
    items: list[Node], line: int = 0, column: int = 0, faults: tuple[Fault, ...] = ()
) -> Node:
    """Make the node of a list."""
    height = 1 + max((item.height for item in items), default=0)
    return Node(items, line, column, faults=faults, height=height)


def mapping(
    pairs: list[tuple[Node, Node]], line: int = 0, column: int = 0, faults: tuple[Fault, ...] = ()
) -> Node:
    """Make the node of a mapping; of a key that is given twice the first stays, with a fault."""
    values: dict[str, Node] = {}
    keys: dict[str, Node] = {}
    found = list(faults)
    height = 1
    for key, value in pairs:
        height = max(height, 1 + value.height)
        if not isinstance(key.value, str):
            shown = f" {quoted(key.written)}" if key.written else ""
            message = f"a key{shown} that is not a string; quote it, or write a name"
            found.append(Fault(message, key.line, key.column))
        elif key.value == "<<" and key.style == "":
            message = "merge keys (<<) are not read; write the fields out"
            found.append(Fault(message, key.line, key.column))
        elif key.value in values:
            message = f"{quoted(key.value)} is given twice; keep one of the two"
            found.append(Fault(message, key.line, key.column, key.value))
        else:
            values[key.value] = value
            keys[key.value] = key
    return Node(values, line, column, keys=keys, faults=tuple(found), height=height)
