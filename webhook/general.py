"""HTTP/1.1 of one connection for whatever is asked: uvicorn's protocol, with an end to waiting.

uvicorn waits for a request as long as its sender likes. Here a head has to be short, head and body
have to arrive in time, and a closed connection is gone a moment later.
"""

from http import HTTPStatus
from time import perf_counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from webhook.exchange import error_body, last_answer
from webhook.limits import HEAD_LIMIT, NEVER, TOO_LONG, TOO_SLOW, Limits

# Closing TLS waits for the peer's goodbye, and plain HTTP for a peer that reads: no longer than so.
CLOSE_SECONDS = 1.0

_NOT_HTTP = "not a request of HTTP/1.1; send one"


class GeneralProtocol(HttpToolsProtocol):
    """A connection; ``deadline`` is when it has to be looked after, ``used`` when it last was."""

    def __init__(self, limits: Limits, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._limits = limits
        self._began = 0.0  # the request that is arriving; 0 when none is
        self._head_bytes = 0  # received since anything else was: of a head, or behind a body
        self._body_arrives = False
        self.deadline = NEVER
        self.used = perf_counter()

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing has been asked that is not answered."""
        return not self._began and (self.cycle is None or self.cycle.response_complete)  # type: ignore[redundant-expr]  # there is none at first

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request as long as for any other."""
        super().connection_made(transport)
        self.deadline = self.used + self._limits.idle_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything, and of the timer, which uvicorn keeps after a reset."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        """Take what arrives, and look at the clock."""
        if not self._began:
            self._expect(perf_counter())
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > HEAD_LIMIT and not self.transport.is_closing():
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LONG)

    def _expect(self, now: float) -> None:
        self._began = now
        self._wait_until(now + self._limits.head_seconds)

    def _wait_until(self, deadline: float) -> None:
        """Set the deadline, unless that of an answer which is not read is in force."""
        if not self.flow.write_paused:
            self.deadline = deadline

    def on_headers_complete(self) -> None:
        """Begin the request, unless its head is one that nobody sends."""
        self._head_bytes = 0
        if sum(len(name) + len(value) for name, value in self.headers) > HEAD_LIMIT:
            self._head_bytes = HEAD_LIMIT + 1  # what has been received is looked at no further
            raise ValueError
        self._body_arrives = True
        self._began = self._began or perf_counter()  # it may have come with the one before it
        self._wait_until(self._began + self._limits.request_seconds)
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those after a body are nothing to keep."""
        if not self._body_arrives:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for nothing more: the rest is ours to do."""
        self._body_arrives = False
        self._began = self._head_bytes = 0
        self._wait_until(NEVER)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on to the next request, or see the connection end."""
        super().on_response_complete()
        self.used = perf_counter()
        if self.transport.is_closing():
            self._abort_soon()
        elif self._body_arrives:
            self._began = self.used
            self._wait_until(self.used + self._limits.request_seconds)
        elif not self.pipeline:
            self._wait_until(self.used + self._limits.idle_seconds)

    def pause_writing(self) -> None:
        """Give a client that does not read its answers some time to do so."""
        super().pause_writing()
        self.deadline = perf_counter() + self._limits.request_seconds

    def resume_writing(self) -> None:
        """Go on: it has read them."""
        super().resume_writing()
        self.deadline = perf_counter() + self._limits.idle_seconds

    def expire(self) -> None:
        """End what has taken too long."""
        self.deadline = NEVER
        if self.flow.write_paused:
            self.transport.abort()
        elif self._began and not self._has_answered():
            self._end(HTTPStatus.REQUEST_TIMEOUT, TOO_SLOW)
        else:
            self.transport.close()
            self._abort_soon()

    def _has_answered(self) -> bool:
        """Tell whether the answer to the request that arrives has begun."""
        return self._body_arrives and self.cycle.response_started

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence, not ours
        """Answer what is not HTTP, and end."""
        if self._head_bytes > HEAD_LIMIT:
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LONG)
        else:
            self._end(HTTPStatus.BAD_REQUEST, _NOT_HTTP)

    def shutdown(self) -> None:
        """Close an idle connection, let a busy one give its answer."""
        super().shutdown()
        if self.transport.is_closing():
            self._abort_soon()

    def _end(self, status: int, problem: str) -> None:
        """Answer what is no complete request, and end."""
        content = error_body(problem)
        self.transport.write(last_answer(self.server_state.default_headers, status, content))
        self.transport.close()
        self._abort_soon()

    def _abort_soon(self) -> None:
        """Let the answer get out, then break the connection if it still exists."""
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
