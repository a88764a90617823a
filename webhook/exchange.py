"""One request and its answer as ASGI messages: a bounded body in, JSON of known length out."""

import json

from starlette.types import Message, Receive, Scope, Send

from webhook.body import (
    ClientDisconnectedError,
    RequestRefusedError,
    check_headers,
    discard_body,
    read_body,
)

_JSON = (b"content-type", b"application/json")


async def receive_body(scope: Scope, receive: Receive, send: Send) -> bytes | None:
    """Read a request's body; None when it was refused, or its client left halfway."""
    try:
        check_headers(scope)
        return await read_body(receive)
    except RequestRefusedError as refusal:
        await _refuse(refusal, receive, send)
    except ClientDisconnectedError:
        pass
    return None


async def _refuse(refusal: RequestRefusedError, receive: Receive, send: Send) -> None:
    """Answer before the body was read, and close.

    A socket closed while data still arrives is reset, and the client may lose the answer with it:
    so a bounded rest of the body is read and thrown away first.
    """
    content = error_body(str(refusal))
    if not refusal.body_pending:
        await send_answer(send, refusal.status, content, *refusal.headers)
        return
    closing = (b"connection", b"close")
    await send(_start(refusal.status, content, *refusal.headers, closing))
    await send({"type": "http.response.body", "body": content, "more_body": True})
    await discard_body(receive)
    await send({"type": "http.response.body"})


async def send_answer(
    send: Send, status: int, content: bytes, *headers: tuple[bytes, bytes]
) -> None:
    """Send a whole answer."""
    await send(_start(status, content, *headers))
    await send({"type": "http.response.body", "body": content})


def _start(status: int, content: bytes, *headers: tuple[bytes, bytes]) -> Message:
    """Make the message that begins an answer."""
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [_JSON, (b"content-length", b"%d" % len(content)), *headers],
    }


def error_body(message: str) -> bytes:
    """Encode an error's text."""
    return json.dumps({"error": message}).encode()
