"""Somebody who follows a page of the documentation, and types its commands into a shell.

A page is read by its sections. Of each, blocks of ``sh`` are typed, and each line of a block of
``text`` must come out; what is not to be typed stands in ``console`` and ``yaml``.
"""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

SECTION = re.compile(r"^## (?P<title>.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {"sh", "text", "console", "yaml"}
END, FAILED = "=== done ===", "=== failed ==="
PATIENCE_SECONDS = 600.0  # for all that is typed, so that a command which hangs is a failure


@dataclass(frozen=True, slots=True)
class Step:
    """A section of a page: what is typed, and lines that are promised to come out."""

    commands: tuple[str, ...]
    promised: tuple[str, ...]


def read_steps(page: Path) -> dict[str, Step]:
    """Read the sections of a page by their titles; what is before the first has none."""
    first, *parts = SECTION.split(page.read_text("utf-8"))
    titles, texts = ["", *parts[::2]], [first, *parts[1::2]]
    return {title: _read_step(text) for title, text in zip(titles, texts, strict=True)}


def _read_step(text: str) -> Step:
    blocks = [(found["kind"], found["text"]) for found in BLOCK.finditer(text)]
    assert {kind for kind, _ in blocks} <= KINDS
    commands = tuple(block for kind, block in blocks if kind == "sh")
    promised = "".join(block for kind, block in blocks if kind == "text")
    return Step(commands, tuple(promised.splitlines()))


@dataclass(slots=True)
class Shell:
    """The reader's terminal: one bash."""

    process: "subprocess.Popen[str]"

    def follow(self, step: Step, failing: int = 0) -> str:
        """Type a section's commands; what the page promises must come out, and few may fail."""
        output = "".join(map(self.type, step.commands))
        lines = output.splitlines()
        for promised in step.promised:
            assert promised in lines, f"{promised!r} is not in:\n{output}"
        assert lines.count(FAILED) == failing, output
        return output

    def report_failures(self) -> None:
        """Have each command that fails say so."""
        self.type(f"trap 'echo \"{FAILED}\"' ERR")

    def type(self, commands: str) -> str:
        """Type commands, and return what they print."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{commands}\necho '{END}'\n")
        self.process.stdin.flush()
        lines: list[str] = []
        for line in self.process.stdout:
            if line.strip() == END:
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"the shell ended: {''.join(lines)}")


@contextmanager
def shell(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """Open a terminal in a folder; whatever was started there ends with it."""
    process = subprocess.Popen(
        [shutil.which("bash") or "bash", "--norc", "--noprofile"],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    impatience = threading.Timer(PATIENCE_SECONDS, _end, (process,))
    impatience.start()
    try:
        terminal = Shell(process)
        terminal.report_failures()
        yield terminal
    finally:
        impatience.cancel()
        _end(process)
        process.communicate()


def _end(process: "subprocess.Popen[str]") -> None:
    """End a shell and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, SIGKILL)
