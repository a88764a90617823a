"""What a request must look like before the core sees it: method, headers, and a bounded body."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

from starlette.types import Receive, Scope

# The API server takes no request above 3 MiB and stores no object above 1.5 MiB: a review of a new
# Pod, the object once and its envelope, stays below.
BODY_LIMIT = 4 * 1024 * 1024
DISCARD_LIMIT = 4 * 1024 * 1024
DISCARD_SECONDS = 1.0


_JSON = b"application/json"
_UNUSUAL = frozenset({b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"})


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


def is_plain(method: str, fields: Iterable[tuple[bytes, bytes]], limit: int) -> bool:
    """Tell whether a request is as the API server sends it, and its body within the limit."""
    headers = dict(fields)
    return (
        method == "POST"
        and headers.get(b"content-type") == _JSON
        and 0 < int(headers.get(b"content-length", b"0")) <= limit
        and _UNUSUAL.isdisjoint(headers)
    )


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


async def read_body(receive: Receive) -> bytes:
    """Give the whole body; never holds more than the limit and one chunk."""
    body = bytearray()  # not a list of chunks: a client may send a byte at a time
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        chunk: bytes = message.get("body", b"")
        if len(body) + len(chunk) > BODY_LIMIT:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body + chunk) if body else chunk
        body += chunk


async def discard_body(receive: Receive) -> None:
    """Read what the client is still sending, for a short while, and forget it."""
    size = 0
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            while size <= DISCARD_LIMIT:
                message = await receive()
                if not message.get("more_body", False):  # complete, or the client has left
                    return
                size += len(message["body"])
    except TimeoutError:
        return


def _has_body(headers: dict[bytes, bytes]) -> bool:
    """Tell whether a body follows the headers."""
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def _is_json(content_type: bytes) -> bool:
    """Tell whether a Content-Type says JSON in UTF-8, the only encoding JSON is exchanged in."""
    if content_type == _JSON:  # what the API server sends
        return True
    media_type, *parameters = content_type.lower().split(b";")
    return media_type.strip() == _JSON and all(
        parameter.replace(b'"', b"").strip() in (b"", b"charset=utf-8") for parameter in parameters
    )


def _too_large() -> RequestRefusedError:
    """Make the answer to a body above the limit, announced or sent."""
    return RequestRefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {BODY_LIMIT >> 20} MiB; no Pod is",
    )
