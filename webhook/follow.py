"""Follows one resource of the cluster for ever: list, watch, and again after whatever went wrong.

Three loops, each with one duty: ``run`` goes on after every failure and waits as long as the kind
of failure asks for, ``_ask`` sends the one request that is next, ``_watch`` reads its lines.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from webhook.backoff import Backoff
from webhook.errors import Cause, ClusterError
from webhook.kube import Call, Connection, Response
from webhook.log import fields
from webhook.metrics import Metrics
from webhook.seldom import Seldom
from webhook.watch import Change, Lines, Reflector, Resource

logger = logging.getLogger("webhook")

# What cannot be gone on from: the next request is a list.
_START_OVER = (Cause.EXPIRED, Cause.GARBLED, Cause.BUG)
# What repairs itself by being asked again is no alarm.
_LEVELS = {Cause.EXPIRED: logging.INFO, Cause.UNREACHABLE: logging.WARNING}


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait for the API server."""

    # A watch ends by itself after 5 to 10 minutes, as those of Kubernetes' own clients do, so that
    # connections spread over API servers; drawn by lot, so that not all end at once.
    watch_seconds: tuple[int, int] = (300, 600)
    # The API server sends a bookmark each minute: who is silent for longer is gone.
    silence_seconds: float = 75.0
    list_seconds: float = 60.0
    # A watch that ends sooner has failed, whatever it looks like: no busy loop.
    short_seconds: float = 1.0


class Follower:
    """Keeps up with one resource; what it learns goes to ``apply``."""

    def __init__(
        self,
        resource: Resource,
        connection: Connection,
        apply: Callable[[Change], None],
        metrics: Metrics,
        timing: Timing,
    ) -> None:
        self._reflector = Reflector(resource)
        self._connection = connection
        self._apply = apply
        self._metrics = metrics
        self._timing = timing
        self._backoff = Backoff()
        self._seldom = Seldom()
        self._failing_since: float | None = None

    @property
    def version(self) -> str:
        """The version up to which everything is known; empty while a list is on its way."""
        return self._reflector.version

    async def run(self) -> None:
        """Follow until cancelled; nothing else ends it."""
        while True:
            try:
                await self._ask()
            except ClusterError as error:
                await self._recover(error)
            except Exception as error:
                if self._seldom.allows("traceback"):
                    logger.exception("following failed", extra=fields(resource=self._name))
                await self._recover(ClusterError(type(error).__name__, Cause.BUG))

    @property
    def _name(self) -> str:
        return self._reflector.resource.name

    async def _ask(self) -> None:
        request = self._reflector.request(random.randint(*self._timing.watch_seconds))  # noqa: S311 - no secret
        call = Call(
            self._reflector.resource.path,
            self._timing.silence_seconds,
            request.query,
            request.accept,
        )
        self._metrics.asked(self._name, watch=request.watch)
        async with self._connection.send(call) as response:
            if request.watch:
                await self._watch(response)
            else:
                async with asyncio.timeout(self._timing.list_seconds):
                    body = await response.body()
                self._apply(self._reflector.take_page(body))
                self._heard()

    async def _watch(self, response: Response) -> None:
        started = time.monotonic()
        lines = Lines()
        self._heard()
        try:
            async for piece in response.pieces():
                self._heard()
                for line in lines.feed(piece):
                    change = self._reflector.take_line(line)
                    if change is not None:
                        self._apply(change)
        except TimeoutError:
            raise ClusterError("nothing was heard", Cause.SILENT) from None
        if time.monotonic() - started < self._timing.short_seconds:
            raise ClusterError("the watch was closed as soon as opened", Cause.UNREACHABLE)

    def _heard(self) -> None:
        self._metrics.heard(self._name)
        if self._failing_since is None:
            return
        seconds = round(time.monotonic() - self._failing_since, 1)
        self._failing_since = None
        if self._seldom.allows("following again"):
            told = fields(resource=self._name, after_seconds=seconds)
            logger.info("following again", extra=told)

    async def _recover(self, error: ClusterError) -> None:
        """Forget what cannot be gone on from, say so, and wait."""
        if error.cause in _START_OVER:
            self._reflector.start_over()
        now = time.monotonic()
        pause = self._backoff.pause(error, now, random.random())  # noqa: S311 - no secret
        self._metrics.failed(self._name, error.cause)
        if error.cause is Cause.SILENT:  # maybe nothing happens: whether anybody is there shows now
            return
        self._metrics.lost(self._name)
        if self._failing_since is None:
            self._failing_since = now
        if self._seldom.allows(error.cause):
            told = fields(
                resource=self._name,
                cause=error.cause,
                problem=str(error),
                failing_seconds=round(now - self._failing_since, 1),
                again_in_seconds=round(pause, 1),
            )
            logger.log(_LEVELS.get(error.cause, logging.ERROR), "not following", extra=told)
        await asyncio.sleep(pause)
