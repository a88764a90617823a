"""``make chart-docs``: writes the table of all values into the chart's README, from values.yaml.

A comment that begins with ``# --`` tells what the value below it is for; further lines of comment
belong to it. A value with such a comment is a row, whatever it holds; one without has its rows
below it, or none at all, which is an error.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[1] / "charts" / "vci-webhook"
BEGIN, END = "<!-- make chart-docs: values -->", "<!-- end -->"

_KEY = re.compile(r"( *)([A-Za-z][A-Za-z0-9]*):( |$)")
_COMMENT = re.compile(r" *# (-- )?(.*)")
_INDENT = 2


class UndocumentedError(Exception):
    """Values without a comment."""


@dataclass(frozen=True, slots=True)
class Row:
    """One value: where it is, what it is unless told, and what it is for."""

    path: str
    default: Any
    meaning: str

    def __str__(self) -> str:
        default = json.dumps(self.default, ensure_ascii=False)
        cells = (f"`{self.path}`", f"`{default}`", self.meaning)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def read_rows(text: str) -> list[Row]:
    """Read every value, in the order of the file; UndocumentedError names those without a word."""
    values = yaml.safe_load(text)
    rows = [Row(path, _look_up(values, path), meaning) for path, meaning in _commented(text)]
    told = tuple(row.path for row in rows)
    if silent := [path for path in _leaves(values) if not _is_below(path, told)]:
        raise UndocumentedError(f"values.yaml: no comment on {', '.join(silent)}; write one")
    return rows


def _commented(text: str) -> Iterator[tuple[str, str]]:
    """Pair each comment with the path of the key below it."""
    path: list[str] = []
    meaning: list[str] = []
    for line in text.splitlines():
        if comment := _COMMENT.fullmatch(line):
            if comment[1] or meaning:
                meaning = [*([] if comment[1] else meaning), comment[2]]
        elif key := _KEY.match(line):
            path = [*path[: len(key[1]) // _INDENT], key[2]]
            if meaning:
                yield ".".join(path), " ".join(meaning)
            meaning = []


def _look_up(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values[key]
    return values


def _leaves(values: Any, prefix: str = "") -> Iterator[str]:
    if not isinstance(values, dict) or not values:
        yield prefix.removesuffix(".")
        return
    for key, value in values.items():
        yield from _leaves(value, f"{prefix}{key}.")


def _is_below(path: str, told: tuple[str, ...]) -> bool:
    return any(path == each or path.startswith(f"{each}.") for each in told)


def write_table(rows: list[Row]) -> str:
    """Write the rows as Markdown."""
    head = ("| value | default | meaning |", "|---|---|---|")
    return "\n".join((*head, *map(str, rows)))


def put_into(page: str, table: str) -> str:
    """Put the table between its two marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md: has no {BEGIN} with {END} behind it; write both")
    return f"{before}{begin}\n{table}\n{end}{after}"


def main() -> int:
    """Write the table anew."""
    readme = CHART / "README.md"
    try:
        table = write_table(read_rows((CHART / "values.yaml").read_text("utf-8")))
        readme.write_text(put_into(readme.read_text("utf-8"), table), "utf-8")
    except (UndocumentedError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
