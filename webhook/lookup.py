"""Reads a namespace that a review names and the watch has not brought yet, once for all who ask.

A Pod created right after its namespace arrives before the watch event now and then. The answer
must not wait long for it, nor may a flood of invented names become a flood of requests.
"""

import asyncio
import re
import time
from collections.abc import Callable
from http import HTTPStatus

from webhook.errors import ClusterError
from webhook.kube import Call, Connection
from webhook.metrics import Metrics
from webhook.namespaces import Labels, labels_of
from webhook.watch import METADATA_ONLY, KubeObject, read_object

READ_SECONDS = 0.5  # a tenth of the time that the API server gives us by default
AT_ONCE = 8
WAITING_LIMIT = 100
MISSING_SECONDS = 1.0
MISSING_LIMIT = 1000

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_ACCEPT = METADATA_ONLY.format("PartialObjectMetadata")


class NamespaceLookup:
    """Live reads: one at a time for a name, few at a time for all, and short memory of failure."""

    def __init__(
        self,
        connection: Connection,
        found: Callable[[KubeObject], None],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._found = found
        self._metrics = metrics
        self._clock = clock
        self._reading: dict[str, asyncio.Task[Labels | None]] = {}
        self._missing: dict[str, float] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def find(self, name: str, seconds: float) -> Labels | None:
        """Give the labels of a namespace; None when there is no such.

        Raises:
            TimeoutError: it could not be read in time; that may go better the next time.
        """
        if not _NAME.fullmatch(name) or self._is_missing(name):
            return None
        reading = self._reading.get(name)
        if reading is None:
            if len(self._reading) >= WAITING_LIMIT:
                raise TimeoutError
            reading = self._reading[name] = asyncio.create_task(self._read(name))
            reading.add_done_callback(lambda _: self._reading.pop(name))
        done, _ = await asyncio.wait({reading}, timeout=min(seconds, READ_SECONDS))
        found = reading.result() if done else None
        if found is None and not self._is_missing(name):
            raise TimeoutError
        return found

    async def close(self) -> None:
        """Give up what is being read."""
        for reading in list(self._reading.values()):
            reading.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)

    def _is_missing(self, name: str) -> bool:
        until = self._missing.get(name)
        if until is not None and self._clock() >= until:
            del self._missing[name]
            return False
        return until is not None

    async def _read(self, name: str) -> Labels | None:
        """Read one namespace; never raises, because nobody may be there to hear it.

        None: there is none, which is remembered, or it could not be read.
        """
        try:
            async with asyncio.timeout(READ_SECONDS), self._slots:
                call = Call(f"/api/v1/namespaces/{name}", READ_SECONDS, accept=_ACCEPT)
                async with self._connection.send(call) as response:
                    namespace = read_object(await response.body())
        except (ClusterError, TimeoutError) as error:
            is_missing = isinstance(error, ClusterError) and error.status == HTTPStatus.NOT_FOUND
            self._metrics.namespace_read("missing" if is_missing else "failed")
            if is_missing:
                self._remember(name)
            return None
        self._metrics.namespace_read("found")
        self._found(namespace)
        return labels_of(namespace)

    def _remember(self, name: str) -> None:
        """Remember that there is no such namespace, for a moment and a bounded number of them."""
        if len(self._missing) >= MISSING_LIMIT:
            self._missing.pop(next(iter(self._missing)))
        self._missing[name] = self._clock() + MISSING_SECONDS
