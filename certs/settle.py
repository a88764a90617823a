"""One pass: look, plan, take a step, look again; until nothing is left that can be done now."""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from certs.cluster import Cluster
from certs.errors import ClusterError, ConflictError
from certs.observed import Observed
from certs.parameters import Parameters
from certs.perform import perform
from certs.plan import Plan, Step, plan

LOOK_LIMIT = 50  # far more than any state needs; against somebody who undoes each step
CONFLICT_LIMIT = 10
STALE_SECONDS = 15.0  # what was seen longer ago, because this process was held up, is seen anew


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass ended with: all that was seen last, what is left to do, and what failed."""

    observed: Observed
    now: datetime
    plan: Plan
    failures: tuple[str, ...] = ()


class Pass:
    """One pass; ``report`` is told each step that was taken."""

    def __init__(
        self, cluster: Cluster, parameters: Parameters, report: Callable[[Step], None]
    ) -> None:
        self._cluster = cluster
        self._parameters = parameters
        self._report = report
        self._failed: dict[Step, str] = {}
        self._conflicts = 0

    async def run(self) -> Outcome:
        """Do everything that can be done now; what fails holds up nothing else.

        Raises:
            ClusterError: the cluster could not be looked at.
        """
        for _ in range(LOOK_LIMIT):
            started = asyncio.get_running_loop().time()
            observed, now = await self._cluster.look()
            planned = plan(observed, now, self._parameters)
            steps = [step for step in planned.steps if step not in self._failed]
            if not steps:
                failures = tuple(dict.fromkeys(self._failed.values()))
                return Outcome(observed, now, planned, failures)
            await self._take_one(steps, observed, now, started + STALE_SECONDS)
        raise ClusterError("somebody undoes what this program does; find out who, and stop one")

    async def _take_one(
        self, steps: Iterable[Step], observed: Observed, now: datetime, until: float
    ) -> None:
        """Take the first step that can be taken; every one of them is safe by itself."""
        for step in steps:
            write = perform(step, observed, now, self._parameters)
            if asyncio.get_running_loop().time() > until:
                return
            try:
                await self._cluster.write(write)
            except ConflictError as error:
                await self._give_way(error)
                return
            except ClusterError as error:
                self._failed[step] = str(error)
            else:
                self._report(step)
                return

    async def _give_way(self, error: ConflictError) -> None:
        """Let another program finish; two of them must not go on in step."""
        self._conflicts += 1
        if self._conflicts > CONFLICT_LIMIT:
            raise error
        await asyncio.sleep(random.uniform(0.02, 0.2))  # noqa: S311 - no secret
