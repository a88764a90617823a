"""What holds for the repository itself, where no linter looks."""

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for top in ("webhook", "certs", "tools") for path in (ROOT / top).rglob("*.py")]
TESTS = list((ROOT / "tests").rglob("*.py"))
LOCKS = [ROOT / "requirements" / name for name in ("runtime.txt", "image.txt", "dev.txt")]

FUNCTION_LIMIT = 60  # lines; what is longer has more than one thing to say
FILE_LIMIT = 300

PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[0-9a-z.]+)(?P<marker> ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")
EXCEPTION = re.compile(r"# (noqa|type: ignore)[:\[](?P<rest>.*)$")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def pins(path: Path) -> dict[str, str]:
    lines = path.read_text("utf-8").splitlines()
    return {found["name"]: found["version"] for line in lines if (found := PIN.match(line))}


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_every_test_states_its_fact() -> None:
    """Each test function has a docstring."""
    silent = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in TESTS
        for function in functions(path)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert silent == []


def test_functions_and_files_are_short() -> None:
    """Nothing is so long that it cannot be read at once."""
    long = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in SOURCES
        for function in functions(path)
        if (function.end_lineno or 0) - function.lineno >= FUNCTION_LIMIT
    ]
    long += [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if len(path.read_text("utf-8").splitlines()) > FILE_LIMIT
    ]
    assert long == []


def test_every_exception_from_a_rule_has_its_reason() -> None:
    """A ``noqa`` or a ``type: ignore`` names the rule and, after a dash, the reason."""
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in [*SOURCES, *TESTS]
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if (found := EXCEPTION.search(line)) and not re.search(r" - \w|  # \w", found["rest"])
    ]
    assert bare == []


@pytest.mark.parametrize("lock", LOCKS, ids=names(LOCKS))
def test_the_lock_is_exact_and_says_nothing_about_a_machine(lock: Path) -> None:
    """Every line is a version, a hash or a comment on who asked for it; no address, no path."""
    odd = [
        line
        for line in lock.read_text("utf-8").splitlines()
        if not (PIN.match(line) or HASH.match(line) or re.match(r"^ *#( +[\w (),.:/-]+)?$", line))
    ]
    assert odd == []
    assert not re.search(r"://|find-links|index-url|(^|\s)/", lock.read_text("utf-8"))


def test_development_runs_what_is_released() -> None:
    """The lock for development has everything of the other two, in the same versions."""
    runtime, image, dev = map(pins, LOCKS)
    assert runtime
    assert image
    assert runtime.items() <= dev.items()
    assert image.items() <= dev.items()


def test_every_direct_dependency_is_locked() -> None:
    """What pyproject.toml asks for stands in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = project["dependency-groups"]
    for lines, lock in zip(
        (project["project"]["dependencies"], groups["image"], groups["dev"]), LOCKS, strict=True
    ):
        asked = {re.split(r"[^a-z0-9-]", line)[0] for line in lines if isinstance(line, str)}
        assert asked <= pins(lock).keys()


def test_the_core_may_not_import_the_shell() -> None:
    """Each module that the import contract excuses from purity is closed to the core."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    excused = {line.split(" ")[0].removesuffix(".**") for line in contract["ignore_imports"]}
    there = {
        f"webhook.{path.stem}" for path in (ROOT / "webhook").iterdir() if path.stem[:2] != "__"
    }
    closed = {name for name in contract["forbidden_modules"] if name.startswith("webhook.")}
    assert excused & (there | {"webhook.__main__"}) == closed


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_make_explains_every_target() -> None:
    """``make`` alone lists each target that a person can type, with what it does."""
    targets = re.findall(
        r"^\.PHONY: ([a-z-]+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE
    )
    shown = make().stdout
    assert len(targets) >= 10
    assert [target for target in targets if not re.search(rf"make {target} +\w", shown)] == []


def test_an_old_python_is_named_in_one_line(tmp_path: Path) -> None:
    """An interpreter that is too old ends ``make install`` with one line that says what to do."""
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    old.chmod(0o755)
    done = make("install", f"PYTHON={old}", f"VENV={tmp_path}/venv")
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        f"make: {old} is not Python 3.11 or newer; name one that is, as in:"
        " make install PYTHON=python3.13"
    )
    assert not (tmp_path / "venv").exists()
