"""Runs the two ports in one event loop, and stops them without losing a call.

A stop has two steps. While draining, both ports still answer: ``/readyz`` says no, and each answer
of the TLS port carries ``Connection: close``, so that API servers leave at a moment when nothing is
in flight. Only then is the listener closed and what is left finished.
"""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
from typing import Any, NoReturn, cast

import uvloop
from starlette.types import ASGIApp
from uvicorn._types import ASGI3Application

from webhook.app import WebhookApplication, create_management_app
from webhook.general import GeneralProtocol
from webhook.handshake import Handshakes
from webhook.head import MUTATE_PATH
from webhook.limits import Limits, Room
from webhook.log import fields, flush_log
from webhook.metrics import Metrics
from webhook.port import Port
from webhook.protocol import Desk, ReviewProtocol
from webhook.review_log import ReviewLog
from webhook.state import Source
from webhook.tls_clients import Clients, NamedClientProtocol
from webhook.tls_reload import ServingCertificate

# What is in flight when the listener closes may take as long as callers wait, 5 s, and one more.
FINISH_SECONDS = 6.0
# While a thread reads a large profile, a review waits so long for its turn, and several times.
SWITCH_SECONDS = 0.001

# Those that end a process that does nothing about them, and mean nothing here.
IGNORED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# Beside connections that have shaken hands and as many that do: listeners, the log, the cluster.
OTHER_FILES = 64

logger = logging.getLogger("webhook")


class ReviewPort(Port):
    """The port that API servers ask: TLS, and the short way for plain reviews."""

    def __init__(
        self,
        app: WebhookApplication,
        sock: socket.socket,
        limits: Limits,
        certificate: ServingCertificate,
        room: Room,
    ) -> None:
        super().__init__(app, sock, limits, certificate.context)
        self._desk = Desk(app.endpoint, self.server_state, limits, room, self._go_on)
        names = certificate.client_names
        self._clients = Clients(names, room, self._take_over) if names else None

    def make_protocol(self) -> asyncio.BaseProtocol:
        """Make the protocol of a new connection."""
        if self._clients is None:
            return ReviewProtocol(self._desk)
        return NamedClientProtocol(self._desk, self._clients)

    def _go_on(self, transport: asyncio.Transport, received: bytes) -> None:
        """Go on with a connection on which something unusual was asked."""
        self._take_over(transport).data_received(received)

    def _take_over(
        self, transport: asyncio.Transport, app: ASGIApp | None = None
    ) -> GeneralProtocol:
        """Let another protocol have the connection, and maybe another application."""
        protocol = self.make_general()
        protocol.app = cast("ASGI3Application", app) if app else protocol.app
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        return protocol


class WebhookServer:
    """The TLS port and the management port, started and stopped together."""

    def __init__(
        self,
        source: Source,
        certificate: ServingCertificate,
        sockets: tuple[socket.socket, socket.socket],
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        room = Room(limits)
        tls_socket, management_socket = sockets
        self.draining = False
        self._source = source
        self._certificate = certificate
        self._drain_seconds = limits.drain_seconds
        self._stop_requested = asyncio.Event()
        self._review_log = ReviewLog(limits.lines)
        handshakes = Handshakes(certificate.context, limits.connections)
        app = WebhookApplication(source, metrics, room, self._review_log)
        self._tls = ReviewPort(app, tls_socket, limits, certificate, room)
        management_app = create_management_app(self._why_not_ready, metrics)
        self._management = Port(management_app, management_socket, limits)
        metrics.watch(room, handshakes, self._tls)

    def _why_not_ready(self) -> str:
        if self.draining:
            return "draining"
        if self._certificate.why_unusable:
            return self._certificate.why_unusable
        return f"not read yet: {self._source.missing}" if self._source.missing else ""

    async def run(self) -> None:
        """Serve both ports until stopped."""
        async with asyncio.TaskGroup() as tasks:  # one port that fails ends the process
            source = tasks.create_task(self._source.run())
            certificate = tasks.create_task(self._certificate.run())
            tls = tasks.create_task(self._tls.run_until_stopped())
            management = tasks.create_task(self._management.run_until_stopped())
            logger.info("listening for reviews", extra=fields(url=self._tls.url + MUTATE_PATH))
            logger.info("listening for probes", extra=fields(url=self._management.url + "/readyz"))
            await self._stop_requested.wait()
            await asyncio.sleep(self._drain_seconds)
            await _finish(self._tls, tls)
            await _finish(self._management, management)
            source.cancel()
            certificate.cancel()
        self._review_log.close()
        logger.info("stopped")

    def stop(self, *, drain: bool = True) -> None:
        """Begin to stop; ``drain`` waits first until callers have gone elsewhere."""
        if not drain:
            self._drain_seconds = 0.0
        self.draining = True
        self._tls.close_after_answers()
        logger.info("stopping", extra=fields(drain_seconds=self._drain_seconds))
        self._stop_requested.set()


async def _finish(port: Port, running: asyncio.Task[None]) -> None:
    """Stop one port, and break what has not ended in time."""
    port.stop()
    _, pending = await asyncio.wait({running}, timeout=FINISH_SECONDS)
    if pending:
        port.abandon()
    await running


def run_process(server: WebhookServer) -> None:
    """Run the server as the whole of this process, with its signals."""
    gc.collect()
    gc.freeze()  # what was imported stays, and would cost each full collection a pause of 30 ms
    sys.setswitchinterval(SWITCH_SECONDS)
    sys.unraisablehook = _log_unraisable
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(_log_loop_error)
        _take_signals(loop, server)
        runner.run(server.run())


def _take_signals(loop: asyncio.AbstractEventLoop, server: WebhookServer) -> None:
    """SIGTERM drains; SIGINT is a person who waits; a second of either ends at once."""

    def stop(received: signal.Signals) -> None:
        if server.draining:
            logger.warning("stopped at once", extra=fields(signal=received.name))
            _end_at_once()
        server.stop(drain=received is signal.SIGTERM)

    def ignore(received: signal.Signals) -> None:
        logger.info("signal ignored", extra=fields(signal=received.name))

    for handled in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(handled, stop, handled)
    for ignored in IGNORED:
        loop.add_signal_handler(ignored, ignore, ignored)


def take_first_signals() -> None:
    """Be as calm while starting as afterwards; there is nothing yet to be finished."""
    for ignored in IGNORED:
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end_at_once())


def _end_at_once() -> NoReturn:
    """End as asked, nothing has gone wrong; an exception could come out of anything half made."""
    flush_log()
    os._exit(0)


def raise_files_limit(wanted: int) -> None:
    """Allow ourselves as many open files as the system lets us have, or say that they are few.

    For want of a file a new connection is dropped, an API server's like any other.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < 2 * wanted + OTHER_FILES:
        logger.warning("few files may be open", extra=fields(limit=most, connections=wanted))


def _log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong outside of any request; of a peer's faults nothing at all."""
    error = context.get("exception")
    if not isinstance(error, OSError):  # OSError: strangers, aborted handshakes (ssl.SSLError)
        logger.error(context["message"], exc_info=error)


def _log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Log what nobody could catch as we log everything; Python would print what it choked on."""
    error = unraisable.exc_value
    if not isinstance(error, UnicodeError):  # UnicodeError: strangers, who ask for no known name
        logger.error("error ignored", exc_info=error)
