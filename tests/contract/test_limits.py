"""What a caller may take of time, memory and connections, and what it gets who takes more."""

import json
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.contract.client import JSON_HEADERS, Connection, Response
from tests.contract.resident import resident_mib
from tests.contract.reviews import encoded
from tests.contract.serving import (
    Files,
    ServeProcess,
    ServerThread,
    serve_process,
    serve_thread,
    wait_until,
)
from webhook.limits import HEAD_LIMIT, Limits
from webhook.tls_pair import TlsFiles

# The real deadlines are seconds; what ends too late in these tests would end too late in any.
QUICK = Limits(
    handshake_seconds=0.6,
    head_seconds=0.6,
    request_seconds=1.2,
    idle_seconds=1.8,
    reviews=4,
    megabytes=1,
    connections=20,
    drain_seconds=0,
)
LATE_SECONDS = 1.5  # the clock is looked at twice a second, and the machine may be busy

BURST_SECONDS = 5.0  # that the API server waits

CHUNKED = {**JSON_HEADERS, "Transfer-Encoding": "chunked"}
BODY = encoded()


@pytest.fixture(scope="module")
def server(tls_dir: Path) -> Iterator[ServerThread]:
    """A server that has little patience and little room."""
    with serve_thread(TlsFiles(tls_dir), limits=QUICK) as running:
        yield running


@contextmanager
def lasting(seconds: float) -> Iterator[None]:
    """Expect the block to take so long, and not much longer."""
    started = time.monotonic()
    yield
    elapsed = time.monotonic() - started
    assert seconds - 0.1 < elapsed < seconds + LATE_SECONDS, elapsed


def _head(connection: Connection, **headers: str) -> bytes:
    return connection.head("POST", "/mutate?timeout=5s", {**JSON_HEADERS, **headers}, BODY)


def _trickle(connection: Connection, data: bytes) -> None:
    """Send a byte at a time, for long, until an answer begins."""
    connection.socket.settimeout(0.05)
    for byte in data * 100:
        connection.send(bytes([byte]))
        with suppress(TimeoutError):
            assert connection.socket.recv(1) == b"H", "an answer"
            return


def _send_for_long(connection: Connection, data: bytes) -> None:
    """Send more than all buffers on the way can hold."""
    for _ in range(10_000):
        connection.send(data)


class TestTime:
    """A request has to arrive in time; between two of them there is time."""

    def test_a_head_that_does_not_end(self, server: ServerThread) -> None:
        """A head that begins and stays away is a 408, and the end."""
        with server.connect() as slow, lasting(QUICK.head_seconds):
            slow.send(b"POST /mutate HTTP/1.1\r\nHost: x\r\n")
            response = slow.receive()
            assert (response.status, response.headers["connection"]) == (408, "close")
            assert slow.ends()

    @pytest.mark.parametrize("begin", [b"POST /mutate HTTP/1.1\r\nX-", b"GET /else HTTP/1.1\r\nX-"])
    def test_a_byte_now_and_then_does_not_help(self, server: ServerThread, begin: bytes) -> None:
        """The deadline is of the whole head: more bytes win no time."""
        with server.connect() as slow, lasting(QUICK.head_seconds):
            slow.send(begin)
            _trickle(slow, b"a" * 1000)

    def test_a_body_that_does_not_end(self, server: ServerThread) -> None:
        """The rest of a body is waited for as long as for the whole request; others are served."""
        with server.connect() as slow, server.connect() as other, lasting(QUICK.request_seconds):
            slow.send(_head(slow) + BODY[:100])
            assert other.post(BODY).status == 200
            response = slow.receive()
            assert (response.status, response.headers["connection"]) == (408, "close")
            assert slow.ends()

    @pytest.mark.parametrize("path", ["/mutate", "/validate", "/nothing"])
    def test_a_streamed_body_that_does_not_end(self, server: ServerThread, path: str) -> None:
        """It makes no difference how a body is sent, and where to."""
        with server.connect() as slow, lasting(QUICK.request_seconds):
            slow.send(slow.head("POST", path, CHUNKED) + b"5\r\nabc")
            assert slow.receive().status in (404, 408)
            assert slow.ends()

    def test_a_handshake_that_does_not_begin(self, server: ServerThread) -> None:
        """A connection on which nobody speaks TLS is closed, and counted."""
        before = server.metric("tls_handshake_failures_total", cause="unfinished")
        with Connection(server.url) as silent, lasting(QUICK.handshake_seconds):
            assert silent.ends()
        wait_until(
            lambda: server.metric("tls_handshake_failures_total", cause="unfinished") > before,
            "the failure to be counted",
        )

    def test_an_idle_connection(self, server: ServerThread) -> None:
        """A connection is kept for a while after each answer, also one that never asked."""
        for asked in (True, False):
            with server.connect() as idle, lasting(QUICK.idle_seconds):
                if asked:
                    assert idle.post(BODY).status == 200
                assert idle.ends()

    def test_the_management_port_has_the_same_deadlines(self, server: ServerThread) -> None:
        """Half a request for metrics is cut off as well."""
        with Connection(server.probe_url) as slow, lasting(QUICK.head_seconds):
            slow.send(b"GET /metrics HTTP/1.1\r\n")
            assert slow.receive().status == 408
            assert slow.ends()

    @pytest.mark.parametrize("headers", [JSON_HEADERS, {"Content-Type": "application/json;"}])
    def test_a_client_that_does_not_read(
        self, server: ServerThread, headers: dict[str, str]
    ) -> None:
        """Whoever takes no answers is cut off, when the time for a request is over."""
        body = encoded(uid="1" * 50_000)  # so long are the answers
        with server.connect() as deaf:
            request = deaf.head("POST", "/mutate", headers, body) + body
            deaf.socket.settimeout(QUICK.request_seconds + LATE_SECONDS + 1)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                _send_for_long(deaf, request)

    def test_who_is_cut_off_is_counted(self, server: ServerThread) -> None:
        """Slow requests are counted; connections that were merely idle are not."""
        before = server.metric("connections_cut_total", cause="slow")
        with server.connect() as idle:
            assert idle.ends()
        assert server.metric("connections_cut_total", cause="slow") == before
        with server.connect() as slow:
            slow.send(b"POST /mut")
            assert slow.receive().status == 408
        assert server.metric("connections_cut_total", cause="slow") == before + 1


