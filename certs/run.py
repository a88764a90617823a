"""``python -m certs run``: passes for ever, whenever an object changes and now and then besides.

What changed is never looked at: a watch only says that it is time for a pass. So nothing is missed
when a watch ends, and nothing depends on the order of events.
"""

import asyncio
import logging
import random
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from certs.cluster import Cluster
from certs.errors import ClusterError
from certs.flags import Settings
from certs.health import Health, serving
from certs.log import log, logger
from certs.metrics import Metrics
from certs.observed import Target
from certs.parameters import Parameters
from certs.plan import Later, Step
from certs.settle import Outcome, Pass

LONGEST_PAUSE_SECONDS = 30.0
# Somebody who writes all the time gets at most so many passes out of us.
SHORTEST_PAUSE_SECONDS = 0.2
_DOUBLINGS = 6


@dataclass(slots=True)
class Program:
    """The program: what it watches, what it tells, and when it looks again."""

    cluster: Cluster
    parameters: Parameters
    interval: timedelta
    health: Health = field(default_factory=Health)
    metrics: Metrics = field(default_factory=Metrics)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: int = 0
    _told: tuple[str, ...] | None = None

    async def run(self) -> None:
        """Look after the certificates until cancelled."""
        targets = (self.parameters.ca, self.parameters.serving, *self.parameters.configurations)
        async with asyncio.TaskGroup() as group:
            for target in targets:
                group.create_task(self._watch(target))
            while True:
                await self._wait(await self._pass())

    async def _pass(self) -> float:
        """Make one pass, and say how many seconds to wait for the next."""
        self._changed.clear()
        try:
            outcome = await Pass(self.cluster, self.parameters, self._report).run()
        except ClusterError as error:
            return self._fail([str(error)])
        except Exception as error:  # noqa: BLE001 - logged without its text, which may quote a Secret
            logger.exception("a bug")
            return self._fail([f"a bug: {type(error).__name__}"])
        self.metrics.passed(outcome, self.parameters)
        if outcome.failures:
            return self._fail(outcome.failures)
        self._failures = 0
        self.health.ended()
        self._tell(outcome)
        return self._pause(outcome)

    def _report(self, step: Step) -> None:
        self.metrics.took(step.act)
        log(logging.INFO, step.act.value, object=str(step.target), why=step.why)

    def _tell(self, outcome: Outcome) -> None:
        """Say how things are, when that is not what was said last."""
        waiting = [each for each in outcome.plan.later if each.waiting]
        told = (*outcome.plan.problems, *(f"{each.what} at {each.when}" for each in waiting))
        if told == self._told:
            return
        self._told = told
        for problem in outcome.plan.problems:
            log(logging.ERROR, "a person must act", problem=problem)
        for each in waiting:
            log(logging.INFO, "waiting", until=f"{each.when:%Y-%m-%dT%H:%M:%SZ}", then=each.what)
        if not told:
            log(logging.INFO, "all is well")

    def _fail(self, problems: list[str] | tuple[str, ...]) -> float:
        """Tell what went wrong, and say how many seconds to wait."""
        self.metrics.failed()
        self.health.ended("; ".join(problems))
        self._told = ("failed",)
        longest = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(self._failures, _DOUBLINGS))
        self._failures += 1
        pause = longest * random.uniform(0.5, 1)  # noqa: S311 - no secret
        for problem in problems:
            log(logging.ERROR, "pass failed", problem=problem, again_in_seconds=round(pause, 1))
        return pause

    def _pause(self, outcome: Outcome) -> float:
        """Wait for the interval, or until something is due."""
        until = min([self.interval, *(_until(each, outcome) for each in outcome.plan.later)])
        # Programs that were started together do not stay in step.
        return max(until.total_seconds(), SHORTEST_PAUSE_SECONDS) * random.uniform(1, 1.1)  # noqa: S311 - no secret

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(SHORTEST_PAUSE_SECONDS)
        if self._failures:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _watch(self, target: Target) -> None:
        """Ask for a pass whenever an object changes; a watch that fails costs only time."""
        told = ""
        while True:
            try:
                async for _ in self.cluster.watch(target):
                    told = ""
                    self._changed.set()
            except ClusterError as error:
                if str(error) != told:
                    told = str(error)
                    log(logging.WARNING, "watch failed", object=str(target), problem=told)
            await asyncio.sleep(random.uniform(1, self.interval.total_seconds()))  # noqa: S311 - no secret


def _until(later: Later, outcome: Outcome) -> timedelta:
    return max(later.when - outcome.now, timedelta())


async def run(parameters: Parameters, settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    cluster = Cluster(parameters, settings.kubeconfig)
    address = await cluster.check()
    program = Program(cluster, parameters, settings.interval)
    with serving(settings.host, settings.port, program.health, program.metrics.render) as port:
        log(logging.INFO, "started", cluster=address, port=port, namespace=parameters.namespace)
        try:
            await _until_stopped(program)
        finally:
            await cluster.close()
    log(logging.INFO, "stopped")


async def _until_stopped(program: Program) -> None:
    task = asyncio.ensure_future(program.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return
