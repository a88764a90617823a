"""Hours of work leave nothing behind: memory and open files are flat, whoever else is on the line.

Half a minute of it is part of each run; ``make soak`` takes half an hour.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.contract.resident import resident_mib
from tests.contract.serving import Files, ServeProcess, serve_process, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
LONG = os.environ.get("VCI_WEBHOOK_SOAK") == "1"
SECONDS = float(os.environ.get("VCI_WEBHOOK_SOAK_SECONDS", "1800" if LONG else "24"))
RATE = 300
WARM_UP_SECONDS = 3.0  # all code has been run once, all caches have been filled
LOOK_SECONDS = 0.2
GROWTH = 1.02 if LONG else 1.05  # in seconds, allocators have not found their level
SPARE_FILES = 4
BUDGET_SECONDS = 5.0


@dataclass
class Watched:
    """What a server held, moment by moment."""

    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self, server: ServeProcess) -> None:
        """Take note of this moment."""
        self.memory.append(resident_mib(server))
        self.files.append(open_files(server))

    def thirds(self) -> tuple[float, float]:
        """Give the memory of the middle third and of the last."""
        third = len(self.memory) // 3
        middle, last = self.memory[third : 2 * third], self.memory[2 * third :]
        return statistics.mean(middle), statistics.mean(last)


def open_files(server: ServeProcess) -> int:
    """Count what a server has open."""
    return sum(1 for _ in Path(f"/proc/{server.process.pid}/fd").iterdir())


@contextmanager
def nuisance(server: ServeProcess) -> Iterator[None]:
    """Have a bad client beside the good ones."""
    program = [sys.executable, "-m", "tests.contract.nuisance", server.url, str(server.ca), "1"]
    process = subprocess.Popen(program)
    try:
        yield
        assert process.poll() is None, "it has nothing more to do"
    finally:
        process.kill()
        process.wait()


def steady(server: ServeProcess, seconds: float) -> "subprocess.Popen[bytes]":
    """Start the good client."""
    program = [sys.executable, "-m", "tests.contract.steady", server.url, str(server.ca)]
    return subprocess.Popen([*program, str(seconds), str(RATE)], stdout=subprocess.PIPE)


def test_memory_and_files_are_flat(tls_dir: Path, tmp_path: Path) -> None:
    """At 300 reviews a second, a fuzz client beside them, nothing grows and all is answered."""
    example = Files(EXAMPLES / "vci-profile.yaml", EXAMPLES / "namespace.yaml", tls_dir)
    quick = "--request-seconds=2"  # so that what the bad client leaves is soon over
    log_file = tmp_path / "log"
    watched = Watched()
    with serve_process(example, log_file, quick, "--log-reviews-per-second=10") as server:
        files_before = open_files(server)
        with nuisance(server):
            steady(server, WARM_UP_SECONDS).communicate()
            client = steady(server, SECONDS)
            while client.poll() is None:
                watched.look(server)
                time.sleep(LOOK_SECONDS)
        told = json.loads(client.communicate()[0])  # closes the pipe too
        wait_until(
            lambda: open_files(server) <= files_before + SPARE_FILES, "what was opened to be closed"
        )
    middle, last = watched.thirds()
    third = len(watched.files) // 3
    print(f"memory: {middle:.1f} MiB, then {last:.1f} MiB; slowest answer {told['slowest']:.3f} s")
    assert told["statuses"] == {"200": int(SECONDS * RATE)}
    assert told["slowest"] < BUDGET_SECONDS
    assert last < middle * GROWTH, (middle, last)
    assert max(watched.files[2 * third :]) <= max(watched.files[: 2 * third]) + SPARE_FILES
    assert "traceback" not in log_file.read_text().lower()
