"""The two ASGI applications: reviews for the API server over TLS, health for the kubelet beside it.

The review endpoint is bare ASGI and is asked before the framework's own layers, whose routing and
middleware cost more than the whole decision; everything that is not a review is the framework's.
"""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from webhook.admission import Answer, review
from webhook.body import (
    ClientDisconnectedError,
    RequestRefusedError,
    check_headers,
    discard_body,
    read_body,
)
from webhook.errors import ReviewError, UnknownNamespaceError
from webhook.log import fields
from webhook.state import State

MUTATE_PATH = "/mutate"
SKIPPED = "skipped"  # the decision about a Pod that is left alone though rules match

logger = logging.getLogger("webhook")


class WebhookApplication(FastAPI):
    """What the TLS port serves: the review endpoint, and a clear 404 for the rest."""

    def __init__(self, state: State) -> None:
        super().__init__(openapi_url=None, redirect_slashes=False)
        self.exception_handler(HTTPException)(_explain)
        self._mutate = ReviewEndpoint(state)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer reviews here, anything else by the framework."""
        if scope["type"] == "http" and scope["path"] == MUTATE_PATH:
            await self._mutate(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class ReviewEndpoint:
    """POST of an AdmissionReview: read within limits, decided by the core, answered as bytes."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a client that leaves halfway is no error."""
        try:
            check_headers(scope)
            body = await read_body(receive)
        except RequestRefusedError as refusal:
            await _refuse(refusal, receive, send)
        except ClientDisconnectedError:
            return
        else:
            status, content = self._decide(body)
            await _answer(send, status, content)

    def _decide(self, body: bytes) -> tuple[int, bytes]:
        """Turn a body into status and answer; what we cannot decide is a 5xx, never a denial."""
        started = perf_counter()
        try:
            answer = review(body, self._state.snapshot)
        except ReviewError as error:
            logger.warning("review refused", extra=fields(status=error.status, problem=str(error)))
            return error.status, _error(str(error))
        except UnknownNamespaceError as error:
            logger.warning("namespace unknown", extra=fields(namespace=error.namespace))
            return HTTPStatus.INTERNAL_SERVER_ERROR, _error(str(error))
        except (
            Exception
        ):  # a bug of ours: the caller's failurePolicy decides what becomes of the Pod
            logger.exception("review failed")
            return HTTPStatus.INTERNAL_SERVER_ERROR, _error("internal error; the log has the cause")
        _log_answer(answer, perf_counter() - started)
        return HTTPStatus.OK, answer.body


def create_app(state: State) -> WebhookApplication:
    """Give the application of the TLS port."""
    return WebhookApplication(state)


def create_management_app(is_ready: Callable[[], bool]) -> FastAPI:
    """Give the application of the management port: alive, and ready for reviews or not."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.exception_handler(HTTPException)(_explain)

    @app.get("/healthz")
    async def healthz() -> Response:
        return PlainTextResponse("ok")

    @app.get("/readyz")
    async def readyz() -> Response:
        if is_ready():
            return PlainTextResponse("ok")
        return PlainTextResponse("draining", HTTPStatus.SERVICE_UNAVAILABLE)

    return app


async def _explain(_request: Request, error: HTTPException) -> Response:
    """Answer the framework's own refusals in the form of ours."""
    return JSONResponse({"error": error.detail.lower()}, error.status_code, error.headers)


async def _answer(
    send: Send, status: int, content: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Send a whole answer; the connection stays open."""
    await _start(send, status, content, headers)
    await send({"type": "http.response.body", "body": content})


async def _refuse(refusal: RequestRefusedError, receive: Receive, send: Send) -> None:
    """Answer before the body was read, and close.

    A socket closed while data still arrives is reset, and the client may lose the answer with it:
    so a bounded rest of the body is read and thrown away first.
    """
    content = _error(str(refusal))
    if not refusal.body_pending:
        await _answer(send, refusal.status, content, refusal.headers)
        return
    await _start(send, refusal.status, content, (*refusal.headers, (b"connection", b"close")))
    await send({"type": "http.response.body", "body": content, "more_body": True})
    await discard_body(receive)
    await send({"type": "http.response.body"})


async def _start(
    send: Send, status: int, content: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    """Send the status and the headers."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(content)),
                *headers,
            ],
        }
    )


def _error(message: str) -> bytes:
    """Encode an error's text."""
    return json.dumps({"error": message}).encode()


def _log_answer(answer: Answer, seconds: float) -> None:
    """Log a review when something was done or skipped; never what the Pod contains."""
    mutation = answer.mutation
    if mutation is None or not (mutation.operations or mutation.decision == SKIPPED):
        return
    logger.info(
        "reviewed",
        extra=fields(
            uid=answer.uid,
            namespace=answer.namespace,
            name=answer.name,
            decision=mutation.decision,
            rules=mutation.rules,
            reasons=mutation.reasons,
            duration_ms=round(seconds * 1000, 3),
        ),
    )
