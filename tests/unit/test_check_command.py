"""``vci-webhook check`` says everything about a profile, to a person and to a machine."""

import io
import json
import os
import pty
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.cli import main
from webhook.cli.excerpt import excerpt

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vci-profile, namespace: kube-system}\n"
RULE = "    - {name: r, matchAll: true}\n"
CLEAN = f"{HEAD}data:\n  selectors: |\n{RULE}"
WARNED = f"{HEAD}data:\n  tlsEnabel: x\n  selectors: |\n{RULE}"
WRONG = f"{HEAD}data:\n  selectors: |\n    - {{name: a, matchAll: true, placement: x}}\n{RULE}"
SHADOW = CLEAN.replace("true}", "true, mode: shadow}")


@dataclass(frozen=True)
class Said:
    """What a run of the command said and how it ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


@pytest.fixture
def check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    """Run check in a directory of its own; each keyword writes a file of that name before."""
    for name in [name for name in os.environ if name.startswith("VCI_WEBHOOK")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **files: str | bytes) -> Said:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            tmp_path.joinpath(name).write_bytes(data)
        status = main(["check", *arguments, *files])
        return Said(status, *capsys.readouterr())

    return run


Check = Callable[..., Said]


def test_a_clean_profile_is_said_to_be_clean(check: Check) -> None:
    """Status 0, and how many rules act."""
    said = check(profile=CLEAN)
    assert said == Said(0, "1 file, no problem, 1 active rule\n", "")


def test_an_error_is_a_problem(check: Check) -> None:
    """Status 1; the line has file, line and column, severity, path, what is wrong, what to do."""
    said = check(profile=WRONG)
    assert said.status == 1
    assert said.stderr == ""
    problem = "is not one of enforce, prefer, overflow, allow, off; write one of them"
    assert said.lines == [
        f'profile:6:44: error: selectors[0].placement: "x" {problem}',
        "1 file, 1 error, 1 active rule",
    ]


def test_a_warning_is_a_problem_only_if_one_is_strict(check: Check) -> None:
    """--strict, or its variable."""
    lines = [
        'profile:5:3: warning: tlsEnabel: unknown key, has no effect; did you mean "tlsEnable"?',
        "1 file, 1 warning, 1 active rule",
    ]
    lax, strict = check(profile=WARNED), check("--strict", profile=WARNED)
    assert (lax.status, lax.lines) == (0, lines)
    assert (strict.status, strict.lines) == (1, lines)
    assert check("--strict", profile=CLEAN).status == 0


def test_several_files_are_judged_each_by_itself(check: Check) -> None:
    """The same rule names in both are no conflict; the worst decides the status."""
    said = check(a=CLEAN, b=WARNED, c=WRONG)
    assert said.status == 1
    assert [line.partition(":")[0] for line in said.lines[:-1]] == ["b", "c"]
    assert said.lines[-1] == "3 files, 1 error, 1 warning, 3 active rules"


def test_shadow_rules_are_counted_apart(check: Check) -> None:
    """They change nothing."""
    assert check(profile=SHADOW).lines == ["1 file, no problem, 0 active rules, 1 in shadow"]


UNUSABLE = {
    "empty": ("", "empty; write the ConfigMap of the profile into it"),
    "no YAML": ("a:\n\tb: c", "2:1: neither JSON nor YAML: a tab where YAML wants spaces"),
    "Secret": (HEAD.replace("ConfigMap", "Secret"), '1:1: "v1, Secret" where'),
    "three": (f"{CLEAN}---\n{CLEAN}---\n{CLEAN}", ":1: 3 objects where one ConfigMap belongs"),
    "UTF-16": (CLEAN.encode("utf-16"), "UTF-16 or UTF-32 text; save the file as UTF-8"),
}


@pytest.mark.parametrize(("content", "says"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_without_a_profile_is_unusable(check: Check, content: Any, says: str) -> None:
    """Status 2 and one line on stderr, as for every other command."""
    said = check(profile=content)
    assert (said.status, said.stdout) == (2, "")
    assert said.stderr.startswith("vci-webhook: profile:")
    assert says in said.stderr
    assert said.stderr.count("\n") == 1


def test_a_file_that_cannot_be_read_is_unusable(check: Check, tmp_path: Path) -> None:
    """Missing, a directory, or a name that no file can have."""
    tmp_path.joinpath("folder").mkdir()
    for name, reason in (
        ("missing", "no such file or directory"),
        ("folder", "is a directory"),
        ("a\0b", "embedded null byte"),
    ):
        said = check(name)
        shown = name.replace("\0", "\\u0000")
        line = f"vci-webhook: {shown}: cannot be read: {reason}; name a readable file\n"
        assert said == Said(2, "", line)


def test_an_unusable_file_does_not_hide_the_others(check: Check) -> None:
    """They are judged all the same, and the status is the worst."""
    said = check("missing", profile=WRONG)
    assert said.status == 2
    assert said.stderr.startswith("vci-webhook: missing: ")
    assert said.lines[0].startswith("profile:6:44: error: ")
    assert said.lines[-1] == "2 files, 1 unusable, 1 error, 1 active rule"


def test_without_a_file_the_command_says_what_it_needs(check: Check) -> None:
    """It does not wait for somebody to type a profile."""
    said = check()
    assert said == Said(
        2,
        "",
        "vci-webhook: check: no file; name the manifest of a profile, - to read one, or --cluster "
        "for the live profile\n",
    )


def test_standard_input_is_read_for_a_dash(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pipe from helm template or kubectl."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(WARNED.encode())))
    said = check("-")
    assert said.status == 0
    assert said.lines[0].startswith("standard input:5:3: warning: tlsEnabel: ")


def test_a_closed_standard_input_is_unusable(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after <&- in a shell."""
    monkeypatch.setattr(sys, "stdin", None)
    line = "vci-webhook: standard input: cannot be read: it is closed; name a readable file\n"
    assert check("-") == Said(2, "", line)


