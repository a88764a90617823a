"""Runs a command in namespaces of its own, without root: nothing outside sees it or outlives it.

Inside, every port is free, nobody else can connect, and when the command ends, however it ends,
every process that it started is gone. Where the kernel does not allow this a line says so, and the
caller goes on in the open.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

UNSHARE = (
    *("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid"),
    *("--fork", "--kill-child"),
)
INSIDE = "VCI_WEBHOOK_TESTS_INSIDE"  # set for the command, so that it does not start itself again
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def is_inside() -> bool:
    """Tell whether this process already runs where it should."""
    return INSIDE in os.environ


def why_impossible() -> str:
    """Return why this machine cannot make the namespaces, or nothing."""
    if not shutil.which("unshare"):
        return "there is no unshare command (util-linux)"
    trial = subprocess.run((*UNSHARE, "true"), capture_output=True, text=True, check=False)
    return trial.stderr.strip() if trial.returncode else ""


def die_with_parent() -> None:
    """In a new process: have the kernel end it when the one that started it ends."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def run_inside(command: Sequence[str]) -> int | None:
    """Run a command inside and return its exit status, or None where this is not possible.

    An interrupt or termination of this process reaches the command as an interrupt.
    """
    if why := why_impossible():
        print(f"running in the open, without namespaces of our own: {why}", flush=True)
        return None
    environment = {**os.environ, INSIDE: "yes"}
    process = subprocess.Popen(
        (*UNSHARE, *command),
        env=environment,
        process_group=0,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - no lock is taken
    )

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        os.killpg(process.pid, signal.SIGINT)  # unshare itself ignores it and waits

    previous = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        return process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def settle_in() -> None:
    """Make a new inside usable: switch its lo on, and take interrupts even from a shell's ``&``."""
    if not is_inside() or sys.platform != "linux":
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
