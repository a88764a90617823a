"""``make check`` goes on after a failure, and its table and last line tell what happened."""

import io
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tools.check import STEPS, Outcome, Step, Tally, check, closing_line, judge, tally

TESTS = Step("some tests", ("true",), tests=True)
GATE = Step("some gate", ("true",))


def program(name: str, code: str, *, tests: bool = False) -> Step:
    return Step(name, (sys.executable, "-c", code), tests)


def pytest_run(name: str, folder: Path, code: str) -> Step:
    (folder / f"test_{name}.py").write_text(code, "utf-8")
    plain = ("-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={folder}")
    command = (sys.executable, "-m", "pytest", "-q", *plain, str(folder / f"test_{name}.py"))
    return Step(name, command, tests=True)


def run_all(*steps: Step) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=120)
    status = check(steps, console)
    assert isinstance(console.file, io.StringIO)
    return status, console.file.getvalue()


def test_all_steps_run_though_one_fails() -> None:
    """A failing step fails the whole, and the steps after it run all the same."""
    status, shown = run_all(
        program("first", "raise SystemExit(3)"), program("second", "pass", tests=False)
    )
    assert status == 1
    assert re.search(r"first +failed .* exit status 3, see above", shown)
    assert re.search(r"second +passed", shown)


def test_tests_are_counted_over_all_runs(tmp_path: Path) -> None:
    """The last line sums what passed, failed and was skipped, and the table says why."""
    mixed = (
        "import pytest\n"
        "def test_a(): pass\n"
        "def test_b(): assert False\n"
        "def test_c(): pytest.skip('no network namespace')\n"  # one of each outcome, to be counted
        "@pytest.fixture\n"
        "def broken(): raise OSError\n"
        "def test_d(broken): pass\n"
    )
    status, shown = run_all(
        pytest_run("mixed", tmp_path, mixed),
        pytest_run("good", tmp_path, "def test_a(): pass\n"),
    )
    assert status == 1
    assert re.search(r"mixed +failed +1 +2 +1 ", shown)
    assert re.search(r"good +passed +1 +0 +0 ", shown)
    assert shown.splitlines()[-1] == "2 passed, 2 failed, 1 skipped"


def test_a_run_whose_tests_are_all_skipped_is_skipped_with_its_reason(tmp_path: Path) -> None:
    """A skip is told apart from a success, and its reason stands in the table."""
    # skips all of itself, which is what the table is to show
    skipped = "import pytest\npytest.skip('no Go, so no API server', allow_module_level=True)\n"
    status, shown = run_all(pytest_run("skipping", tmp_path, skipped))
    assert status == 0
    assert re.search(r"skipping +skipped +0 +0 +1 .* no Go, so no API server", shown)


def test_a_step_that_needs_what_is_not_published_here_is_skipped() -> None:
    """The table says which module is missing instead of failing."""
    status, shown = run_all(Step("fuzzing", ("false",), needs="no_such_module"))
    assert status == 0
    assert re.search(r"fuzzing +skipped .* no_such_module is not published", shown)


def test_a_test_run_without_tests_fails(tmp_path: Path) -> None:
    """Nothing is shown by no test."""
    assert run_all(pytest_run("empty", tmp_path, ""))[0] == 1
    assert judge(TESTS, 0, None) == ("failed", "ran no test")
    assert judge(TESTS, 0, Tally()) == ("failed", "ran no test")


def test_a_run_that_dies_fails_whatever_it_counted() -> None:
    """An exit status other than 0 is a failure, also when every test that was counted passed."""
    assert judge(TESTS, -11, Tally(passed=5)) == ("failed", "exit status -11, see above")
    assert judge(GATE, 2, None) == ("failed", "exit status 2, see above")


def test_equal_reasons_are_counted_together() -> None:
    """Many tests that are skipped for one reason make one line of the table."""
    case = '<testcase><skipped message="no Go"/></testcase>'
    other = '<testcase><skipped message=""/></testcase><testcase/>'
    counted = tally(f"<testsuites><testsuite>{case * 3}{other}</testsuite></testsuites>")
    assert counted == Tally(1, 0, 4, ("3 x no Go", "1 x no reason given"))


def test_an_interruption_shows_what_ran_so_far() -> None:
    """The table is printed even when a step is the last that could run."""
    console = Console(file=io.StringIO(), width=120)
    steps = (program("first", "pass"), Step("no such program", ("/nonexistent/program",)))
    with pytest.raises(FileNotFoundError):
        check(steps, console)
    assert isinstance(console.file, io.StringIO)
    assert re.search(r"first +passed", console.file.getvalue())


def test_without_test_runs_the_count_is_zero() -> None:
    """The closing line is there whatever ran."""
    assert closing_line([Outcome(GATE, "passed", 0.1)]) == "0 passed, 0 failed, 0 skipped"


def test_every_gate_is_among_the_steps() -> None:
    """No gate was dropped by accident."""
    assert [step.name for step in STEPS] == [
        "format",
        "lint",
        "types",
        "import contracts",
        "unit tests",
        "contract tests",
        "branch coverage",
        "fuzzing",
        "chart tests",
        "image tests",
        "control-plane tests",
    ]
