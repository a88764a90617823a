"""A node of a document at a path: the one way in which a profile's fields are read.

Every reader returns None after it has reported what is wrong, so that reading goes on and all
problems are found in one pass.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from webhook.document import Node
from webhook.problems import Report, nearest

_KINDS = {dict: "a mapping", list: "a list", str: "a string", bool: "a boolean", int: "an integer"}


def kind_of(value: Any) -> str:
    """Name the type of a value as a person would."""
    if value is None:
        return "null"
    return _KINDS.get(type(value), "a number")


_SHOWN_CHARACTERS = 80  # of a value in a message: a problem stays one readable line


def quoted(value: Any) -> str:
    """Show a scalar in a message, shortened and without control characters."""
    text = (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
    text = "".join(c if c.isprintable() else "?" for c in text)
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[: _SHOWN_CHARACTERS - 3]}..."
    return f'"{text}"'


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
        value = self.node.value
        got = kind_of(value)
        shown = "" if value is None or isinstance(value, dict | list) else f" {quoted(value)}"
        remedy = "quote it" if wanted == "a string" and shown else f"write {wanted}"
        self.error(f"{got}{shown} where {wanted} belongs; {remedy}")

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
            return [
                Place(node, f"{self.path}[{i}]", self.report)
                for i, node in enumerate(self.node.value)
            ]
        if self.node.value is not None:
            self._is_not("a list")
        return []

    def strings(self) -> list[str]:
        """Read a list of strings."""
        return [text for item in self.items() if (text := item.string()) is not None]

    def fields(self) -> "dict[str, Place]":
        """Read a mapping whose keys are data; null is an empty one."""
        if not isinstance(self.node.value, dict):
            if self.node.value is not None:
                self._is_not("a mapping")
            return {}
        for fault in self.node.faults:
            at = Node(None, fault.line, fault.column)
            self.report.error(self.path, fault.message, at)
        return {
            key: Place(node, f"{self.path}.{key}", self.report)
            for key, node in self.node.value.items()
        }

    def known_fields(self, known: Iterable[str]) -> "dict[str, Place]":
        """Read a mapping whose keys are names of ours; an unknown one is an error."""
        known = tuple(known)
        places = self.fields()
        for key in places.keys() - set(known):
            message = f"unknown field{nearest(key, known) or '; known are ' + ', '.join(known)}"
            self.report.error(places[key].path, message, self.node.keys[key])
            del places[key]
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
        self.error(f"{quoted(text)} is not one of {', '.join(known)}{nearest(text, known)}")
        return None
