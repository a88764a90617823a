"""One listening socket: who may connect, what each connection may take, and how it all ends."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from time import perf_counter
from typing import Any, Protocol

import uvicorn
from starlette.types import ASGIApp

from webhook.errors import SettingsError
from webhook.exchange import CLOSE
from webhook.general import CLOSE_SECONDS, GeneralProtocol
from webhook.limits import Limits
from webhook.settings import both

BACKLOG = 2048
# What the kernel keeps of what a client has sent, and the TLS layer after it (the kernel doubles
# it): enough for a review in one piece, and within a data centre for a large body at full speed.
RECEIVE_BYTES = 64 * 1024
# uvicorn's clock ticks ten times a second; whoever is late by half a second is still late.
TICKS_TO_LOOK = 5


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


class Connection(Protocol):
    """What a port knows of a connection, whichever protocol is spoken on it."""

    deadline: float
    used: float
    transport: asyncio.Transport

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing has been asked that is not answered."""

    def expire(self) -> None:
        """End what has taken too long."""


def uvicorn_config(app: ASGIApp, context: ssl.SSLContext | None) -> uvicorn.Config:
    """Give the one configuration of every port."""
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=int(Limits().idle_seconds),
        ssl_context_factory=None if context is None else lambda _config, _default: context,
    )


class Port(uvicorn.Server):
    """One listening socket of the process; it leaves the signals to whoever runs it."""

    def __init__(
        self,
        app: ASGIApp,
        sock: socket.socket,
        limits: Limits,
        context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(uvicorn_config(app, context))
        self.limits = limits
        self.cut = {"slow": 0, "crowd": 0}  # connections that we ended, and why
        self._socket = sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)  # of its connections
        host, port, *_ = sock.getsockname()
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://{address(host, port)}"

    @property
    def connections(self) -> set[Connection]:
        """Give the connections that are ready for requests."""
        return self.server_state.connections  # type: ignore[return-value]  # they are ours, not only uvicorn's

    def make_protocol(self) -> asyncio.BaseProtocol:
        """Make the protocol of a new connection."""
        return self.make_general()

    def make_general(self) -> GeneralProtocol:
        """Make the protocol for whatever may be asked."""
        return GeneralProtocol(
            self.limits,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            _loop=asyncio.get_running_loop(),
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: one process has two ports, and one way to stop."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - it has its own
        """Listen, as uvicorn does, but with an end to handshakes and goodbyes."""
        tls: dict[str, Any] = {}
        if self.config.is_ssl:
            tls = {
                "ssl": self.config.ssl,
                "ssl_handshake_timeout": self.limits.handshake_seconds,
                "ssl_shutdown_timeout": CLOSE_SECONDS,
            }
        listening = asyncio.get_running_loop().create_server
        self.servers = [
            await listening(self.make_protocol, sock=self._socket, backlog=BACKLOG, **tls)
        ]
        self.started = True

    async def run_until_stopped(self) -> None:
        """Serve; returns when ``stop`` was called and the last answer is out."""
        await self.serve(sockets=[self._socket])

    async def on_tick(self, counter: int) -> bool:
        """Look at the clock for all connections, now and then."""
        if counter % TICKS_TO_LOOK == 0:
            self._look_after(perf_counter())
        return await super().on_tick(counter)

    def _look_after(self, now: float) -> None:
        for connection in [each for each in self.connections if each.deadline < now]:
            if not connection.is_idle:
                self.cut["slow"] += 1
            connection.expire()
        self._make_room()

    def _make_room(self) -> None:
        """Break the connections that were of no use for longest, where there are too many."""
        excess = len(self.connections) - self.limits.connections
        if excess > 0:
            self.cut["crowd"] += excess
            for connection in sorted(self.connections, key=lambda each: each.used)[:excess]:
                connection.transport.abort()

    def close_after_answers(self) -> None:
        """Let each answer from now on end its connection, also those of requests in flight."""
        self.config.encoded_headers = [*self.config.encoded_headers, CLOSE]
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        for connection in self.connections:
            cycle = getattr(connection, "cycle", None)
            if cycle is not None:
                cycle.keep_alive = False

    def stop(self) -> None:
        """Close the listener and the idle connections; finish the others."""
        self.should_exit = True

    def abandon(self) -> None:
        """Break what is still connected."""
        for connection in list(self.connections):
            connection.transport.abort()
