"""An API server that does what a test tells it to, on a real TLS socket.

It knows nothing: for each kind of request it has a script of answers, the last of which repeats,
and each answer is bytes and what to do with the connection. So it can be made to do at once what
a real one does once a year.
"""

import json
import queue
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import trustme

Then = Literal["live", "end", "cut", "silent"]
Object = dict[str, Any]

PROFILES = "/api/v1/namespaces/kube-system/configmaps"
EVENTS = "/api/v1/namespaces/kube-system/events"
NAMESPACE_DEPTH = 4  # slashes in the path of one namespace
TOKEN = "first-token"  # noqa: S105 - a test's


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it came; ``kind`` names its script."""

    kind: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send, and what to do then.

    ``live``: go on with what the test pushes. ``end``: end the answer as HTTP does. ``cut``: break
    the connection. ``silent``: say nothing more, and never close.
    """

    status: int = 200
    pieces: tuple[bytes, ...] = ()
    then: Then = "end"
    headers: tuple[tuple[str, str], ...] = ()
    after_seconds: float = 0
    without_head: bool = False
    without_date: bool = False  # when ``headers`` have one


def listing(version: str, *items: Object, following: str = "") -> Answer:
    """Answer with a page of a list."""
    metadata = {"resourceVersion": version, "continue": following}
    return Answer(pieces=(json.dumps({"metadata": metadata, "items": items}).encode(),))


def stream(*pieces: bytes, then: Then = "live") -> Answer:
    """Answer with a watch."""
    return Answer(pieces=pieces, then=then)


def refuse(code: int, reason: str = "", **headers: str) -> Answer:
    """Answer with an error."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(code, (json.dumps(status(code, reason)).encode(),), headers=named)


def status(code: int, reason: str, **details: Any) -> Object:
    """Make a Status."""
    told = {"kind": "Status", "code": code, "reason": reason, "message": f"for a test: {reason}"}
    return told | {"details": details}


def event(kind: str, what: Object) -> bytes:
    """Make a line of a watch."""
    return json.dumps({"type": kind, "object": what}).encode() + b"\n"


def bookmark(version: str) -> bytes:
    """Make the line that only moves the version."""
    return event("BOOKMARK", {"metadata": {"resourceVersion": version}})


def namespace(name: str, version: str = "1", **labels: str) -> Object:
    """Make a namespace's metadata."""
    labels = {"kubernetes.io/metadata.name": name, **labels}
    return {"metadata": {"name": name, "resourceVersion": version, "labels": labels}}


def profile(version: str = "1", team: str = "batch", **data: str) -> Object:
    """Make the ConfigMap: one rule for namespaces with ``vci: true``, which leaves its mark."""
    rule = {
        "name": "workflows",
        "namespaceSelector": {"matchLabels": {"vci": "true"}},
        "effect": {"annotations": {"example.com/team": team}},
    }
    metadata = {"name": "vci-profile", "resourceVersion": version, "uid": "9b1deb4d"}
    return {"metadata": metadata, "data": {"selectors": json.dumps([rule]), **data}}