def test_a_profile_of_another_name_is_judged_with_a_warning(check: Check) -> None:
    """Unless the flags name it, as they do for serve."""
    other = CLEAN.replace("vci-profile", "mine").replace("kube-system", "here")
    said = check(profile=other)
    assert said.status == 0
    assert said.lines[0].startswith("profile:3:18: warning: metadata.name: the ConfigMap is ")
    flags = ("--profile-name=mine", "--profile-namespace=here")
    assert check(*flags, profile=other).lines == ["1 file, no problem, 1 active rule"]


def test_json_is_for_machines(check: Check) -> None:
    """Every file with its problems and counts; unknown positions are null; nothing on stderr."""
    said = check("--output", "json", "missing", a=WRONG, b=SHADOW, c=f"{HEAD}data:\n")
    assert (said.status, said.stderr) == (2, "")
    missing, wrong, shadow, empty = json.loads(said.stdout)["files"]
    assert json.loads(said.stdout) == {
        "status": 2,
        "errors": 1,
        "warnings": 1,
        "files": [missing, wrong, shadow, empty],
    }
    assert missing == {
        "file": "missing",
        "unusable": "missing: cannot be read: no such file or directory; name a readable file",
        "rules": {"active": 0, "shadow": 0},
        "problems": [],
    }
    assert wrong == {
        "file": "a",
        "unusable": None,
        "rules": {"active": 1, "shadow": 0},
        "problems": [
            {
                "severity": "error",
                "path": "selectors[0].placement",
                "line": 6,
                "column": 44,
                "message": '"x" is not one of enforce, prefer, overflow, allow, off; '
                "write one of them",
            }
        ],
    }
    assert shadow["rules"] == {"active": 0, "shadow": 1}
    assert [(p["line"], p["column"]) for p in empty["problems"]] == [(None, None)]


@pytest.mark.parametrize(("arguments", "status"), [([], 0), (["--strict"], 1)])
def test_json_tells_the_status_too(check: Check, arguments: list[str], status: int) -> None:
    """For whoever reads only the output."""
    said = check("--output=json", *arguments, profile=WARNED)
    assert (said.status, json.loads(said.stdout)["status"]) == (status, status)


