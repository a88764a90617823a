"""A small HTTP/1.1 client over TLS that can also misbehave: each byte it sends is the test's."""

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 15.0
JSON_HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Response:
    """An answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The text of an answer that is nothing but an error."""
        assert self.headers["content-type"] == "application/json"
        content = self.json
        assert list(content) == ["error"], content
        return str(content["error"])


def trusting(ca_file: Path | str, *alpn: str) -> ssl.SSLContext:
    """Make a client's context that trusts one CA, and offers these protocols by ALPN."""
    context = ssl.create_default_context(cafile=ca_file)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class Connection:
    """One connection to a URL's host and port; with a context, over TLS."""

    def __init__(
        self,
        url: str,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
        server_name: str | None = "localhost",
    ) -> None:
        address = urlsplit(url)
        self.host = f"{address.hostname}:{address.port}"
        raw = socket.create_connection((address.hostname, address.port), TIMEOUT_SECONDS)
        self.socket: socket.socket = raw
        if context is not None:
            try:
                self.socket = context.wrap_socket(raw, server_hostname=server_name, session=session)
            except OSError:
                raw.close()
                raise
        self._reader = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._reader.close()
        self.socket.close()

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request with a Content-Length when there is a body, and read its answer."""
        self.send(self.head(method, target, headers, body) + (body or b""))
        return self.receive(head_only=method == "HEAD")

    def post(self, body: bytes, headers: Mapping[str, str] = JSON_HEADERS) -> Response:
        """Send a body as the API server sends a review."""
        return self.request("POST", "/mutate?timeout=5s", body, headers)

    def head(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> bytes:
        """Write a request's first line and headers."""
        lines = {"Host": self.host, **(headers or {})}
        if body is not None:
            lines["Content-Length"] = str(len(body))
        head = [f"{method} {target} HTTP/1.1", *(f"{name}: {lines[name]}" for name in lines)]
        return "\r\n".join([*head, "", ""]).encode()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def receive(self, *, head_only: bool = False) -> Response:
        """Read one whole answer; every answer of ours has a Content-Length."""
        status_line = self._reader.readline()
        if not status_line:
            raise ConnectionError("closed before an answer")
        protocol, status, *_ = status_line.decode().split(" ")
        assert protocol == "HTTP/1.1"
        headers = {}
        while line := self._reader.readline().decode().rstrip("\r\n"):
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        length = 0 if head_only else int(headers["content-length"])
        return Response(int(status), headers, self._reader.read(length))

    def ends(self) -> bool:
        """Wait until the server closes or sends more; tell whether it closed."""
        try:
            return self._reader.read(1) == b""
        except ConnectionError:
            return True
