"""The two ASGI applications: reviews for the API server over TLS, health for the kubelet beside it.

The review endpoint is bare ASGI and is asked before the framework's own layers, whose routing and
middleware cost more than the whole decision; everything that is not a review is the framework's.
"""

import logging
import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from http import HTTPStatus
from time import perf_counter
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from webhook.admission import Answer, review
from webhook.errors import ReviewError, UnknownNamespaceError
from webhook.exchange import error_body, receive_body, send_answer
from webhook.gate import VALIDATE_PATH, ProfileEndpoint
from webhook.log import fields, log_event
from webhook.metrics import CONTENT_TYPE, Metrics
from webhook.mutate import Mutation
from webhook.seldom import Seldom
from webhook.state import Snapshot, Source

MUTATE_PATH = "/mutate"
SHORTEST_TIMEOUT_SECONDS = 1  # that a webhook configuration can have
LONGEST_NAME = 253  # that Kubernetes allows; a longer one is nobody's, and would fill the log
SKIPPED = "skipped"  # the decision about a Pod that is left alone though rules match

_NOT_YET = HTTPStatus.SERVICE_UNAVAILABLE
_SOON = (b"retry-after", b"1")  # the API server asks again, within its own timeout
_TIMEOUT = re.compile(rb"(?:^|&)timeout=(\d+)s(?:&|$)")  # the API server always sends it

logger = logging.getLogger("webhook")


class WebhookApplication(FastAPI):
    """What the TLS port serves: the two endpoints of reviews, and a clear 404 for the rest."""

    def __init__(self, source: Source, metrics: Metrics) -> None:
        super().__init__(openapi_url=None, redirect_slashes=False)
        self.exception_handler(HTTPException)(_explain)
        self.endpoint = ReviewEndpoint(source, metrics)
        self._profile_endpoint = ProfileEndpoint(source.state.snapshot.profile_object)

    def __call__(  # not async itself: a coroutine less for each review
        self, scope: Scope, receive: Receive, send: Send
    ) -> Coroutine[Any, Any, None]:
        """Answer reviews here, anything else by the framework."""
        if scope["path"] == MUTATE_PATH:  # "http" is the only kind of scope that the server makes
            return self.endpoint(scope, receive, send)
        if scope["path"] == VALIDATE_PATH:
            return self._profile_endpoint(scope, receive, send)
        return super().__call__(scope, receive, send)


class ReviewEndpoint:
    """POST of an AdmissionReview: read within limits, decided by the core, answered as bytes."""

    def __init__(self, source: Source, metrics: Metrics) -> None:
        self._source = source
        self._state = source.state
        self._metrics = metrics
        self._seldom = Seldom()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a client that leaves halfway is no error."""
        body = await receive_body(scope, receive, send)
        if body is None:
            return
        if self._source.missing:
            content = error_body(f"not read yet: {self._source.missing}")
            await send_answer(send, _NOT_YET, content, _SOON)
            return
        try:
            status, content = self._decide(body, self._state.snapshot)
        except UnknownNamespaceError as unknown:
            status, content = await self._decide_after_reading(body, unknown, scope)
        await send_answer(send, status, content)

    def decide_at_once(self, body: bytes) -> tuple[int, bytes] | None:
        """Turn a body into status and answer; None when something must be waited for first."""
        if self._source.missing:
            return None
        try:
            return self._decide(body, self._state.snapshot)
        except UnknownNamespaceError:
            return None

    async def _decide_after_reading(
        self, body: bytes, unknown: UnknownNamespaceError, scope: Scope
    ) -> tuple[int, bytes]:
        """Decide when the labels that were missing have been found, or not been found in time."""
        name = unknown.namespace
        labels = await self._source.find_labels(name, _half_of_timeout(scope["query_string"]))
        if labels is not None:
            snapshot = replace(self._state.snapshot, namespaces={name: labels})
            return self._decide(body, snapshot)
        if self._seldom.allows("unknown"):
            logger.warning("namespace unknown", extra=fields(namespace=name))
        return HTTPStatus.INTERNAL_SERVER_ERROR, error_body(str(unknown))

    def _decide(self, body: bytes, snapshot: Snapshot) -> tuple[int, bytes]:
        """Turn a body into status and answer; what we cannot decide is a 5xx, never a denial."""
        started = perf_counter()
        try:
            answer = review(body, snapshot)
        except ReviewError as error:
            logger.warning("review refused", extra=fields(status=error.status, problem=str(error)))
            return error.status, error_body(str(error))
        except UnknownNamespaceError:
            raise
        except Exception:  # a bug of ours; the caller's failurePolicy decides what it means
            logger.exception("review failed")
            return HTTPStatus.INTERNAL_SERVER_ERROR, error_body(
                "internal error; the log has the cause"
            )
        if answer.mutation is not None:
            self._metrics.decided(answer.mutation)
            _log_decision(answer, answer.mutation, perf_counter() - started)
        return HTTPStatus.OK, answer.body


def create_app(source: Source, metrics: Metrics) -> WebhookApplication:
    """Give the application of the TLS port."""
    return WebhookApplication(source, metrics)


def create_management_app(why_not_ready: Callable[[], str], metrics: Metrics) -> FastAPI:
    """Give the application of the management port: alive, ready for reviews or why not, figures."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.exception_handler(HTTPException)(_explain)

    @app.get("/healthz")
    async def healthz() -> Response:
        return PlainTextResponse("ok")

    @app.get("/readyz")
    async def readyz() -> Response:
        if why := why_not_ready():
            return PlainTextResponse(why, HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("ok")

    @app.get("/metrics")
    async def show_metrics() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return app


async def _explain(_request: Request, error: HTTPException) -> Response:
    """Answer the framework's own refusals in the form of ours."""
    return JSONResponse({"error": error.detail.lower()}, error.status_code, error.headers)


def _half_of_timeout(query: bytes) -> float:
    """Give half of the seconds after which the API server gives up; the other half is to decide."""
    found = _TIMEOUT.search(query)
    return (int(found[1]) if found else SHORTEST_TIMEOUT_SECONDS) / 2


def _log_decision(answer: Answer, mutation: Mutation, seconds: float) -> None:
    """Log a review when something was done, skipped or shadowed; never what the Pod contains."""
    if not (mutation.operations or mutation.shadows or mutation.decision == SKIPPED):
        return
    log_event(
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
