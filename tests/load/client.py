"""A client that sends reviews of one kind on a few connections, as cheaply as Python can.

It does not parse: the first answer tells how long all are, since such reviews get such answers.
Every connection has a request under way at any time, and answers are taken in turn.
"""

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tests.load.reviews import first, request_of, requests_of

TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """The first answer: what it was, and how many bytes each one has."""

    body: bytes
    total_bytes: int


def whole_answer(received: bytes | bytearray) -> Answer | None:
    """Read an answer, unless some of it is still to come."""
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        return None
    status, *headers = head.decode().lower().split("\r\n")
    assert " 200 " in status, received
    length = next(int(h.split(":")[1]) for h in headers if h.startswith("content-length:"))
    return Answer(bytes(rest), len(received)) if len(rest) == length else None


def _connected(port: int) -> socket.socket:
    """Open a TCP connection that sends at once, as the API server's do."""
    raw = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw


class Load:
    """A number of kept-alive TLS connections to one port."""

    def __init__(self, port: int, ca: Path, connections: int) -> None:
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["http/1.1"])
        self._stack = ExitStack()
        self._sockets = [self._connect(port, context) for _ in range(connections)]
        self._port = port

    def _connect(self, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Open one connection."""
        wrapped = context.wrap_socket(_connected(port), server_hostname="localhost")
        return self._stack.enter_context(wrapped)

    def close(self) -> None:
        """Close all connections."""
        self._stack.close()

    def ask(self, body: bytes) -> Answer:
        """Send one request, and read its answer with care."""
        connection = self._sockets[0]
        connection.sendall(request_of(first(body), self._port))
        received = b""
        while not (answer := whole_answer(received)):
            more = connection.recv(65536)
            assert more, f"the server closed a connection after {received!r}"
            received += more
        return answer

    def run(self, body: bytes, seconds: float) -> tuple[int, float]:
        """Keep every connection busy for a while; return the number of answers and the time."""
        size, requests = self.ask(body).total_bytes, requests_of(body, self._port)
        buffer = bytearray(65536)
        started = time.perf_counter()
        deadline = started + seconds
        answers = 0
        for connection, request in zip(self._sockets, requests, strict=False):
            connection.sendall(request)
        while time.perf_counter() < deadline:
            for connection, request in zip(self._sockets, requests, strict=False):
                self._take(connection, buffer, size)
                connection.sendall(request)
            answers += len(self._sockets)
        for connection in self._sockets:
            self._take(connection, buffer, size)
        return answers + len(self._sockets), time.perf_counter() - started

    @staticmethod
    def _take(connection: ssl.SSLSocket, buffer: bytearray, size: int) -> None:
        """Read one answer."""
        while size:
            read = connection.recv_into(buffer, size)
            assert read, "the server closed a connection"
            size -= read


class Newcomers:
    """Clients that open a connection for each request, several at a time.

    They do not verify the certificate: that is a client's work, and the server is what is measured.
    """

    def __init__(self, port: int, clients: int) -> None:
        self._address = "127.0.0.1", port
        self._clients = clients
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._context.set_alpn_protocols(["http/1.1"])

    def run(self, body: bytes, seconds: float, *, resume: bool) -> tuple[int, float, int]:
        """Come anew for a while; return the number of answers, the time, and how many resumed."""
        started = time.perf_counter()

        def come(_client: int) -> list[bool]:
            return list(self._visits(body, started + seconds, resume=resume))

        with ThreadPoolExecutor(self._clients) as threads:
            resumed = list(chain.from_iterable(threads.map(come, range(self._clients))))
        return len(resumed), time.perf_counter() - started, sum(resumed)

    def _visits(self, body: bytes, deadline: float, *, resume: bool) -> Iterator[bool]:
        """Visit until the time is over; tell of each visit whether it resumed a session."""
        requests, buffer = requests_of(body, self._address[1]), bytearray(65536)
        session: ssl.SSLSession | None = None
        while time.perf_counter() < deadline:
            resumed, session = self._visit(next(requests), buffer, session if resume else None)
            yield resumed

    def _visit(
        self, request: bytes, buffer: bytearray, session: ssl.SSLSession | None
    ) -> tuple[bool, ssl.SSLSession | None]:
        """Connect, ask once, and leave."""
        with (
            _connected(self._address[1]) as raw,
            self._context.wrap_socket(raw, session=session) as connection,
        ):
            connection.sendall(request)
            received = bytearray()
            while not whole_answer(received):
                read = connection.recv_into(buffer)
                assert read, "the server closed a connection"
                received += buffer[:read]
            return bool(connection.session_reused), connection.session
