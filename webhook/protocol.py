"""HTTP/1.1 of one connection while plain reviews come: answered where their last byte arrives.

Whole reviews are decided in the call that reads them, and written at once, without a task or an
event. What is unusual in any way (a method, a header, a path, garbage) is handed over, with the
connection, to uvicorn's protocol and by that to the application. Both ways end in one decision.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter
from typing import Protocol, cast

from uvicorn.server import ServerState

from webhook.exchange import Answers, error_body
from webhook.head import END, Heads, Plain, is_begun
from webhook.limits import (
    HEAD_LIMIT,
    NEVER,
    OVERLOADED,
    TOO_LONG,
    TOO_SLOW,
    Limits,
    Place,
    Room,
)

# Of what arrived, so much is looked at in one go: any ordinary review, and a part of a large one.
BUFFER_BYTES = 64 * 1024


class Endpoint(Protocol):
    """Who decides."""

    def decide_at_once(self, body: bytes) -> tuple[int, bytes] | None:
        """Give status and answer; None when something must be waited for first."""

    async def decide(self, body: bytes, until: float) -> tuple[int, bytes]:
        """Give status and answer, before that time."""


class Desk:
    """What all connections of a port share; the buffer, because only one is read at a time."""

    def __init__(
        self,
        endpoint: Endpoint,
        state: ServerState,
        limits: Limits,
        room: Room,
        hand_over: Callable[[asyncio.Transport, bytes], None],
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self.room = room
        self.hand_over = hand_over
        self.connections: set[object] = state.connections  # type: ignore[assignment]  # not only uvicorn's
        self.answers = Answers(state)
        self.heads = Heads()
        self.buffer = bytearray(BUFFER_BYTES)
        self.view = memoryview(self.buffer)


class ReviewProtocol(asyncio.BufferedProtocol):
    """One connection; ``deadline`` is when it has to be looked after, ``used`` when it last was."""

    transport: asyncio.Transport

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.deadline = NEVER
        self.used = 0.0
        self._received = bytearray()  # of requests that are not answered yet
        self._began = 0.0  # the first of them
        self._place: Place | None = None
        self._skip = 0  # bytes of a body that there is no room for
        self._plain: Plain | None = None
        self._waiting: asyncio.Task[tuple[int, bytes]] | None = None
        self._blocked = False  # the client does not read its answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a first request as long as for any other: pools open some in advance."""
        self.transport = cast("asyncio.Transport", transport)  # in all but its class, for uvloop
        self._desk.connections.add(self)
        self._rest(perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it is gone, however
        """Forget everything."""
        self._received.clear()
        if self._waiting is not None:
            self._waiting.remove_done_callback(self._waited)
            self._waiting.cancel()
            self._waiting = None
        self._let_go()

    def _let_go(self) -> None:
        """Be nobody's any more.

        The TLS layer keeps our methods, and with them us. If we kept its transport, a quarter of a
        megabyte of its buffers would wait for the garbage collector, which does not see them.
        """
        self._account()
        self._desk.connections.discard(self)
        del self.transport

    def get_buffer(self, _sizehint: int) -> bytearray:
        """Lend the port's buffer until ``buffer_updated``, which comes before anything else."""
        return self._desk.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Answer a whole review; keep anything else until more is known."""
        desk = self._desk
        if self.is_idle:
            end = desk.buffer.find(END, 0, nbytes) + len(END)
            plain = desk.heads.read(bytes(desk.view[:end]))
            if plain is not None and end + plain.length == nbytes:
                self._decide(bytes(desk.view[end:nbytes]), plain)
                return
        self._keep(bytes(desk.view[:nbytes]))

    def _decide(self, body: bytes, plain: Plain) -> None:
        """Answer a review now, or as soon as can be."""
        answer = self._desk.endpoint.decide_at_once(body)
        if answer is None:
            self._wait(body, plain)
        else:
            self._answer(*answer)

    def _answer(self, status: int, content: bytes) -> None:
        """Write an answer; the connection rests, unless it turns out otherwise."""
        self._rest(perf_counter())
        answers = self._desk.answers
        self.transport.write(answers.whole(status, content))
        if answers.closing:
            self.transport.close()

    def _rest(self, now: float) -> None:
        self.used = self._began = now
        self.deadline = now + self._desk.limits.idle_seconds

    # What is not answered in the call that read it

    def _keep(self, data: bytes) -> None:
        """Keep what belongs to a request that is not complete, or has to wait."""
        if self._skip:
            data = self._skipped(data)
        if not self._received:
            self._began = perf_counter()
        self._received += data
        self._go_on()

    def _go_on(self) -> None:
        """Take one request after the other, as far as they are complete and may be answered."""
        while self._received and self._waiting is None and not self._is_held_up():
            end = self._received.find(END) + len(END)
            if end < len(END) and is_begun(self._received):
                self._expect_head()
                break
            plain = self._desk.heads.read(bytes(self._received[:end]))
            if plain is None:
                self._hand_over()
                break
            if len(self._received) < end + plain.length:
                self._expect_body(plain, end)
                break
            body = bytes(self._received[end : end + plain.length])
            del self._received[: end + plain.length]
            self._decide(body, plain)
        self._account()

    def _is_held_up(self) -> bool:
        return self._blocked or self.transport.is_closing()

    def _account(self, waiting: int = 0) -> bool:
        """Say what this connection holds now; tell whether there is room for it."""
        size = len(self._received) + waiting
        if size and self._place is None:
            self._place = Place(self._desk.room)
        if self._place is None:
            return True
        if size or self._waiting is not None:
            return self._place.hold(size)
        self._place.leave()
        self._place = None
        return True

    def _expect_head(self) -> None:
        self.deadline = self._began + self._desk.limits.head_seconds
        if len(self._received) > HEAD_LIMIT:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LONG)

    def _expect_body(self, plain: Plain, end: int) -> None:
        """Wait for the rest of a body; where there is no room for it, let it pass by."""
        self.deadline = self._began + self._desk.limits.request_seconds
        if not self._account():
            self._skip = end + plain.length - len(self._received)
            self._received.clear()

    def _skipped(self, data: bytes) -> bytes:
        """Let pass by what was announced, answer that, and give what comes after it."""
        size = min(self._skip, len(data))
        self._skip -= size
        if not self._skip:
            self._shed()
        return data[size:]

    def _shed(self) -> None:
        self._desk.room.shed += 1
        self._answer(HTTPStatus.SERVICE_UNAVAILABLE, error_body(OVERLOADED))

    def _refuse(self, status: int, problem: str) -> None:
        """Answer what is no complete request, and end."""
        self._received.clear()
        self._account()
        self.transport.write(self._desk.answers.last(status, error_body(problem)))
        self.transport.close()

    def _hand_over(self) -> None:
        """Leave the connection, and what has been received, to uvicorn's protocol for good."""
        received, self._received = bytes(self._received), bytearray()
        transport = self.transport
        self._let_go()
        self._desk.hand_over(transport, received)

    def _wait(self, body: bytes, plain: Plain) -> None:
        """Answer later; nothing is read until then."""
        if not self._account(len(body)):
            self._shed()
            return
        decision = self._desk.endpoint.decide(body, self._began + plain.timeout_seconds)
        self.deadline = NEVER
        self.transport.pause_reading()
        self._waiting = asyncio.get_running_loop().create_task(decision)
        self._waiting.add_done_callback(self._waited)

    def _waited(self, task: asyncio.Task[tuple[int, bytes]]) -> None:
        """Answer what had to wait, and go on."""
        self._waiting = None
        if task.cancelled() or self.transport.is_closing():
            return
        self._answer(*task.result())
        if not self._blocked:
            self.transport.resume_reading()
        self._go_on()

    # What others tell us

    def pause_writing(self) -> None:
        """Read no more of a client that does not read its answers."""
        self._blocked = True
        self.transport.pause_reading()
        self.deadline = perf_counter() + self._desk.limits.request_seconds

    def resume_writing(self) -> None:
        """Go on: it has read them."""
        self._blocked = False
        if self.transport.is_closing() or self._waiting is not None:
            return
        self._rest(perf_counter())
        self.transport.resume_reading()
        self._go_on()

    def expire(self) -> None:
        """End what has taken too long."""
        self.deadline = NEVER
        if self._blocked:
            self.transport.abort()
        elif self._received or self._skip:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, TOO_SLOW)
        else:
            self.transport.close()

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing has been asked that is not answered."""
        return not self._received and not self._skip and self._waiting is None

    def shutdown(self) -> None:
        """Close if idle; else the answer does."""
        if self.is_idle:
            self.transport.close()
