"""The endpoint that judges the profile's ConfigMap before it is stored.

It needs nothing that is followed, so it answers from the start. A failure of ours is an HTTP error,
never a denial: no bug of ours can keep an administrator from writing a profile.
"""

import asyncio
import logging
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from webhook.errors import ReviewError
from webhook.exchange import error_body, receive_body, send_answer
from webhook.log import fields
from webhook.validation import Verdict, validate

VALIDATE_PATH = "/validate"

logger = logging.getLogger("webhook")


class ProfileEndpoint:
    """POST of an AdmissionReview about a ConfigMap of this namespace and name."""

    def __init__(self, profile_object: tuple[str, str]) -> None:
        self._namespace, self._name = profile_object
        self._one_at_a_time = asyncio.Lock()  # a large profile takes a core for a while

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await receive_body(scope, receive, send)
        if body is not None:
            async with self._one_at_a_time:
                status, content = await asyncio.to_thread(self._decide, body)
            await send_answer(send, status, content)

    def _decide(self, body: bytes) -> tuple[int, bytes]:
        """Turn a body into status and answer; beside the event loop, which has reviews to do."""
        try:
            verdict = validate(body, self._namespace, self._name)
        except ReviewError as error:
            logger.warning("review refused", extra=fields(status=error.status, problem=str(error)))
            return error.status, error_body(str(error))
        except Exception:  # a bug of ours; failurePolicy Ignore lets the profile through
            logger.exception("validating the profile failed")
            content = error_body("internal error; the log has the cause")
            return HTTPStatus.INTERNAL_SERVER_ERROR, content
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
