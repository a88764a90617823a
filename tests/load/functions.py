"""Where a server's time goes, down to the function: stacks sampled by py-spy while it is busy.

Each sample counts for the first part of the list that one of its frames belongs to, from the
innermost frame outwards; so what a part calls in C is in it.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.load.client import Load
from tests.load.contenders import CLIENT_CORE, Server, on_core

CONNECTIONS = 16
SECONDS = 8
HERTZ = 100
SLICE_SECONDS = 0.5

IDLE = "_queue_SimpleQueue_get"  # the thread that writes the log, when it has nothing to write
OTHER = "event loop: `uvloop`, its TLS buffers and callbacks"
PARTS = {
    "kernel: `write` to the socket": r"^UVStream__try_write",
    "kernel: `read` from the socket": r"^read \(",
    "kernel: `epoll_pwait`": r"^epoll_pwait",
    "OpenSSL: `SSL_write`": r"^SSLObject\.write|^SSL_write",
    "OpenSSL: `SSL_read`": r"^SSLObject\.read|^SSL_read",
    "JSON: `msgspec`, from `admission._decoded`": r"_decoded \(webhook/admission|^JSONDecoder_",
    "decision: the rest of `admission.review`": (
        r"webhook/(admission|compose|envelope|memory|mutate|obstacles|operations|pod|shape)\.py"
    ),
    "log: `ReviewLog.reviewed`, `log_event` and the thread that writes": (
        r"webhook/(log|review_log|seldom)\.py|logging/__init__"
    ),
    "metrics: `Metrics`, `Tally`": r"webhook/(metrics|tally|observe)\.py|prometheus_client/",
    "HTTP: `httptools`, `Heads.read`, uvicorn's protocol": (
        r"webhook/head\.py|uvicorn/protocols/|^llhttp|parser\.c"
    ),
    "endpoint: `ReviewProtocol`, `ReviewEndpoint`": (
        r"webhook/(app|body|endpoint|exchange|general|load|port|protocol)\.py"
    ),
    "ASGI: the bare application": r"^Echo\.__call__",
}


def measure(server: Server, tls_dir: Path, body: bytes) -> dict[str, float]:
    """Return which share of its time a server spends where; empty where py-spy cannot look."""
    sampler = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if sampler is None:
        return {}
    file = tls_dir / f"stacks-{server.pid}"
    options = ["--native", f"--rate={HERTZ}", f"--duration={SECONDS}", "--format=raw"]
    command = [sampler, "record", *options, f"--output={file}", f"--pid={server.pid}"]
    load = Load(server.port, tls_dir / "ca.crt", CONNECTIONS)
    output = subprocess.DEVNULL
    with on_core(CLIENT_CORE), subprocess.Popen(command, stdout=output, stderr=output) as process:
        while process.poll() is None:
            load.run(body, SLICE_SECONDS)
    load.close()
    return shares(file.read_text("utf-8").splitlines()) if file.exists() else {}


def shares(lines: Iterable[str]) -> dict[str, float]:
    """Sum up stacks, each with its number of samples, into parts."""
    counted: Counter[str] = Counter()
    for line in lines:
        stack, _, samples = line.rpartition(" ")
        if IDLE not in stack:
            counted[part_of(stack.split(";"))] += int(samples)
    return {name: round(counted[name] / counted.total(), 4) for name in (*PARTS, OTHER)}


def part_of(frames: list[str]) -> str:
    """Find the part that a stack belongs to."""
    found = (name for frame in reversed(frames) for name in PARTS if re.search(PARTS[name], frame))
    return next(found, OTHER)