class TestHeads:
    """Heads are short."""

    @pytest.mark.parametrize("target", ["/mutate", "/nothing"])
    @pytest.mark.parametrize("pieces", [1, 50])
    def test_a_long_head_is_refused(self, server: ServerThread, target: str, pieces: int) -> None:
        """More than 16 KiB of headers are a 431, however they arrive."""
        with server.connect() as connection:
            head = connection.head("POST", target, {**JSON_HEADERS, "X": "y" * HEAD_LIMIT}, BODY)
            size = len(head) // pieces + 1
            for start in range(0, len(head), size):
                connection.send(head[start : start + size])
            response = connection.receive()
            assert (response.status, response.headers["connection"]) == (431, "close")
            assert connection.ends()

    def test_a_head_that_never_ends_is_refused(self, server: ServerThread) -> None:
        """It is not read to an end that it does not have."""
        with server.connect() as connection:
            connection.send(b"POST /mutate HTTP/1.1\r\nX: " + b"y" * 2 * HEAD_LIMIT)
            assert connection.receive().status == 431
            assert connection.ends()

    def test_headers_behind_a_body_are_bounded_too(self, server: ServerThread) -> None:
        """A trailer is nothing that could be kept, however long."""
        with server.connect() as connection:
            connection.send(connection.head("POST", "/mutate", CHUNKED) + b"1\r\n{\r\n0\r\nX: ")
            connection.send(b"y" * 8 * HEAD_LIMIT)
            assert connection.receive().status == 431
            assert connection.ends()

    def test_a_head_of_ordinary_length_is_not(self, server: ServerThread) -> None:
        """Traces make heads of some kilobytes."""
        with server.connect() as connection:
            traced = {**JSON_HEADERS, "Traceparent": "00-" + "a" * 52, "Baggage": "b" * 8000}
            assert connection.post(BODY, traced).status == 200


class TestRoom:
    """What is in flight is bounded; what arrives whole is not in flight."""

    @staticmethod
    @contextmanager
    def _begun(server: ServerThread, count: int, body: bytes, sent: int) -> Iterator[list[Any]]:
        """Have so many requests under way."""
        with ExitStack() as stack:
            slow = [stack.enter_context(server.connect()) for _ in range(count)]
            for connection in slow:
                connection.send(
                    connection.head("POST", "/mutate", JSON_HEADERS, body) + body[:sent]
                )
            wait_until(
                lambda: server.metric("requests_in_flight") == count, "the requests to arrive"
            )
            yield slow

    @pytest.mark.parametrize("framing", [JSON_HEADERS, {"Content-Type": "application/json;"}])
    def test_too_many_reviews_are_asked_to_come_again(
        self, server: ServerThread, framing: dict[str, str]
    ) -> None:
        """One more is a 503 with ``Retry-After: 1`` on a connection that is kept; then it fits."""
        shed = server.metric("requests_shed_total")
        with self._begun(server, QUICK.reviews, BODY, 100) as slow, server.connect() as late:
            request = late.head("POST", "/mutate", framing, BODY) + BODY
            response = _in_two_pieces(server, late, request)
            assert (response.status, response.headers["retry-after"]) == (503, "1")
            assert "connection" not in response.headers
            for connection in slow:
                connection.send(BODY[100:])
                assert connection.receive().status == 200
            assert _in_two_pieces(server, late, request).status == 200
        assert server.metric("requests_shed_total") > shed
        wait_until(lambda: server.metric("requests_in_flight") == 0, "an empty room")
        assert server.metric("in_flight_bytes") == 0

    def test_a_review_that_arrives_whole_is_answered_even_then(self, server: ServerThread) -> None:
        """The API server sends it so: half requests of others cannot keep it out."""
        with self._begun(server, QUICK.reviews, BODY, 100), server.connect() as api_server:
            for _ in range(20):
                assert api_server.post(BODY).status == 200

    def test_too_many_bytes_are_asked_to_come_again(self, server: ServerThread) -> None:
        """So are bodies for which there is no room, however few they are."""
        large = BODY + b" " * (700 * 1024)
        with self._begun(server, 1, large, len(large) - 1) as slow, server.connect() as late:
            wait_until(lambda: server.metric("in_flight_bytes") > len(large) - 1, "its bytes")
            response = late.post(large)
            assert (response.status, response.headers["retry-after"]) == (503, "1")
            slow[0].send(b" ")
            assert slow[0].receive().status == 200
            assert late.post(large).status == 200

    def test_a_client_that_leaves_gives_its_place_back(self, server: ServerThread) -> None:
        """Half requests whose senders are gone occupy nothing."""
        with self._begun(server, QUICK.reviews, BODY, 100):
            pass
        wait_until(lambda: server.metric("requests_in_flight") == 0, "an empty room")
        assert server.metric("in_flight_bytes") == 0


