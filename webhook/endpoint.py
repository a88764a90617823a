"""The endpoint of reviews of Pods: a body in, status and answer out, and everybody told who asks.

One decision, several who hear of it: the answer, the metrics, the log.
"""

import logging
from dataclasses import replace
from http import HTTPStatus
from time import perf_counter

from starlette.types import Receive, Scope, Send

from webhook.admission import review
from webhook.errors import ReviewError, UnknownNamespaceError
from webhook.exchange import INTERNAL_ERROR, error_body, receive_body, send_answer
from webhook.head import timeout_of
from webhook.limits import Place, Room
from webhook.log import fields
from webhook.metrics import Metrics
from webhook.review_log import ReviewLog
from webhook.seldom import Seldom
from webhook.state import Snapshot, Source

_OK = int(HTTPStatus.OK)

logger = logging.getLogger("webhook")


class ReviewEndpoint:
    """POST of an AdmissionReview: read within limits, decided by the core, answered as bytes."""

    def __init__(self, source: Source, metrics: Metrics, room: Room, log: ReviewLog) -> None:
        self._source = source
        self._state = source.state
        self._tally = metrics.tally
        self._answered = metrics.tally.mutate.answered
        self._log = log
        self._room = room
        self._seldom = Seldom()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a client that leaves halfway is no error."""
        until = perf_counter() + timeout_of(scope["query_string"])
        with Place(self._room) as place:
            body = await receive_body(scope, receive, send, place)
            if body is not None:
                status, content = self.decide_at_once(body) or await self.decide(body, until)
                await send_answer(send, status, content)

    def decide_at_once(self, body: bytes) -> tuple[int, bytes] | None:
        """Turn a body into status and answer; None when something must be waited for first."""
        started = perf_counter()
        if self._source.missing:
            return self._later(f"not read yet: {self._source.missing}", started)
        try:
            return self._decide(body, self._state.snapshot, started)
        except UnknownNamespaceError:
            return None

    async def decide(self, body: bytes, until: float) -> tuple[int, bytes]:
        """Turn a body into status and answer by then, also if labels have to be read first."""
        started = perf_counter()
        try:
            return self._decide(body, self._state.snapshot, started)
        except UnknownNamespaceError as error:
            unknown = error
        try:  # within half of the time that is left: the other half is for all the rest
            labels = await self._source.find_labels(unknown.namespace, (until - started) / 2)
        except TimeoutError:
            return self._later(f"{unknown}; they could not be read in time", started)
        if labels is not None:
            namespaces = {unknown.namespace: labels}
            snapshot = replace(self._state.snapshot, namespaces=namespaces)
            return self._decide(body, snapshot, started)
        if self._seldom.allows("unknown"):
            logger.warning("namespace unknown", extra=fields(namespace=unknown.namespace))
        return self._told(HTTPStatus.INTERNAL_SERVER_ERROR, error_body(str(unknown)), started)

    def _decide(self, body: bytes, snapshot: Snapshot, started: float) -> tuple[int, bytes]:
        """Turn a body into status and answer; what we cannot decide is a 5xx, never a denial."""
        try:
            answer = review(body, snapshot)
        except ReviewError as error:
            self._log.refused(error)
            return self._told(error.status, error_body(str(error)), started)
        except UnknownNamespaceError:
            raise
        except Exception:  # a bug of ours; the caller's failurePolicy decides what it means
            logger.exception("review failed")
            return self._told(HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL_ERROR, started)
        seconds = perf_counter() - started
        self._answered(_OK, seconds)
        if answer.mutation is not None:
            self._tally.decided(answer.mutation)
            self._log.reviewed(answer, answer.mutation, seconds)
        return _OK, answer.body

    def _later(self, problem: str, started: float) -> tuple[int, bytes]:
        """Ask the API server to ask again."""
        return self._told(HTTPStatus.SERVICE_UNAVAILABLE, error_body(problem), started)

    def _told(self, status: int, content: bytes, started: float) -> tuple[int, bytes]:
        self._answered(status, perf_counter() - started)
        return status, content
