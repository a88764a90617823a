"""How the server stops: no call is lost, nobody waits longer than said."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.contract.client import JSON_HEADERS, Connection
from tests.contract.reviews import encoded
from tests.contract.serving import (
    DEADLINE_SECONDS,
    Files,
    ServeProcess,
    command,
    serve_process,
    wait_until,
)

LONG_DRAIN = "--drain-seconds=60"
AT_ONCE_SECONDS = 2.0


def _begin_to_stop(server: ServeProcess, number: signal.Signals = signal.SIGTERM) -> None:
    """Send a signal and wait until it has arrived."""
    server.signal(number)
    wait_until(lambda: '"stopping"' in server.log, "the stop to begin")


def test_while_draining_every_call_is_answered_and_its_connection_closed(
    files: Files, tmp_path: Path
) -> None:
    """Pooled and new connections get their answer with ``Connection: close``; the probe says no."""
    with serve_process(files, tmp_path / "log", LONG_DRAIN) as server, server.connect() as pooled:
        assert "connection" not in pooled.post(encoded()).headers
        _begin_to_stop(server)
        for connection in (pooled, server.connect()):
            with connection:
                response = connection.post(encoded())
                assert (response.status, response.headers["connection"]) == (200, "close")
                assert connection.ends()
        with server.connect() as connection:
            response = connection.request("GET", "/nothing")
            assert (response.status, response.headers["connection"]) == (404, "close")
        assert server.probe("/readyz").status == 503
        assert server.probe("/healthz").status == 200


def test_a_call_in_flight_is_finished(files: Files, tmp_path: Path) -> None:
    """A review of which half has arrived when the listener closes is answered in full."""
    body = encoded()
    with (
        serve_process(files, tmp_path / "log", "--drain-seconds=0") as server,
        server.connect() as connection,
    ):
        connection.send(connection.head("POST", "/mutate", JSON_HEADERS, body) + body[:100])
        assert server.post(encoded()).status == 200  # so the half before it has arrived too
        _begin_to_stop(server)
        wait_until(lambda: not _accepts(server), "the listener to close")
        connection.send(body[100:])
        response = connection.receive()
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert server.wait() == 0
    assert "traceback" not in server.log.lower()


def test_a_call_that_never_ends_is_abandoned(files: Files, tmp_path: Path) -> None:
    """A client that sends half a review and then nothing cannot keep the server from ending."""
    body = encoded()
    with (
        serve_process(files, tmp_path / "log", "--drain-seconds=0") as server,
        server.connect() as connection,
    ):
        connection.send(connection.head("POST", "/mutate", JSON_HEADERS, body) + body[:100])
        assert server.post(encoded()).status == 200
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert connection.ends()
    assert "traceback" not in server.log.lower()


@pytest.mark.parametrize("flags", [(LONG_DRAIN,), ()])
def test_a_persons_interrupt_does_not_wait(
    files: Files, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """SIGINT ends at once whatever the drain, idle connections included, with status 0."""
    with serve_process(files, tmp_path / "log", *flags) as server, server.connect() as idle:
        assert idle.post(encoded()).status == 200
        server.signal(signal.SIGINT)
        assert server.wait() == 0
        assert idle.ends()
        assert server.records[-1]["message"] == "stopped"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(files: Files, tmp_path: Path, second: signal.Signals) -> None:
    """Whoever cannot wait for the drain sends another signal; it is no failure."""
    with serve_process(files, tmp_path / "log", LONG_DRAIN) as server:
        _begin_to_stop(server)
        asked = time.monotonic()
        server.signal(second)
        assert server.wait() == 0
        assert time.monotonic() - asked < AT_ONCE_SECONDS
        assert server.records[-1]["message"] == "stopped at once"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE])
def test_other_signals_change_nothing(files: Files, tmp_path: Path, number: signal.Signals) -> None:
    """A terminal that closes, or a curious administrator, does not end the server."""
    with serve_process(files, tmp_path / "log", "--drain-seconds=0") as server:
        for _ in range(3):
            server.signal(number)
            assert server.post(encoded()).status == 200
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_the_drain_takes_as_long_as_said_and_then_ends_by_itself(
    files: Files, tmp_path: Path
) -> None:
    """New connections are accepted until the time is over; then the status is 0."""
    with serve_process(files, tmp_path / "log", "--drain-seconds=1.5") as server:
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        while _is_answered(server):
            assert time.monotonic() - started < DEADLINE_SECONDS
        drained = time.monotonic() - started
        assert server.wait() == 0
        assert 1.4 < drained < 1.5 + AT_ONCE_SECONDS
        assert [r["message"] for r in server.records if r["level"] != "info"] == []


def _is_answered(server: ServeProcess) -> bool:
    """Tell whether a review on a new connection is answered."""
    try:
        return server.post(encoded()).status == 200
    except OSError:
        return False


def test_both_probes_answer_until_the_end_of_the_drain(files: Files, tmp_path: Path) -> None:
    """The kubelet sees a Pod that is alive and not ready, and why."""
    with serve_process(files, tmp_path / "log", LONG_DRAIN) as server:
        assert server.probe("/readyz").status == 200
        _begin_to_stop(server)
        response = server.probe("/readyz")
        assert (response.status, response.body) == (503, b"draining")
        assert server.probe("/healthz").status == 200


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_while_starting_changes_nothing(
    files: Files, tmp_path: Path, number: signal.Signals
) -> None:
    """Also before it serves, SIGHUP does not end it; SIGTERM does, with status 0."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # reading the namespaces takes until somebody writes them
    arguments = [f"--profile={files.profile}", f"--namespaces={pipe}", f"--tls-dir={files.tls_dir}"]
    process = subprocess.Popen(command("serve", *arguments, "--port=0", "--management-port=0"))
    with pipe.open("wb"):  # opens when the other end is
        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0


def _accepts(server: ServeProcess) -> bool:
    """Tell whether a new connection is accepted."""
    try:
        with Connection(server.url):
            return True
    except ConnectionError:
        return False
