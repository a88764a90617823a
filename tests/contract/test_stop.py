"""How the server stops: no call is lost, nobody waits longer than said."""

import signal
from pathlib import Path

import pytest

from tests.contract.client import JSON_HEADERS, Connection
from tests.contract.reviews import encoded
from tests.contract.serving import Files, ServeProcess, serve_process, wait_until

LONG_DRAIN = "--drain-seconds=60"


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
    """Whoever cannot wait for the drain sends another signal; the status tells which."""
    with serve_process(files, tmp_path / "log", LONG_DRAIN) as server:
        _begin_to_stop(server)
        server.signal(second)
        assert server.wait() == 128 + second


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE])
def test_other_signals_change_nothing(files: Files, tmp_path: Path, number: signal.Signals) -> None:
    """A terminal that closes, or a curious administrator, does not end the server."""
    with serve_process(files, tmp_path / "log", "--drain-seconds=0") as server:
        for _ in range(3):
            server.signal(number)
            assert server.post(encoded()).status == 200
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def _accepts(server: ServeProcess) -> bool:
    """Tell whether a new connection is accepted."""
    try:
        with Connection(server.url):
            return True
    except ConnectionError:
        return False
