"""A node of a document at a path: the one way in which a profile's fields are read.

Every reader returns None after it has reported what is wrong, so that reading goes on and all
problems are found in one pass.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from webhook.node import Node
from webhook.problems import Report
from webhook.wording import nearest, quoted, shortened

_KINDS = {dict: "a mapping", list: "a list", str: "a string", bool: "a boolean", int: "an integer"}


def kind_of(value: Any) -> str:
    """Name the type of a value as a person would."""
    if value is None:
        return "null"
    return _KINDS.get(type(value), "a number")


@dataclass(frozen=True, slots=True)
class Place:
    """A node, the path that leads to it, and the report that takes what is wrong with it."""

    node: Node
    path: str
    report: Report

    def error(self, message: str) -> None:
        """Report an error at this place."""
        self.report.error(self.path, message, self.node)

    def warning(self, message: str) -> None:
        """Report a warning at this place."""
        self.report.warning(self.path, message, self.node)

    def _is_not(self, wanted: str) -> None:
        if self._reported_faults():
            return
        value = self.node.value
        plain = isinstance(value, str | int | float)
        text = value if isinstance(value, str) else self.node.written
        shown = f" {quoted(text)}" if plain else ""
        remedy = "quote it" if wanted == "a string" and plain else f"write {wanted}"
        self.error(f"{kind_of(value)}{shown} where {wanted} belongs; {remedy}")

    def _reported_faults(self) -> bool:
        for fault in self.node.faults:
            self.report.error(self.path, fault.message, Node(None, fault.line, fault.column))
        return bool(self.node.faults)

    def string(self) -> str | None:
        """Read a string."""
        if isinstance(self.node.value, str):
            return self.node.value
        self._is_not("a string")
        return None

    def boolean(self) -> bool | None:
        """Read a boolean."""
        if isinstance(self.node.value, bool):
            return self.node.value
        self._is_not("a boolean")
        return None

    def integer(self) -> int | None:
        """Read an integer; a boolean is none."""
        if isinstance(self.node.value, int) and not isinstance(self.node.value, bool):
            return self.node.value
        self._is_not("an integer")
        return None

    def items(self) -> "list[Place]":
        """Read a list; null is an empty one."""
        if isinstance(self.node.value, list):
            self._reported_faults()
            return [
                Place(node, f"{self.path}[{i}]", self.report)
                for i, node in enumerate(self.node.value)
            ]
        if self.node.value is not None or self.node.faults:
            self._is_not("a list")
        return []

    def fields(self) -> "dict[str, Place]":
        """Read a mapping whose keys are data; null is an empty one."""
        if not isinstance(self.node.value, dict):
            if self.node.value is not None or self.node.faults:
                self._is_not("a mapping")
            return {}
        self._reported_faults()
        return {
            key: Place(node, f"{self.path}.{shortened(key)}", self.report)
            for key, node in self.node.value.items()
        }

    def below(self, name: str) -> "Place":
        """Return the place of a field that was read before; this one when there is none."""
        node = self.node.get(name)
        return self if node is None else Place(node, f"{self.path}.{name}", self.report)

    def key(self, name: str) -> "Place":
        """Return the place of a field's name."""
        return Place(self.node.keys[name], f"{self.path}.{shortened(name)}", self.report)

    def known_fields(
        self, known: Iterable[str], required: Iterable[str] = ()
    ) -> "dict[str, Place]":
        """Read a mapping whose keys are names of ours; unknown and missing ones are errors."""
        before = self.report.errors()
        known = tuple(known)
        places = self.fields()
        for key in [key for key in places if key not in known]:
            del places[key]
            near = "" if self.report.is_full("error") else nearest(key, known)
            message = f"unknown field{near or '; the fields here are ' + ', '.join(known)}"
            self.key(key).error(message)
        missing = [name for name in required if name not in places]
        if self.report.errors() == before:  # else it may be the one that is misspelt
            for name in missing:
                self.error(f"no {name}; add it")
        return places

    def string_map(self) -> "dict[str, tuple[str, Place]]":
        """Read a mapping of strings; each value comes with its place."""
        return {
            key: (text, place)
            for key, place in self.fields().items()
            if (text := place.string()) is not None
        }

    def choice(self, known: Iterable[str]) -> str | None:
        """Read one of a few names."""
        text = self.string()
        if text is None or text in (known := tuple(known)):
            return text
        near = "" if self.report.is_full("error") else nearest(text, known)
        self.error(
            f"{quoted(text)} is not one of {', '.join(known)}{near or '; write one of them'}"
        )
        return None
