"""``python -m tests.contract.nuisance URL CA SEED``: whatever a bad client can do, until killed.

Random bytes, handshakes that are left, halves of requests, bodies of rubbish, headers without end,
answers that are not read. At most a score of its connections are open at any time.
"""

import random
import socket
import ssl
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from tests.contract.client import JSON_HEADERS, Connection, trusting
from tests.contract.reviews import encoded

OPEN_AT_ONCE = 20
SECONDS = 0.5
BODY = encoded()


class Nuisance:
    """Does harm by chance, but the same with the same seed."""

    def __init__(self, url: str, ca: str, seed: int) -> None:
        self._url = url
        self._context = trusting(ca)
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._open: deque[socket.socket] = deque()

    def act(self) -> None:
        """Do one thing, and leave what it has opened for later."""
        actions: list[Callable[[], socket.socket]] = [
            self.speak_nonsense,
            self.leave_a_handshake,
            self.garble_a_handshake,
            self.send_half,
            self.send_rubbish,
            self.mutilate,
            self.send_long_headers,
            self.read_nothing,
        ]
        with suppress(OSError, ValueError):
            self._open.append(self._chance.choice(actions)())
        while len(self._open) > OPEN_AT_ONCE:
            self._open.popleft().close()

    def _dial(self) -> socket.socket:
        address = urlsplit(self._url)
        return socket.create_connection((address.hostname, address.port), SECONDS)

    def _shake_hands(self) -> socket.socket:
        connection = self._context.wrap_socket(self._dial(), server_hostname="localhost")
        connection.settimeout(SECONDS)
        return connection

    def _bytes(self, most: int) -> bytes:
        return self._chance.randbytes(self._chance.randrange(1, most))

    def _request(self, body: bytes, **headers: str) -> bytes:
        target = self._chance.choice(["/mutate?timeout=1s", "/validate", "/", "/mutate"])
        lines = {**JSON_HEADERS, "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"POST {target} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + body

    def speak_nonsense(self) -> socket.socket:
        """Send no TLS."""
        connection = self._dial()
        connection.sendall(self._bytes(2000))
        return connection

    def leave_a_handshake(self) -> socket.socket:
        """Send the beginning of a handshake, and maybe hang up."""
        connection = self._dial()
        connection.sendall(self._hello()[: self._chance.randrange(1, 200)])
        if self._chance.random() < 0.5:
            connection.shutdown(socket.SHUT_WR)
        return connection

    def garble_a_handshake(self) -> socket.socket:
        """Send a handshake with some bytes changed."""
        connection = self._dial()
        hello = bytearray(self._hello())
        for _ in range(3):
            hello[self._chance.randrange(len(hello))] = self._chance.randrange(256)
        connection.sendall(hello)
        return connection

    def _hello(self) -> bytes:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self._context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        return outgoing.read()

    def send_half(self) -> socket.socket:
        """Send the beginning of a request."""
        connection = self._shake_hands()
        request = self._request(BODY)
        connection.sendall(request[: self._chance.randrange(1, len(request))])
        return connection

    def send_rubbish(self) -> socket.socket:
        """Send a well-formed request about nothing."""
        connection = self._shake_hands()
        connection.sendall(self._request(self._bytes(100_000)))
        connection.recv(1000)
        return connection

    def mutilate(self) -> socket.socket:
        """Send a good request with some bytes changed."""
        connection = self._shake_hands()
        request = bytearray(self._request(BODY))
        for _ in range(self._chance.randrange(1, 9)):
            request[self._chance.randrange(len(request))] = self._chance.randrange(256)
        connection.sendall(request)
        connection.recv(1000)
        return connection

    def send_long_headers(self) -> socket.socket:
        """Send headers without end."""
        connection = self._shake_hands()
        connection.sendall(b"POST /mutate HTTP/1.1\r\nX: " + b"y" * 50_000)
        return connection

    def read_nothing(self) -> socket.socket:
        """Ask and ask, and take no answer."""
        connection = self._shake_hands()
        for _ in range(20):
            connection.sendall(self._request(BODY))
        return connection


if __name__ == "__main__":
    nuisance = Nuisance(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    with Connection(sys.argv[1], trusting(sys.argv[2])) as first:
        first.post(BODY)
    while True:
        nuisance.act()
