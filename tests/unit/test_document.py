"""Any text becomes a tree of values that know their place, or one clear error, in bounded time."""

import json
import math
import tracemalloc
from time import process_time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhook.compose import DEPTH_LIMIT, DocumentError
from webhook.document import decode, parse_documents
from webhook.node import Fault, Node

MEBIBYTE = 1 << 20


def parse(text: str) -> Node:
    (node,) = parse_documents(text, "f")
    return node


def error_of(text: str) -> str:
    with pytest.raises(DocumentError) as caught:
        parse_documents(text, "f")
    return str(caught.value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=20,
)


@example("next line\x85, separators\u2028\u2029", False, None)  # noqa: FBT003 - as given
@given(json_values, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_json(value: Any, ascii_only: object, indentation: Any) -> None:
    """Whatever a JSON encoder writes is read as it was, escapes and white space included."""
    text = json.dumps(value, ensure_ascii=bool(ascii_only), indent=indentation)
    if value is None:
        assert parse_documents(text, "f") == []
    else:
        assert parse(text).plain() == json.loads(text)


SCALARS: dict[str, Any] = {
    "text": "text",
    "'off'": "off",
    "off": False,
    "Yes": True,
    "~x": "~x",
    "5": 5,
    "0x1F": 31,
    "1_000": 1000,
    "1.5": 1.5,
    "-.inf": -math.inf,
    "2001-01-01": "2001-01-01",
    "2001-01-01T00:00:00Z": "2001-01-01T00:00:00Z",
    "12:30": "12:30",
    "1:30.5": "1:30.5",
    "y": "y",
    "12e5": 12e5,
    "1E-3": 0.001,
    "-1e+16": -1e16,
    "1.e5": 1e5,
    "12e": "12e",
    "'12e5'": "12e5",
    "!!str 5": "5",
    "!!int 5": 5,
    "!!float 5": 5.0,
    "!!bool yes": True,
    '"\\u00e9\\x41\\/"': "éA/",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items(), ids=SCALARS)
def test_a_scalar_is_what_kubernetes_makes_of_it(text: str, value: Any) -> None:
    """YAML 1.1, without timestamps and numbers to the base of 60."""
    node = parse(text)
    assert node.value == value
    assert type(node.value) is type(value)
    assert node.faults == ()


def test_nan_is_a_number() -> None:
    """So it is nothing that a profile has a use for."""
    node = parse(".nan")
    assert isinstance(node.value, float)
    assert math.isnan(node.value)
    assert node.written == ".nan"


@pytest.mark.parametrize(
    "text", ["9" * 5000, "-" + "9" * 5000, "0x" + "f" * 5000, "1" + ":1" * MEBIBYTE]
)
def test_a_number_without_end_is_not_converted(text: str) -> None:
    """Its conversion would take quadratic time, or be refused by Python."""
    started = process_time()
    assert parse(text).value in (math.inf, text)
    assert process_time() - started < 2


def test_positions_count_from_one() -> None:
    """Values and keys know line and column; mappings and lists stand where they begin."""
    node = parse("# comment\na:\n  - b\n  - {c: 'd'}\n")
    assert (node.line, node.column) == (2, 1)
    items = node.get("a")
    assert items is not None
    assert (items.line, items.column) == (3, 3)
    assert isinstance(items.value, list)
    first, second = items.value
    assert (first.line, first.column, first.style) == (3, 5, "")
    leaf = second.get("c")
    assert leaf is not None
    assert (leaf.line, leaf.column, leaf.style) == (4, 9, "'")
    assert (second.keys["c"].line, second.keys["c"].column) == (4, 6)
    assert node.get("a", "b") is None
    assert node.get("z", "b") is None


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_breaks_and_a_byte_order_mark_make_no_difference(line_break: str, mark: str) -> None:
    """CRLF and BOM work, and lines are counted as an editor does."""
    text = mark + line_break.join(["a: |", "  x", "  y", "b: z"])
    node = parse(text)
    assert node.plain() == {"a": "x\ny\n", "b": "z"}
    last = node.get("b")
    assert last is not None
    assert (last.line, last.column) == (4, 4)


@pytest.mark.parametrize("text", ["", " \n\t\n", "# comment\n", "---\n---\n", "null", "~"])
def test_nothing_is_no_document(text: str) -> None:
    """Empty documents are left out."""
    assert parse_documents(text, "f") == []


def test_every_document_is_returned() -> None:
    """Separated by ---, each with anchors of its own."""
    documents = parse_documents("--- &a 1\n--- {b: &a 2, c: *a}\n---\n", "f")
    assert [document.plain() for document in documents] == [1, {"b": 2, "c": 2}]


def test_a_key_that_is_given_twice_is_a_fault() -> None:
    """The first value stays, and the second key's position is told."""
    for text in ("a: 1\nb: 2\na: 3\n", '{"a": 1, "b": 2,\n\n"a": 3}'):
        node = parse(text)
        assert node.plain() == {"a": 1, "b": 2}
        assert node.faults == (Fault('"a" is given twice; keep one of the two', 3, 1, "a"),)


FAULTS = {
    "{1: a}": 'a key "1" that is not a string; quote it, or write a name',
    "{[a]: b}": "a key that is not a string; quote it, or write a name",
    "{<<: {a: b}}": "merge keys (<<) are not read; write the fields out",
    "!!python/object:os.system {}": 'the tag "!!python/object:os.system" has no meaning here; '
    "remove it",
    "!!set [a]": 'the tag "!!set" has no meaning here; remove it',
    "!other a": 'the tag "!other" has no meaning here; remove it',
    "!!timestamp 2001-01-01": 'the tag "!!timestamp" has no meaning here; remove it',
    "!!int a": 'not a value of the tag "!!int"; remove the tag',
    "!!int ''": 'not a value of the tag "!!int"; remove the tag',
    "!!bool a": 'not a value of the tag "!!bool"; remove the tag',
}


@pytest.mark.parametrize(("text", "message"), FAULTS.items(), ids=FAULTS)
def test_what_has_no_meaning_is_a_fault_of_its_value(text: str, message: str) -> None:
    """The rest of the text is read all the same, so one bad rule leaves the others."""
    node = parse(f"[{text}, other]")
    assert isinstance(node.value, list)
    assert [fault.message for fault in node.value[0].faults] == [message]
    assert node.value[1].value == "other"


@pytest.mark.parametrize("text", ["!!map {a: b}", "!!seq [a]", "! {a: b}"])
def test_a_tag_that_says_the_obvious_is_no_fault(text: str) -> None:
    """A mapping is a mapping."""
    assert parse(text).faults == ()


def test_a_quoted_merge_key_is_a_key() -> None:
    """Only the plain one has a meaning in YAML."""
    assert parse("'<<': a").plain() == {"<<": "a"}


ERRORS = {
    "a:\n\tb: 1": "f:2:1: neither JSON nor YAML: a tab where YAML wants spaces; indent with spaces",
    "- |\n\tb\n": "f:2:1: neither JSON nor YAML: a tab where YAML wants spaces; indent with spaces",
    "a: @b": "f:1:4: neither JSON nor YAML: found character that cannot start any token while "
    "scanning for the next token; quote text that begins with @, ` or %",
    "a: b: c": "f:1:5: neither JSON nor YAML: mapping values are not allowed in this context; "
    "correct the text here, or quote it",
    "a: [b, c\nd: e\n": "f:2:2: neither JSON nor YAML: did not find expected ',' or ']' while "
    "parsing a flow sequence; correct the text here, or quote it",
    "x: 1\na: [b, c\n": "f:2:4: neither JSON nor YAML: did not find expected ',' or ']' while "
    "parsing a flow sequence; correct the text here, or quote it",
    "x: 1\na: 'b\n": "f:2:4: neither JSON nor YAML: found unexpected end of stream while scanning "
    "a quoted scalar; correct the text here, or quote it",
    '{"a": "b" "c"}': "f:1:11: neither JSON nor YAML: did not find expected ',' or '}' while "
    "parsing a flow mapping; correct the text here, or quote it",
    "é: \x01": "f:1:4: neither JSON nor YAML: control characters are not allowed; remove the "
    "character, or escape it in double quotes",
    "[NaN, 1": "f:1:1: neither JSON nor YAML: did not find expected ',' or ']' while parsing a "
    "flow sequence; correct the text here, or quote it",
    "a: *b": 'f:1:4: no anchor "b" before this; define it first',
    "&a [*a]": 'f:1:5: "a" contains itself; write it out',
    "&a {b: {c: *a}}": 'f:1:12: "a" contains itself; write it out',
    '["\\ud83d"]': 'f: "\\ud83d" alone is half of a character; write both halves, or remove it',
    '{"\\ude00": 1}': 'f: "\\ude00" alone is half of a character; write both halves, or remove it',
    "a:\n  b: \ud83d": "f:2:6: half of a character (a lone surrogate) in the text; remove it",
}


@pytest.mark.parametrize(("text", "message"), ERRORS.items(), ids=map(repr, ERRORS))
def test_an_error_says_where_what_and_what_to_do(text: str, message: str) -> None:
    """In one line, at the place where a person has to look."""
    assert error_of(text) == message


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
)
STAIRS = "- &a0 []\n" + "".join(f"- &a{i} [[[*a{i - 1}]]]\n" for i in range(1, 20_000))
DEEP = f"nested deeper than {DEPTH_LIMIT} levels; flatten it"
HOSTILE = {
    "flow lists": ("[" * MEBIBYTE, DEEP),
    "closed flow lists": ("[" * (MEBIBYTE // 2) + "]" * (MEBIBYTE // 2), DEEP),
    "flow mappings": ("{a: " * (MEBIBYTE // 4), DEEP),
    "bare flow mappings": ("{" * MEBIBYTE, DEEP),
    "block lists": ("- " * (MEBIBYTE // 2), DEEP),
    "block keys": ("? " * (MEBIBYTE // 2), DEEP),
    "JSON objects": ('{"a":' * (MEBIBYTE // 5), DEEP),
    "JSON lists": ('["\\ud83d\\ude00",' * 400 + "1" + "]" * 400, DEEP),
    "billion laughs": (LAUGHS, "more than 1,000,000 values, anchors expanded; leave some out"),
    "stairs of anchors": (STAIRS, DEEP),
    "colons": (":" * MEBIBYTE, "mapping values are not allowed"),
    "anchors": ("&a " * (MEBIBYTE // 3), "neither JSON nor YAML"),
    "a long anchor": (f"*{'a' * MEBIBYTE}", '..." before this; define it first'),
    "JSON beyond recursion": ('["\\ud83d\\ude00",' * 9000, "neither JSON nor YAML"),
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_refused_at_little_cost(text: str, message: str) -> None:
    """Neither time nor memory nor stack runs out, and the message stays a line."""
    tracemalloc.start()
    started = process_time()
    refusal = error_of(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message in refusal
    assert len(refusal) < 300
    assert process_time() - started < 5
    assert peak < 32 * MEBIBYTE


@pytest.mark.parametrize(
    "text", ["!" * MEBIBYTE, "'" * MEBIBYTE, "a" * MEBIBYTE, "# " * MEBIBYTE, " " * MEBIBYTE]
)
def test_a_long_text_is_read_at_little_cost(text: str) -> None:
    """Whether it makes sense or not; no message repeats all of it."""
    started = process_time()
    for node in parse_documents(text, "f"):
        assert all(len(fault.message) < 300 for fault in node.faults)
    assert process_time() - started < 5


def test_values_are_counted() -> None:
    """A text with more values than the limit is refused while it is read."""
    assert len(parse_documents("[1, 2]", "f", limit=3)) == 1
    with pytest.raises(DocumentError, match="more than 3 values"):
        parse_documents("[1, 2, 3]", "f", limit=3)
    with pytest.raises(DocumentError, match="more than 3 values"):
        parse_documents("--- 1\n--- 2\n--- 3\n--- 4\n", "f", limit=3)
    with pytest.raises(DocumentError, match="more than 3 values; leave some out"):
        parse_documents('["\\ud83d\\ude00", 1, 2]', "f", limit=3)


def test_depth_is_counted_through_anchors() -> None:
    """An alias is as deep as what it stands for."""
    half = DEPTH_LIMIT // 2
    text = f"- &a {'[' * half}{']' * half}\n- {'[' * (half - 2)}*a{']' * (half - 2)}"
    assert parse(text).height == DEPTH_LIMIT - 1
    assert error_of(text.replace("*a", "[[*a]]")).endswith(DEEP)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "\\ud83d\\ude00", "%s": NaN}' % ("k" * 2000),
        '["\\ud83d\\ude00", Infinity]',
        '["\\ud83d\\ude00", 1] x',
    ],
)
def test_what_is_not_json_either_is_refused_as_yaml(text: str) -> None:
    """NaN and Infinity are no JSON."""
    assert "neither JSON nor YAML" in error_of(text)


def test_what_only_json_accepts_is_read_as_json() -> None:
    """Escaped surrogate pairs, long keys, control characters; positions are not known then."""
    text = '{"%s": "\\ud83d\\ude00 \x7f", "n": %s, "f": 1.5, "b": [true, null]}'
    node = parse(text % ("k" * 2000, "9" * 5000))
    assert node.plain() == {"k" * 2000: "😀 \x7f", "n": math.inf, "f": 1.5, "b": [True, None]}
    assert node.line == 0
    flags = node.get("b")
    assert flags is not None
    assert isinstance(flags.value, list)
    assert [flag.written for flag in flags.value] == ["true", "null"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: b".encode("utf-16"), "f: UTF-16 or UTF-32 text; save the file as UTF-8"),
        ("\ufeffa".encode("utf-16-be"), "f: UTF-16 or UTF-32 text; save the file as UTF-8"),
        ("\ufeffa".encode("utf-32-be"), "f: UTF-16 or UTF-32 text; save the file as UTF-8"),
        ("a".encode("utf-16-le"), "f: not text (byte 1 is NUL); save the file as UTF-8 text"),
        (b"a: \xff", "f: not UTF-8 text (byte 3); save the file as UTF-8"),
        (b"\x7fELF\x00", "f: not text (byte 4 is NUL); save the file as UTF-8 text"),
    ],
)
def test_bytes_that_are_no_utf8_text_are_refused(content: bytes, message: str) -> None:
    """Other encodings are recognised where they can be."""
    with pytest.raises(DocumentError) as caught:
        decode(content, "f")
    assert str(caught.value) == message


def test_a_byte_order_mark_is_dropped() -> None:
    """Editors on Windows write one."""
    assert decode(b"\xef\xbb\xbfa: b", "f") == "a: b"


def assert_read_or_refused(text: str) -> None:
    try:
        documents = parse_documents(text, "f")
    except DocumentError as error:
        message = str(error)
    else:
        message = "f:"
        for node in documents:
            node.plain()
    assert message.startswith("f:")
    assert "\n" not in message


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """With an error of ours, never with another one."""
    assert_read_or_refused(text)


@given(st.text("[]{},:-?&*!|>'\"%@` \n\t#~aA1.\\", max_size=60))
def test_any_text_of_signs_is_read_or_refused(text: str) -> None:
    """The same for texts that look like YAML."""
    assert_read_or_refused(text)
