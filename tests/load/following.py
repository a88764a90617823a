"""``make bench``, first part: what ten thousand namespaces cost the webhook and those who ask it.

The API server here is a script, so that the figures are the webhook's own; it runs in a process of
its own, and so does the webhook. Reviews are asked for one at a time, every two milliseconds.
"""

import http.client
import json
import os
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
import yaml
from rich.console import Console
from rich.table import Table

from tests.contract.api_server import poll
from tests.contract.conftest import write_pair
from tests.contract.reviews import encoded

MANY, FEW = 10_000, 10
PACE_SECONDS = 0.002
QUIET_SECONDS = 4.0
RELISTS = 5
EVENTS = 20_000
MEGABYTE = 1_000_000
PROFILES = 3
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass
class Webhook:
    """A webhook that follows, and its API server."""

    process: "subprocess.Popen[bytes]"
    api: "subprocess.Popen[str]"
    context: ssl.SSLContext
    ports: tuple[int, int]
    ready_seconds: float = 0.0

    def tell(self, line: str) -> None:
        """Have the API server do something."""
        assert self.api.stdin is not None
        self.api.stdin.write(line + "\n")
        self.api.stdin.flush()

    def times(self) -> list[tuple[str, float]]:
        """Ask the API server when which request came."""
        self.tell("times")
        assert self.api.stdout is not None
        return [(kind, at) for kind, at in json.loads(self.api.stdout.readline())]

    def count(self, kind: str) -> int:
        """Count the requests of a kind."""
        return sum(found == kind for found, _ in self.times())

    def metric(self, name: str) -> float:
        """Read a metric."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[1], timeout=5)
        with suppress(OSError):
            connection.request("GET", "/metrics")
            found = re.search(
                rf"^{re.escape(name)} (\S+)$",
                connection.getresponse().read().decode(),
                re.MULTILINE,
            )
            return float(found[1]) if found else 0.0
        return 0.0

    def is_ready(self) -> bool:
        """Ask as the kubelet does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[1], timeout=5)
        with suppress(OSError):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False

    def cpu_seconds(self) -> float:
        """Tell how much CPU it has used."""
        fields = (
            Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rsplit(") ", 1)[1].split()
        )
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def peak_mb(self) -> float:
        """Tell how much memory it has had at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1000

    @contextmanager
    def reviewed(self) -> Iterator[list[tuple[float, float]]]:
        """Ask for Pods all the time; the list grows by begin and end of each answer."""
        asked: list[tuple[float, float]] = []
        stopping = threading.Event()
        body = encoded(namespace="team-7")

        def ask() -> None:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.ports[0], context=self.context
            )
            headers = {"Content-Type": "application/json"}
            while not stopping.wait(PACE_SECONDS):
                begun = time.monotonic()
                connection.request("POST", "/mutate?timeout=5s", body, headers)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200
                asked.append((begun, time.monotonic()))
            connection.close()

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield asked
        finally:
            stopping.set()
            thread.join()

    def is_placed(self, namespace: str) -> bool:
        """Tell whether the rule acts on Pods of a namespace."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.ports[0], context=self.context)
        connection.request(
            "POST", "/mutate", encoded(namespace=namespace), {"Content-Type": "application/json"}
        )
        response = json.loads(connection.getresponse().read())["response"]
        connection.close()
        return "patch" in response


@contextmanager
def following(folder: Path, count: int) -> Iterator[Webhook]:
    """Start an API server with so many namespaces and a webhook that follows it."""
    tls = folder / "tls"
    tls.mkdir()
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tls / "ca.crt")
    write_pair(tls, ca.issue_cert("localhost", "127.0.0.1"))
    many = [sys.executable, "-m", "tests.load.many", str(folder), str(count)]
    with subprocess.Popen(many, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as api:
        assert api.stdout is not None
        environment = json.loads(api.stdout.readline())
        kubeconfig = write_kubeconfig(folder, environment["KUBERNETES_SERVICE_PORT"])
        begun = time.monotonic()
        serve = [
            *(sys.executable, "-m", "webhook", "serve", "--kubeconfig", str(kubeconfig)),
            *("--tls-dir", str(tls), "--port=0", "--management-port=0", "--log-format=json"),
        ]
        log = folder / "log"
        with log.open("wb") as output, subprocess.Popen(serve, stderr=output) as process:
            try:
                poll(lambda: "listening for probes" in log.read_text(), "a start", 30)
                webhook = Webhook(
                    process, api, ssl.create_default_context(cafile=tls / "ca.crt"), ports_of(log)
                )
                poll(webhook.is_ready, "readiness", 60)
                webhook.ready_seconds = time.monotonic() - begun
                yield webhook
            finally:
                process.terminate()
                process.terminate()
                assert api.stdin is not None
                api.stdin.close()


def ports_of(log: Path) -> tuple[int, int]:
    """Read from the log where the webhook listens."""
    urls = {
        r["message"]: r["url"]
        for line in log.read_text().splitlines()
        if "url" in (r := json.loads(line))
    }
    reviews, probes = urls["listening for reviews"], urls["listening for probes"]
    return tuple(int(re.findall(r":(\d+)", url)[0]) for url in (reviews, probes))  # type: ignore[return-value]  # two of them


def write_kubeconfig(folder: Path, port: str) -> Path:
    """Write how to reach the API server."""
    account = folder / "serviceaccount"
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority": str(account / "ca.crt"),
    }
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "webhook", "user": {"tokenFile": str(account / "token")}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "webhook"}}],
        "current-context": "here",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def p99(asked: list[tuple[float, float]]) -> float:
    """Give the time in milliseconds within which 99 of 100 answers came."""
    return statistics.quantiles([end - begin for begin, end in asked], n=100)[98] * 1000


