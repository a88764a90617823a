"""Stands in for kube-proxy: what connects to a Service's address gets to one of its ready Pods.

Each connection goes to an endpoint that is ready when it is opened, and stays there, whatever
becomes of the endpoint. Real rules do it in the kernel; what both ends see is the same. News of
endpoints acts late, as on the node of an API server that is busy.
"""

import contextlib
import http.client
import random
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from tests.cluster.client import ApiError, Client, Object, Watch
from tests.cluster.node.network import add_address

LAG_SECONDS = 2.0
PIECE = 64 * 1024
CONNECT_SECONDS = 30
STOP_SECONDS = 10
Endpoint = tuple[str, int]
RESET = struct.pack("ii", 1, 0)  # a socket that lingers for no time ends with a reset


class ServiceProxy:
    """Listens on the address and port of one Service."""

    def __init__(self, client: Client, name: str, namespace: str) -> None:
        self._client = client
        self._name = name
        service = client.get("Service", name, namespace)
        self._address = str(service["spec"]["clusterIP"]), int(service["spec"]["ports"][0]["port"])
        self._slices: dict[str, Object] = {}
        self._news: deque[tuple[float, Object]] = deque()  # with the time at which it acts
        self._watch: Watch | None = None
        self._stopping = False
        self._joined: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Proxy until the block ends."""
        add_address(self._address[0])
        with socket.create_server(self._address, backlog=512) as listener:
            self._start(self._follow)
            self._start(self._accept, listener)
            try:
                yield
            finally:
                self._stop(listener)

    def _start(self, act: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=act, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _stop(self, listener: socket.socket) -> None:
        self._stopping = True
        if self._watch:
            self._watch.end()
        for opened in (listener, *list(self._joined)):
            with contextlib.suppress(OSError):  # closed already
                opened.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(STOP_SECONDS)

    def _follow(self) -> None:
        """Keep the endpoints as the controller manager writes them."""
        while not self._stopping:
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException, ApiError):
                self._follow_watch()
            time.sleep(0.1)

    def _follow_watch(self) -> None:
        selector = f"kubernetes.io/service-name={self._name}"
        with closing(self._client.watch("EndpointSlice", "0", labelSelector=selector)) as watch:
            self._watch = watch
            for event in watch:
                self._news.append((time.monotonic() + LAG_SECONDS, event))

    def _act_on_news(self) -> None:
        """Take in the news that are old enough."""
        while self._news and self._news[0][0] < time.monotonic():
            _, event = self._news.popleft()
            name = event["object"]["metadata"]["name"]
            self._slices[name] = event["object"]
            if event["type"] == "DELETED":
                del self._slices[name]

    def _choose(self) -> Endpoint | None:
        """Choose a ready endpoint; when there is none, one that still serves while it ends."""
        self._act_on_news()
        every = [
            (slice_["ports"][0]["port"], endpoint)
            for slice_ in list(self._slices.values())
            for endpoint in slice_["endpoints"] or ()
        ]
        for condition in ("ready", "serving"):
            if found := [(e["addresses"][0], p) for p, e in every if e["conditions"][condition]]:
                return random.choice(found)  # noqa: S311 - nobody attacks a test
        return None

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping:
            with contextlib.suppress(OSError):  # the caller is gone, or the listener is closed
                caller, _ = listener.accept()
                self._start(self._join, caller, self._choose())

    def _join(self, caller: socket.socket, endpoint: Endpoint | None) -> None:
        """Join a connection to an endpoint; one that cannot be reached ends it with a reset."""
        with caller, self._until_the_end():
            try:
                if endpoint is None:
                    raise ConnectionRefusedError
                with socket.create_connection(endpoint, CONNECT_SECONDS) as replica:
                    replica.settimeout(None)
                    self._pass_on_both(caller, replica)
            except OSError:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    @contextmanager
    def _until_the_end(self) -> Iterator[None]:
        yield
        self._threads.remove(threading.current_thread())

    def _pass_on_both(self, caller: socket.socket, replica: socket.socket) -> None:
        both = {caller, replica}
        self._joined |= both
        other = self._start(_pass_on, replica, caller)
        _pass_on(caller, replica)
        other.join()
        self._joined -= both
        self._threads.remove(other)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    """Copy one direction to its end; a reset on one side becomes one on the other."""
    try:
        while piece := source.recv(PIECE):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            with contextlib.suppress(OSError):  # closed already
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)
