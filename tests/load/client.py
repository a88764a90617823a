"""A client that sends one review again and again on a few connections, as cheaply as Python can.

It does not parse: the first answer tells how long all are, since one review gets one answer. Every
connection has a request under way at any time, and answers are taken in turn.
"""

import socket
import ssl
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """The first answer: what it was, and how many bytes each one has."""

    body: bytes
    total_bytes: int


def request_of(body: bytes, port: int) -> bytes:
    """Write the request that the API server would send."""
    head = (
        f"POST /mutate?timeout=5s HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "User-Agent: kube-apiserver-admission\r\nAccept: application/json, */*\r\n"
        f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n"
        "Accept-Encoding: gzip\r\n\r\n"
    )
    return head.encode() + body


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
        raw = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._stack.enter_context(context.wrap_socket(raw, server_hostname="localhost"))

    def close(self) -> None:
        """Close all connections."""
        self._stack.close()

    def ask(self, body: bytes) -> Answer:
        """Send one request, and read its answer with care."""
        connection = self._sockets[0]
        connection.sendall(request_of(body, self._port))
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *headers = head.decode().lower().split("\r\n")
        assert " 200 " in status, received
        length = next(int(h.split(":")[1]) for h in headers if h.startswith("content-length:"))
        while len(rest) < length:
            rest += connection.recv(65536)
        return Answer(rest, len(head) + 4 + length)

    def run(self, body: bytes, seconds: float) -> tuple[int, float]:
        """Keep every connection busy for a while; return the number of answers and the time."""
        size, request = self.ask(body).total_bytes, request_of(body, self._port)
        buffer = bytearray(65536)
        started = time.perf_counter()
        deadline = started + seconds
        answers = 0
        for connection in self._sockets:
            connection.sendall(request)
        while time.perf_counter() < deadline:
            for connection in self._sockets:
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
