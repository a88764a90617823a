"""Starts programs with a log file each, and stops them by their process id whatever happens."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.cluster.isolation import die_with_parent, is_inside

STOP_SECONDS = 5.0
POLL_SECONDS = 0.02

T = TypeVar("T")


class NotReadyError(Exception):
    """A program ended, or did not come up in time."""


@contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str] | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends. Its output goes to ``log``."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            process_group=0,  # a terminal's Ctrl-C is for us; we stop the programs, in order
            preexec_fn=None if is_inside() else die_with_parent,  # noqa: PLW1509 - takes no lock
        )
    try:
        yield process
    finally:
        stop(process, stop_signal)


def stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals = signal.SIGTERM) -> None:
    """Ask a program to end, and end it when it does not."""
    process.send_signal(stop_signal)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until_ready(
    process: subprocess.Popen[bytes], log: Path, is_ready: Callable[[], bool], seconds: float = 60
) -> None:
    """Poll until a program that was just started is ready."""
    deadline = time.monotonic() + seconds
    while not is_ready():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            state = f"exit status {process.returncode}" if ended else f"not ready in {seconds:g} s"
            tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-20:])
            raise NotReadyError(f"{log.stem}: {state}; see {log}\n{tail}")
        time.sleep(POLL_SECONDS)


def eventually(seek: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    """Poll until ``seek`` returns something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := seek()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not seen in {seconds:g} s")
        time.sleep(POLL_SECONDS)
    return found


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
