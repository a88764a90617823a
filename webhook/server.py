"""Runs the two ports in one event loop, and stops them without losing a call.

A stop has two steps. While draining, both ports still answer: ``/readyz`` says no, and each answer
of the TLS port carries ``Connection: close``, so that API servers leave at a moment when nothing is
in flight. Only then is the listener closed and what is left finished.
"""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from typing import Any

import uvicorn
import uvloop
from starlette.types import ASGIApp

from webhook.app import MUTATE_PATH, create_app, create_management_app
from webhook.errors import SettingsError
from webhook.log import fields
from webhook.metrics import Metrics
from webhook.protocol import ConnectionProtocol
from webhook.settings import both
from webhook.state import Source
from webhook.tls_clients import protocol_for
from webhook.tls_reload import ServingCertificate

# An idle connection of the API server lives for 90 s; the side that closes first must not be ours.
KEEP_ALIVE_SECONDS = 120
# What is in flight when the listener closes may take as long as callers wait, 5 s, and one more.
FINISH_SECONDS = 6.0
BACKLOG = 2048
# While a thread reads a large profile, a review waits so long for its turn, and several times.
SWITCH_SECONDS = 0.001

logger = logging.getLogger("webhook")


def bind(host: str, port: int, field: str) -> socket.socket:
    """Open a listening socket; SettingsError names the setting that asked for it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port),
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        code = error.errno or errno.EINVAL
        if code == errno.EADDRNOTAVAIL or code < 0:  # negative: the resolver's
            raise SettingsError(
                f'{both("host")}: "{host}" is not an address of this machine; '
                "give one, such as 127.0.0.1, or 0.0.0.0 for all"
            ) from error
        reason = os.strerror(code).lower()
        raise SettingsError(
            f'{both(field)}: cannot listen on "{address(host, port)}": {reason}; give another port'
        ) from error


def address(host: str, port: int) -> str:
    """Write host and port as a URL does."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def uvicorn_config(
    app: ASGIApp,
    context: ssl.SSLContext | None,
    protocol: type[ConnectionProtocol] = ConnectionProtocol,
) -> uvicorn.Config:
    """Give the one configuration of every port."""
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ssl_context_factory=None if context is None else lambda _config, _default: context,
    )


class Port(uvicorn.Server):
    """One listening socket of the process; it leaves the signals to whoever runs it."""

    def __init__(
        self, app: ASGIApp, sock: socket.socket, certificate: ServingCertificate | None = None
    ) -> None:
        if certificate is None:
            super().__init__(uvicorn_config(app, None))
        else:
            protocol = protocol_for(certificate.client_names)
            super().__init__(uvicorn_config(app, certificate.context, protocol))
        self._socket = sock
        host, port, *_ = sock.getsockname()
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://{address(host, port)}"

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: one process has two ports, and one way to stop."""
        yield

    async def run_until_stopped(self) -> None:
        """Serve; returns when ``stop`` was called and the last answer is out."""
        await self.serve(sockets=[self._socket])

    def close_after_answers(self) -> None:
        """Let each answer from now on end its connection, also those of requests in flight."""
        header = (b"connection", b"close")
        self.config.encoded_headers = [*self.config.encoded_headers, header]
        self.server_state.default_headers = [*self.server_state.default_headers, header]
        for connection in self.server_state.connections:
            cycle = getattr(connection, "cycle", None)
            if cycle is not None:
                cycle.keep_alive = False

    def stop(self) -> None:
        """Close the listener and the idle connections; finish the others."""
        self.should_exit = True

    def abandon(self) -> None:
        """Break what is still connected."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class WebhookServer:
    """The TLS port and the management port, started and stopped together."""

    def __init__(
        self,
        source: Source,
        certificate: ServingCertificate,
        sockets: tuple[socket.socket, socket.socket],
        drain_seconds: float,
        metrics: Metrics,
    ) -> None:
        tls_socket, management_socket = sockets
        self.draining = False
        self._source = source
        self._certificate = certificate
        self._drain_seconds = drain_seconds
        self._stop_requested = asyncio.Event()
        self._tls = Port(create_app(source, metrics), tls_socket, certificate)
        management_app = create_management_app(self._why_not_ready, metrics)
        self._management = Port(management_app, management_socket)

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
            os._exit(128 + received)
        server.stop(drain=received is signal.SIGTERM)

    def ignore(received: signal.Signals) -> None:
        logger.info("signal ignored", extra=fields(signal=received.name))

    for handled in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(handled, stop, handled)
    for ignored in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(ignored, ignore, ignored)


def _log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong outside of any request; of a peer's faults nothing at all."""
    error = context.get("exception")
    if not isinstance(error, OSError):  # OSError: strangers, aborted handshakes (ssl.SSLError)
        logger.error(context["message"], exc_info=error)
