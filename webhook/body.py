"""What a request must look like before the core sees it: method, headers, and a bounded body."""

import asyncio
from http import HTTPStatus

from starlette.types import Receive, Scope

from webhook.head import BODY_LIMIT, JSON
from webhook.limits import OVERLOADED, Place

DISCARD_LIMIT = BODY_LIMIT
DISCARD_SECONDS = 1.0


class ClientDisconnectedError(Exception):
    """The client left before its request was complete."""


class RequestRefusedError(Exception):
    """The request is not one that could hold a review."""

    def __init__(
        self,
        status: int,
        message: str,
        *headers: tuple[bytes, bytes],
        body_pending: bool = True,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body_pending = body_pending


def check_headers(scope: Scope) -> None:
    """Raise RequestRefusedError unless a JSON body of acceptable length was announced by POST."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if scope["method"] != "POST":
        raise RequestRefusedError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "only POST is answered here; send an AdmissionReview",
            (b"allow", b"POST"),
            body_pending=_has_body(headers),
        )
    if not _is_json(headers.get(b"content-type", b"")):
        raise RequestRefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "content-type is not application/json in utf-8; send an AdmissionReview as JSON",
            body_pending=_has_body(headers),
        )
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise RequestRefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "content-encoding is not identity; send the body uncompressed",
            body_pending=_has_body(headers),
        )
    if b"upgrade" in headers:  # the parser takes the body for the other protocol's
        raise RequestRefusedError(HTTPStatus.BAD_REQUEST, "no upgrade is offered; leave it out")
    if int(headers.get(b"content-length", b"0")) > BODY_LIMIT:
        raise _too_large()


async def read_body(receive: Receive, place: Place) -> bytes:
    """Give the whole body; never holds more than the limit and one chunk."""
    body = bytearray()  # not a list of chunks: a client may send a byte at a time
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        chunk: bytes = message.get("body", b"")
        if len(body) + len(chunk) > BODY_LIMIT:
            raise _too_large()
        if not place.hold(len(body) + len(chunk)):
            place.room.shed += 1
            raise _overloaded(body_pending=message.get("more_body", False))
        if not message.get("more_body", False):
            return bytes(body + chunk) if body else chunk
        body += chunk


async def discard_body(receive: Receive) -> bool:
    """Read what the client is still sending, for a short while; tell whether that was all."""
    size = 0
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            while size <= DISCARD_LIMIT:
                message = await receive()
                if not message.get("more_body", False):  # complete, or the client has left
                    return str(message["type"]) == "http.request"
                size += len(message["body"])
    except TimeoutError:
        pass
    return False


def _has_body(headers: dict[bytes, bytes]) -> bool:
    """Tell whether a body follows the headers."""
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def _is_json(content_type: bytes) -> bool:
    """Tell whether a Content-Type says JSON in UTF-8, the only encoding JSON is exchanged in."""
    if content_type == JSON:  # what the API server sends
        return True
    media_type, *parameters = content_type.lower().split(b";")
    return media_type.strip() == JSON and all(
        parameter.replace(b'"', b"").strip() in (b"", b"charset=utf-8") for parameter in parameters
    )


def _too_large() -> RequestRefusedError:
    """Make the answer to a body above the limit, announced or sent."""
    return RequestRefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {BODY_LIMIT >> 20} MiB; no Pod is",
    )


def _overloaded(*, body_pending: bool) -> RequestRefusedError:
    """Make the answer to what there is no room for, just now."""
    return RequestRefusedError(
        HTTPStatus.SERVICE_UNAVAILABLE, OVERLOADED, body_pending=body_pending
    )