def quiet(webhook: Webhook) -> float:
    """Measure reviews while nothing else happens."""
    with webhook.reviewed() as asked:
        time.sleep(QUIET_SECONDS)
    return p99(asked)


def during_relists(webhook: Webhook) -> float:
    """Measure the reviews that had to be answered while a list of all namespaces was read."""
    with webhook.reviewed() as asked:
        for _ in range(RELISTS):
            lists, watches = webhook.count("namespaces list"), webhook.count("namespaces watch")
            webhook.tell("expire")
            poll(lambda n=lists: webhook.count("namespaces list") > n, "a list", 60)  # type: ignore[misc]  # a default that binds
            poll(lambda n=watches: webhook.count("namespaces watch") > n, "a watch", 60)  # type: ignore[misc]  # a default that binds
    windows = relist_windows(webhook.times())
    return p99([a for a in asked if any(a[1] >= begin and a[0] <= end for begin, end in windows)])


def relist_windows(times: list[tuple[str, float]]) -> list[tuple[float, float]]:
    """Tell from the requests when lists were read: from the first page to the watch after it."""
    windows, begin = [], 0.0
    for kind, at in times:
        if kind == "namespaces list":
            begin = begin or at
        elif kind == "namespaces watch" and begin:
            windows.append((begin, at))
            begin = 0.0
    return windows


def during_large_profiles(webhook: Webhook) -> float:
    """Measure the reviews that had to be answered while profiles of a megabyte were read."""
    delayed = []
    for number in range(PROFILES):
        rules = webhook.metric("vci_webhook_profile_rules")
        with webhook.reviewed() as asked:
            begun = time.monotonic()
            webhook.tell(f"profile {MEGABYTE - number * 10_000}")
            poll(lambda n=rules: webhook.metric("vci_webhook_profile_rules") != n, "it", 60)  # type: ignore[misc]  # a default that binds
            ended = time.monotonic()
        delayed += [answer for answer in asked if begun <= answer[1] and answer[0] <= ended]
    return p99(delayed)


def event_microseconds(webhook: Webhook) -> float:
    """Measure the CPU that one watch event costs."""
    before = webhook.cpu_seconds()
    webhook.tell(f"change {EVENTS}")
    poll(lambda: webhook.is_placed("team-3"), "the last event", 60)
    return (webhook.cpu_seconds() - before) / EVENTS * 1e6


def main() -> int:
    """Measure and print one table."""
    with tempfile.TemporaryDirectory(prefix="vci-webhook-following-") as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        few.mkdir()
        many.mkdir()
        with following(few, FEW) as webhook:
            cheap = event_microseconds(webhook)
        with following(many, MANY) as webhook:
            ready, idle = webhook.ready_seconds, quiet(webhook)
            relisting = during_relists(webhook)
            dear = event_microseconds(webhook)
            memory = webhook.peak_mb()
            parsing = during_large_profiles(webhook)
    table = Table("figure", "measured", "goal", title=f"{MANY:,} namespaces", title_justify="left")
    table.add_row("start to ready", f"{ready:.1f} s", "< 3 s")
    table.add_row("memory at most, all in all", f"{memory:.0f} MB", "<= 150 MB")
    table.add_row("p99 of reviews", f"{idle:.1f} ms", "")
    table.add_row("p99 while they are listed again", f"{relisting:.1f} ms", "+ 50 ms at most")
    table.add_row("p99 while profiles of 1 MB are read", f"{parsing:.1f} ms", "+ 50 ms at most")
    table.add_row(f"CPU of a watch event, {MANY:,} namespaces", f"{dear:.0f} µs", f"as with {FEW}")
    table.add_row(f"CPU of a watch event, {FEW} namespaces", f"{cheap:.0f} µs", "")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
