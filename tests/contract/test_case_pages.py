"""Pages that say in a table what becomes of a Pod say what the cases of a file show, row by row."""

import re

import pytest

from tests.contract.cases import FOLDER, load_cases

DOCS = FOLDER.parents[2] / "docs"
PAGES = {
    "moving_managed": ("moving.md", "From the managed vci-profile"),
    "moving_admission": ("moving.md", "From volcengine-vci-admission"),
    "moving_annotations": ("moving.md", "From annotations in workflows"),
    "multi_zone": ("multi-zone.md", "A profile for three zones"),
    "self_built": ("self-built.md", "The profile"),
}
TABLE = re.compile(r"^\| a Pod \|.*\n\|[-|]+\n(?P<rows>(?:\|.*\n)+)", re.MULTILINE)


def first_cells(page: str, title: str) -> list[str]:
    """List the first cell of each row, in the tables about Pods of a section."""
    _, _, below = (DOCS / page).read_text("utf-8").partition(f"\n## {title}\n")
    section, _, _ = below.partition("\n## ")
    rows = "".join(table["rows"] for table in TABLE.finditer(section)).splitlines()
    return [row.strip("|").partition(" | ")[0].strip() for row in rows]


@pytest.mark.parametrize("stem", PAGES)
def test_each_row_is_a_case_and_each_case_a_row(stem: str) -> None:
    """In the same order and the same words, so that no row is there that no test shows."""
    cases = [case.id.partition(": ") for case in load_cases()]
    shown = [why for of, _, why in cases if of == stem]
    assert first_cells(*PAGES[stem]) == shown
    assert shown
