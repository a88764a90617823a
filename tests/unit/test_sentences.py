"""Every statement of the page about the profile is shown by a test, and says by which."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.cases import load_cases
from tests.unit.page import PAGE, rows, statements

TESTS = Path(__file__).parents[1]
TABLE = TESTS / "README.md"
HEADING = "## What docs/profile.md promises, and what shows it"
ADVICE = "advice"  # a statement that tells what to do, not what is so
ADVICE_LIMIT = 3

STATEMENTS = statements(PAGE.read_text("utf-8"))
ROWS = rows(TABLE.read_text("utf-8"), HEADING)
REFERENCE = re.compile(r"`([^`]+)`")


def known_tests() -> Iterator[str]:
    """Name each test, as pytest does, from the folder of tests on."""
    for folder in ("unit", "contract", "cluster"):
        for path in sorted((TESTS / folder).rglob("test_*.py")):
            where = str(path.relative_to(TESTS))
            yield from named_in(ast.parse(path.read_text("utf-8")), where)


def named_in(node: ast.Module | ast.ClassDef, where: str) -> Iterator[str]:
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from named_in(child, f"{where}::{child.name}")
        elif isinstance(child, ast.FunctionDef) and child.name.startswith("test_"):
            yield f"{where}::{child.name}"


def test_every_statement_has_a_row_and_every_row_a_statement() -> None:
    """In the order of the page; a row begins as its statement does, and as no other."""
    found = {begin: [s for s in STATEMENTS if s.startswith(begin)] for begin, *_ in ROWS}
    ambiguous = {begin: those for begin, those in found.items() if len(those) != 1}
    assert ambiguous == {}, "rows that match no statement or several"
    matched = [found[begin][0] for begin, *_ in ROWS]
    assert [s for s in STATEMENTS if s not in matched] == [], "statements without a row"
    assert matched == STATEMENTS, "not in the order of the page, or twice"


def test_every_reference_exists() -> None:
    """It is a test, or a case by its file and why, in backticks, separated by commas."""
    known = {*known_tests(), *(case.id for case in load_cases()), ADVICE}
    for begin, cell in ROWS:
        references = REFERENCE.findall(cell)
        assert references, begin
        assert cell == ", ".join(f"`{reference}`" for reference in references)
        assert [reference for reference in references if reference not in known] == [], begin
        assert [r for r, count in Counter(references).items() if count > 1] == [], begin


def test_little_is_advice() -> None:
    """A statement that no test can show is rare, and says so."""
    advice = [begin for begin, cell in ROWS if ADVICE in REFERENCE.findall(cell)]
    assert len(advice) <= ADVICE_LIMIT
    assert all(cell == f"`{ADVICE}`" for begin, cell in ROWS if begin in advice)


MARKDOWN = {
    "paragraph": ("# Head\n\nOne\nsentence. `Two`: three!\n", ["One sentence.", "Two: three!"]),
    "named paragraph": ("**Name.** Of a paragraph.", ["Of a paragraph."]),
    "items": ("- [Contents](#x)\n- A **b** [c](x.md),\n  d.\n- E", ["A b c, d.", "E"]),
    "table": ("| a | b |\n|---|---|\n| `c` | **d** e |\n| f | |\n", ["c: d e", "f"]),
    "code": ("Before:\n\n```yaml\n# nothing.\n```\n\nAt 1.5 MiB.", ["Before:", "At 1.5 MiB."]),
}


@pytest.mark.parametrize(("markdown", "stated"), MARKDOWN.values(), ids=MARKDOWN)
def test_what_a_statement_is(markdown: str, stated: list[str]) -> None:
    """A sentence, an item or a row; headings, contents and code state nothing."""
    assert statements(markdown) == stated