def _in_two_pieces(server: ServerThread, connection: Connection, request: bytes) -> Response:
    """Send a request so that its last bytes arrive by themselves."""
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.send(request[:-10])
    with server.connect() as other:
        other.post(BODY)  # answered after the first piece was read
    connection.send(request[-10:])
    return connection.receive()


class TestConnections:
    """There are not too many connections."""

    def test_the_oldest_idle_ones_are_closed(self, server: ServerThread) -> None:
        """Whoever opens very many loses those that were of no use for longest; reviews go on."""
        cut = server.metric("connections_cut_total", cause="crowd")
        with ExitStack() as stack:
            crowd = [stack.enter_context(server.connect()) for _ in range(QUICK.connections + 5)]
            wait_until(lambda: server.metric("connections") <= QUICK.connections, "fewer of them")
            assert all(connection.ends() for connection in crowd[:5])
            assert crowd[-1].post(BODY).status == 200
        assert server.metric("connections_cut_total", cause="crowd") >= cut + 5


def test_without_files_for_more_connections_those_that_come_later_are_served(
    files: Files, tmp_path: Path
) -> None:
    """When the system allows no more open files, connections are dropped; the listener lives on."""
    with serve_process(files, tmp_path / "log") as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (60, 60))
        with ExitStack() as stack:
            refused = 0
            while not refused:
                try:
                    stack.enter_context(server.connect())
                except OSError:
                    refused += 1
        wait_until(lambda: _is_answered(server), "an answer")
        assert server.probe("/readyz").status == 200


def _is_answered(server: ServeProcess) -> bool:
    try:
        return server.post(BODY).status == 200
    except OSError:
        return False


def test_slow_clients_cost_little_memory(files: Files, tmp_path: Path) -> None:
    """A hundred bodies of 4 MiB that never end are not kept: no more than there is room for."""
    with serve_process(files, tmp_path / "log") as server, ExitStack() as stack:
        assert server.post(BODY).status == 200
        before = resident_mib(server)
        length = {"Content-Length": str(4 << 20)}
        for _ in range(100):
            slow = stack.enter_context(server.connect())
            slow.socket.settimeout(0.2)
            slow.send(slow.head("POST", "/mutate", {**JSON_HEADERS, **length}))
            try:
                slow.send(b" " * ((4 << 20) - 1))
            except TimeoutError:
                continue
        assert server.post(BODY).status == 200
        assert resident_mib(server) - before < 100


def test_a_thousand_idle_connections_cost_little_memory(files: Files, tmp_path: Path) -> None:
    """A connection is some tens of kilobytes."""
    with serve_process(files, tmp_path / "log") as server, ExitStack() as stack:
        assert server.post(BODY).status == 200
        before = resident_mib(server)
        for _ in range(1000):
            assert stack.enter_context(server.connect()).post(BODY).status == 200
        each = (resident_mib(server) - before) / 1000
        assert each < 0.1, each
        print(f"{each * 1024:.0f} KiB a connection")


@pytest.mark.parametrize("count", [200, 600])
def test_a_burst_of_new_connections(webhook: ServeProcess, count: int) -> None:
    """As many Pods at once as an API server can create: each gets its answer within 5 s."""
    client = [sys.executable, "-m", "tests.contract.burst", webhook.url, str(webhook.ca)]
    told = subprocess.run(
        [*client, str(count)], stdout=subprocess.PIPE, check=True, timeout=60
    ).stdout
    answers = json.loads(told)
    slowest = max(seconds for _, seconds in answers)
    print(f"{count} at once: the last answer after {slowest:.2f} s")
    assert Counter(status for status, _ in answers) == {200: count}
    assert slowest < BURST_SECONDS
