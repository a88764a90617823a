"""The two ASGI applications: reviews for the API server over TLS, health for the kubelet beside it.

The review endpoint is bare ASGI and is asked before the framework's own layers, whose routing and
middleware cost more than the whole decision; everything that is not a review is the framework's.
"""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from webhook.endpoint import ReviewEndpoint
from webhook.gate import VALIDATE_PATH, ProfileEndpoint
from webhook.head import MUTATE_PATH
from webhook.limits import Room
from webhook.metrics import CONTENT_TYPE, Metrics
from webhook.review_log import ReviewLog
from webhook.state import Source


class WebhookApplication(FastAPI):
    """What the TLS port serves: the two endpoints of reviews, and a clear 404 for the rest."""

    def __init__(self, source: Source, metrics: Metrics, room: Room, log: ReviewLog) -> None:
        super().__init__(openapi_url=None, redirect_slashes=False)
        self.exception_handler(HTTPException)(_explain)
        self.endpoint = ReviewEndpoint(source, metrics, room, log)
        profile_object = source.state.snapshot.profile_object
        self._profile_endpoint = ProfileEndpoint(profile_object, metrics, room)

    def __call__(  # not async itself: a coroutine less for each review
        self, scope: Scope, receive: Receive, send: Send
    ) -> Coroutine[Any, Any, None]:
        """Answer reviews here, anything else by the framework."""
        if scope["path"] == MUTATE_PATH:  # "http" is the only kind of scope that the server makes
            return self.endpoint(scope, receive, send)
        if scope["path"] == VALIDATE_PATH:
            return self._profile_endpoint(scope, receive, send)
        return super().__call__(scope, receive, send)


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
