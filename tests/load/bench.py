"""``make bench``: how fast, as ratios to what the same machine does at the same moment.

Measures everything, prints one table, writes docs/performance.{json,md,svg} and README's figures,
and ends with status 1 when a ratio is worse by a tenth than the committed one. ``--quick`` measures
in few rounds and writes nothing; nor does a run on a machine that was busy with something else.
"""

import argparse
import json
import os
import platform
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.cluster.binaries import BuildError, UnavailableError
from tests.load import creates, functions, layers, page, peers, plot, rates, scale, starting
from tests.load.contenders import PEERS, Server, issue, servers
from tests.load.figures import KEPT, Figures, Row, read_committed, regressions
from tests.load.reviews import of_new_shape, recorded

REVIEWS = {"7 KB": "agent", "11 KB": "steps-hello1"}
SMALL = "7 KB"
NEW_SHAPES = f"{SMALL}, each Pod of a new shape"
QUICK_ROUNDS = 3
LIBRARIES = ("uvicorn", "uvloop", "httptools", "msgspec", "fastapi")
MODULES = ("k8s.io/api", "sigs.k8s.io/controller-runtime")


class Bench:
    """One run: rows and details as they are found."""

    def __init__(self, console: Console, *, quick: bool) -> None:
        self.rows: list[Row] = []
        self.details: dict[str, Any] = {"reviews": {}, "connections": {}, "creates": {}}
        self.quiet = True
        self._console = console
        self._quick = quick

    def run(self) -> None:
        """Measure everything."""
        programs = self._peers()
        bodies = {name: recorded(recording) for name, recording in REVIEWS.items()}
        bodies[NEW_SHAPES] = of_new_shape(bodies[SMALL])
        for name, body in bodies.items():
            self._reviews(name, body, programs)
        self._connections(bodies[SMALL], programs)
        self._functions(bodies[SMALL])
        self._creates(programs)
        self._say("reviews without a server, rules and namespaces")
        self.details["review_microseconds"] = {
            name: layers.review_microseconds(recorded(each)) for name, each in REVIEWS.items()
        }
        self.rows += scale.rows(scale.measure(self._rounds(scale.ROUNDS)))
        self._starting()

    def _say(self, what: str) -> None:
        self._console.print(f"measuring: {what}", style="dim")

    def _rounds(self, usual: int) -> int:
        return QUICK_ROUNDS if self._quick else usual

    def _peers(self) -> Mapping[str, Path]:
        """Build the Go webhooks; without Go there is less to compare with."""
        try:
            return peers.build()
        except (UnavailableError, BuildError) as error:
            self._console.print(f"without the Go webhooks: {error}", style="yellow")
            return {}

    def _reviews(self, name: str, body: bytes, programs: Mapping[str, Path]) -> None:
        """Measure reviews on connections kept alive."""
        with tempfile.TemporaryDirectory(prefix="vci-webhook-bench-") as folder:
            tls_dir = issue(Path(folder))
            with servers(tls_dir, body, programs) as started:
                self._say(f"reviews of {name}, connections kept alive")
                rounds, quiet = rates.kept_alive(started, tls_dir, body, self._rounds(rates.ROUNDS))
                self.quiet = self.quiet and quiet
                goals = rates.GOALS if name in REVIEWS else {}
                self.rows += rates.rate_rows(f"reviews/s, {name}", rounds, goals, quiet=quiet)
                self.details["reviews"][name] = rates.summed_up(rounds)
                if name == SMALL:
                    self._say(f"reviews of {name}, one every 5 ms")
                    found = rates.paced(started, tls_dir, body)
                    self.details["paced"] = {f"{name}, one every 5 ms": rates.summed_up(found)}

    def _connections(self, body: bytes, programs: Mapping[str, Path]) -> None:
        """Measure a new connection for each review."""
        with tempfile.TemporaryDirectory(prefix="vci-webhook-bench-") as folder:
            tls_dir = issue(Path(folder))
            with servers(tls_dir, body, programs) as started:
                self._new_connections(started, body)

    def _new_connections(self, started: Sequence[Server], body: bytes) -> None:
        for resume, name in ((False, "full handshake"), (True, "resumed")):
            self._say(f"a new connection for each review, {name}")
            rounds, shares = rates.new_connections(
                started, body, resume=resume, rounds=self._rounds(rates.NEW_ROUNDS)
            )
            group = f"new connection, {name}"
            self.rows += rates.new_rows(group, rounds, None if resume else rates.NEW_GOAL)
            self.details["connections"][group] = rates.summed_up(rounds)
            if resume:
                self.details["resumed"] = shares

    def _functions(self, body: bytes) -> None:
        """Sample where the time goes."""
        self._say("where the time goes")
        with tempfile.TemporaryDirectory(prefix="vci-webhook-bench-") as folder:
            tls_dir = issue(Path(folder))
            with servers(tls_dir, body, {}) as started:
                self.details["functions"] = {
                    each.name: functions.measure(each, tls_dir, body) for each in started
                }

    def _creates(self, programs: Mapping[str, Path]) -> None:
        """Measure creates through an API server, where nothing outside sees it."""
        self._say("creates through a real API server")
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [sys.executable, "-m", "tests.load.creates", file.name]
            command += [str(self._rounds(creates.ROUNDS)), *map(str, programs.values())]
            if subprocess.run(command, check=False).returncode:
                self._console.print("without creates: the control plane is missing", style="yellow")
                return
            rounds = json.loads(Path(file.name).read_text("utf-8"))
        self.rows += creates.rows(rounds)
        self.details["creates"] = creates.summed_up(rounds)

    def _starting(self) -> None:
        """Measure starts and memory."""
        self._say("starts and memory")
        with tempfile.TemporaryDirectory(prefix="vci-webhook-bench-") as folder:
            found = starting.measure(Path(folder), self._rounds(starting.STARTS))
        self.rows += starting.rows(*found)
        self.details["starts"], self.details["megabytes"] = found

    def complete(self) -> bool:
        """Tell whether nothing is missing: only then it is worth keeping."""
        measured = self.details["reviews"][SMALL]
        return bool(self.details["creates"]) and PEERS.keys() <= measured.keys()

    def figures(self) -> Figures:
        """Return everything, with what it was measured on."""
        date = datetime.now(UTC).date().isoformat()
        return Figures(date, _machine(), _versions(), self.quiet, self.rows, self.details)


