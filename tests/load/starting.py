"""How long a start takes, and how much memory the server has, idle and after work.

It follows a cluster, as in production, whose API server is a script: so the figures are the
webhook's own.
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cluster.process import free_port
from tests.contract.reviews import encoded
from tests.load.client import Load
from tests.load.contenders import CLIENT_CORE, SERVER_CORE, WEBHOOK, Server, issue, on_core
from tests.load.figures import Row, Spread
from tests.load.following import write_kubeconfig

RULES, NAMESPACES = 100, 100
STARTS = 5
POLL_SECONDS = 0.002
DEADLINE_SECONDS = 30.0
PERIODS, PERIOD_SECONDS = 6, 1.5
CONNECTIONS = 16

READY_GOAL_SECONDS = 1.0
MEMORY_GOAL_MB = 100.0
GROWTH_GOAL = 1.02


@contextmanager
def scripted_api_server(folder: Path) -> Iterator[Path]:
    """Run an API server with a profile of many rules; the block gets a kubeconfig for it."""
    command = [sys.executable, "-m", "tests.load.many", str(folder), str(NAMESPACES), str(RULES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as api:
        assert api.stdin is not None
        assert api.stdout is not None
        port = json.loads(api.stdout.readline())["KUBERNETES_SERVICE_PORT"]
        try:
            yield write_kubeconfig(folder, port)
        finally:
            api.stdin.close()


@contextmanager
def started(kubeconfig: Path, tls_dir: Path) -> Iterator[tuple[Server, float]]:
    """Start the webhook; the block gets it, and the seconds until it said that it was ready."""
    port, management_port = free_port(), free_port()
    command = [
        *(sys.executable, "-m", "webhook", "serve", "--kubeconfig", str(kubeconfig)),
        *("--tls-dir", str(tls_dir), "--port", str(port)),
        *("--management-port", str(management_port), "--log-format=json"),
    ]
    with (tls_dir / "log").open("wb") as log, on_core(SERVER_CORE):
        begun = time.monotonic()
        process = subprocess.Popen(command, stderr=log)
    try:
        while not _is_ready(management_port):
            assert time.monotonic() < begun + DEADLINE_SECONDS, (tls_dir / "log").read_text()
            time.sleep(POLL_SECONDS)
        yield Server(WEBHOOK, process.pid, port), time.monotonic() - begun
    finally:
        process.kill()
        process.wait()


def _is_ready(port: int) -> bool:
    """Ask as the kubelet does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def measure(folder: Path, starts: int = STARTS) -> tuple[list[float], list[float]]:
    """Return the seconds of each start, and the megabytes idle and after each period of work."""
    tls_dir = folder / "tls"
    tls_dir.mkdir()
    issue(tls_dir)
    with scripted_api_server(folder) as kubeconfig, on_core(CLIENT_CORE):
        seconds = []
        for _ in range(starts):
            with started(kubeconfig, tls_dir) as (_, taken):
                seconds.append(taken)
        with started(kubeconfig, tls_dir) as (server, _):
            return seconds, [server.resident_mb(), *_worked(server, tls_dir / "ca.crt")]


def _worked(server: Server, ca: Path) -> Iterator[float]:
    """Have it work, period after period."""
    body = encoded(namespace="team-7")
    for _ in range(PERIODS):
        load = Load(server.port, ca, CONNECTIONS)
        load.run(body, PERIOD_SECONDS)
        load.close()
        yield server.resident_mb()


def rows(seconds: Sequence[float], megabytes: Sequence[float]) -> Iterator[Row]:
    """Tell what was found; growth is the last third of the work against the middle third."""
    start = f"start to ready, a profile of {RULES} rules"
    yield Row("start", start, Spread.of(seconds), READY_GOAL_SECONDS, at_most=True, unit="s")
    idle, *worked = megabytes
    third = len(worked) // 3
    last, middle = worked[-third:], worked[-2 * third : -third]
    memory = {"idle": [idle], "after the load": last}
    for name, found in memory.items():
        goal = MEMORY_GOAL_MB
        yield Row("memory", name, Spread.of(found), goal, at_most=True, unit="MB")
    growth = [after / before for before, after in zip(middle, last, strict=True)]
    yield Row("memory", "late against earlier", Spread.of(growth), GROWTH_GOAL, at_most=True)
