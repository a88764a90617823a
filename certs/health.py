"""The port for probes and metrics: /healthz, /readyz and /metrics over plain HTTP."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

from certs.errors import UsageError

STUCK_SECONDS = 300.0  # every request has a deadline, so no pass takes as long
_TEXT = "text/plain; charset=utf-8"
_IDLE_SECONDS = 5.0


@dataclass(slots=True)
class Health:
    """How the program is: ``problem`` is empty when the last pass went well."""

    problem: str = "no pass has ended yet"
    alive_at: float = field(default_factory=time.monotonic)

    def ended(self, problem: str = "") -> None:
        """Tell how a pass ended."""
        self.problem, self.alive_at = problem, time.monotonic()

    def answer(self, path: str) -> tuple[HTTPStatus, str]:
        """Answer a probe."""
        if path == "/readyz":
            ready = not self.problem
            return (HTTPStatus.OK, "ok") if ready else (_UNAVAILABLE, self.problem)
        stuck = time.monotonic() - self.alive_at > STUCK_SECONDS
        return (_UNAVAILABLE, "stuck in a pass") if stuck else (HTTPStatus.OK, "ok")


_UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE


@contextmanager
def serving(host: str, port: int, health: Health, render: Callable[[], bytes]) -> Iterator[int]:
    """Answer probes, on threads of their own, until the block ends; give the port."""

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "vci-webhook-certs", ""
        timeout = _IDLE_SECONDS

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._reply(HTTPStatus.OK, render(), CONTENT_TYPE_LATEST)
            elif self.path in ("/healthz", "/readyz"):
                status, text = health.answer(self.path)
                self._reply(status, f"{text}\n".encode(), _TEXT)
            else:
                self._reply(HTTPStatus.NOT_FOUND, b"not found\n", _TEXT)

        def _reply(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing: probes come every few seconds."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        server = Server((host, port), Handler)
    except OSError as error:
        raise UsageError(
            f"--port: cannot listen on {host} port {port} ({error.strerror}); give another"
        ) from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
