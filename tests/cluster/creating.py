"""Creates Pods at an even rate through the real API server, and notes each that fails.

Most are dry runs, which the API server sends to the webhook like any other and stores nowhere;
every tenth is real, stored and deleted again. Nobody schedules them, so nothing but the creation is
under test.
"""

import heapq
import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.cluster.client import Client, Object
from tests.cluster.process import eventually
from tests.cluster.workloads import bare_pod

REAL = 10  # one of so many is stored
AT_ONCE = 800  # a create may wait five seconds for the webhook's answer, and others must go on
ANSWER_SECONDS = 30
IDLE_SECONDS = 60  # after 90 the API server hangs up


@dataclass(frozen=True, slots=True)
class Failure:
    """A create that did not succeed: when it began, how long it took, what was answered."""

    at: float
    seconds: float
    text: str


@dataclass(slots=True)
class Creates:
    """What came of the creates so far."""

    began: float = field(default_factory=time.time)
    succeeded: int = 0
    stored: int = 0
    late: int = 0  # begun more than 100 ms after its time: the client or the machine is too slow
    slowest: list[float] = field(default_factory=list)  # the hundred longest, in seconds
    failures: list[Failure] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.succeeded + len(self.failures)

    def texts(self) -> Counter[str]:
        """Count the failures by what was answered, without addresses."""
        return Counter(failure.text.rpartition(": ")[2] for failure in list(self.failures))

    def since(self, at: float) -> list[Failure]:
        """Give the failures of creates that were begun after a time."""
        return [failure for failure in list(self.failures) if failure.at >= at]


class Creating:
    """A timetable, and for each create a thread and a connection that are free, or new ones."""

    def __init__(
        self, client: Client, namespace: str, rate: float, is_right: Callable[[Object], bool]
    ) -> None:
        self.creates = Creates()
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._rate = rate
        self._is_right = is_right
        self._body = json.dumps(bare_pod(schedulerName="nobody")).encode()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        # with the time of the last use, the newest at the end, which is used next
        self._free: list[tuple[float, http.client.HTTPSConnection]] = []
        self._threads = ThreadPoolExecutor(AT_ONCE)
        self._timetable = threading.Thread(target=self._run, name="timetable", daemon=True)

    def start(self) -> None:
        """Begin; the first create is due now."""
        self._timetable.start()

    def stop(self) -> None:
        """Wait for what is under way."""
        self._stopping.set()
        self._timetable.join()
        self._threads.shutdown()
        for _, connection in self._free:
            connection.close()

    def _run(self) -> None:
        begin = time.monotonic()
        for number in itertools.count():
            due = begin + number / self._rate
            if self._stopping.wait(max(0.0, due - time.monotonic())):
                return
            self._threads.submit(self._create, number, due)

    def _create(self, number: int, due: float) -> None:
        """Create one Pod, and delete it again when it is stored."""
        began, started = time.time(), time.monotonic()
        real = number % REAL == 0
        connection = self._connection()
        try:
            path = self._path if real else f"{self._path}?dryRun=All"
            status, made = self._send(connection, "POST", path)
            text = "" if status == http.HTTPStatus.CREATED else f"{status} {made.get('message')}"
            if not text and not self._is_right(made):
                text = "created without what the webhook adds"
            self._note(began, started, due, text)
            if real and status == http.HTTPStatus.CREATED:
                self.creates.stored += 1
                path = f"{self._path}/{made['metadata']['name']}?gracePeriodSeconds=0"
                self._send(connection, "DELETE", path)
            self._free.append((time.monotonic(), connection))
        except (OSError, ValueError, http.client.HTTPException) as error:
            connection.close()
            self._note(began, started, due, f"client: {error!r}")

    def _connection(self) -> http.client.HTTPSConnection:
        """Give a connection that is free, or a new one."""
        with self._lock:
            if self._free:
                last_used, connection = self._free.pop()
                if time.monotonic() - last_used < IDLE_SECONDS:
                    return connection
                for _, old in [(last_used, connection), *self._free]:
                    old.close()
                self._free.clear()
        client = self._client
        return http.client.HTTPSConnection(
            client.host, client.port, context=client.context, timeout=ANSWER_SECONDS
        )

    def _send(
        self, connection: http.client.HTTPSConnection, method: str, path: str
    ) -> tuple[int, Object]:
        body = self._body if method == "POST" else None
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def _note(self, began: float, started: float, due: float, text: str) -> None:
        seconds = time.monotonic() - started
        with self._lock:
            creates = self.creates
            creates.late += started - due > 0.1
            heapq.heappush(creates.slowest, seconds)
            if len(creates.slowest) > 100:
                heapq.heappop(creates.slowest)
            if text:
                creates.failures.append(Failure(began, seconds, text))
            else:
                creates.succeeded += 1


@contextmanager
def creating(
    client: Client, namespace: str, rate: float, is_right: Callable[[Object], bool]
) -> Iterator[Creates]:
    """Create Pods at a rate (in one second) until the block ends."""
    under_way = Creating(client, namespace, rate, is_right)
    under_way.start()
    try:
        eventually(lambda: under_way.creates.total >= rate / 2, "creates", 10)
        yield under_way.creates
    finally:
        under_way.stop()


def tell(what: str, creates: Creates) -> None:
    """Print the figures of a run."""
    slowest = sorted(creates.slowest)
    seconds = time.time() - creates.began
    print(
        f"{what}: {creates.total} creates in {seconds:.0f} s ({creates.stored} stored), "
        f"{len(creates.failures)} failed, {creates.late} late, slowest "
        f"{slowest[-1] * 1000:.0f} ms, hundredth slowest {slowest[0] * 1000:.0f} ms"
    )
    if creates.failures:
        print(f"  {dict(creates.texts())}")
    for failure in creates.failures[:5]:
        print(f"  {failure.at - creates.began:.2f} s, took {failure.seconds:.2f} s: {failure.text}")
