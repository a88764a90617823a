"""The endpoint that judges the profile's ConfigMap before it is stored.

It needs nothing that is followed, so it answers from the start. A failure of ours is an HTTP error,
never a denial: no bug of ours can keep an administrator from writing a profile.
"""

import asyncio
import logging
from http import HTTPStatus
from time import perf_counter

from starlette.types import Receive, Scope, Send

from webhook.errors import ReviewError
from webhook.exchange import INTERNAL_ERROR, error_body, receive_body, send_answer
from webhook.head import timeout_of
from webhook.limits import Place, Room
from webhook.log import fields
from webhook.metrics import Metrics
from webhook.validation import Verdict, validate

VALIDATE_PATH = "/validate"

logger = logging.getLogger("webhook")


class ProfileEndpoint:
    """POST of an AdmissionReview about a ConfigMap of this namespace and name."""

    def __init__(self, profile_object: tuple[str, str], metrics: Metrics, room: Room) -> None:
        self._namespace, self._name = profile_object
        self._tally = metrics.tally.validate
        self._room = room
        self._one_at_a_time = asyncio.Lock()  # a large profile takes a core for a while

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        seconds = timeout_of(scope["query_string"]) / 2  # the other half is to judge
        with Place(self._room) as place:
            body = await receive_body(scope, receive, send, place)
            if body is not None:
                started = perf_counter()
                status, content = await self._judge(body, seconds)
                self._tally.answered(status, perf_counter() - started)
                await send_answer(send, status, content)

    async def _judge(self, body: bytes, seconds: float) -> tuple[int, bytes]:
        """Judge when those before it have been, unless that takes too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._one_at_a_time.acquire()
        except TimeoutError:
            content = error_body("another profile is being judged; ask again")
            return HTTPStatus.SERVICE_UNAVAILABLE, content
        try:
            return await asyncio.to_thread(self._decide, body)
        finally:
            self._one_at_a_time.release()

    def _decide(self, body: bytes) -> tuple[int, bytes]:
        """Turn a body into status and answer; beside the event loop, which has reviews to do."""
        try:
            verdict = validate(body, self._namespace, self._name)
        except ReviewError as error:
            logger.warning("review refused", extra=fields(status=error.status, problem=str(error)))
            return error.status, error_body(str(error))
        except Exception:  # a bug of ours; failurePolicy Ignore lets the profile through
            logger.exception("validating the profile failed")
            return HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL_ERROR
        if verdict.is_profile:
            _log(verdict)
        return HTTPStatus.OK, verdict.body


def _log(verdict: Verdict) -> None:
    told = fields(
        uid=verdict.uid,
        allowed=verdict.allowed,
        errors=verdict.errors,
        warnings=verdict.warnings,
    )
    logger.info("profile validated", extra=told)
