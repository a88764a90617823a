"""Nothing that the tests start outlives them, however they end."""

import fcntl
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from tests.cluster import isolation
from tests.cluster.process import eventually

REPOSITORY = Path(__file__).parents[2]
START_A_PROGRAM = """
import pathlib, signal, sys
from tests.cluster.process import running
folder = pathlib.Path(sys.argv[1])
with running(["sleep", "600"], folder / "log") as process:
    (folder / "pid").write_text(f"{process.pid}\\n")
    signal.pause()
"""
RUN_INSIDE = """
import sys
from tests.cluster import isolation
status = isolation.run_inside(sys.argv[1:])
sys.exit(99 if status is None else status)
"""
needs_namespaces = pytest.mark.skipif(
    bool(isolation.why_impossible()), reason="this kernel lets nobody make namespaces without root"
)


def start(code: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start Python code outside of any namespaces of the tests."""
    environment = {key: value for key, value in os.environ.items() if key != isolation.INSIDE}
    command = (sys.executable, "-c", code, *arguments)
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that came to us as an orphan is reaped first."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def started_pid(folder: Path) -> int:
    """Wait for the process id that ``START_A_PROGRAM`` writes."""
    path = folder / "pid"
    return eventually(lambda: path.exists() and int(path.read_text("utf-8") or 0), "a process id")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda n: n.name)
def test_programs_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    """A program ends when who started it is interrupted, and even when that one is killed."""
    with start(START_A_PROGRAM, tmp_path) as parent:
        pid = started_pid(tmp_path)
        assert is_alive(pid)
        parent.send_signal(number)
        parent.wait()
    eventually(lambda: not is_alive(pid), "the end of the program", seconds=5)


@needs_namespaces
def test_inside_is_a_network_of_our_own() -> None:
    """A command that runs inside sees loopback, up, and no other interface."""
    code = (
        "import socket; from tests.cluster import isolation; isolation.settle_in();"
        "socket.create_server(('127.0.0.1', 1));"
        "assert [name for _, name in socket.if_nameindex()] == ['lo']"
    )
    with start(RUN_INSIDE, sys.executable, "-c", code) as outside:
        assert outside.wait() == 0


@needs_namespaces
def test_the_exit_status_comes_out() -> None:
    """The exit status of a command that runs inside is the one that comes out."""
    with start(RUN_INSIDE, "sh", "-c", "exit 7") as outside:
        assert outside.wait() == 7


@needs_namespaces
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_inside_outlives_the_command(tmp_path: Path, number: signal.Signals) -> None:
    """However a run ends, so do the programs inside: they hold a lock that gets free."""
    lock = tmp_path / "lock"
    lock.touch()
    program = f"exec 9<{lock}; flock 9; sh -c 'echo started > {tmp_path}/started; sleep 600' & wait"
    with start(RUN_INSIDE, "sh", "-c", program) as outside:
        eventually((tmp_path / "started").exists, "the program inside")
        outside.send_signal(number)
        outside.wait()
    with lock.open() as file:
        eventually(lambda: can_lock(file), "the end of the program", seconds=5)


def can_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
