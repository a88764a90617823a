"""A webhook that answers what a test tells it to, over real TLS, and keeps what it was sent."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.cluster import pki
from tests.cluster.client import Object

PROBE = "webhook-probe"  # Pods of this name only find out whether a configuration acts yet
Patch = list[Object]


@dataclass(frozen=True, slots=True)
class Request:
    """One call, as it came."""

    client: tuple[str, int]
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def review(self) -> Object:
        review: Object = json.loads(self.body)
        return review

    @property
    def pod(self) -> Object:
        pod: Object = self.review["request"]["object"]
        return pod


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer: an AdmissionReview's response, or something else than one."""

    response: Object = field(default_factory=dict)
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    hang_up: bool = False
    after_seconds: float = 0


ALLOW = Reply()
HANG_UP = Reply(hang_up=True)
UNAVAILABLE = Reply(status=503, headers=(("Retry-After", "1"),))
UNAVAILABLE_WITHOUT_HINT = Reply(status=503)
BROKEN = Reply(status=500)


def patch(*operations: Object) -> Reply:
    """Allow with a JSONPatch."""
    encoded = base64.b64encode(json.dumps(operations).encode()).decode()
    return Reply({"patchType": "JSONPatch", "patch": encoded})


MARK = patch({"op": "add", "path": "/metadata/labels", "value": {"marked": "true"}})


def deny(code: int, message: str = "not now") -> Reply:
    """Refuse the object with a status."""
    return Reply({"allowed": False, "status": {"code": code, "message": message}})


class ScriptedWebhook:
    """Answers call after call with the replies of its script; the last one repeats."""

    def __init__(self, pair: pki.Pair) -> None:
        self.script: list[Reply] = [ALLOW]
        self.requests: list[Request] = []
        self.probed = threading.Event()
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _RequestHandler)
        self._server.webhook = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}/mutate"

    @contextmanager
    def running(self) -> Iterator["ScriptedWebhook"]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self.stopping.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def answer(self, request: Request) -> Reply:
        """Take the next reply of the script."""
        if request.pod["metadata"].get("name") == PROBE:
            self.probed.set()
            return ALLOW
        with self._lock:
            self.requests.append(request)
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    webhook: ScriptedWebhook

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the API server gives connections up as it likes."""


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        webhook = self.server.webhook
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = Request(self.client_address, self.requestline, dict(self.headers), body)
        reply = webhook.answer(request)
        webhook.stopping.wait(reply.after_seconds)
        if reply.hang_up:
            self.close_connection = True
            return
        self._send(reply, request.review)

    def _send(self, reply: Reply, review: Object) -> None:
        response = {"uid": review["request"]["uid"], "allowed": True, **reply.response}
        review = {key: review[key] for key in ("apiVersion", "kind")} | {"response": response}
        content = json.dumps(review).encode() if reply.status < 300 else b"not now\n"
        self.send_response(reply.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        for name, value in (*headers.items(), *reply.headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base
        """Say nothing."""
