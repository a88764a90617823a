"""``make bench``: reviews per second on one core, beside a bare ASGI application in the same run.

Absolute numbers say more about the machine than about the server. So each round measures both, one
right after the other, and what counts is the ratio. The server has core 0 to itself, the client
core 1; a round in which a server had to wait, for the client or because others used its core,
says nothing and is repeated.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from rich.console import Console
from rich.table import Table

from tests.contract.serving import Files, serve_process
from tests.load.client import Load

ROOT = Path(__file__).parents[2]
REVIEWS = ("agent", "steps-hello1")  # 7 KB and 11 KB: an agent's Pod, and an ordinary step's
CONNECTIONS = 16
ROUNDS = 9
ATTEMPTS = 36
ROUND_SECONDS = 0.7
BUSY_ENOUGH = 0.9
GOAL = 0.70
SERVER_CORE, CLIENT_CORE = 0, 1
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figures:
    """What one server did in one round."""

    per_second: float
    cpu_microseconds: float
    busy: float


Round = tuple[Figures, Figures]  # the bare server, the webhook


@dataclass(frozen=True)
class Contender:
    """A running server, and the connections to it."""

    pid: int
    load: Load

    def measure(self, body: bytes, seconds: float = ROUND_SECONDS) -> Figures:
        """Keep the server busy for a while."""
        before = _cpu_seconds(self.pid)
        answers, elapsed = self.load.run(body, seconds)
        used = _cpu_seconds(self.pid) - before
        return Figures(answers / elapsed, used / answers * 1e6, used / elapsed)


def main() -> int:
    """Measure, print one table, and return 0."""
    console = Console()
    _pin(os.getpid(), CLIENT_CORE)
    table = _table()
    with tempfile.TemporaryDirectory(prefix="vci-webhook-bench-") as folder:
        tls_dir = _issue(Path(folder))
        for name in REVIEWS:
            body = (ROOT / "tests" / "recorded" / f"{name}.json").read_bytes()
            with _contenders(tls_dir, body) as (bare, webhook):
                rounds = _rounds(bare, webhook, body, console)
            _report(table, f"{name}, {len(body) / 1000:.1f} KB", rounds)
    console.print(table)
    return 0


@contextmanager
def _contenders(tls_dir: Path, body: bytes) -> Iterator[tuple[Contender, Contender]]:
    """Start the webhook, and a bare server that answers as many bytes as the webhook does."""
    files = Files(ROOT / "examples/vci-profile.yaml", ROOT / "examples/namespace.yaml", tls_dir)
    with ExitStack() as stack:
        server = stack.enter_context(serve_process(files, tls_dir / "log"))
        port = int(server.url.split(":")[2].split("/", maxsplit=1)[0])
        webhook = _contender(stack, server.process.pid, port, files.ca)
        answer = webhook.load.ask(body).body
        assert json.loads(answer)["response"]["patchType"] == "JSONPatch", answer
        bare = _contender(stack, *_start_echo(stack, tls_dir, len(answer)), files.ca)
        yield bare, webhook


def _contender(stack: ExitStack, pid: int, port: int, ca: Path) -> Contender:
    """Pin a server to its core and connect to it."""
    _pin(pid, SERVER_CORE)
    load = Load(port, ca, CONNECTIONS)
    stack.callback(load.close)
    return Contender(pid, load)


def _start_echo(stack: ExitStack, tls_dir: Path, answer_bytes: int) -> tuple[int, int]:
    """Start the bare server; return its process id and port."""
    command = [sys.executable, "-m", "tests.load.echo", str(tls_dir), str(answer_bytes)]
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    stack.callback(process.kill)
    assert process.stdout is not None
    return process.pid, int(process.stdout.readline())


def _rounds(bare: Contender, webhook: Contender, body: bytes, console: Console) -> list[Round]:
    """Measure both in turn until enough rounds count; each is idle while the other is measured."""
    for contender in (bare, webhook):
        contender.measure(body)
    rounds: list[Round] = []
    good: list[Round] = []
    while len(good) < ROUNDS and len(rounds) < ATTEMPTS:
        figures = bare.measure(body), webhook.measure(body)
        rounds.append(figures)
        if min(each.busy for each in figures) >= BUSY_ENOUGH:
            good.append(figures)
    if len(good) == ROUNDS:
        return good
    console.print(
        f"only {len(good)} of {ATTEMPTS} rounds had busy servers: this machine does something else "
        "too, so all rounds are shown; compare the processor time rather than the rate",
        style="yellow",
    )
    return rounds


def _table() -> Table:
    """Make the table's head."""
    table = Table(
        title=f"One core, {CONNECTIONS} TLS connections kept alive: median (least to most)",
        title_justify="left",
    )
    table.add_column("review")
    table.add_column("server")
    for heading in ("reviews/s", "µs of processor each", f"ratio, goal {GOAL:.2f}"):
        table.add_column(heading, justify="right")
    return table


def _report(table: Table, review: str, rounds: list[Round]) -> None:
    """Add the row of each server."""
    for index, server in enumerate(("bare ASGI", "webhook")):
        ratios = [figures[index].per_second / figures[0].per_second for figures in rounds]
        table.add_row(
            "" if index else review,
            server,
            _spread([figures[index].per_second for figures in rounds], ",.0f"),
            _spread([figures[index].cpu_microseconds for figures in rounds], ".0f"),
            _spread(ratios, ".2f") if index else "1",
        )
    table.add_section()


def _spread(figures: list[float], form: str) -> str:
    """Write a median with the least and the most."""
    least, most = min(figures), max(figures)
    return f"{statistics.median(figures):{form}} ({least:{form}} to {most:{form}})"


def _issue(folder: Path) -> Path:
    """Make a serving certificate with an ECDSA key, and the CA beside it."""
    ca = trustme.CA()
    leaf = ca.issue_cert("localhost", "127.0.0.1")
    ca.cert_pem.write_to_path(folder / "ca.crt")
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    leaf.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    return folder


def _pin(pid: int, core: int) -> None:
    """Keep a process on one core, where there are two."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


def _cpu_seconds(pid: int) -> float:
    """Give the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


if __name__ == "__main__":
    sys.exit(main())
