"""Requests and answers, as messages of ASGI and as bytes: bounded bodies in, JSON out."""

import json
from http import HTTPStatus

from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from webhook.body import (
    ClientDisconnectedError,
    RequestRefusedError,
    check_headers,
    discard_body,
    read_body,
)
from webhook.limits import Place

CLOSE = (b"connection", b"close")

_JSON = (b"content-type", b"application/json")
_SOON = (b"retry-after", b"1")  # the API server asks again, within its own timeout

Header = tuple[bytes, bytes]


class Answers:
    """Writes whole answers; of those that are usual, all but the body is made once a second."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._headers: list[Header] | None = None
        self._begun: dict[int, bytes] = {}
        self.closing = False  # whether the last answer ends its connection, as while draining

    def whole(self, status: int, content: bytes) -> bytes:
        """Write an answer, head and body."""
        if self._headers is not self._state.default_headers:
            self._renew()
        begun = self._begun.get(status) or self._begin(status)
        return b"%b%d\r\n\r\n%b" % (begun, len(content), content)

    def last(self, status: int, content: bytes) -> bytes:
        """Write an answer that ends its connection."""
        return last_answer(self._state.default_headers, status, content)

    def _renew(self) -> None:
        self._headers = self._state.default_headers
        self.closing = CLOSE in self._headers
        self._begun.clear()

    def _begin(self, status: int) -> bytes:
        begun = self._begun[status] = _begin(self._headers or [], status)
        return begun


def last_answer(headers: list[Header], status: int, content: bytes) -> bytes:
    """Write an answer that ends its connection."""
    closing = headers if CLOSE in headers else [*headers, CLOSE]
    return b"%b%d\r\n\r\n%b" % (_begin(closing, status), len(content), content)


def _begin(headers: list[Header], status: int) -> bytes:
    """Write an answer's head up to the length of its body."""
    lines = [b"%b: %b\r\n" % header for header in (*headers, *_headers_of(status))]
    return b"%b%bcontent-length: " % (STATUS_LINE[status], b"".join(lines))


def _headers_of(status: int) -> list[Header]:
    return [_JSON, _SOON] if status == HTTPStatus.SERVICE_UNAVAILABLE else [_JSON]


async def receive_body(scope: Scope, receive: Receive, send: Send, place: Place) -> bytes | None:
    """Read a request's body; None when it was refused, or its client left halfway."""
    try:
        check_headers(scope)
        return await read_body(receive, place)
    except RequestRefusedError as refusal:
        await _refuse(refusal, receive, send)
    except ClientDisconnectedError:
        pass
    return None


async def _refuse(refusal: RequestRefusedError, receive: Receive, send: Send) -> None:
    """Answer before the body was read, and close.

    A socket closed while data still arrives is reset, and the client may lose the answer with it:
    so a bounded rest of the body is read and thrown away first. Of who is to come again soon, all
    of it is: so the connection can be kept.
    """
    content = error_body(str(refusal))
    if not refusal.body_pending or (
        refusal.status == HTTPStatus.SERVICE_UNAVAILABLE and await discard_body(receive)
    ):
        await send_answer(send, refusal.status, content, *refusal.headers)
        return
    await send(_start(refusal.status, content, *refusal.headers, CLOSE))
    await send({"type": "http.response.body", "body": content, "more_body": True})
    await discard_body(receive)
    await send({"type": "http.response.body"})


async def send_answer(send: Send, status: int, content: bytes, *headers: Header) -> None:
    """Send a whole answer."""
    await send(_start(status, content, *headers))
    await send({"type": "http.response.body", "body": content})


def _start(status: int, content: bytes, *headers: Header) -> Message:
    """Make the message that begins an answer."""
    length = (b"content-length", b"%d" % len(content))
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [*_headers_of(status), length, *headers],
    }


def error_body(message: str) -> bytes:
    """Encode an error's text."""
    return json.dumps({"error": message}).encode()


INTERNAL_ERROR = error_body("internal error; the log has the cause")
