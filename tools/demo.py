"""``make demo``: the real server, real reviews over TLS, and what happened to each Pod.

The reviews were recorded from a real API server and a real Argo controller (``make record``). Exit
status 0 only if every Pod was placed on VCI.
"""

import base64
import contextlib
import difflib
import http.client
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch
import yaml
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
PROFILE = ROOT / "examples" / "vci-profile.yaml"
NAMESPACES = ROOT / "examples" / "namespace.yaml"
RECORDED = ROOT / "tests" / "recorded"
WORKFLOWS = ("steps-hello", "blender-render")
START_SECONDS = 10.0
WIDTH = 110  # of the diff; a narrower terminal folds lines, a wider one gains nothing


@dataclass(frozen=True, slots=True)
class Placed:
    """One Pod, before and after its review."""

    before: dict[str, Any]
    after: dict[str, Any]
    decision: str
    rule: str
    milliseconds: float

    @property
    def template(self) -> str:
        """The workflow's template that the Pod runs."""
        for container in self.before["spec"]["containers"]:
            for variable in container.get("env", ()):
                if variable["name"] == "ARGO_TEMPLATE":
                    return str(json.loads(variable["value"])["name"])
        return "-"


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def served(directory: Path) -> Iterator[int]:
    """Issue certificates, start the server, yield its port when it is ready, stop it."""
    issue = [sys.executable, "-m", "certs", "issue", "--dir", str(directory)]
    names = ["--dns", "localhost", "--ip", "127.0.0.1"]
    subprocess.run([*issue, *names], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    port, management = free_port(), free_port()
    flags = {
        "profile": PROFILE,
        "namespaces": NAMESPACES,
        "tls-dir": directory,
        "port": port,
        "management-port": management,
    }
    command = [sys.executable, "-m", "webhook", "serve"]
    command += [str(part) for name, value in flags.items() for part in (f"--{name}", value)]
    with (directory / "server.log").open("w+") as log:
        server = subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=log)
        try:
            _wait_until_ready(management, server, log.name)
            yield port
        finally:
            server.kill()
            server.wait()


def _wait_until_ready(port: int, server: subprocess.Popen[bytes], log: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.02)
    sys.exit(f"the server did not become ready; it said:\n{Path(log).read_text()}")


def send(connection: http.client.HTTPSConnection, body: bytes) -> Placed:
    """Send one review as an API server does, and apply the patch that comes back."""
    started = time.perf_counter()
    headers = {"Content-Type": "application/json", "User-Agent": "kube-apiserver-admission"}
    connection.request("POST", "/mutate?timeout=5s", body, headers)
    answer = connection.getresponse()
    text = answer.read()
    milliseconds = 1000 * (time.perf_counter() - started)
    if answer.status != http.HTTPStatus.OK:
        sys.exit(f"the server answered {answer.status}: {text.decode()}")
    response = json.loads(text)["response"]
    before = json.loads(body)["request"]["object"]
    patch = json.loads(base64.b64decode(response.get("patch", "W10=")))
    audit = response.get("auditAnnotations", {})
    return Placed(
        before,
        jsonpatch.apply_patch(before, patch),
        audit.get("decision", "untouched"),
        audit.get("rule", ""),
        milliseconds,
    )


def table_of(pods: list[Placed]) -> Table:
    """Return one row for each Pod."""
    table = Table(title="What the webhook did to each Pod", title_justify="left")
    for heading in ("Pod", "template", "decision", "rule"):
        table.add_column(heading)
    table.add_column("ms", justify="right")
    for pod in pods:
        style = "green" if pod.decision == "enforce" else "bold red"
        name = pod.before["metadata"]["name"]
        decision = f"[{style}]{pod.decision}[/]"
        table.add_row(name, pod.template, decision, pod.rule, f"{pod.milliseconds:.1f}")
    return table


def difference(pod: Placed) -> str:
    """Return a unified diff of the Pod's YAML, without the record of who manages which field."""
    before, after = _lines(pod.before), _lines(pod.after)
    names = "as Argo wrote it", "as it was created"
    lines = difflib.unified_diff(before, after, *names, n=2, lineterm="")
    return "\n".join(lines)


def _lines(pod: dict[str, Any]) -> list[str]:
    metadata = {name: value for name, value in pod["metadata"].items() if name != "managedFields"}
    return yaml.safe_dump({**pod, "metadata": metadata}, sort_keys=False, width=WIDTH).splitlines()


def main() -> None:
    """Run the demonstration."""
    console = Console(highlight=False)
    reviews = [
        path.read_bytes()
        for workflow in WORKFLOWS
        for path in sorted(RECORDED.glob(f"{workflow}*.json"), key=lambda p: (len(p.name), p.name))
    ]
    console.print(
        f"Profile [bold]{PROFILE.relative_to(ROOT)}[/], namespace label [bold]vci=true[/], "
        f"{len(reviews)} reviews of two Argo workflows, over TLS\n"
    )
    with (
        tempfile.TemporaryDirectory(prefix="vci-webhook-demo-") as directory,
        served(Path(directory)) as port,
    ):
        trusted = ssl.create_default_context(cafile=Path(directory) / "ca.crt")
        connection = http.client.HTTPSConnection("localhost", port, context=trusted, timeout=5)
        pods = [send(connection, review) for review in reviews]
        connection.close()
    console.print(table_of(pods))
    console.print(
        f"\n[bold]One of them, {pods[0].before['metadata']['name']}, before and after[/]\n"
    )
    console.print(Syntax(difference(pods[0]), "diff", theme="ansi_dark", word_wrap=True))
    placed = sum(pod.decision == "enforce" for pod in pods)
    console.print(f"\n{placed} of {len(pods)} Pods placed on VCI")
    sys.exit(placed != len(pods))


if __name__ == "__main__":
    main()
