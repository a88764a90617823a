"""The lines about reviews: one for each that something came of, fewer when there are very many.

A line takes a quarter of the time of the whole review. A burst of thousands of Pods from one
workflow is told by its first lines, a sample of the others, and how many those are.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

from webhook.admission import Answer
from webhook.errors import ReviewError
from webhook.log import fields, is_logged, log_event
from webhook.mutate import Mutation

LONGEST_NAME = 253  # that Kubernetes allows; a longer one is nobody's, and would fill the log
SKIPPED = "skipped"  # the decision about a Pod that is left alone though rules match
ONE_IN = 100
REPORT_SECONDS = 10.0
# Nobody but a stranger or a bug sends what cannot be read.
REFUSALS_PER_SECOND = 5

logger = logging.getLogger("webhook")


class ReviewLog:
    """Writes what came of a review; never what the Pod contains."""

    def __init__(self, lines_per_second: int) -> None:
        self._reviews = Sample("reviews", lines_per_second)
        self._refusals = Sample("refusals", REFUSALS_PER_SECOND)
        self._everything = is_logged(logging.DEBUG)

    def reviewed(self, answer: Answer, mutation: Mutation, seconds: float) -> None:
        """Tell a review when something was done, skipped or shadowed."""
        is_of_note = mutation.operations or mutation.shadows or mutation.decision == SKIPPED
        if not (is_of_note or self._everything) or not self._reviews.takes():
            return
        log_event(
            "info" if is_of_note else "debug",
            "reviewed",
            uid=answer.uid[:LONGEST_NAME],
            namespace=answer.namespace[:LONGEST_NAME],
            name=answer.name[:LONGEST_NAME],
            decision=mutation.decision,
            rules=mutation.rules,
            reasons=mutation.reasons,
            shadows=mutation.shadows,
            duration_ms=round(seconds * 1000, 3),
        )

    def close(self) -> None:
        """Tell what has not been told yet."""
        self._reviews.report()
        self._refusals.report()

    def refused(self, error: ReviewError) -> None:
        """Tell what could not be read, by the sentence that its sender gets."""
        if self._refusals.takes():
            logger.warning("review refused", extra=fields(status=error.status, problem=str(error)))


class Sample:
    """Takes so many in a second, then one in a hundred; and tells how many it left out."""

    def __init__(self, what: str, per_second: int, clock: Callable[[], float] = monotonic) -> None:
        self._what = what
        self._per_second = per_second
        self._clock = clock
        self._second = 0.0  # when the next one begins
        self._count = 0
        self._left_out = 0

    def takes(self) -> bool:
        """Tell whether this one is taken."""
        now = self._clock()
        if now >= self._second:
            self._second = now + 1
            self._count = 0
        self._count += 1
        if self._count <= self._per_second or self._count % ONE_IN == 0:
            return True
        if not self._left_out:
            asyncio.get_running_loop().call_later(REPORT_SECONDS, self.report)
        self._left_out += 1
        return False

    def report(self) -> None:
        """Tell how many were left out since the last time."""
        count, self._left_out = self._left_out, 0
        if count:
            logger.info("%s not logged", self._what, extra=fields(count=count))
