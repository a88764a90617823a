"""Encoded RFC 6902 operations, and the changes to a Pod's maps that become them.

Operations are built as bytes: what a rule contributes is encoded once, when the profile is loaded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

encode = msgspec.json.Encoder().encode


def escape(key: str) -> str:
    """Escape a key for use in a JSON pointer (RFC 6901, section 3)."""
    return key.replace("~", "~0").replace("/", "~1")


def add(path: str, value: Any) -> bytes:
    """Return an operation that adds a member, replaces the value of one, or inserts an element."""
    return b'{"op":"add","path":%b,"value":%b}' % (encode(path), encode(value))


def remove(path: str) -> bytes:
    """Return an operation that removes what is there."""
    return b'{"op":"remove","path":%b}' % encode(path)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a map with the value to give it, ready to be written either way.

    ``operation`` sets the key in an existing map, ``member`` is the pair for a map that is created.
    """

    key: str
    value: str
    override: bool
    operation: bytes
    member: bytes


def entry(parent: str, key: str, value: str, *, override: bool = False) -> Entry:
    """Encode one key of the map at the path ``parent``."""
    return Entry(
        key,
        value,
        override,
        add(f"{parent}/{escape(key)}", value),
        b"%b:%b" % (encode(key), encode(value)),
    )


def changes(existing: Mapping[str, str] | None, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that change something: absent keys, and others that may be overridden."""
    if not existing:
        return list(entries)
    return [
        wanted
        for wanted in entries
        if wanted.key not in existing or (wanted.override and existing[wanted.key] != wanted.value)
    ]


def set_entries(
    parent: str, existing: Mapping[str, str] | None, changed: Iterable[Entry]
) -> list[bytes]:
    """Return the operations that set the entries; an absent map is created in one operation."""
    if existing is not None:
        return [wanted.operation for wanted in changed]
    members = b",".join([wanted.member for wanted in changed])
    return [b'{"op":"add","path":%b,"value":{%b}}' % (encode(parent), members)] if members else []
