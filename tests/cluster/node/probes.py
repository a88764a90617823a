"""Probes a container as a Pod's spec says: startup, liveness, readiness, with their thresholds."""

import http.client
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from tests.cluster.client import Object
from tests.cluster.node.environment import UnsupportedError


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to probe: an address, the container's named ports, and how a command gets inside."""

    address: str
    ports: dict[str, int]
    enter: Callable[[Sequence[str]], list[str]]

    def port(self, named: int | str) -> int:
        """Give the number of a port."""
        return named if isinstance(named, int) else self.ports[named]


def check(action: Object, target: Target, seconds: float) -> bool:
    """Do what a probe or a hook says, once, and tell whether it succeeded in time."""
    try:
        if "httpGet" in action:
            return _http_get(action["httpGet"], target, seconds)
        if "tcpSocket" in action:
            address = target.address, target.port(action["tcpSocket"]["port"])
            socket.create_connection(address, seconds).close()
            return True
        if "exec" in action:
            return _execute(action["exec"]["command"], target, seconds)
    except (OSError, http.client.HTTPException, subprocess.TimeoutExpired):
        return False
    raise UnsupportedError(f"a probe by {', '.join(action)}")


def _http_get(action: Object, target: Target, seconds: float) -> bool:
    host, port = action.get("host", target.address), target.port(action["port"])
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    if action.get("scheme", "HTTP") == "HTTPS":
        context = ssl._create_unverified_context()  # noqa: S323,SLF001 - as the kubelet: no checks
        connection = http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    headers = {header["name"]: header["value"] for header in action.get("httpHeaders", [])}
    headers.setdefault("Connection", "close")
    with closing(connection):
        connection.request("GET", action.get("path", "/"), headers=headers)
        status = connection.getresponse().status
    return http.HTTPStatus.OK <= status < http.HTTPStatus.BAD_REQUEST


def _execute(command: Sequence[str], target: Target, seconds: float) -> bool:
    done = subprocess.run(
        target.enter(command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=seconds,
    )
    return not done.returncode


class Probe:
    """One probe of one run of a container, on a thread of its own."""

    def __init__(
        self, spec: Object, target: Target, changed: Callable[[], None], *, passes: bool = False
    ) -> None:
        self.passes = passes  # until it has been found out
        self.failed = False  # so often in a row that the threshold was reached
        self._spec = spec
        self._target = target
        self._changed = changed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Probe no more; what was found out last stays."""
        self._stopping.set()

    def _run(self) -> None:
        spec = self._spec
        wait = spec.get("initialDelaySeconds", 0)
        in_a_row: list[bool] = []
        while not self._stopping.wait(wait):
            good = check(spec, self._target, spec.get("timeoutSeconds", 1))
            in_a_row = [*in_a_row, good] if good in in_a_row else [good]
            self._judge(good, len(in_a_row))
            wait = spec.get("periodSeconds", 10)

    def _judge(self, good: bool, times: int) -> None:  # noqa: FBT001 - an outcome, not a switch
        threshold = self._spec.get("successThreshold" if good else "failureThreshold", 0)
        if self._stopping.is_set() or times < (threshold or (1 if good else 3)):
            return
        before = self.passes, self.failed
        self.passes, self.failed = good, not good
        if before != (self.passes, self.failed):
            self._changed()
