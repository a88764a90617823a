"""Starts what is tested: the command as a process, or its server in a thread of the tests."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from tests.contract.client import Connection, Response, trusting
from webhook.limits import Limits
from webhook.metrics import Metrics
from webhook.port import bind
from webhook.server import WebhookServer
from webhook.state import Fixed, Snapshot, Source, State
from webhook.tls_pair import TlsFiles
from webhook.tls_reload import POLL_SECONDS, ServingCertificate

DEADLINE_SECONDS = 20.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll a condition; fail with what was waited for."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


@dataclass(frozen=True)
class Files:
    """What a server is started on."""

    profile: Path
    namespaces: Path
    tls_dir: Path
    ca_file: Path | None = None  # when it is not in there

    @property
    def ca(self) -> Path:
        """The CA that a client trusts."""
        return self.ca_file or self.tls_dir / "ca.crt"

    def flags(self) -> list[str]:
        """Name the files as ``serve`` wants them."""
        return [
            f"--profile={self.profile}",
            f"--namespaces={self.namespaces}",
            f"--tls-dir={self.tls_dir}",
        ]


def command(*arguments: str) -> list[str]:
    """Make the command line of ``vci-webhook`` under this interpreter."""
    return [sys.executable, "-m", "webhook", *arguments]


def run_command(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run ``vci-webhook`` to its end."""
    return subprocess.run(
        command(*arguments),
        env=_environment(**environment),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def _environment(**extra: str) -> dict[str, str]:
    """Give our environment without any setting of the webhook's, and with these."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("VCI_WEBHOOK")}
    return {**ours, **extra}


@dataclass
class ServeProcess:
    """A running ``vci-webhook serve``, and what it has logged so far."""

    process: "subprocess.Popen[bytes]"
    log_file: Path
    ca: Path
    url: str = ""
    probe_url: str = ""

    @property
    def log(self) -> str:
        """Everything on stderr."""
        return self.log_file.read_text()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The log, record by record."""
        return [json.loads(line) for line in self.log.splitlines()]

    def url_of(self, message: str) -> str:
        """Give the URL logged with a message, in either format; empty while there is none."""
        found = re.search(rf'{message}.*?(http[^"\s]+)"?}}?\n', self.log)
        return found[1] if found else ""

    def wait_until_serving(self) -> None:
        """Wait for both addresses."""
        wait_until(lambda: bool(self.url_of("listening for probes")), f"a start; log: {self.log}")
        self.url = self.url_of("listening for reviews")
        self.probe_url = self.url_of("listening for probes")

    def connect(self, *alpn: str) -> Connection:
        """Open a TLS connection to the port for reviews."""
        return Connection(self.url, trusting(self.ca, *alpn))

    def post(self, body: bytes) -> Response:
        """Send one review on a connection of its own."""
        with self.connect() as connection:
            return connection.post(body)

    def probe(self, path: str) -> Response:
        """Ask the management port."""
        with Connection(self.probe_url) as connection:
            return connection.request("GET", path)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end, and give the exit status."""
        return self.process.wait(DEADLINE_SECONDS)


@contextmanager
def serve_process(files: Files, log_file: Path, *flags: str) -> Iterator[ServeProcess]:
    """Run ``vci-webhook serve`` on free ports; it is gone afterwards, however the test ended."""
    every_line = "--log-reviews-per-second=1000000"  # unless the test wants another number
    ports = ("--port=0", "--management-port=0")
    arguments = [*ports, "--log-format=json", every_line, *flags]
    with log_file.open("wb") as stderr:
        process = subprocess.Popen(
            command("serve", *files.flags(), *arguments), env=_environment(), stderr=stderr
        )
        try:
            server = ServeProcess(process, log_file, files.ca)
            server.wait_until_serving()
            yield server
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a server in order, so that what it ran is measured; by force when it does not end."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class ServerThread:
    """The server in a thread: real sockets and TLS, and a source of the test's choice."""

    source: Source
    ca: Path
    metrics: Metrics = field(default_factory=Metrics)
    limits: Limits = field(default_factory=lambda: Limits(drain_seconds=0))
    url: str = ""
    probe_url: str = ""
    _loop: asyncio.AbstractEventLoop = field(default_factory=uvloop.new_event_loop)

    @property
    def state(self) -> State:
        """What the server knows; a test may replace it."""
        return self.source.state

    def connect(self) -> Connection:
        """Open a TLS connection to the port for reviews."""
        return Connection(self.url, trusting(self.ca))

    def probe(self, path: str) -> Response:
        """Ask the management port."""
        with Connection(self.probe_url) as connection:
            return connection.request("GET", path)

    def metric(self, name: str, **labels: str) -> float:
        """Give a metric's value; 0 when there is none."""
        return self.metrics.registry.get_sample_value(f"vci_webhook_{name}", labels) or 0.0

    @contextmanager
    def running(
        self, files: TlsFiles, poll_seconds: float = POLL_SECONDS, *, wait: bool = False
    ) -> Iterator["ServerThread"]:
        """Serve until the block ends; ``wait``: as in a Pod, also while there is no certificate."""
        certificate = ServingCertificate(files, self.metrics, poll_seconds=poll_seconds)
        certificate.load(wait=wait)
        with bind("127.0.0.1", 0, "port") as tls, bind("127.0.0.1", 0, "port") as management:
            self.url = f"https://127.0.0.1:{tls.getsockname()[1]}/mutate"
            self.probe_url = f"http://127.0.0.1:{management.getsockname()[1]}"
            server = WebhookServer(
                self.source, certificate, (tls, management), self.limits, self.metrics
            )
            thread = threading.Thread(target=self._run, args=(server,), name="webhook")
            thread.start()
            try:
                yield self
            finally:
                self._loop.call_soon_threadsafe(server.stop)
                thread.join()

    def _run(self, server: WebhookServer) -> None:
        """Be the thread."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(server.run())


@contextmanager
def serve_thread(
    files: TlsFiles,
    ca: Path | None = None,
    poll_seconds: float = POLL_SECONDS,
    limits: Limits | None = None,
) -> Iterator[ServerThread]:
    """Run the server in a thread, on a snapshot that the test replaces."""
    server = ServerThread(Fixed(State(Snapshot())), ca or files.directory / "ca.crt")
    server.limits = limits or server.limits
    with server.running(files, poll_seconds):
        yield server
