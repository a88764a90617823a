"""The real webhook: certificates by ``certs issue``, the server by ``vci-webhook serve``."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT
from tempfile import mkdtemp

import yaml

from tests.cluster.client import Object
from tests.cluster.process import free_port, running, wait_until_ready


@dataclass(frozen=True, slots=True)
class Served:
    """A webhook that answers."""

    url: str
    authority: bytes
    name: str = ""  # in the configuration, and so in the API server's log and metrics


@contextmanager
def serve(log: Path, profile: Path, namespaces: list[Object]) -> Iterator[Served]:
    """Serve a profile for some namespaces until the block ends."""
    folder = Path(mkdtemp(prefix="webhook-", dir=log.parent))
    issue = [sys.executable, "-m", "certs", "issue", "--dir", str(folder), "--ip", "127.0.0.1"]
    subprocess.run(issue, check=True, capture_output=True)
    manifests = folder / "namespaces.yaml"
    manifests.write_text(yaml.safe_dump_all(namespaces), "utf-8")
    port, management_port = free_port(), free_port()
    command: list[str | Path] = [
        *(sys.executable, "-m", "webhook", "serve"),
        *("--profile", profile, "--namespaces", manifests, "--tls-dir", folder),
        *("--port", str(port), "--management-port", str(management_port)),
    ]
    with running(command, log, stop_signal=SIGINT) as process:
        ready = f"http://127.0.0.1:{management_port}/readyz"
        wait_until_ready(process, log, lambda: _answers(ready), seconds=15)
        url = f"https://127.0.0.1:{port}/mutate"
        yield Served(url, (folder / "ca.crt").read_bytes())


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 - our own loopback
            return bool(response.status == 200)
    except OSError:
        return False
