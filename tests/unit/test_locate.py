"""What stands in a string of a manifest is found in the file, however the string is written."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from webhook.document import LINE_BREAK, parse_documents
from webhook.locate import locate

# Printable, with everything that YAML escapes, folds, quotes or may take for syntax.
texts = st.text(
    st.sampled_from("ab:,[]{}#&*!|>'\"%@`\\é€😀 \n\t\x07\xa0"), min_size=1, max_size=60
).filter(str.strip)


def positions_of(text: str) -> list[tuple[int, int]]:
    """Return the positions of all characters that are no white space."""
    return [
        (number, column)
        for number, line in enumerate(LINE_BREAK.split(text), 1)
        for column, character in enumerate(line, 1)
        if not character.isspace()
    ]


def assert_located(source: str, text: str) -> None:
    """Expect every character to be found where it, or the escape for it, stands."""
    (manifest,) = parse_documents(source, "f")
    scalar = manifest.get("data", "selectors")
    assert scalar is not None
    assert scalar.value == text
    lines, wanted = LINE_BREAK.split(source), positions_of(text)
    found = locate(source, scalar, text, wanted)
    assert list(found) == wanted
    assert sorted(set(found.values())) == list(found.values())
    for (line, column), (number, index) in found.items():
        shown = lines[number - 1][index - 1]
        original = LINE_BREAK.split(text)[line - 1][column - 1]
        assert shown == original or (shown == "\\" and scalar.style == '"')


@given(texts, st.sampled_from([None, "|", ">", "'", '"']), st.integers(10, 90), st.booleans())
def test_every_character_is_found(text: str, style: str, width: int, wide: object) -> None:
    """In a plain, quoted, folded or literal scalar, on one line or on many."""
    data = {"other": 1, "selectors": text, "tail": "x"}
    source = yaml.dump(
        {"data": data}, default_style=style, width=width, allow_unicode=bool(wide), indent=4
    )
    assert_located(source, text)


@given(texts)
def test_every_character_is_found_in_json(text: str) -> None:
    """A manifest as kubectl get -o json prints it."""
    assert_located(json.dumps({"data": {"selectors": text}}, ensure_ascii=False), text)


WRITTEN = {
    "literal": ("data:\n  selectors: |\n    - a: b\n", (1, 6), (3, 10)),
    "literal with a hint": ("data:\n  selectors: |2-\n      - a: b\n", (1, 8), (3, 12)),
    "literal with a comment": ("data:\n  selectors: | # x\n\n    - a: b\n", (2, 6), (4, 10)),
    "folded": ("data:\n  selectors: >\n    - a:\n      b\n", (2, 3), (4, 7)),
    "plain on two lines": ("data:\n  selectors: a,\n    b\n", (1, 4), (3, 5)),
    "single quotes": ("data: {selectors: '[''a'', b]'}\n", (1, 7), (1, 28)),
    "double quotes": ('data: {selectors: "[\\"a\\", b]"}\n', (1, 7), (1, 28)),
    "folded quotes": ('data:\n  selectors: "[a,\\\n    \\ b]"\n', (1, 5), (3, 7)),
    "hexadecimal": ('data: {selectors: "\\x5b\\u0061\\U0000002cb]"}\n', (1, 4), (1, 40)),
    "control characters": ('data: {selectors: "\\0\\a\\b\\e\\tb]"}\n', (1, 6), (1, 30)),
    "tagged": ("data: {selectors: !!str '[a]'}\n", (1, 2), None),
    "anchored": ("data:\n  selectors: &x |\n    - a: b\n", (1, 6), (3, 10)),
}


@pytest.mark.parametrize(("source", "inside", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_a_position_is_exact_or_not_known(
    source: str, inside: tuple[int, int], expected: tuple[int, int] | None
) -> None:
    """A scalar with a tag before it is not followed; everything else is."""
    (manifest,) = parse_documents(source, "f")
    scalar = manifest.get("data", "selectors")
    assert scalar is not None
    assert isinstance(scalar.value, str)
    assert locate(source, scalar, scalar.value, [inside]).get(inside) == expected


def test_a_place_between_characters_is_behind_the_last_one() -> None:
    """An empty value stands at the colon, the end of the text behind its last character."""
    source = "data:\n  selectors: |\n    - a:\n    - b\n"
    text = "- a:\n- b\n"
    (manifest,) = parse_documents(source, "f")
    scalar = manifest.get("data", "selectors")
    assert scalar is not None
    found = locate(source, scalar, text, [(1, 5), (3, 1), (1, 1)])
    assert found == {(1, 1): (3, 5), (1, 5): (3, 9), (3, 1): (4, 8)}


def test_white_space_before_the_first_character_is_nowhere() -> None:
    """There is nothing that it could be behind of."""
    source = "data:\n  selectors: |\n\n    - a\n"
    (manifest,) = parse_documents(source, "f")
    scalar = manifest.get("data", "selectors")
    assert scalar is not None
    assert locate(source, scalar, "\n- a\n", [(1, 1)]) == {}
    assert locate(source, scalar, "\n", [(1, 1)]) == {}


@pytest.mark.parametrize("text", ["- b\n", "- a b c"])
def test_a_text_that_is_not_the_scalars_is_found_as_far_as_it_agrees(text: str) -> None:
    """Nothing is guessed behind the first difference, or the end of the file."""
    source = "data:\n  selectors: |\n    - a\n"
    (manifest,) = parse_documents(source, "f")
    scalar = manifest.get("data", "selectors")
    assert scalar is not None
    assert locate(source, scalar, text, [(1, 1), (1, 7)]) == {(1, 1): (3, 5)}


@pytest.mark.parametrize("source", ["data: {selectors: '[a]'}", 'data: {selectors: "[a]"}'])
def test_nothing_is_found_behind_the_end_of_the_file(source: str) -> None:
    """However the scalar is quoted."""
    (manifest,) = parse_documents(source, "f")
    scalar = manifest.get("data", "selectors")
    assert scalar is not None
    quote = source[-2]
    found = locate(source, scalar, f"[a]{quote}}}x", [(1, 2), (1, 6)])
    assert found == {(1, 2): (1, 21)}
