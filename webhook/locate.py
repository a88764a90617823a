"""Finds where in a file stands what stands at a line and column of one of its strings.

YAML may indent, fold, quote and escape a string, but every character of it that is no white space
stands in the file in the same order. So both are walked side by side; where they do not agree, the
position is not known.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from webhook.document import LINE_BREAK
from webhook.node import Node

Position: TypeAlias = tuple[int, int]  # line and column, both from 1
_Sign: TypeAlias = tuple[str, int, int]  # a character that is no white space, and its position

_HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}
_ESCAPES = {"0": "\0", "a": "\a", "b": "\b", "e": "\x1b"}
_BLANK_ESCAPES = frozenset("tnvfrNLP_ \t")  # of white space


def locate(
    source: str, scalar: Node, text: str, wanted: Iterable[Position]
) -> Mapping[Position, Position]:
    """Map positions in ``text``, the string of the scalar, to positions in the source file.

    Those that are not exactly known are left out.
    """
    found: dict[Position, Position] = {}
    waiting = sorted(set(wanted), reverse=True)
    originals = _signs_of(LINE_BREAK.split(source), scalar)
    behind: Position | None = None  # what was found last
    for character, line, column in _signs(LINE_BREAK.split(text), 1, 0):
        while waiting and waiting[-1] < (line, column):
            position = waiting.pop()
            if behind is not None:
                found[position] = behind
        if not waiting:
            return found
        original = next(originals, None)
        if original is None or original[0] != character:
            return found
        if waiting[-1] == (line, column):
            found[waiting.pop()] = original[1], original[2]
        behind = original[1], original[2] + 1
    if behind is not None:
        found.update(dict.fromkeys(waiting, behind))
    return found


def _signs(lines: list[str], first: int, offset: int) -> Iterator[_Sign]:
    """Yield the signs of these lines, from a line (counted from 1) and an offset in it on."""
    for number in range(first, len(lines) + 1):
        for index, character in enumerate(lines[number - 1]):
            if not character.isspace() and (number > first or index >= offset):
                yield character, number, index + 1


def _signs_of(lines: list[str], scalar: Node) -> Iterator[_Sign]:
    """Yield the signs of a scalar as they stand in the file, and then whatever follows there."""
    if scalar.style in ("|", ">"):
        return _signs(lines, scalar.line + 1, 0)
    if scalar.style == "'":
        return _unquoted(_signs(lines, scalar.line, scalar.column))
    if scalar.style == '"':
        return _unescaped(lines, scalar)
    return _signs(lines, scalar.line, scalar.column - 1)


def _unquoted(signs: Iterator[_Sign]) -> Iterator[_Sign]:
    """Yield one apostrophe for two."""
    for sign in signs:
        yield sign
        if sign[0] == "'":
            next(signs, None)


def _unescaped(lines: list[str], scalar: Node) -> Iterator[_Sign]:
    """Yield the signs of a double-quoted scalar, each escaped one where its backslash stands."""
    index = scalar.column
    for number in range(scalar.line, len(lines) + 1):
        line = lines[number - 1]
        while index < len(line):
            character, length = _escaped(line, index) if line[index] == "\\" else (line[index], 1)
            if not character.isspace():
                yield character, number, index + 1
            index += length
        index = 0


def _escaped(line: str, index: int) -> tuple[str, int]:
    """Return the character of the escape that begins here, and the length of the escape."""
    letter = line[index + 1 : index + 2]
    if digits := _HEX_ESCAPES.get(letter):
        return chr(int(line[index + 2 : index + 2 + digits], 16)), 2 + digits
    return " " if not letter or letter in _BLANK_ESCAPES else _ESCAPES.get(letter, letter), 2