def _machine() -> dict[str, str]:
    """Tell what matters about this machine."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
    }


def _versions() -> dict[str, str]:
    """Tell the versions of what was measured."""
    modules = (peers.SOURCES / "go.mod").read_text("utf-8")
    go = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False)
    found = {name: re.search(rf"{re.escape(name)} v(\S+)", modules) for name in MODULES}
    return {
        "Python": platform.python_version(),
        "OpenSSL": ssl.OPENSSL_VERSION.split()[1],
        **{name: version(name) for name in LIBRARIES},
        "Go": go.stdout.strip().removeprefix("go") or "none",
        **{name: match[1] if match else "" for name, match in found.items()},
    }


def table(rows: Sequence[Row]) -> Table:
    """Show all ratios."""
    shown = Table(title="Median (least to most)", title_justify="left")
    shown.add_column("what")
    for heading in ("found", "goal"):
        shown.add_column(heading, justify="right")
    shown.add_column("reached")
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            shown.add_section()
            shown.add_row(f"[bold]{group}[/]")
        style = {"yes": "green", "no": "red", "": None}[row.verdict()]
        shown.add_row(row.what, row.value(), row.goal_text(), row.verdict(), style=style)
    return shown


def main() -> int:
    """Measure, show, write and compare; status 1 says that something became slower."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, and write nothing")
    parser.add_argument("--write", action="store_true", help="keep also what a busy machine gave")
    options = parser.parse_args()
    console = Console()
    bench = Bench(console, quick=options.quick)
    bench.run()
    figures = bench.figures()
    console.print(table(figures.rows))
    if not bench.quiet:
        console.print(
            "this machine did something else too: reviews are compared by processor time, not by "
            "rate, and nothing is written (unless --write is given)",
            style="yellow",
        )
    committed = read_committed()
    if not options.quick and bench.complete() and (bench.quiet or options.write):
        KEPT.write_text(figures.text(), "utf-8")
        page.write(figures)
        plot.write(page.PLOT, figures.details)
    return _compare(console, figures, committed)


def _compare(console: Console, figures: Figures, committed: Figures | None) -> int:
    """Say what became slower than it was; return the exit status."""
    if committed is None:
        console.print("nothing to compare with yet")
        return 0
    worse = list(regressions(figures.rows, committed.rows))
    told = "slower than committed" if figures.quiet else "perhaps slower than committed"
    for line in worse:
        console.print(f"{told}: {line}", style="bold red", soft_wrap=True)
    if not worse:
        console.print(f"no ratio is worse by a tenth than on {committed.date}")
    return 1 if worse and figures.quiet else 0


if __name__ == "__main__":
    sys.exit(main())
