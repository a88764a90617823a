"""Problems are collected in bounded number, and worded so that a person can act on them."""

import pytest

from webhook.node import Node
from webhook.place import Place, kind_of
from webhook.problems import PROBLEMS_LIMIT, Problem, Report
from webhook.wording import listed, nearest, quoted, shortened


def test_a_problem_is_one_line() -> None:
    """Path, what is wrong, what to do."""
    assert str(Problem("error", "a.b", "wrong; right")) == "a.b: wrong; right"


def test_problems_are_listed_in_the_order_of_the_text() -> None:
    """Those without a position first."""
    report = Report()
    report.error("b", "x", Node(None, 2, 5))
    report.warning("a", "x", Node(None, 2, 3))
    report.error("c", "x")
    assert [problem.path for problem in report.listed("")] == ["c", "a", "b"]
    assert report.errors() == 2


def test_beyond_a_limit_problems_are_counted() -> None:
    """For each severity, behind the last one that is listed."""
    report = Report()
    for line in range(1, PROBLEMS_LIMIT + 3):
        assert report.is_full("error") == (line > PROBLEMS_LIMIT)
        report.error("a", "x", Node(None, line, 1))
    report.warning("b", "x", Node(None, PROBLEMS_LIMIT + 9, 1))
    assert not report.is_full("warning")
    *_, last, further, warning = report.listed("all")
    assert (last.path, last.line) == ("a", PROBLEMS_LIMIT)
    assert further == Problem(
        "error", "all", "2 further errors; correct these first", PROBLEMS_LIMIT, 1
    )
    assert warning.path == "b"


def test_the_nearest_name_is_told_only_when_it_is_near() -> None:
    """Whatever its case."""
    known = ("placement", "priority", "onConflict")
    assert nearest("placment", known) == '; did you mean "placement"?'
    assert nearest("ONCONFLICT", known) == '; did you mean "onConflict"?'
    assert nearest("zzz", known) == ""


def test_what_is_shown_is_short_and_harmless() -> None:
    """At most 80 characters, without line breaks and terminal sequences."""
    assert quoted("a\nb\x1b[31m\u202e") == '"a?b?[31m?"'
    assert shortened("x" * 80) == "x" * 80
    assert shortened("x" * 81) == "x" * 77 + "..."


def test_a_list_of_names_is_cut() -> None:
    """After three."""
    assert listed(["a"]) == '"a"'
    assert listed("abc") == '"a", "b", "c"'
    assert listed("abcde") == '"a", "b", "c" and 2 more'


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "an integer"),
        (1.5, "a number"),
        ("", "a string"),
        ([], "a list"),
        ({}, "a mapping"),
    ],
)
def test_types_are_named_as_a_person_would(value: object, kind: str) -> None:
    """Not as Python does."""
    assert kind_of(value) == kind


def test_a_path_is_of_bounded_length() -> None:
    """A key of a mebibyte is not repeated in every path below it."""
    report = Report()
    node = Node({"x" * 5000: Node(5, written="5")}, keys={"x" * 5000: Node("x" * 5000)})
    assert Place(node, "a", report).string_map() == {}
    (problem,) = report.listed("")
    assert problem.path == f"a.{'x' * 77}..."


def test_a_missing_field_leaves_its_parents_place() -> None:
    """So that a problem with it points at something."""
    node = Node({"b": Node("c", 1, 4)}, 1, 1)
    place = Place(node, "a", Report())
    assert place.below("b") == Place(Node("c", 1, 4), "a.b", place.report)
    assert place.below("z") is place


def test_when_nothing_more_is_listed_nothing_is_looked_up() -> None:
    """The nearest name is not searched for problems that are only counted."""
    report = Report()
    for _ in range(PROBLEMS_LIMIT - 1):
        report.error("a", "x")
    choice = Place(Node("placment"), "p", report)
    assert choice.choice(("placement",)) is None
    assert choice.choice(("placement",)) is None
    assert [p.message for p in report.listed("") if p.path == "p"] == [
        '"placment" is not one of placement; did you mean "placement"?'
    ]
