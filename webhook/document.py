"""YAML or JSON text in, a tree of values out; whoever wrote what cannot be read is told where."""

import json
import re
from contextlib import suppress
from typing import Any, NoReturn

import yaml

from webhook.compose import (
    DEPTH_LIMIT,
    SIZE_LIMIT,
    TOO_DEEP,
    DocumentError,
    compose_documents,
)
from webhook.node import Node, mapping, sequence

LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what YAML counts as one
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")  # byte order marks of UTF-16 and -32
_YAML_BREAKS = "\x85\u2028\u2029"  # that end a line for YAML, and within strings nothing for JSON
_JSON_NUMBER_LIMIT = 4000  # digits; Python refuses to convert longer ones


def decode(content: bytes, where: str) -> str:
    """Decode a file's bytes; a byte order mark is dropped.

    Raises:
        DocumentError: the bytes are not UTF-8.
    """
    if content.startswith(_WIDE_MARKS):
        raise DocumentError(where, "UTF-16 or UTF-32 text; save the file as UTF-8")
    if (position := content.find(b"\0")) >= 0:
        raise DocumentError(
            where, f"not text (byte {position} is NUL); save the file as UTF-8 text"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(
            where, f"not UTF-8 text (byte {error.start}); save the file as UTF-8"
        ) from None


def parse_documents(text: str, where: str, limit: int = SIZE_LIMIT) -> list[Node]:
    """Parse every document of a YAML or JSON text; empty documents are left out.

    Raises:
        DocumentError: the text is neither, nests too deep, or holds more than ``limit`` values.
    """
    if not text.strip():
        return []
    try:
        text.encode()
        if any(mark in text for mark in _YAML_BREAKS):
            with suppress(ValueError):
                return [_parse_json(text, where, limit)]
        return [
            node
            for node in compose_documents(text, where, limit)
            if node.value is not None or node.faults
        ]
    except UnicodeEncodeError as error:
        what = "half of a character (a lone surrogate) in the text; remove it"
        raise DocumentError(where, what, *_line_and_column(text[: error.start])) from None
    except yaml.YAMLError as error:
        try:
            return [_parse_json(text, where, limit)]
        except ValueError:
            raise _syntax_error(error, text, where) from None


def _line_and_column(before: str) -> tuple[int, int]:
    """Return the position that follows a text."""
    lines = LINE_BREAK.split(before)
    return len(lines), len(lines[-1]) + 1


def _syntax_error(error: yaml.YAMLError, text: str, where: str) -> DocumentError:
    """Say what is wrong in the place where a person has to look."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text.encode()[: error.position].decode(errors="ignore")
        what = f"{error.reason}; remove the character, or escape it in double quotes"
        return DocumentError(where, f"neither JSON nor YAML: {what}", *_line_and_column(before))
    context, mark = getattr(error, "context", None), getattr(error, "problem_mark", None)
    opened = getattr(error, "context_mark", None)
    written = text.rstrip()
    if mark is not None and opened is not None and mark.index >= len(written) > opened.index:
        mark = opened  # it was never closed, so the end of the text is no help
    what = " ".join(str(part) for part in (getattr(error, "problem", None), context) if part)
    remedy = "correct the text here, or quote it"
    if mark is not None and "\t" in text[mark.index : mark.index + 1]:
        what, remedy = "a tab where YAML wants spaces", "indent with spaces"
    elif "cannot start any token" in what:
        remedy = "quote text that begins with @, ` or %"
    position = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    position = min(position, _line_and_column(written))
    if "nesting depth" in what:  # the parser's own limit
        return DocumentError(where, TOO_DEEP, *position)
    return DocumentError(where, f"neither JSON nor YAML: {what}; {remedy}", *position)


def _parse_json(text: str, where: str, limit: int) -> Node:
    """Parse what YAML refuses or changes: surrogate pairs, long keys, its line breaks in strings.

    Positions are not known.

    Raises:
        ValueError: it is not JSON.
        DocumentError: it nests too deep, or holds too much.
    """
    count = 0

    def node_of(value: Any) -> Node:
        nonlocal count
        count += 1
        if count > limit:
            raise DocumentError(where, f"more than {limit:,} values; leave some out")
        if isinstance(value, str):
            _check_characters(value, where)
        if isinstance(value, Node):
            node = value
        elif isinstance(value, list):
            node = sequence([node_of(item) for item in value])
        else:
            node = Node(value, written="" if isinstance(value, str) else json.dumps(value))
        if node.height > DEPTH_LIMIT:
            raise DocumentError(where, TOO_DEEP)
        return node

    def pairs_of(pairs: list[tuple[str, Any]]) -> Node:
        return mapping([(node_of(key), node_of(value)) for key, value in pairs])

    try:
        value = json.loads(
            text, object_pairs_hook=pairs_of, parse_constant=_refuse_constant, parse_int=_integer
        )
        return node_of(value)
    except RecursionError:
        raise ValueError from None


def _check_characters(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = f"\\u{ord(text[error.start]):04x}"
        what = f'"{code}" alone is half of a character; write both halves, or remove it'
        raise DocumentError(where, what) from None


def _refuse_constant(_: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _JSON_NUMBER_LIMIT else float("inf")