@dataclass
class ScriptedApiServer:
    """Scripts by kind of request, everything that was asked, and whoever is still connected."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)
    requests: list[Request] = field(default_factory=list)
    scripts: dict[str, list[Answer]] = field(default_factory=dict)
    port: int = 0
    connections: set[socket.socket] = field(default_factory=set)
    stopping: threading.Event = field(default_factory=threading.Event)
    _live: dict[str, list["queue.Queue[bytes | None]"]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: "_Server | None" = None

    def __post_init__(self) -> None:
        self.context = self.certificate(self.ca)
        self.service_account = self.folder / "serviceaccount"
        self.service_account.mkdir()
        self.trust(self.ca)
        self.write_token(TOKEN)
        self.scripts = {
            "namespaces list": [
                listing("10", namespace("argo", vci="true"), namespace("plain")),
            ],
            "namespaces watch": [stream()],
            "configmaps list": [listing("10", profile())],
            "configmaps watch": [stream()],
            "namespace get": [refuse(404, "NotFound")],
            "event post": [Answer(201, (b"{}",))],
        }

    def certificate(self, ca: trustme.CA) -> ssl.SSLContext:
        """Make a context that shows a new certificate of a CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(context)
        return context

    def trust(self, *authorities: trustme.CA) -> None:
        """Write the bundle that clients are given."""
        bundle = b"".join(authority.cert_pem.bytes() for authority in authorities)
        (self.service_account / "ca.crt").write_bytes(bundle)

    def write_token(self, token: str) -> None:
        """Write the token that clients are given."""
        (self.service_account / "token").write_text(token)

    @property
    def environment(self) -> dict[str, str]:
        """What a Pod finds in its environment."""
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}

    def count(self, kind: str) -> int:
        """Count the requests of a kind."""
        return sum(request.kind == kind for request in list(self.requests))

    def last(self, kind: str) -> Request:
        """Give the newest request of a kind."""
        return [request for request in list(self.requests) if request.kind == kind][-1]

    def script(self, kind: str, *answers: Answer) -> None:
        """Set what is answered from now on."""
        with self._lock:
            self.scripts[kind] = list(answers)

    def push(self, kind: str, *pieces: bytes) -> None:
        """Send something to everybody whose answer of this kind is live."""
        for connected in self._live.get(kind, []):
            for piece in pieces:
                connected.put(piece)

    def end(self, kind: str) -> None:
        """End the live answers of this kind, as a watch ends that has had its time."""
        for connected in self._live.get(kind, []):
            connected.put(None)

    def live(self, kind: str) -> int:
        """Count the live answers of this kind."""
        return len(self._live.get(kind, []))

    def up(self) -> None:
        """Listen, on the same port as before."""
        self.stopping.clear()
        self._server = _Server(("127.0.0.1", self.port), _RequestHandler)
        self._server.api = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Break every connection and refuse new ones."""
        if self._server is not None:
            self.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Break every connection."""
        for connected in [*self.connections]:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def next_answer(self, request: Request) -> Answer:
        """Take the next answer of the script for a request."""
        with self._lock:
            self.requests.append(request)
            script = self.scripts.get(request.kind) or [refuse(404, "NotFound")]
            return script.pop(0) if len(script) > 1 else script[0]

    @contextmanager
    def joined(self, kind: str) -> Iterator["queue.Queue[bytes | None]"]:
        """Belong to those that pushes go to."""
        own: queue.Queue[bytes | None] = queue.Queue()
        self._live.setdefault(kind, []).append(own)
        try:
            yield own
        finally:
            self._live[kind].remove(own)

    def wait(self) -> bool:
        """Wait a moment; tell whether to go on."""
        return not self.stopping.wait(0.02)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    api: ScriptedApiServer

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; the handshake waits for the thread of the connection."""
        accepted, address = super().get_request()
        wrapped = self.api.context.wrap_socket(
            accepted, server_side=True, do_handshake_on_connect=False
        )
        self.api.connections.add(wrapped)
        return wrapped, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.api.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave are what is tested."""


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def _answer(self) -> None:
        api = self.server.api
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = _kind(self.command, address.path, query)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(kind, self.command, address.path, query, headers, body, time.monotonic())
        answer = api.next_answer(request)
        with api.joined(kind) as pushed:
            self._send(answer, pushed)

    def _send(self, answer: Answer, pushed: "queue.Queue[bytes | None]") -> None:
        api = self.server.api
        ready = time.monotonic() + answer.after_seconds
        while time.monotonic() < ready and api.wait():
            pass
        if not answer.without_head:
            (self.send_response_only if answer.without_date else self.send_response)(answer.status)
            for name, value in (("Transfer-Encoding", "chunked"), *answer.headers):
                self.send_header(name, value)
            self.end_headers()
            for piece in answer.pieces:
                self._chunk(piece)
        if answer.then == "live":
            self._go_on(pushed)
        while answer.then == "silent" and api.wait():
            pass
        if answer.then in ("live", "end"):
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True
            self.request.shutdown(socket.SHUT_RDWR)

    def _go_on(self, pushed: "queue.Queue[bytes | None]") -> None:
        while not self.server.api.stopping.is_set():
            try:
                piece = pushed.get(timeout=0.05)
            except queue.Empty:
                continue
            if piece is None:
                return
            self._chunk(piece)

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base
        """Say nothing."""


def _kind(method: str, path: str, query: dict[str, str]) -> str:
    """Name the script of a request."""
    if path.startswith(EVENTS):
        return f"event {method.lower()}"
    if path in ("/api/v1/namespaces", PROFILES):
        verb = "watch" if query.get("watch") == "true" else "list"
        return f"{path.rpartition('/')[2]} {verb}"
    is_namespace = path.startswith("/api/v1/namespaces/") and path.count("/") == NAMESPACE_DEPTH
    return "namespace get" if is_namespace else f"{method} {path}"


@contextmanager
def scripted_api_server(folder: Path) -> Iterator[ScriptedApiServer]:
    """Run an API server until the block ends."""
    api = ScriptedApiServer(folder)
    api.up()
    try:
        yield api
    finally:
        api.down()


def poll(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Poll a condition; fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.005)