def test_another_output_is_refused(check: Check) -> None:
    """With those that there are."""
    said = check("--output=xml", profile=CLEAN)
    assert (said.status, said.stdout) == (2, "")
    assert said.stderr.endswith('"xml" is not an output; give one of text, json\n')


def test_names_from_outside_cannot_steer_the_terminal(check: Check) -> None:
    """Neither the name of a file nor a key in it."""
    name = "a\x1b[31mb\n"
    said = check(**{name: f'{HEAD}data:\n  "x\\x1b[31m\\n": y\n  selectors: |\n{RULE}'})
    assert said.lines[0].startswith("a\\u001b[31mb\\n:5:3: warning: x?[31m?: unknown key")
    assert len(said.lines) == 2


def test_what_the_output_cannot_encode_is_escaped(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal without UTF-8 gets the message, and no traceback."""
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", latin)
    assert check(profile=WRONG.replace("placement: x", "placement: é名")).status == 1
    latin.seek(0)
    assert '"é\\u540d" is not one of' in latin.read()


def test_an_output_without_encoding_is_written_to(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever calls main() may have replaced stdout by something that collects text."""
    collected = io.StringIO()
    monkeypatch.setattr(sys, "stdout", collected)
    assert check(profile=CLEAN).status == 0
    assert collected.getvalue() == "1 file, no problem, 1 active rule\n"


def on_terminal(*arguments: str, **environment: str) -> str:
    """Run check on a terminal of 80 columns, and give what it shows."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "webhook", "check", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "COLUMNS": "80", **environment},
        ) as process:
            os.close(theirs)
            shown = b""
            while True:
                try:
                    part = os.read(ours, 4096)
                except OSError:  # how Linux says that the other side has gone
                    break
                if not part:
                    break
                shown += part
        assert process.returncode == 1
    finally:
        os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def test_a_terminal_shows_the_line_in_colours(tmp_path: Path) -> None:
    """Each problem with its line and a mark under the place; NO_COLOR takes the colours away."""
    tmp_path.joinpath("profile").write_text(WRONG)
    file = str(tmp_path / "profile")
    coloured = on_terminal(file)
    assert "\x1b[31m\x1b[1merror\x1b[0m: \x1b[1mselectors[0].placement\x1b[0m: " in coloured
    plain = on_terminal(file, NO_COLOR="1")
    assert "\x1b" not in plain
    assert plain.splitlines()[1:3] == [
        "     6 |     - {name: a, matchAll: true, placement: x}",
        "       |                                            ^",
    ]


def marked(line: str, column: int, width: int) -> tuple[str, str]:
    """Return what an excerpt shows, and the character above its mark."""
    shown, mark = excerpt(line, 7, column, width)
    assert shown.startswith("     7 | ")
    assert mark.startswith("       | ")
    assert mark.endswith("^")
    return shown[9:], (shown + " ")[len(mark) - 1]


@given(st.text("abc \t", max_size=200), st.integers(1, 201), st.integers(10, 120))
def test_an_excerpt_marks_the_place_within_the_width(line: str, column: int, width: int) -> None:
    """The mark is under the character, or behind the end, however the line is cut."""
    column = min(column, len(line) + 1)
    shown, above = marked(line, column, width)
    assert len(shown) <= max(width - 9, 20)
    expected = line[column - 1 : column].replace("\t", " ") or " "
    assert above in (expected, "…")


def test_an_excerpt_of_a_long_line_is_cut_on_both_sides() -> None:
    """With a sign for what is missing."""
    shown, above = marked("a" * 100 + "X" + "b" * 100, 101, 49)
    assert shown == f"…{'a' * 12}X{'b' * 25}…"
    assert above == "X"


def test_an_excerpt_counts_columns_as_a_terminal_does() -> None:
    """Wide characters take two, combining ones none, control characters are blanks."""
    line = "名e\u0301\x1b: X"
    shown, mark = excerpt(line, 1, line.index("X") + 1, 80)
    before = shown[: shown.index("X")]
    columns = sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) == "W" else 1
        for c in before
    )
    assert mark.index("^") == columns
    assert "\x1b" not in shown
