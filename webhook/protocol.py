"""HTTP/1.1 of one connection: uvicorn's, with a short way for reviews and an end for every close.

A review of ordinary size is answered where its last byte is parsed, in one call and one write. By
way of the application it costs a task, an event and a second TLS record more. Whatever is unusual
about a request (its size, a header, a client that does not read) sends it that way all the same,
and both ways end in the same decision.
"""

from http import HTTPStatus

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from webhook.app import MUTATE_PATH, WebhookApplication
from webhook.body import is_plain

# Closing TLS waits for the peer's goodbye, and reads whatever it sends instead for half a minute.
CLOSE_SECONDS = 1.0
CLOSE = (b"connection", b"close")

_NOT_HTTP = b'{"error": "not a request of HTTP/1.1; send one"}'


class ConnectionProtocol(HttpToolsProtocol):
    """A connection; when it is closed it is gone a moment later, whatever its peer still sends."""

    _review: RequestResponseCycle | None = None  # on the short way, its body still arriving

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Start the application, but for what is answered when it is complete."""
        if self._is_short_way(cycle, app):
            self._review = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _is_short_way(self, cycle: RequestResponseCycle, app: ASGI3Application) -> bool:
        """Tell whether this is a plain review that has yet to arrive, of a client that reads."""
        return (
            isinstance(app, WebhookApplication)
            and cycle.scope["path"] == MUTATE_PATH
            and is_plain(cycle.scope["method"], self.headers, HIGH_WATER_LIMIT)
            and cycle is self.cycle
            and cycle.more_body
            and not self.flow.write_paused
        )

    def on_message_complete(self) -> None:
        """Answer what is on the short way; tell the application of the end of any other body."""
        super().on_message_complete()
        cycle, self._review = self._review, None
        if cycle is not None and not self.transport.is_closing():
            answer = self.app.endpoint.decide_at_once(bytes(cycle.body))
            if answer is None:  # there is something to wait for, and only a task can wait
                super()._start_asgi_task(cycle, self.app)
            else:
                self._answer(cycle, *answer)

    def _answer(self, cycle: RequestResponseCycle, status: int, content: bytes) -> None:
        """Write a whole answer, and go on as if the application had."""
        headers = cycle.default_headers
        if CLOSE in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            headers = [*headers, CLOSE]
        self.transport.write(_whole(status, headers, content))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """Go on to the next request, or see the connection end."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_soon()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence, not ours
        """Answer what is not HTTP, and end."""
        self.transport.write(_whole(HTTPStatus.BAD_REQUEST, [CLOSE], _NOT_HTTP))
        self.transport.close()
        self._abort_soon()

    def shutdown(self) -> None:
        """Close an idle connection, let a busy one give its answer."""
        super().shutdown()
        if self.transport.is_closing():
            self._abort_soon()

    def _abort_soon(self) -> None:
        """Let the answer get out, then break the connection if it still exists."""
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


def _whole(status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> bytes:
    """Write an answer, head and body, as the bytes that go out."""
    head = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"%bcontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n%b" % (
        STATUS_LINE[status],
        len(content),
        head,
        content,
    )
