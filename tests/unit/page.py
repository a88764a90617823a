"""docs/profile.md as tests read it: what it states, sentence by sentence, and its examples."""

import re
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "profile.md"

_FENCE = "```"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*])")
_LEAD_IN = re.compile(r"^\*\*[^*]+\.\*\* ")  # a word that names a paragraph and states nothing
_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")
_ENTRY_OF_CONTENTS = re.compile(r"^- \[[^]]+\]\(#[^)]+\)$")


def statements(markdown: str) -> list[str]:
    """List, as plain text, each sentence of a paragraph or an item and each row of a table."""
    found = []
    for block in _blocks(markdown):
        first = block[0]
        if first.startswith("|"):
            found += [_row(line) for line in block[2:]]  # the head states nothing
        elif not (first.startswith("#") or _ENTRY_OF_CONTENTS.match(first)):
            text = _LEAD_IN.sub("", " ".join(line.strip() for line in block))
            found += [_plain(sentence) for sentence in _SENTENCE_END.split(text)]
    return found


def examples(markdown: str) -> list[str]:
    """List the text of each code block."""
    return re.findall(rf"^{_FENCE}\w*\n(.*?)^{_FENCE}$", markdown, re.MULTILINE | re.DOTALL)


def rows(markdown: str, heading: str) -> list[tuple[str, ...]]:
    """List the cells of the table's rows below a heading."""
    _, _, below = markdown.partition(f"\n{heading}\n")
    section, _, _ = below.partition("\n#")
    return [_cells(line) for block in _blocks(section) if block[0][0] == "|" for line in block[2:]]


def _blocks(markdown: str) -> Iterator[list[str]]:
    """Yield the lines of each paragraph, item, table and heading; code blocks are left out."""
    block: list[str] = []
    in_code = False
    for line in [*markdown.splitlines(), ""]:
        if line.startswith(_FENCE):
            in_code = not in_code
        is_inside = in_code or line.startswith(_FENCE)
        if block and (is_inside or not line or line.startswith("- ")):
            yield block
            block = []
        if line and not is_inside:
            block.append(line)


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip("|").split("|"))


def _row(line: str) -> str:
    return ": ".join(_plain(cell) for cell in _cells(line) if cell)


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", text).replace("`", "").replace("**", "").removeprefix("- ")
