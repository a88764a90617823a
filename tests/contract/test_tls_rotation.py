"""A new certificate is served without a restart, and without a lost call or connection."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.contract.client import Connection
from tests.contract.reviews import encoded
from tests.contract.serving import Files, ServerThread, serve_process, serve_thread, wait_until
from tests.contract.tls_directory import Pair, TlsDirectory, presented
from webhook.tls_pair import TlsFiles

POLL_SECONDS = 0.02
ROTATIONS = 50
PROMISED_SECONDS = 5.0  # the second of the poll, a moment to settle, and a machine that does more

WAYS: dict[str, Callable[[TlsDirectory, Pair], None]] = {
    "kubelet": TlsDirectory.swap,
    "cp": TlsDirectory.copy,
    "mv": TlsDirectory.move,
}


@dataclass
class Caller:
    """A client that calls as fast as it can until it is told to stop, and counts."""

    connect: Callable[[], Connection]
    keep_alive: bool
    answers: int = 0
    failures: list[str] = field(default_factory=list)

    def call(self, stop: threading.Event) -> None:
        """Be the client's thread."""
        try:
            while not stop.is_set():
                with self.connect() as connection:
                    self._ask(connection)
                    while self.keep_alive and not stop.is_set():
                        self._ask(connection)
        except OSError as error:
            self.failures.append(repr(error))

    def _ask(self, connection: Connection) -> None:
        if connection.post(encoded()).status == 200:
            self.answers += 1
        else:
            self.failures.append("a status that is not 200")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Callable[[TlsDirectory, Pair], None]:
    """How the directory gets its new pair."""
    return WAYS[request.param]


@pytest.fixture
def directory(tmp_path: Path) -> TlsDirectory:
    """A directory that holds nothing yet."""
    return TlsDirectory(tmp_path / "tls")


@pytest.fixture
def server(
    directory: TlsDirectory, way: Callable[[TlsDirectory, Pair], None]
) -> Iterator[ServerThread]:
    """A server that looks at its directory often."""
    way(directory, directory.issue())
    with serve_thread(TlsFiles(directory.path), directory.ca_file, POLL_SECONDS) as running:
        yield running


def serial(server: ServerThread) -> int:
    """Give the serial number that a new connection meets."""
    with server.connect() as connection:
        return presented(connection)


def test_fifty_rotations_under_load_lose_no_call(
    server: ServerThread, directory: TlsDirectory, way: Callable[[TlsDirectory, Pair], None]
) -> None:
    """Connections that are kept go on through all of them; new ones see each new certificate."""
    stop = threading.Event()
    kept = [Caller(server.connect, keep_alive=True) for _ in range(3)]
    fresh = Caller(server.connect, keep_alive=False)
    threads = [threading.Thread(target=each.call, args=(stop,)) for each in (*kept, fresh)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(ROTATIONS):
            pair = directory.issue()
            way(directory, pair)
            wait_until(lambda pair=pair: serial(server) == pair.serial, "the new certificate")  # type: ignore[misc]  # a default that binds
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [failure for each in (*kept, fresh) for failure in each.failures] == []
    assert min(each.answers for each in (*kept, fresh)) > ROTATIONS


def test_an_open_connection_keeps_its_certificate(
    server: ServerThread, directory: TlsDirectory, way: Callable[[TlsDirectory, Pair], None]
) -> None:
    """What was agreed in a handshake holds for as long as the connection does."""
    with server.connect() as connection:
        before = presented(connection)
        pair = directory.issue()
        way(directory, pair)
        wait_until(lambda: serial(server) == pair.serial, "the new certificate")
        assert connection.post(encoded()).status == 200
        assert presented(connection) == before != pair.serial


def test_the_command_serves_a_new_certificate_in_time(
    files: Files, directory: TlsDirectory, way: Callable[[TlsDirectory, Pair], None], tmp_path: Path
) -> None:
    """Some seconds after it was written at the latest; the log says which one it is."""
    way(directory, directory.issue())
    files = Files(files.profile, files.namespaces, directory.path, directory.ca_file)
    with serve_process(files, tmp_path / "log") as process:
        pair = directory.issue()
        way(directory, pair)
        started = time.monotonic()
        wait_until(lambda: f"{pair.serial:x}" in process.log, "the new certificate")
        assert time.monotonic() - started < PROMISED_SECONDS
        with process.connect() as connection:
            assert presented(connection) == pair.serial
        loaded = [r for r in process.records if r["message"] == "certificate loaded"][-1]
        assert loaded["names"] == ["localhost", "127.0.0.1"]
        assert loaded["expires"] == f"{pair.leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
