"""What is measured: the webhook, a bare ASGI application, Go webhooks; and how each is started.

All get the same review and, the bare application aside, make the same changes to its Pod: that is
asserted before anything is measured. The Go webhooks learn the changes when they start; they have
no rules, no log and no namespaces to look up.
"""

import json
import os
import socket
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch
import trustme

from tests.cluster.process import free_port
from tests.contract.serving import Files, serve_process
from tests.load.client import Load
from tests.load.reviews import ROOT, first
from webhook.limits import Limits

SERVER_CORE, CLIENT_CORE = 0, 1
START_SECONDS = 20.0
CPU_CLOCK = 2  # of a whole process, in the kernel's numbering of clocks

# For each read the event loop takes a quarter of a megabyte and gives it back. Whether that costs
# three page faults, and half as much time again, depends on what else lies on the heap. So that
# luck does not decide how fast the reference is, it never gives memory back to the kernel.
KEEP_MEMORY = {
    "MALLOC_TOP_PAD_": str(16 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}

Object = dict[str, Any]
BARE, WEBHOOK = "bare ASGI", "webhook"
LEAN, PLAIN, RUNTIME = "net/http, own structs", "net/http", "controller-runtime"
ORDER = (BARE, WEBHOOK, LEAN, PLAIN, RUNTIME)
PEERS = {LEAN: "lean", PLAIN: "plain", RUNTIME: "runtime"}


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Give the processor time that all its threads have used, exactly."""
        return time.clock_gettime(~self.pid << 3 | CPU_CLOCK)

    def resident_mb(self) -> float:
        """Give the memory that it occupies."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        line = next(each for each in status.splitlines() if each.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024 / 1e6


def issue(folder: Path) -> Path:
    """Make a serving certificate with an ECDSA key, and the CA beside it."""
    ca = trustme.CA()
    leaf = ca.issue_cert("localhost", "127.0.0.1")
    ca.cert_pem.write_to_path(folder / "ca.crt")
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    leaf.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    return folder


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Keep what is started in this block on one core, where there are two."""
    before = os.sched_getaffinity(0)
    if core is not None and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def servers(
    tls_dir: Path, body: bytes, programs: Mapping[str, Path], core: int | None = SERVER_CORE
) -> Iterator[list[Server]]:
    """Start the bare application, the webhook, and the Go webhooks that there are programs of."""
    with ExitStack() as stack:
        with on_core(core):
            webhook = start_webhook(stack, tls_dir)
            answer = ask(webhook, tls_dir, body)
            started = [start_bare(stack, tls_dir, len(answer)), webhook]
            wanted = changes_of(body, answer)
            for name in [each for each in PEERS if PEERS[each] in programs]:
                program = programs[PEERS[name]]
                started.append(start_peer(stack, name, program, tls_dir, wanted))
        for peer in started[2:]:
            assert changes_of(body, ask(peer, tls_dir, body)) == wanted, f"{peer} does otherwise"
        yield started


def start_webhook(stack: ExitStack, tls_dir: Path) -> Server:
    """Start the webhook on the examples, and as a user does: not with a line for every review."""
    files = Files(ROOT / "examples/vci-profile.yaml", ROOT / "examples/namespace.yaml", tls_dir)
    lines = f"--log-reviews-per-second={Limits().lines}"
    served = stack.enter_context(serve_process(files, tls_dir / "log", lines))
    return Server(WEBHOOK, served.process.pid, int(served.url.split(":")[2].split("/")[0]))


def start_bare(stack: ExitStack, tls_dir: Path, answer_bytes: int) -> Server:
    """Start the bare application, which answers as many bytes as the webhook."""
    command = [sys.executable, "-m", "tests.load.echo", str(tls_dir), str(answer_bytes)]
    environment = {**os.environ, **KEEP_MEMORY}
    process = stack.enter_context(
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    )
    stack.callback(process.kill)
    assert process.stdout is not None
    return Server(BARE, process.pid, int(process.stdout.readline()))


def start_peer(stack: ExitStack, name: str, program: Path, tls_dir: Path, wanted: Object) -> Server:
    """Start a Go webhook. On one core Go runs on one thread by itself, as it should."""
    port = free_port()
    command = [str(program), f"127.0.0.1:{port}", str(tls_dir), json.dumps(wanted)]
    log = stack.enter_context((tls_dir / f"{program.name}.log").open("wb"))
    process = stack.enter_context(subprocess.Popen(command, stderr=log))
    stack.callback(process.kill)
    _wait_for(port)
    return Server(name, process.pid, port)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as trial:
            if not trial.connect_ex(("127.0.0.1", port)):
                return
        assert time.monotonic() < deadline, f"nothing listens on port {port}"
        time.sleep(0.01)


def ask(server: Server, tls_dir: Path, body: bytes) -> bytes:
    """Have a server answer one review."""
    load = Load(server.port, tls_dir / "ca.crt", 1)
    try:
        return load.ask(body).body
    finally:
        load.close()


def changes_of(body: bytes, answer: bytes) -> Object:
    """Tell what an answer changes in the Pod of its review; it changes nothing else."""
    pod = json.loads(first(body))["request"]["object"]
    response = json.loads(answer)["response"]
    patched = jsonpatch.apply_patch(pod, b64decode(response["patch"]).decode())
    changes: Object = {
        "metadata": {
            key: _added(pod["metadata"].get(key, {}), patched["metadata"][key])
            for key in ("annotations", "labels")
        },
        "spec": {
            "nodeSelector": _added(
                pod["spec"].get("nodeSelector", {}), patched["spec"]["nodeSelector"]
            ),
            "tolerations": patched["spec"]["tolerations"][len(pod["spec"]["tolerations"]) :],
        },
    }
    for part, keys in changes.items():
        assert _without(pod[part], keys) == _without(patched[part], keys)
    return changes


def _added(before: Object, after: Object) -> Object:
    return dict(after.items() - before.items())


def _without(mapping: Object, keys: Object) -> Object:
    return {key: value for key, value in mapping.items() if key not in keys}
